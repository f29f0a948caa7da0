"""Scores of untrained networks: closed forms on tiny graphs, laws, and finite values over the whole space."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from evaluator.metrics import METRICS, ZERO_COST
from evaluator.recipe import recipe_for
from evaluator.tasks import TASKS
from evaluator.zero_cost import (
    IMAGES,
    STEP,
    NotDefined,
    fresh,
    grad_norm,
    log_determinant,
    naswot,
    sample,
    synflow,
    zen,
    zero_cost,
)
from space.architecture import Architecture, Head, Stage, Stem
from space.graph import Builder, Graph
from space.lower import lower
from space.module import Network
from tests.strategies import random_architectures, wild_architectures

SMALL = Architecture(
    stem=Stem(width=16), stages=tuple(Stage(width=width, depth=1) for width in (16, 16, 16)), head=Head(width=16)
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def chain(*widths: int, size: int = 1, activation: str = "silu", norm: bool = True, linear: bool = False,
          close: Callable[[Builder, int], int] | None = None) -> Graph:  # fmt: skip
    """1x1 convolutions from widths[0] channels to widths[-1]."""
    g = Builder((widths[0], size, size), activation=activation)
    x = 0
    for index, width in enumerate(widths[1:]):
        x = g.conv(x, width, 1, norm=norm, linear=linear, bias=False if not norm else None, name=f"c{index}")
    return g.graph([close(g, x) if close else x])


# -- synflow


@pytest.mark.parametrize("activation", ["relu", "silu", "leaky_relu", "mish", "hard_swish"])
def test_the_synflow_of_a_chain_is_its_length_times_the_product_of_absolute_weights(activation):
    network = fresh(chain(3, 5, 4, 2, activation=activation), seed=1)
    matrices = [w.detach().double().abs().numpy()[:, :, 0, 0] for w in network.parameters() if w.ndim > 1]
    flow = float((matrices[2] @ matrices[1] @ matrices[0]).sum())
    assert synflow(network) == pytest.approx(math.log10(3 * flow), rel=1e-6)


def test_synflow_sees_neither_signs_nor_normalisation_and_ten_times_a_layer_adds_one():
    network = fresh(lower(SMALL, 64, 64), seed=0)
    before = synflow(network)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.weight.neg_()
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.fill_(7)
                module.running_var.fill_(3)
    assert synflow(network) == pytest.approx(before, rel=1e-12)
    with torch.no_grad():
        network.get_submodule("stem").get_parameter("conv1.conv.weight").mul_(10)
    assert synflow(network) == pytest.approx(before + 1, rel=1e-6)


def test_synflow_of_weights_that_let_nothing_through_is_not_defined():
    network = fresh(chain(3, 4), seed=0)
    torch.nn.init.zeros_(next(network.parameters()))
    with pytest.raises(NotDefined, match="nothing flows"):
        synflow(network)


# -- NASWOT


def test_naswot_counts_the_units_that_answer_alike():
    """Against the paper's definition, units minus Hamming distance, computed with numpy."""
    network = fresh(chain(3, 6, size=4, activation="relu", norm=False), seed=2)
    images = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    weights = next(network.parameters()).detach().numpy()[:, :, 0, 0]
    codes = np.einsum("oc,nchw->nohw", weights, images.numpy()).reshape(5, -1) > 0
    kernel = np.array([[(a == b).sum() for b in codes] for a in codes], float)
    assert naswot(network, images) == pytest.approx(np.linalg.slogdet(kernel)[1], rel=1e-9)


def test_naswot_by_hand():
    # Codes 00, 01, 10 of two units: K = [[2, 1, 1], [1, 2, 0], [1, 0, 2]], whose determinant is 4.
    agree = torch.tensor([[2.0, 1, 1], [1, 2, 0], [1, 0, 2]], dtype=torch.float64)
    assert log_determinant(agree) == pytest.approx(math.log(4))
    with pytest.raises(NotDefined, match="answered alike"):
        log_determinant(torch.ones(2, 2, dtype=torch.float64))


def test_naswot_knows_neither_the_kind_of_activation_nor_the_brightness():
    images = torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    scores = [naswot(fresh(chain(3, 9, size=4, activation=a), seed=0), images) for a in ("relu", "silu", "mish")]
    assert scores[0] == scores[1] == scores[2]
    bare = chain(3, 9, size=4, norm=False)
    assert naswot(fresh(bare, 0), images) == naswot(fresh(bare, 0), 4 * images)


def test_naswot_of_a_repeated_image_is_not_defined():
    images = torch.randn(1, 3, 4, 4).expand(2, -1, -1, -1)
    with pytest.raises(NotDefined, match="2 images"):
        naswot(fresh(chain(3, 4, size=4), seed=0), images)


# -- grad-norm


def test_the_grad_norm_of_a_linear_classifier_is_that_of_its_closed_form():
    """Softmax regression: dL/dW = (p - y)' x / N."""
    task = TASKS.get("digits")
    recipe = recipe_for(task)
    images, classes = sample(task, 0)
    g = Builder((3, task.size, task.size), activation="relu")
    network = fresh(g.graph([g.linear(0, 10, name="fc")]), seed=0)
    x = images.flatten(1).double().numpy()
    weights, bias = (p.detach().double().numpy() for p in network.parameters())
    logits = x @ weights.T + bias
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    gradient = (p - np.eye(10)[classes.numpy()]).T @ x / len(x)
    assert grad_norm(network, task, recipe, images, classes) == pytest.approx(np.linalg.norm(gradient), rel=1e-5)


def test_grad_norm_takes_the_detectors_own_loss_of_all_levels():
    task = TASKS.get("scenes")
    recipe = recipe_for(task)
    images, targets = sample(task, 0)
    graph = lower(SMALL, task.size, task.size, num_classes=task.num_classes)
    assert len(graph.outputs) == 3
    once = grad_norm(fresh(graph, 0), task, recipe, images, targets)
    double = {name: 2 * getattr(recipe, name) for name in ("box_weight", "class_weight", "object_weight")}
    assert grad_norm(fresh(graph, 0), task, replace(recipe, **double), images, targets) == pytest.approx(
        2 * once, rel=1e-4
    )
    network = fresh(graph, 0)
    grad_norm(network, task, recipe, images, targets)
    assert all(p.grad is not None and p.grad.any() for p in network.parameters() if p.ndim > 1)


# -- Zen


def _predict(g: Builder, x: int) -> int:
    return g.conv(x, 7, 1, norm=False, linear=True, name="predict")


def test_zen_of_one_linear_layer_is_its_expected_response():
    """f = W x with W, x standard normal: |f(x) - f(x + a e)| is near a sqrt(outputs x inputs x places)."""
    graph = chain(8, 64, size=8, norm=False, linear=True, close=_predict)
    assert zen(graph, 0) == pytest.approx(math.log(STEP * math.sqrt(64 * 8 * 64)), abs=0.05)


def test_zen_puts_back_what_normalisation_takes():
    for linear in (True, False):
        bare, normed = (chain(8, 64, size=8, norm=norm, linear=linear, activation="relu", close=_predict)
                        for norm in (False, True))  # fmt: skip
        assert zen(bare, 0) == pytest.approx(zen(normed, 0), abs=0.02)


def test_zen_leaves_out_shortcuts_and_what_stands_after_the_features():
    def block(shortcut: bool, classes: int) -> Graph:
        g = Builder((8, 8, 8), activation="relu")
        with g.scope("stage1.block1"):
            y = g.conv(0, 8, 3, linear=True, name="conv1")
            x = g.act(g.add(y, 0) if shortcut else y)
        return g.graph([g.linear(g.global_pool(x), classes, name="fc")])

    assert zen(block(True, 10), 0) == zen(block(False, 3), 0)


def test_zen_grows_with_depth():
    scores = [zen(chain(8, *[32] * depth, size=8, activation="relu", close=_predict), 0) for depth in (1, 2, 4, 8)]
    assert scores == sorted(scores)


# -- rows


@given(wild_architectures())
@settings(max_examples=8)
def test_every_architecture_of_the_whole_space_has_finite_scores(architecture):
    task = "digits" if architecture.head.kind == "classifier" else "scenes"
    [rows] = zero_cost([architecture], task, {}, seed=1)
    assert [row.metric for row in rows] == list(ZERO_COST)
    for row in rows:
        if row.metric == "naswot" and row.value is None:  # networks of a channel or two tell some images not apart
            assert "answered alike" in str(row.reason)
        else:
            assert row.value is not None, row.reason
            assert math.isfinite(row.value)


def test_every_score_is_defined_in_the_default_space():
    rows = zero_cost(random_architectures(3), "scenes", {}, seed=0)
    assert all(row.value is not None for scores in rows for row in scores)


def test_a_row_says_what_it_depends_on_and_the_same_seed_gives_the_same_score():
    [rows], [again], [other] = (zero_cost([SMALL], "scenes", {"box_weight": 1.0}, seed=seed) for seed in (3, 3, 4))
    recipe = recipe_for(TASKS.get("scenes"), {"box_weight": 1.0}).id(TASKS.get("scenes"))
    for row in rows:
        assert (row.origin, row.task, row.recipe, row.seed, row.image_visits) == ("measured", "scenes", recipe, 3, 0)
        assert row.detail["images"] == IMAGES
        assert row.environment is not None
        assert row.unit == METRICS[row.metric].unit
    assert [row.value for row in rows] == [row.value for row in again]
    assert all(a.value != b.value for a, b in zip(rows, other, strict=True))


def test_a_score_that_is_not_defined_is_missing_with_its_reason(monkeypatch):
    task = TASKS.get("scenes")
    images, targets = sample(task, 0)
    blank = torch.zeros_like(images)
    monkeypatch.setattr("evaluator.zero_cost.sample", lambda *_: (blank, targets))
    [rows] = zero_cost([SMALL], "scenes", {}, seed=0)
    found = {row.metric: row for row in rows}
    assert found["naswot"].value is None
    assert "answered alike" in str(found["naswot"].reason)
    assert found["synflow"].value is not None


def test_a_fresh_network_is_left_as_it_was():
    network: Network = fresh(lower(SMALL, 64, 64), seed=0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    synflow(network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
