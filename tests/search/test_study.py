"""Study files: what they mean, and one clear line for everything that can be wrong in them."""

from __future__ import annotations

import pytest

from search.study import DEFAULT, Limit, StudyError, load

TEXT = DEFAULT.read_text()


def test_the_default_study_is_what_the_readme_says():
    study = load()
    assert [o.metric for o in study.objectives] == ["ap", "macs", "latency_ms"]
    assert [o.direction for o in study.objectives] == ["maximize", "minimize", "minimize"]
    assert (study.budget, study.sampler, study.task) == (200, "screen", "scenes")
    assert (study.deployment.height, study.deployment.batch, study.deployment.precision) == (256, 1, "fp32")


def test_overrides_replace_and_limits_add(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(TEXT.replace("limits = []", 'limits = ["params <= 2e6"]'))
    study = load(path, budget=7, seed=3, sampler="tpe", limits=["macs <= 3e8"], name="x")
    assert (study.budget, study.seed, study.sampler, study.name) == (7, 3, "tpe", "x")
    assert [str(limit) for limit in study.limits] == ["params <= 2e+06", "macs <= 3e+08"]


def test_another_task_brings_its_own_score():
    study = load(task="digits")
    assert [o.metric for o in study.objectives] == ["accuracy", "macs", "latency_ms"]
    assert study.space.head == "classifier"
    assert not any("head" in gene or gene == "maxout" for gene in study.space.genes)


def test_the_identity_is_what_may_not_change():
    assert load(budget=5).identity() == load(budget=6, name="x").identity()
    for change in ({"seed": 5}, {"limits": ["macs <= 3e8"]}, {"sampler": "random"}, {"task": "digits"}):
        assert load(**change).identity() != load().identity()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("budget = 200", "bugdet = 200", "no key 'bugdet'; did you mean 'budget'"),
        ("budget = 200", "budget = 0", "budget is 0; it must be a whole number of at least 1"),
        ("budget = 200", "budget = -1", "budget is -1"),
        ("budget = 200", 'budget = "many"', "budget is 'many'"),
        ("budget = 200", "budget = = 2", "is not TOML"),
        ('"latency_ms"]', '"latency"]', "no metric 'latency'; did you mean 'latency_ms'"),
        ('["ap", "macs", "latency_ms"]', '["macs"]', "the first objective is the trained score"),
        ('["ap", "macs", "latency_ms"]', '["ap", "ap"]', "each once"),
        ('task = "scenes"', 'task = "scene"', "no task 'scene'; did you mean 'scenes'"),
        ('task = "scenes"', "", "the key 'task' is missing"),
        ('name = "screen"', 'name = "scren"', "did you mean 'screen"),
        ('name = "screen"', 'name = "screen"\npopulation = 1', "population is 1"),
        ("keep = 0.5", "keep = 0", "keep is 0"),
        ("image_visits = [4000]", "image_visits = [400, 40]", "must rise"),
        ('precision = "fp32"', 'precision = "fp64"', "no precision 'fp64'"),
        ("height = 256", "height = 0", "height is 0"),
        ("[deploy]", "[deploy]\nheigth = 3", "did you mean 'height'"),
        ("partial_ratio =", "partial_ration =", "did you mean 'partial_ratio'"),
        ("[space.head]", "[space.heads]", "did you mean 'head'"),
        ("limits = []", 'limits = ["mac <= 3"]', "did you mean 'macs'"),
        ("limits = []", "limits = [5]", "'limits' is a list of texts"),
        ('["ap", "macs", "latency_ms"]', "[1]", "'objectives' is a list of texts"),
        ("image_visits = [4000]", "image_visits = 4000", "wrong type"),
        ("[deploy]", "[recipe]\nlearnign_rate = 1\n[deploy]", "did you mean 'learning_rate'"),
        ("[deploy]", "[recipe]\nbatch = 0\n[deploy]", "batch is 0"),
        ("[deploy]", '[recipe]\nmomentum = "much"\n[deploy]', "momentum is 'much'"),
    ],
)
def test_bad_studies_get_one_line(tmp_path, old, new, message):
    assert old in TEXT
    path = tmp_path / "bad.toml"
    path.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(StudyError) as error:
        load(path)
    assert message in str(error.value)
    assert str(error.value).startswith(("study file", str(path)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("macs", "not of the form"),
        ("macs < 3e8", "write <= or >="),
        ("macs <= many", "'many' is not a number"),
        ("macs <= nan", "finite"),
        ("mcas <= 3", "did you mean 'macs'"),
        ("ap >= 0.3", "known only after training"),
    ],
)
def test_bad_limits_get_one_line(text, message):
    with pytest.raises(StudyError, match=message):
        Limit.parse(text)


def test_a_violation_is_relative_and_positive_outside():
    limit = Limit.parse(" macs<=2e8 ")
    assert limit.violation(3e8) == pytest.approx(0.5)
    assert limit.violation(1e8) < 0
    assert Limit.parse("params >= 1e6").violation(5e5) == pytest.approx(0.5)


def test_a_missing_or_unreadable_file_is_named(tmp_path):
    with pytest.raises(StudyError, match="does not exist"):
        load(tmp_path / "none.toml")
    with pytest.raises(StudyError, match="cannot be read"):
        load(tmp_path)
