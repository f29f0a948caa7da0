"""PED-ANOVA against optuna's, and what chance gives."""

from __future__ import annotations

import warnings

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator

from search.importance import code, importance

NAMES = ["csp", "first", "last", "none"]


def candidates(n: int, seed: int) -> tuple[dict[str, list[object]], np.ndarray]:
    """Axes of every kind, one of them only in some candidates, and a loss that follows some of them."""
    rng = np.random.default_rng(seed)
    fusion = rng.integers(0, 4, n)
    depth = rng.integers(0, 5, n)
    ratio = rng.random(n).round(4)
    growth = [None if f == 0 else int(rng.choice([16, 32, 48])) for f in fusion]
    loss = fusion * 0.3 + (ratio - 0.4) ** 2 + rng.normal(0, 0.1, n) + depth * 0.02
    columns = {"fusion": [NAMES[f] for f in fusion], "depth": depth.tolist(), "ratio": ratio.tolist(), "growth": growth}
    return columns, loss


def optunas(columns: dict[str, list[object]], loss: np.ndarray, quantile: float) -> dict[str, float]:
    """Importance as optuna gives it for the same grid: whole steps of a list, 50 cells of a range."""
    ratios = columns["ratio"]
    grids = {
        "fusion": CategoricalDistribution(NAMES),
        "depth": IntDistribution(0, 4),
        "ratio": FloatDistribution(min(ratios), max(ratios)),  # type: ignore[type-var]
        "growth": IntDistribution(16, 48, step=16),
    }
    study = optuna.create_study()
    for row, value in enumerate(loss):
        params = {name: column[row] for name, column in columns.items() if column[row] is not None}
        dists = {name: grids[name] for name in params}
        study.add_trial(optuna.create_trial(params=params, distributions=dists, value=float(value)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return PedAnovaImportanceEvaluator(target_quantile=quantile).evaluate(study)


@pytest.mark.parametrize(("n", "quantile"), [(16, 0.5), (60, 0.1), (300, 0.1), (300, 0.33)])
def test_importance_is_optunas(n: int, quantile: float) -> None:
    columns, loss = candidates(n, seed=n)
    expected = optunas(columns, loss, quantile)
    found = importance({name: code(column) for name, column in columns.items()}, loss, quantile=quantile, draws=0)
    assert {name: each.value for name, each in found.items()} == pytest.approx(expected, rel=1e-9)
    assert list(found) == sorted(found, key=lambda name: -found[name].value)


def test_an_axis_that_decides_stands_above_chance_and_others_do_not() -> None:
    rng = np.random.default_rng(3)
    decides, idle = rng.integers(0, 4, 400), rng.integers(0, 4, 400)
    found = importance({"decides": code(decides), "idle": code(idle.astype(str))}, decides + rng.normal(0, 0.1, 400))
    assert found["decides"].value > 3 * found["decides"].chance
    assert found["idle"].value < found["idle"].chance


def test_chance_is_the_level_that_blind_losses_rarely_pass() -> None:
    rng = np.random.default_rng(4)
    axes = {"names": code(rng.choice(list("abcd"), 200)), "steps": code(rng.integers(0, 6, 200))}
    passed = [each.value > each.chance for _ in range(60) for each in importance(axes, rng.random(200)).values()]
    assert 0.005 < np.mean(passed) < 0.12


def test_missing_losses_are_left_out_and_nothing_is_said_of_equal_ones() -> None:
    columns, loss = candidates(80, seed=1)
    axes = {name: code(column) for name, column in columns.items()}
    holes = np.append(loss, [np.nan, np.inf])
    wider = {name: code([*column, column[0], column[1]]) for name, column in columns.items()}
    kept, whole = importance(wider, holes), importance(axes, loss)
    assert {k: v.value for k, v in kept.items()} == pytest.approx({k: v.value for k, v in whole.items()})
    assert importance(axes, np.ones(80)) == {}
    assert importance({"a": code([1])}, np.array([1.0])) == {}
    assert importance({"same": code([7] * 30)}, np.arange(30.0))["same"].value == 0


def test_codes_keep_order_and_know_what_is_missing() -> None:
    assert code([16, None, 64, 32, float("nan")]).cells.tolist() == [0, -1, 2, 1, -1]
    assert code(["res", "", "dense"]).cells.tolist() == [1, -1, 0]
    mixed = code([1.0, "1.0/0.5", 1.0])
    assert not mixed.ordered
    assert mixed.cells.tolist() == [0, 1, 0]
    assert code(np.linspace(0, 1, 100)).size == 50
