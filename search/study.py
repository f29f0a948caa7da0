"""A study: what to search, what to optimise, within which limits, on what deployment. TOML -> Study.

StudyError is the one exception: it names the file, the key, what is allowed and the nearest name.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluator.backends import BACKENDS
from evaluator.data.build import prepare
from evaluator.data.task import OwnData
from evaluator.metrics import METRICS, ON_RUNTIMES, ZERO_COST, metric
from evaluator.recipe import recipe_for
from evaluator.record import Deployment, Fidelity
from evaluator.target import DEFAULT_BACKEND
from evaluator.tasks import TASKS, TaskError
from search.schedule import rungs
from space.cost import BYTES
from space.design import DesignSpace, Genome
from space.nearest import nearest
from space.registry import unknown
from space.source import start_of

if TYPE_CHECKING:
    from search.predictors import Foresight

SAMPLERS = ("screen", "nsga2", "nsga3", "tpe", "random", "grid")
DETECTION = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
DEFAULT = Path(__file__).parent.parent / "studies" / "default.toml"


def population_of(sampler: str) -> int:
    """Candidates of a generation unless a study says otherwise: what is learnt from one enters only the next."""
    return 10 if sampler == "screen" else 20


def built_in(task: str | None) -> Path:
    """The built-in study of a task's name, or the default one."""
    return next((path for path in DEFAULT.parent.glob("*.toml") if path.stem == task), DEFAULT)


class StudyError(ValueError):
    """A study, objective or limit that cannot be; the message says what is allowed."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A metric to optimise in its natural direction."""

    metric: str

    @property
    def direction(self) -> str:
        return METRICS[self.metric].direction


@dataclass(frozen=True, kw_only=True)
class Limit:
    """`metric <= bound` or `metric >= bound`: candidates outside are refused as soon as the metric is known."""

    metric: str
    relation: str
    bound: float

    @staticmethod
    def parse(text: str) -> Limit:
        """A limit such as `macs <= 300e6`. Raises StudyError that says what is wrong."""
        found = re.fullmatch(r"\s*(\w+(?:@[^<>=]*[^<>=\s])?)\s*(<=|>=|<|>|==|=)\s*(\S+)\s*", text)
        if not found:
            raise StudyError(f"limit '{text}' is not of the form 'macs <= 300e6'")
        name, relation, number = found.groups()
        if relation not in ("<=", ">="):
            raise StudyError(f"limit '{text}': write <= or >=, not {relation}")
        try:
            known = metric(name)
        except ValueError as error:
            raise StudyError(f"limit '{text}': {error}") from error
        try:
            bound = float(number.replace("_", ""))
        except ValueError as error:
            raise StudyError(f"limit '{text}': '{number}' is not a number") from error
        if bound != bound or bound in (float("inf"), float("-inf")):
            raise StudyError(f"limit '{text}': the bound must be a finite number")
        if known.name not in LIMITED and not known.paper:
            raise StudyError(
                f"limit '{text}': '{name}' is known only after training; "
                f"limits are for what is known before: {', '.join(LIMITED)}"
            )
        return Limit(metric=name, relation=relation, bound=bound)

    def violation(self, value: float) -> float:
        """How far outside `value` is, relative to the bound; 0 or less is inside."""
        excess = value - self.bound if self.relation == "<=" else self.bound - value
        return excess / max(abs(self.bound), 1e-12)

    def value(self, violation: float) -> float:
        """The value with this `violation`."""
        excess = violation * max(abs(self.bound), 1e-12)
        return self.bound + excess if self.relation == "<=" else self.bound - excess

    def __str__(self) -> str:
        return f"{self.metric} {self.relation} {self.bound:g}"


LIMITED = [name for name, known in METRICS.items() if known.paper or name.startswith("latency")]


@dataclass(frozen=True, kw_only=True)
class Study:
    """Everything that defines a search. `config` is what the store keeps of it."""

    name: str
    space: DesignSpace
    space_data: dict[str, Any]
    task: str
    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...] = ()
    sampler: str = "screen"
    population: int = 20
    rungs: tuple[Fidelity, ...] = (Fidelity(),)
    keep: float = 0.5
    deployment: Deployment = field(default_factory=Deployment)
    recipe: dict[str, Any] = field(default_factory=dict)
    budget: int = 200
    seed: int = 0
    data: dict[str, Any] | None = None
    """What tells the user's own data: digest of their content, size. None for any other task."""
    start: tuple[str, ...] = ()
    """Networks of the zoo, or architecture files, whose nearest genomes are proposed first."""
    backend: str = DEFAULT_BACKEND
    """The runtime that candidates are timed on."""
    predictors: Mapping[str, Foresight] = field(default_factory=dict, compare=False, repr=False)
    """For each metric on a device, such as `latency_ms@pi5`, what predicts it: `search.predictors.with_predictors`."""
    verify: dict[str, int] = field(default_factory=dict)
    """`image_visits` and `seeds` of `python -m search.verify`, where they are not its own."""

    def starting_points(self) -> list[tuple[str, Genome, list[str]]]:
        """Each network of `start` with the genome nearest to it and what had to change (`space.nearest`)."""
        found = []
        for network in self.start:
            architecture, kin = start_of(network)
            genome, changes = nearest(self.space, architecture)
            found.append((network, genome, [*([f"{kin} in its place"] if kin else []), *changes]))
        return found

    @property
    def timed(self) -> bool:
        """Whether an objective or a limit is a latency that has to be measured."""
        return any(name.startswith("latency") and "@" not in name for name in self._named)

    @property
    def targeted(self) -> list[str]:
        """Objectives and limits on devices, such as `latency_ms@pi5`."""
        return list(dict.fromkeys(name for name in self._named if "@" in name))

    @property
    def _named(self) -> list[str]:
        return [*(o.metric for o in self.objectives), *(limit.metric for limit in self.limits)]

    @property
    def score(self) -> Objective:
        """The trained objective that candidates are told apart by."""
        return self.objectives[0]

    def identity(self) -> dict[str, Any]:
        """What may not change when a study goes on: everything but budget and name."""
        return {
            "task": self.task,
            "space": self.space_data,
            "objectives": [{"metric": o.metric, "direction": o.direction} for o in self.objectives],
            "limits": [str(limit) for limit in self.limits],
            "sampler": self.sampler,
            "population": self.population,
            "image_visits": [fidelity.image_visits for fidelity in self.rungs],
            "keep": self.keep,
            "deployment": self.deployment.to_dict(),
            "recipe": self.recipe,
            "seed": self.seed,
            # Left out where there is none, so that studies of earlier versions go on.
            **({"data": self.data} if self.data else {}),
            **({"backend": self.backend} if self.backend != DEFAULT_BACKEND else {}),
            **({"predictors": {k: p.identity() for k, p in self.predictors.items()}} if self.predictors else {}),
            **({"start": [start_of(network)[0].id for network in self.start]} if self.start else {}),
        }


_KEYS = ("name", "task", "data", "data_size", "budget", "seed", "objectives", "limits", "sampler", "schedule", "deploy",
         "recipe", "space", "start", "verify")  # fmt: skip


def load(path: Path | str = DEFAULT, **overrides: Any) -> Study:
    """The study in a TOML file. `overrides` replace top-level keys (None leaves the file's value).

    `sampler` may be overridden by its name alone; `limits` are added to the file's. `data`, the path of the user's
    own data, stands in the place of a task, and the data are prepared here; a path in the file is seen from the
    file's folder. Raises StudyError, or TaskError for data that cannot be used.
    """
    path = Path(path)
    try:
        data = tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        raise StudyError(f"study file '{path}' does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"study file '{path}' cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"study file '{path}' is not TOML: {error}") from error
    overrides = {key: value for key, value in overrides.items() if value is not None}
    try:
        return _study(_with_task(data, overrides, path.parent), overrides)
    except TaskError:  # names the data, which need not be the file's
        raise
    except ValueError as error:
        raise StudyError(f"{path}: {error}") from error
    except (TypeError, AttributeError) as error:
        raise StudyError(f"{path}: a value has the wrong type ({error}); compare with {DEFAULT.name}") from error


def _with_task(data: dict[str, Any], overrides: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The study's keys with a task in the place of `data` and `data_size`, which are prepared; `overrides` likewise."""
    data = dict(data)
    own, size = data.pop("data", None), data.pop("data_size", None)
    if own is not None and "task" in data:
        raise StudyError("'task' and 'data' exclude each other; leave one of them")
    if own is not None and (not isinstance(own, str) or not own):
        raise StudyError(f"data is {own!r}; it must be the path of a folder")
    if size is not None:
        _whole("data_size", size, 1)
    given, given_size = overrides.pop("data", None), overrides.pop("data_size", None)
    if "task" in overrides:
        if given is not None or given_size is not None:
            raise StudyError("a task and data of your own exclude each other; give one of them")
        return {"task": None, **data}
    size = size if given_size is None else given_size
    if given is not None:
        overrides["task"] = prepare(given, size).name
        return {"task": None, **data}
    if own is not None:
        return {**data, "task": prepare(folder / own, size).name}
    if size is not None:
        raise StudyError("a data size needs 'data', the path of your own data")
    return data


def _table(data: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> dict[str, Any]:
    table = data.get(name, {})
    if not isinstance(table, dict):
        raise StudyError(f"'{name}' is a table: [{name}]")
    for key in table:
        if key not in allowed:
            raise StudyError(f"[{name}] {unknown('key', key, list(allowed))}")
    return table


def _whole(name: str, value: Any, low: int, high: int = 10**9) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise StudyError(f"{name} is {value!r}; it must be a whole number of at least {low}")
    return value


def _study(data: dict[str, Any], overrides: dict[str, Any]) -> Study:
    for key in data:
        if key not in _KEYS:
            raise StudyError(unknown("key", key, list(_KEYS)))
    for key in ("task", "objectives", "space"):
        if key not in data:
            raise StudyError(f"the key '{key}' is missing" + (" (or 'data')" if key == "task" else ""))
    for key in ("objectives", "limits", "start"):
        if not isinstance(data.get(key, []), list) or not all(isinstance(text, str) for text in data.get(key, [])):
            raise StudyError(f"'{key}' is a list of texts, not {data[key]!r}")
    task_name = overrides.get("task", data["task"])
    task = TASKS.get(task_name)
    names = list(data["objectives"])
    if "task" in overrides and task_name != data["task"]:
        # The score of another task: what was the first objective becomes that task's own.
        names[0] = task.objective
    objectives = tuple(Objective(metric=metric(name).name) for name in names)
    if len({o.metric for o in objectives}) != len(objectives) or not objectives:
        raise StudyError(f"objectives {names} need at least one metric, each once")
    if set(names) & set(ZERO_COST):
        raise StudyError(f"objectives {names}: scores of untrained networks ({', '.join(ZERO_COST)}) are shown and "
                         "correlated, never searched for; see `python -m search.audit`")  # fmt: skip
    if unmeasured := [name for name in names if name in ON_RUNTIMES]:
        raise StudyError(f"objectives {names}: a search does not measure {', '.join(unmeasured)}; "
                         "`python -m search.measure` does afterwards")  # fmt: skip
    if METRICS[names[0]].paper or names[0].startswith("latency"):
        raise StudyError(f"the first objective is the trained score ('{task.objective}'), not '{names[0]}'")
    if names[0] in DETECTION if task.head_kind == "classifier" else names[0] == "accuracy":
        raise StudyError(f"the first objective is '{names[0]}', but a {task.head_kind} has '{task.objective}'")
    sampler = _table(data, "sampler", ("name", "population"))
    sampler_name = overrides.get("sampler", sampler.get("name", "screen"))
    if sampler_name not in SAMPLERS:
        raise StudyError(unknown("sampler", sampler_name, list(SAMPLERS)))
    schedule = _table(data, "schedule", ("image_visits", "keep"))
    keep = schedule.get("keep", 0.5)
    if not isinstance(keep, int | float) or not 0 < keep <= 1:
        raise StudyError(f"[schedule] keep is {keep!r}; it must be in (0, 1]")
    deploy = _table(data, "deploy", ("height", "width", "num_classes", "batch", "precision", "threads", "backend"))
    backend = deploy.pop("backend", DEFAULT_BACKEND)
    if not isinstance(backend, str) or backend not in BACKENDS:
        raise StudyError(f"[deploy] {unknown('backend', backend, BACKENDS.names())}")
    for key, value in deploy.items():
        if key == "precision":
            if value not in BYTES:
                raise StudyError(f"[deploy] {unknown('precision', value, list(BYTES))}")
            if value not in (able := BACKENDS.get(backend).precisions):
                raise StudyError(f"[deploy] backend '{backend}' has no {value}; it has {', '.join(able)}")
        else:
            _whole(f"[deploy] {key}", value, 1, 8192)
    recipe = _table(data, "recipe", tuple(data.get("recipe", {})))
    recipe_for(task, recipe)
    for key, value in recipe.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise StudyError(f"[recipe] {key} is {value!r}; it must be a number, 0 or more")
    if recipe.get("batch", 1) < 1 or not isinstance(recipe.get("batch", 1), int):
        raise StudyError(f"[recipe] batch is {recipe['batch']!r}; it must be a whole number of at least 1")
    verify = _table(data, "verify", ("image_visits", "seeds"))
    stages = schedule.get("image_visits", [4000])
    for key, low in (("image_visits", stages[-1] if isinstance(stages, list) and stages else 1), ("seeds", 2)):
        if key in verify:
            _whole(f"[verify] {key}", verify[key], low)
    if not isinstance(data["space"], dict):
        raise StudyError("'space' is a table: [space]")
    limits = [Limit.parse(text) for text in [*data.get("limits", []), *overrides.get("limits", [])]]
    name = overrides.get("name", data.get("name", "study"))
    if not isinstance(name, str) or not name.strip() or len(name) > 200:
        raise StudyError(f"name {name!r} must be a text of 1 to 200 characters")
    space = DesignSpace.from_dict(data["space"], head=task.head_kind)
    start = tuple(dict.fromkeys([*data.get("start", []), *overrides.get("start", [])]))
    if start and sampler_name == "grid":
        raise StudyError("sampler 'grid' goes through the space in its own order: leave out 'start'")
    study = Study(
        name=name,
        space=space,
        start=start,
        space_data=data["space"],
        task=task_name,
        data={"content": task.facts["content"], "size": task.size} if isinstance(task, OwnData) else None,
        objectives=objectives,
        limits=tuple(limits),
        sampler=sampler_name,
        population=_whole("[sampler] population", sampler.get("population", population_of(sampler_name)), 2, 10_000),
        rungs=tuple(rungs([_whole("[schedule] image_visits", visits, 1) for visits in
                           schedule.get("image_visits", [4000])])),
        keep=float(keep),
        deployment=Deployment(**{"num_classes": task.num_classes, **deploy}),
        recipe=recipe,
        backend=backend,
        verify=verify,
        budget=_whole("budget", overrides.get("budget", data.get("budget", 200)), 1),
        seed=_whole("seed", overrides.get("seed", data.get("seed", 0)), 0, 2**31 - 1),
    )  # fmt: skip
    study.starting_points()  # an unknown network is refused before anything runs
    return study
