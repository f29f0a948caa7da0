"""Graph -> torch.nn.Module, initialisation and folding of normalisation. The only torch file of the package.

`Network` runs the graph's nodes in order and frees every value after its last reader, so what is alive under
torch is what `space.cost.peak_elements` counts.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

from space.graph import Graph, Node
from space.ops import (
    LEAKY_SLOPES,
    Act,
    Add,
    AvgPool,
    Concat,
    Conv,
    GlobalPool,
    Input,
    Linear,
    Maxout,
    MaxPool,
    Mul,
    Norm,
    Resize,
    Slice,
    Stride,
    window,
)


def activation(name: str, *, inplace: bool = True) -> nn.Module:
    """Activation module by its name in `space.ops`."""
    if name in LEAKY_SLOPES:
        return nn.LeakyReLU(LEAKY_SLOPES[name], inplace=inplace)
    modules: dict[str, type[nn.Module]] = {
        "relu": nn.ReLU,
        "relu6": nn.ReLU6,
        "silu": nn.SiLU,
        "mish": nn.Mish,
        "hard_swish": nn.Hardswish,
        "logistic": _Logistic,
    }
    return modules[name](inplace=inplace)


class _Logistic(nn.Module):
    """Logistic function, in place where its neighbours are."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        return x.sigmoid_() if self.inplace else x.sigmoid()


class ConvUnit(nn.Module):
    """Convolution, optional batch normalisation, optional activation."""

    def __init__(self, op: Conv, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, op.kernel, op.stride, op.padding,
                              groups=op.groups, bias=op.bias)  # fmt: skip
        self.bn = nn.BatchNorm2d(out_channels) if op.norm else None
        self.act = activation(op.activation) if op.activation else None

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x_BCHW = self.conv(x_BCHW)
        if self.bn is not None:
            x_BCHW = self.bn(x_BCHW)
        return x_BCHW if self.act is None else self.act(x_BCHW)

    def fold(self) -> None:
        """Merge the normalisation's running statistics into the convolution."""
        if self.bn is None:
            return
        bn = self.bn
        assert bn.running_mean is not None
        assert bn.running_var is not None
        self.conv.weight, bias = fuse_conv_bn_weights(
            self.conv.weight, self.conv.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
        )
        self.conv.bias = bias
        self.bn = None


class NormUnit(nn.Module):
    """Batch normalisation and optional activation, without a convolution to fold into."""

    def __init__(self, op: Norm, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.act = activation(op.activation) if op.activation else None

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x_BCHW = self.bn(x_BCHW)
        return x_BCHW if self.act is None else self.act(x_BCHW)


class _Function(nn.Module):
    """An operator without weights."""

    def __init__(self, op: Any) -> None:
        super().__init__()
        self.op = op

    def forward(self, *xs: Tensor) -> Tensor:
        op, x = self.op, xs[0]
        if isinstance(op, Add):
            return _partial_add(x, xs[1])
        if isinstance(op, Mul):
            return x * xs[1]
        if isinstance(op, Concat):
            return torch.cat(xs, 1)
        if isinstance(op, Slice):
            return x[:, op.start : op.stop]
        if isinstance(op, Stride):
            return x[:, :, :: op.step, :: op.step]
        if isinstance(op, MaxPool | AvgPool):
            return _pool(x, op)
        if isinstance(op, Maxout):
            batch, channels, *size = x.shape
            return x.reshape(batch, op.groups, channels // op.groups, *size).amax(1)
        if isinstance(op, Resize):
            return F.interpolate(x, size=(op.height, op.width), mode="nearest")
        assert isinstance(op, GlobalPool), op
        return x.mean((2, 3), keepdim=True)


def _partial_add(a: Tensor, b: Tensor) -> Tensor:
    channels = min(a.shape[1], b.shape[1])
    if channels == a.shape[1]:
        return a + b[:, :channels]
    out = a.clone()
    out[:, :channels] += b
    return out


def _pool(x: Tensor, op: MaxPool | AvgPool) -> Tensor:
    # `window` in torch's terms: an odd kernel pads both sides alike, and 2x2 of stride 2 is torch's ceil mode.
    odd, pad = op.kernel % 2 == 1, (op.kernel - 1) // 2
    if odd or (op.kernel, op.stride) == (2, 2):
        if isinstance(op, MaxPool):
            return F.max_pool2d(x, op.kernel, op.stride, pad, ceil_mode=not odd)
        return F.avg_pool2d(x, op.kernel, op.stride, pad, ceil_mode=not odd, count_include_pad=False)
    height, width = (window(size, op.kernel, op.stride)[1:] for size in x.shape[2:])
    if isinstance(op, MaxPool):
        return F.max_pool2d(F.pad(x, (*width, *height), value=float("-inf")), op.kernel, op.stride)
    inside = F.avg_pool2d(F.pad(torch.ones_like(x[:1, :1]), (*width, *height)), op.kernel, op.stride)
    return F.avg_pool2d(F.pad(x, (*width, *height)), op.kernel, op.stride) / inside


class _Flat(nn.Linear):
    """Fully connected layer on a map of one place."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return super().forward(x_BCHW.flatten(1))


def _unit(graph: Graph, node: Node, *, inplace: bool) -> nn.Module:
    if isinstance(node.op, Conv):
        return ConvUnit(node.op, graph.nodes[node.inputs[0]].shape[0], node.shape[0])
    if isinstance(node.op, Linear):
        return _Flat(math.prod(graph.nodes[node.inputs[0]].shape), node.shape[0])
    if isinstance(node.op, Norm):
        return NormUnit(node.op, node.shape[0])
    if isinstance(node.op, Act):
        return activation(node.op.activation, inplace=inplace)
    return _Function(node.op)


class Network(nn.Module):
    """The graph as a module. Modules are nested by the nodes' dotted names, so parameters read like the graph.

    forward: image [B, C, H, W] float -> list of outputs, `graph.outputs` in order: detector maps
    [B, A x (5 + classes), H_l, W_l], or logits [B, classes].
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        last, in_place = graph.last_use(), graph.in_place()
        self._steps: list[tuple[int, str, tuple[int, ...], tuple[int, ...]]] = []
        for index, node in enumerate(graph.nodes):
            if isinstance(node.op, Input):
                continue
            self._nest(node.name, _unit(graph, node, inplace=in_place[index]))
            dead = tuple(ref for ref in set(node.inputs) if last[ref] == index)
            self._steps.append((index, node.name, node.inputs, dead))

    def _nest(self, name: str, unit: nn.Module) -> None:
        *scopes, leaf = name.split(".")
        parent: nn.Module = self
        for scope in scopes:
            if scope not in parent._modules:
                parent.add_module(scope, nn.Module())
            parent = parent.get_submodule(scope)
        assert leaf not in parent._modules, f"'{name}' is a node and a scope"
        parent.add_module(leaf, unit)

    def forward(self, x_BCHW: Tensor) -> list[Tensor]:
        values: dict[int, Tensor] = {0: x_BCHW}
        del x_BCHW
        for index, name, inputs, dead in self._steps:
            values[index] = self.get_submodule(name)(*(values[ref] for ref in inputs))
            for ref in dead:
                del values[ref]
        return [values[ref] for ref in self.graph.outputs]

    def load_timm(self, state_dict: Mapping[str, Any]) -> None:
        """Fill this module with timm's weights for the same network; see `space.zoo.timm.load_timm`."""
        from space.zoo.timm import load_timm

        self.load_state_dict(load_timm(state_dict))


def initialise(network: Network, seed: int) -> Network:
    """Fill all weights in place, from `seed` alone, and return the network.

    Kaiming normal over fan-out for convolutions; the last normalisation of each residual branch starts at
    0.25, so that deep candidates are no worse placed than shallow ones after a short training (zero would
    leave the branch's inner layers without a gradient at the first step).
    """
    generator = torch.Generator().manual_seed(seed)
    branch_ends = {f"{name}.bn" for name in _branch_ends(network.graph)}
    with torch.no_grad():
        for name, module in network.named_modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.weight.shape[0] * module.kernel_size[0] ** 2 / module.groups
                module.weight.normal_(0.0, (2.0 / fan_out) ** 0.5, generator=generator)
                if module.bias is not None:
                    module.bias.zero_()
            elif isinstance(module, nn.Linear):
                module.weight.normal_(0.0, 0.01, generator=generator)
                module.bias.zero_()
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
                nn.init.constant_(module.weight, 0.25 if name in branch_ends else 1.0)
                nn.init.zeros_(module.bias)
    return network


def _branch_ends(graph: Graph) -> set[str]:
    """Names of the convolutions whose output a block adds to its shortcut: an Add's first input, in a block."""
    ends: set[str] = set()
    for add in graph.nodes:
        if not isinstance(add.op, Add) or ".block" not in add.name or not add.name.endswith(".add"):
            continue
        todo = [add.inputs[0]]
        while todo:
            node = graph.nodes[todo.pop()]
            if isinstance(node.op, Conv):
                ends.add(node.name)
            elif isinstance(node.op, Mul | Resize):  # a gated branch; the elastic one's second half
                todo.append(node.inputs[0])
            elif isinstance(node.op, Concat):
                todo.extend(node.inputs)
    return ends


def fold(network: Network) -> Network:
    """A copy in evaluation mode with every normalisation merged into its convolution."""
    folded = copy.deepcopy(network).eval()
    for module in folded.modules():
        if isinstance(module, ConvUnit):
            module.fold()
    return folded
