"""Networks outside the CSP family's data: their graphs are built here, as functions of the resolution.

Structures: the published darknet files (CrossStagePartialNetworks, cfg/), timm's res2net.py, the public code of
HarDNet (PingoLH/Pytorch-HarDNet, hardnet.py). Dropout trains and costs nothing; a graph has none.
"""

from __future__ import annotations

import math

from space.graph import Builder, Graph, Ref
from space.zoo import IMAGENET_CLASSES, Entry
from space.zoo.classifiers import CFG


def _head(g: Builder, x: Ref, width: int | None = None) -> Graph:
    """Global mean and classifier, after a 1x1 convolution where `width` says so."""
    with g.scope("head"):
        x = x if width is None else g.conv(x, width, 1, name="conv")
        return g.graph([g.linear(g.global_pool(x), IMAGENET_CLASSES, name="fc")])


# -- CSPMobileNetV2 ---------------------------------------------------------------------------------------------

CSPMOBILENET_STAGES = ((24, 24), (32, 32, 32, 64, 64, 64, 64), (96, 96, 96), (160, 160, 160, 320))
"""Output widths of the inverted residuals of stages 2 to 5, each stage at half the resolution of the one before."""


def cspmobilenet_v2(height: int, width: int) -> Graph:
    """MobileNetV2 with a cross path of its own kind around each stage.

    The first expansion of a stage is its transition: what it makes goes to a depthwise 3x3 of stride 2, which is the
    cross path at full width, and to the first block. Blocks expand 3 times in the 1x1 and twice in the depthwise
    3x3. Stage 1's cross path is a grouped 3x3 of the stem. A linear 1x1 of another width has no shortcut.
    """
    g = Builder((3, height, width), activation="relu")
    with g.scope("stem"):
        x = g.conv(0, 32, 3, stride=2, name="conv1")
    with g.scope("stage1"):
        cross = g.conv(x, 16, 3, groups=16, name="cross")
        with g.scope("block1"):
            y = g.conv(x, 32, 1, name="conv1")
            y = g.conv(y, 32, 3, groups=32, name="conv2")
            x = g.conv(y, 16, 1, linear=True, name="conv3")
        joined = g.concat([x, cross])
    for number, widths in enumerate(CSPMOBILENET_STAGES, start=2):
        with g.scope(f"stage{number}"):
            expanded = g.conv(joined, 3 * g.channels(x), 1, name="transition")
            cross = g.conv(expanded, g.channels(expanded), 3, stride=2, groups=g.channels(expanded), name="cross")
            with g.scope("block1"):
                x = _contract(g, expanded, widths[0], stride=2)
            for index, channels in enumerate(widths[1:], start=2):
                with g.scope(f"block{index}"):
                    y = _contract(g, g.conv(x, 3 * g.channels(x), 1, name="conv1"), channels)
                    x = g.add(y, x) if g.shape(x) == g.shape(y) else y
            joined = g.concat([x, cross])
    return _head(g, joined, 640)


def _contract(g: Builder, x: Ref, channels: int, stride: int = 1) -> Ref:
    """Depthwise 3x3 of two outputs a channel, then linear 1x1."""
    c = g.channels(x)
    return g.conv(g.conv(x, 2 * c, 3, stride=stride, groups=c, name="conv2"), channels, 1, linear=True, name="conv3")


# -- EfficientNet-B0 --------------------------------------------------------------------------------------------

EFFICIENTNET_STAGES = (
    (16, 1, 3, 1), (24, 2, 3, 2), (40, 2, 5, 2), (80, 3, 3, 1), (112, 3, 5, 2), (192, 4, 5, 2), (320, 1, 3, 1)
)  # fmt: skip
"""Width, blocks, kernel, stride of the first block."""
EFFICIENTNET_GATES = {
    32: (32, 8), 16: (96, 16), 24: (144, 8), 40: (192, 16), 80: (384, 24), 112: (576, 32), 192: (960, 64)
}  # fmt: skip
"""Width that comes into a block: its expanded width and its gate's inner width. Both are the file's own."""


def efficientnet_b0(height: int, width: int) -> Graph:
    """EfficientNet-B0 as its darknet file has it.

    That file differs from Tan and Le (2019): expanded widths are those of MobileNetV2, and the stride of 2 stands at
    112 channels, not at 80. Squeeze-and-excitation gates the depthwise output, ahead of the linear 1x1.
    """
    g = Builder((3, height, width), activation="silu")
    with g.scope("stem"):
        x = g.conv(0, 32, 3, stride=2, name="conv1")
    for number, (channels, depth, kernel, stride) in enumerate(EFFICIENTNET_STAGES, start=1):
        for index in range(1, depth + 1):
            with g.scope(f"stage{number}"), g.scope(f"block{index}"):
                y = _mbconv(g, x, channels, kernel, stride if index == 1 else 1)
                x = g.add(y, x) if g.shape(x) == g.shape(y) else y
    return _head(g, x, 1280)


def _mbconv(g: Builder, x: Ref, channels: int, kernel: int, stride: int) -> Ref:
    """1x1 out, depthwise, gate, linear 1x1 in."""
    inner, squeezed = EFFICIENTNET_GATES[g.channels(x)]
    y = g.conv(x, inner, 1, name="conv1")
    y = g.conv(y, inner, kernel, stride=stride, groups=inner, name="conv2")
    with g.scope("se"):
        gate = g.conv(g.global_pool(y), squeezed, 1, norm=False, name="reduce")
        gate = g.conv(gate, inner, 1, norm=False, activation="logistic", name="expand")
    return g.conv(g.mul(y, gate), channels, 1, linear=True, name="conv3")


# -- Res2NeXt-50 ------------------------------------------------------------------------------------------------

RES2NEXT_STAGES = ((256, 3), (512, 4), (1024, 6), (2048, 3))
"""Width and blocks; the four parts of a block are an eighth of its width each."""


def res2next50(height: int, width: int) -> Graph:
    """Res2NeXt-50, 4 parts of 4 channels in 8 groups, as timm has it; with projection shortcuts."""
    g = Builder((3, height, width), activation="relu")
    with g.scope("stem"):
        x = g.max_pool(g.conv(0, 64, 7, stride=2, name="conv1"), 3)
    for number, (channels, depth) in enumerate(RES2NEXT_STAGES, start=1):
        for index in range(1, depth + 1):
            with g.scope(f"stage{number}"), g.scope(f"block{index}"):
                x = _res2next(g, x, channels, stride=2 if index == 1 < number else 1)
    return _head(g, x)


def _res2next(g: Builder, x: Ref, channels: int, stride: int) -> Ref:
    """1x1, grouped 3x3 of three quarters, 1x1; a block of a new width has independent quarters, the last pooled."""
    part, first = channels // 8, g.channels(x) != channels
    y = g.conv(x, 4 * part, 1, name="conv1")
    parts = [g.slice(y, k * part, (k + 1) * part, name=f"part{k + 1}") for k in range(4)]
    for k in range(3):
        z = parts[k] if first or k == 0 else g.add(parts[k], parts[k - 1], name=f"add{k + 1}")
        parts[k] = g.conv(z, part, 3, stride=stride, groups=8, name=f"conv2_{k + 1}")
    parts[3] = g.avg_pool(parts[3], 3, stride=stride) if first else parts[3]
    y = g.conv(g.concat(parts), channels, 1, linear=True, name="conv3")
    shortcut = g.conv(x, channels, 1, stride=stride, linear=True, name="projection") if first else x
    return g.act(g.add(y, shortcut))


# -- HarDNet-138s -----------------------------------------------------------------------------------------------

HARDNET_BLOCKS = (
    (8, 24, 192, True), (16, 24, 256, False), (16, 28, 320, True), (16, 36, 480, False), (16, 48, 720, True),
    (16, 48, 1280, False), (16, 48, None, False)
)  # fmt: skip
"""Layers, growth rate, channels of the transition, and whether a pool follows; HarDNet-85's as far as it goes."""
HARDNET_GROWTH = 1.7
"""Factor of a layer's width for each power of two that divides its number."""


def hardnet138s(height: int, width: int) -> Graph:
    """HarDNet blocks in the arrangement that has 138 convolutions and linear layers."""
    g = Builder((3, height, width), activation="relu6")
    with g.scope("stem"):
        x = g.max_pool(g.conv(0, 64, 3, stride=2, name="conv1"), 3)
    for number, (depth, growth_rate, channels, pools) in enumerate(HARDNET_BLOCKS, start=1):
        with g.scope(f"stage{number}"):
            x = _harmonic(g, x, depth, growth_rate)
            x = x if channels is None else g.conv(x, channels, 1, name="transition")
            x = g.max_pool(x) if pools else x
    return _head(g, x)


def _harmonic(g: Builder, x: Ref, depth: int, growth_rate: int) -> Ref:
    """Layer n reads the layers n - 2^i where 2^i divides n; the odd layers and the last leave the block.

    A 1x1 bottleneck of the geometric mean of both widths stands before every fourth layer.
    """
    layers = [x]
    for n in range(1, depth + 1):
        steps = [2**i for i in range(depth.bit_length()) if n % 2**i == 0]
        channels = (int(growth_rate * HARDNET_GROWTH ** (len(steps) - 1)) + 1) // 2 * 2
        with g.scope(f"block{n}"):
            y = g.concat([layers[n - step] for step in steps])
            if n % 4 == 0:
                y = g.conv(y, math.isqrt(g.channels(y) * channels), 1, name="bottleneck")
            layers.append(g.conv(y, channels, 3, name="conv1"))
    return g.concat([layers[n] for n in range(1, depth + 1) if n % 2 or n == depth])


ENTRIES: tuple[Entry, ...] = (
    Entry(name="CSPMobileNetV2", resolution=224, source=CFG.format("csmobilenet-v2"), kin="MobileNetV2",
          build=cspmobilenet_v2),
    Entry(name="EfficientNet-B0", resolution=224, source=CFG.format("enetb0"), kin="MobileNetV2", build=efficientnet_b0,
          aliases=("enetb0",)),
    Entry(name="Res2NeXt-50", resolution=224, source="timm 1.0.31, models/res2net.py; CSPNet Table 3",
          kin="Res2NetLite-72", build=res2next50,
          approximate="timm's network of that name; the paper quotes 24.27 M parameters, 0.4 M less, and no public "
                      "structure with that count was found."),
    Entry(name="HarDNet-138s", resolution=224, source="PingoLH/Pytorch-HarDNet; CSPNet Table 3",
          kin="DenseNet-121", build=hardnet138s,
          approximate="The public code has the block's rule, HarDNet-68 and HarDNet-85, but not this network; assumed "
                      "are one block of 8 and six of 16 layers with bottlenecks, which is 138 layers, and HarDNet-85's "
                      "widths, the last growth rate repeated, and nothing we found settles it."),
)  # fmt: skip
