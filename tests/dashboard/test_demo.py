"""The study that ships: how it is made, and that it opens from anywhere without writing there."""

from __future__ import annotations

import fnmatch
import json
import lzma
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.request import urlopen

import pandas as pd
import pytest

from benchmarks.demo import LARGEST, OUT, POINTS, main, thinned
from dashboard import demo
from dashboard.data import Database
from search.store import Store, StoreError
from tests.databases import build, verify
from tests.test_house import ROOT


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies; the one called demo is verified."""
    path = tmp_path_factory.mktemp("demo") / "csp.db"
    build(str(path), 6, name="other")
    build(str(path), 24, name="demo")
    verify(str(path), "demo")
    return path


def test_shrinking_keeps_what_is_shown_and_leaves_the_source_alone(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, out = source.read_bytes(), tmp_path / "demo.db.xz"
    assert main([str(source), str(out), "--name", "demo"]) == 0
    assert "24 candidates" in capsys.readouterr().out
    assert source.read_bytes() == before
    assert out.stat().st_size < len(before) / 5
    small = tmp_path / "demo.db"
    small.write_bytes(lzma.decompress(out.read_bytes()))
    with Store.open(str(source)) as old, Store.open(str(small), create=False, read_only=True) as new:
        assert [row.name for row in new.studies()] == ["demo"]
        pd.testing.assert_frame_equal(new.frame("demo"), old.frame("demo"))
        for identity in old.frame("demo")["id"]:
            theirs, ours = old.evaluations(identity), new.evaluations(identity)
            kept = [{**row, "curve": None} for row in ours]
            assert kept == [{**row, "curve": None} for row in theirs if row["id"] in {o["id"] for o in ours}]
            assert [len(row["curve"]) <= POINTS for row in ours] == [True] * len(ours)
        only = set(old.frame("other")["id"]) - set(old.frame("demo")["id"])
        assert all(new.architecture(identity) is None for identity in only)


def test_a_thinned_curve_keeps_its_end_and_its_scores() -> None:
    curve = [{"image_visits": n, "loss": 1 / (n + 1)} for n in range(200)]
    curve[10]["ap"] = 0.123456
    kept = thinned(curve)
    assert len(kept) <= POINTS + 1
    assert kept[-1]["image_visits"] == 199
    assert {"image_visits": 10, "loss": 0.09091, "ap": 0.1235} in kept
    assert [point["image_visits"] for point in kept] == sorted(point["image_visits"] for point in kept)
    assert thinned(curve[:3]) == [{"image_visits": 0, "loss": 1.0}, {"image_visits": 1, "loss": 0.5},
                                  {"image_visits": 2, "loss": 0.3333}]  # fmt: skip
    assert thinned([]) == []


@pytest.mark.parametrize(("arguments", "message"), [
    (["none.db"], "does not exist"), (["{source}", "--name", "nosuch"], "no study nosuch; studies here: demo, other"),
])  # fmt: skip
def test_a_source_that_cannot_be_is_one_line(
    source: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([text.format(source=source) for text in arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_the_demo_that_ships_is_small_listed_and_finished() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["studies"]
    assert any(fnmatch.fnmatch(demo.NAME, pattern) for pattern in listed)
    assert OUT.name == demo.NAME
    assert OUT.stat().st_size <= LARGEST
    with demo.unpacked() as path:
        snapshot = Database(path, shown=demo.SHOWN).snapshot()
        assert snapshot.phase == "ready"
        assert snapshot.database is None
        assert snapshot.study is not None
        assert snapshot.study.state == "complete"
        assert snapshot.columns is not None
        assert (snapshot.columns["verdict"] != "unverified").any()
        assert Database(path).detail(snapshot.columns.ids[0]) is not None
    assert not Path(path).exists()


def test_a_demo_that_is_missing_or_broken_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match="has no demo study"), demo.unpacked("none.db.xz"):
        pass
    monkeypatch.setattr(demo, "files", lambda _: tmp_path)
    (tmp_path / demo.NAME).write_bytes(b"no archive")
    with pytest.raises(StoreError, match="cannot be unpacked"), demo.unpacked():
        pass


def test_a_demo_of_an_older_schema_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = sorted((ROOT / "tests" / "golden").glob("store-*.db"))[0]
    (tmp_path / demo.NAME).write_bytes(lzma.compress(golden.read_bytes()))
    monkeypatch.setattr(demo, "files", lambda _: tmp_path)
    with demo.unpacked() as path, Store.open(path, create=False, read_only=True) as store:
        assert [row.name for row in store.studies()] == ["golden"]


def test_the_command_serves_the_demo_and_writes_nothing_beside_it(tmp_path: Path) -> None:
    before = sorted(OUT.parent.iterdir())
    process = subprocess.Popen([sys.executable, "-m", "dashboard", "--demo", "--port", "0"], cwd=tmp_path,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "shows the demo study; Ctrl-C stops it" in line
        with urlopen(f"{line.split(' at ')[1].split()[0]}/health", timeout=10) as response:
            assert json.load(response)["database"] == "ready"
        process.terminate()
        _, errors = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, errors) == (0, "")
    assert sorted(OUT.parent.iterdir()) == before
    assert list(tmp_path.iterdir()) == []
