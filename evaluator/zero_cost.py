"""Scores of an untrained network: synflow, NASWOT, grad-norm and Zen, each a few lines.

They are there to be shown and correlated, not to prune: which of them ranks, and with which sign, differs from task
to task, and parameters and MACs are hard to beat (`python -m search.audit` says what holds for a study). All are
taken at the task's own image size and number of classes, on a fresh network, with more meant to be better.

Each is a measurement, not a count: weights, and where a score looks at data the images, are drawn from the seed.
Every architecture gets the same seed and so the same images. The rows say task, recipe, seed and `IMAGES`; their
image visits are 0. What is not finite is missing with its reason.

Sources: Tanaka et al. 2020 (arXiv 2006.05467); Mellor et al. 2021 (2006.04647); Abdelfattah et al. 2021
(2101.08134); Lin et al. 2021 (2102.01063). Legend: N images, U units of a layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from evaluator.metrics import METRICS, ZERO_COST
from evaluator.recipe import Recipe, recipe_for
from evaluator.record import Measurement, environment
from evaluator.tasks import TASKS, Task
from evaluator.train import corners, judge_of, to_input
from space.architecture import Architecture
from space.graph import Graph, Node
from space.lower import lower
from space.module import Network, initialise
from space.ops import Act, Add, Conv, GlobalPool, Norm, Slice

IMAGES = 32
"""Images, real or random, that a score looks at; NASWOT and Zen change with their number."""
STEP = 0.01
"""Zen's step: how far the second input lies from the first."""
CPU = torch.device("cpu")


class NotDefined(ArithmeticError):
    """A score that this network does not have; the message says why."""


def zero_cost(architectures: Sequence[Architecture], task_name: str, overrides: Mapping[str, Any],
              seed: int) -> list[list[Measurement]]:  # fmt: skip
    """The scores of `architectures`, a row each for every name of `ZERO_COST`.

    `overrides` change the task's recipe, whose loss grad-norm takes.
    """
    task = TASKS.get(task_name)
    recipe = recipe_for(task, overrides)
    images, targets = sample(task, seed)
    shared: dict[str, Any] = {
        "task": task_name, "recipe": recipe.id(task), "image_visits": 0, "seed": seed, "environment": environment(),
        "detail": {"images": len(images), "size": task.size},
    }  # fmt: skip

    def score(name: str, graph: Graph) -> float:
        if name == "synflow":
            return synflow(fresh(graph, seed))
        if name == "naswot":
            return naswot(fresh(graph, seed), images)
        if name == "grad_norm":
            return grad_norm(fresh(graph, seed), task, recipe, images, targets)
        assert name == "zen", name
        return zen(graph, seed)

    def row(name: str, graph: Graph) -> Measurement:
        value, reason = None, None
        try:
            value = score(name, graph)
            if not math.isfinite(value):
                value, reason = None, "the score is not finite"
        except NotDefined as error:
            reason = str(error)
        return Measurement(metric=name, value=value, unit=METRICS[name].unit, reason=reason, **shared)

    graphs = [lower(a, task.size, task.size, num_classes=task.num_classes) for a in architectures]
    return [[row(name, graph) for name in ZERO_COST] for graph in graphs]


def fresh(graph: Graph, seed: int) -> Network:
    """The network as a training starts it."""
    return initialise(Network(graph), seed)


def sample(task: Task, seed: int) -> tuple[Tensor, Tensor]:
    """`IMAGES` training images [N, 3, H, W] as the network gets them, unaugmented, and their targets."""
    data = task.load("train")
    rows = torch.randperm(len(data.images), generator=torch.Generator().manual_seed(seed))[:IMAGES].numpy()
    targets = torch.from_numpy(data.targets[rows])
    images = to_input(torch.from_numpy(data.images[rows]), CPU, task)
    return images, targets if task.head_kind == "classifier" else corners(targets, task.size)


def synflow(network: Network) -> float:
    """log10 of the sum over weights w of w dR/dw, where R is the sum of the outputs for an image of ones.

    All weights positive and the network linear, as the paper derives it: no data is needed. Normalisation would
    scale the flow away, and is left out; so are biases and, beside ReLU (which passes what is positive as it is),
    the curved activations, which would tell a small flow from a large one. Gates keep their logistic: linear ones
    would make R quadratic. The flow multiplies from layer to layer, hence float64 and the logarithm.
    """
    positive = Network(_rewritten(network.graph, _linear)).double()
    weights = {name: weight.double().abs() for name, weight in network.named_parameters() if weight.ndim > 1}
    positive.load_state_dict(weights, strict=False)
    for weight in positive.parameters():
        if weight.ndim == 1:
            nn.init.zeros_(weight)
    ones = torch.ones(1, *network.graph.nodes[0].shape, dtype=torch.float64)
    flow = torch.stack([output.sum() for output in positive(ones)]).sum()
    flow.backward()  # type: ignore[no-untyped-call]
    products = [(w.detach() * w.grad).sum() for w in positive.parameters() if w.ndim > 1 and w.grad is not None]
    total = float(torch.stack(products).sum())
    if total == 0:
        raise NotDefined("nothing flows: the logarithm of 0")
    return math.log10(total)


def naswot(network: Network, images: Tensor) -> float:
    """log |K|, K[i, j] = number of units that answer images i and j alike, over all activations of the network.

    A unit's answer is the sign of what enters its activation: the linear region of a ReLU. Curved activations have
    no regions; the sign marks the same half-spaces for them, so that the score does not depend on which is used.
    Gates do not count. Normalisation takes the statistics of the images, as in training. K grows with the number
    of units, and so does log |K|: near N log U, it is close to a count of activations.
    """
    number = len(images)
    agree = torch.zeros(number, number, dtype=torch.float64)

    def count(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        signs_NU = (inputs[0] > 0).flatten(1).float() * 2 - 1
        agree.add_(((signs_NU @ signs_NU.T) + signs_NU.shape[1]) / 2)  # exact below 2**24 units

    curved = nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.SiLU, nn.Mish, nn.Hardswish
    for module in network.modules():
        if isinstance(module, curved):
            module.register_forward_pre_hook(count)
    with torch.no_grad():
        network.train()(images)
    return log_determinant(agree)


def log_determinant(agree: Tensor) -> float:
    """log |K| of NASWOT's matrix. Raises NotDefined where it is singular."""
    sign, value = torch.linalg.slogdet(agree)
    if sign <= 0:
        raise NotDefined(f"log |K| of {len(agree)} images: some are answered alike by every unit")
    return float(value)


def grad_norm(network: Network, task: Task, recipe: Recipe, images: Tensor, targets: Tensor) -> float:
    """Sum over layers of the Euclidean norm of the loss's gradient by the layer's weights, at the first step.

    The loss is the task's own, of all outputs of a detector together; normalisation takes the batch's statistics.
    """
    loss = judge_of(network, task, recipe, CPU).loss(network.train()(images), targets)
    loss.backward()  # type: ignore[no-untyped-call]
    norms = [w.grad.double().norm() for w in network.parameters() if w.ndim > 1 and w.grad is not None]
    return float(torch.stack(norms).sum())


def zen(graph: Graph, seed: int) -> float:
    """log E |f(x) - f(x + a e)| + sum over normalisations of log s, with x, e and all weights standard normal.

    f are the maps that the outputs are made from (before prediction, pooling and fully connected layers), |.| the
    Euclidean norm over the maps of one image, a = `STEP`. Normalisation takes the batch's statistics, so that
    nothing overflows; what it divides by, s = root of the mean over channels of the variance, is put back by the
    second term. So a layer's weights times c add log c, as they would without normalisation. Shortcuts are left
    out, as in the paper; dense and cross-stage paths stay. The paper derives the sum for a chain: here all paths'
    terms are added, and a layer that does not feed f has none.
    """
    wanted = []
    for ref in graph.outputs:
        wanted.append(graph.nodes[ref].inputs[0])
        if isinstance(graph.nodes[wanted[-1]].op, GlobalPool):
            wanted[-1] = graph.nodes[wanted[-1]].inputs[0]
    graph = replace(_rewritten(graph, _without_shortcut), outputs=tuple(wanted))
    network = Network(graph).train()
    generator = torch.Generator().manual_seed(seed)
    scales: list[Tensor] = []

    def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        scales.append(inputs[0].double().var((0, 2, 3), correction=0).mean().log() / 2)

    with torch.no_grad():
        x = torch.randn(IMAGES, *graph.nodes[0].shape, generator=generator)
        step = torch.randn(x.shape, generator=generator) * STEP
        for name, weight in network.named_parameters():
            if weight.ndim > 1:
                weight.normal_(generator=generator)
            elif name.endswith("bias"):
                weight.zero_()
        hooks = [network.get_submodule(f"{name}.bn").register_forward_pre_hook(note) for name in _normalised(graph)]
        first = network(x)
        for hook in hooks:
            hook.remove()
        second = network(x + step)
    squares_N = torch.stack([(a - b).double().square().flatten(1).sum(1) for a, b in zip(first, second, strict=True)])
    return float(squares_N.sum(0).sqrt().mean().log() + sum(scales))


def _normalised(graph: Graph) -> list[str]:
    """Names of the nodes with a normalisation that feed an output."""
    names, seen, todo = [], set(graph.outputs), list(graph.outputs)
    while todo:
        node = graph.nodes[todo.pop()]
        if isinstance(node.op, Norm) or (isinstance(node.op, Conv) and node.op.norm):
            names.append(node.name)
        todo += set(node.inputs) - seen
        seen.update(node.inputs)
    return names


def _rewritten(graph: Graph, change: Callable[[Node], Node]) -> Graph:
    return replace(graph, nodes=tuple(map(change, graph.nodes)))


def _linear(node: Node) -> Node:
    """A node without normalisation, bias and activation; gates stay."""
    op = node.op
    if isinstance(op, Conv):
        gate = op.activation if op.activation == "logistic" else None
        return node._replace(op=op._replace(norm=False, bias=False, activation=gate))
    if isinstance(op, Norm) or (isinstance(op, Act) and op.activation != "logistic"):
        return _first(node)
    return node


def _without_shortcut(node: Node) -> Node:
    """A block's addition as its branch alone."""
    is_shortcut = isinstance(node.op, Add) and ".block" in node.name and node.name.endswith(".add")
    return _first(node) if is_shortcut else node


def _first(node: Node) -> Node:
    """The node's first input as it is."""
    return node._replace(op=Slice(0, node.shape[0]), inputs=node.inputs[:1])
