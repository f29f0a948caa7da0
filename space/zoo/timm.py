"""timm's CSP checkpoints in our modules: `load_timm(state_dict)` renames and cuts timm's weights to our graph's.

timm makes both paths of a stage with one 1x1 convolution and cuts the result, cross path first; we have one
convolution a path, as the darknet files have, so its kernels are cut. It joins [cross, main] where we join
[main, cross], so the input channels of the last transition change places. Everything else is a name. Source:
timm 1.0.31, models/cspnet.py; mmpretrain's checkpoints of the family are converted from timm's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from space.graph import Graph
from space.ops import Conv, Linear
from space.zoo import ZooError, get

NAMES = ("cspresnet50 (timm)", "cspresnext50 (timm)", "cspdarknet53 (timm)")
UNITS = {"down": "conv_down", "t1": "conv_transition_b", "t2": "conv_transition"}
BN = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def load_timm(state_dict: Mapping[str, Any], *, name: str | None = None) -> dict[str, Any]:
    """timm's weights under the names of our module: `Network(get(name).graph()).load_state_dict(...)` takes them.

    `state_dict` is that of timm's cspresnet50, cspresnext50 or cspdarknet53, tensors or arrays; which of them it
    is shows in its shapes unless `name` says so. Outputs then agree with timm's to 1e-5. Raises ZooError, naming
    the key, when a weight is missing, left over, or of another shape.
    """
    graph = get(name or _recognise(state_dict)).graph()
    taken: set[str] = set()
    found: dict[str, Any] = {}
    wanted = {node.name: _shape(graph, index) for index, node in enumerate(graph.nodes)
              if isinstance(node.op, Conv | Linear)}  # fmt: skip
    for ours, shape in wanted.items():
        if ours == "head.fc":
            for key in ("weight", "bias"):
                found[f"{ours}.{key}"] = _take(state_dict, f"head.fc.{key}", taken)
        else:
            _convolution(state_dict, ours, found, taken)
        kernel = found[f"{ours}.weight" if ours == "head.fc" else f"{ours}.conv.weight"]
        if tuple(kernel.shape) != shape:
            raise ZooError(f"timm's weights for '{ours}' have shape {tuple(kernel.shape)}; the network wants {shape}")
    extra = sorted(set(state_dict) - taken)
    if extra:
        raise ZooError(f"{len(extra)} weights have no place in this network, the first is '{extra[0]}'")
    return found


def _recognise(state_dict: Mapping[str, Any]) -> str:
    stem = state_dict.get("stem.conv1.conv.weight")
    if stem is None:
        raise ZooError("no 'stem.conv1.conv.weight': these are not the weights of one of timm's CSP networks")
    if stem.shape[-1] == 3:
        return "cspdarknet53 (timm)"
    grouped = _take(state_dict, "stages.0.blocks.0.conv2.conv.weight", set())
    return "cspresnet50 (timm)" if grouped.shape[1] > 4 else "cspresnext50 (timm)"


def _shape(graph: Graph, index: int) -> tuple[int, ...]:
    node = graph.nodes[index]
    channels = graph.nodes[node.inputs[0]].shape[0]
    if isinstance(node.op, Conv):
        return node.shape[0], channels // node.op.groups, node.op.kernel, node.op.kernel
    return node.shape[0], channels


def _take(state_dict: Mapping[str, Any], key: str, taken: set[str]) -> Any:
    if key not in state_dict:
        raise ZooError(f"timm's weights lack '{key}'")
    taken.add(key)
    return state_dict[key]


def _convolution(state_dict: Mapping[str, Any], ours: str, found: dict[str, Any], taken: set[str]) -> None:
    """One convolution unit of ours: its kernel and its normalisation, whole, cut or with inputs exchanged."""
    theirs, part = _place(ours)
    kernel = _take(state_dict, f"{theirs}.conv.weight", taken)
    bn = {key: _take(state_dict, f"{theirs}.bn.{key}", taken) for key in BN if f"{theirs}.bn.{key}" in state_dict}
    if part is not None:
        half = kernel.shape[0] // 2
        cut = slice(0, half) if part == "cross" else slice(half, None)
        kernel = kernel[cut]
        bn = {key: value if key == "num_batches_tracked" else value[cut] for key, value in bn.items()}
    elif ours.endswith(".t2"):
        half = kernel.shape[1] // 2
        kernel = kernel[:, [*range(half, 2 * half), *range(half)]]
    found[f"{ours}.conv.weight"] = kernel
    found.update({f"{ours}.bn.{key}": value for key, value in bn.items()})


def _place(ours: str) -> tuple[str, str | None]:
    """timm's name of one of our convolutions, and which half of it ours is."""
    if ours == "stem.conv1":
        return "stem.conv1", None
    match = re.fullmatch(r"stage(\d+)\.(?:block(\d+)\.)?(\w+)", ours)
    assert match, ours
    stage, block, unit = int(match[1]) - 1, match[2], match[3]
    if block:
        return f"stages.{stage}.blocks.{int(block) - 1}.{unit}", None
    if unit in ("cross", "main"):
        return f"stages.{stage}.conv_exp", unit
    return f"stages.{stage}.{UNITS[unit]}", None
