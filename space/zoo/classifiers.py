"""ImageNet classifiers: Table 3 of the paper, its repository's ImageNet table, timm's and mmpretrain's CSP nets.

Structures: the published darknet files (CrossStagePartialNetworks, cfg/), PeleeNet's report, torchvision's
DenseNet, timm's cspnet.py. Widths here are cross plus main path: csresnet50's second stage makes 256 + 256
channels of the 128 that come in, so its `width` is 512, its `entry` 128 and its `exit` 256.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from space.architecture import Architecture, Head, Stage, Stem
from space.zoo import Entry

CLASSIFIER = Head(kind="classifier", fusion=None, width=None, maxout=None)
CFG = "CrossStagePartialNetworks, cfg/{}.cfg"


def _net(stem: Stem, stages: list[Stage], activation: str = "leaky_relu", head: Head = CLASSIFIER) -> Architecture:
    return Architecture(stem=stem, stages=tuple(stages), head=head, activation=activation)


def _plain(**axes: Any) -> Stage:
    return Stage(**{"fusion": "none", "partial_ratio": 0.0, "bottleneck_ratio": None, **axes})


# -- Darknet family ---------------------------------------------------------------------------------------------

DARKNET_REFERENCE = _net(
    Stem(kind="single", width=16, stride=1),
    [
        *(_plain(block="conv", depth=1, width=width, down="pool") for width in (32, 64, 128, 256, 512)),
        _plain(block="conv", depth=1, width=1024, down="pool"),
    ],
)
DARKNET53 = _net(
    Stem(kind="single", width=32, stride=1),
    [
        _plain(block="dark", depth=depth, width=width, bottleneck_ratio=0.5, down="conv")
        for depth, width in ((1, 64), (2, 128), (8, 256), (8, 512), (4, 1024))
    ],
)


def cspdarknet53(*, elastic: bool = False, activation: str = "leaky_relu") -> Architecture:
    """CSPDarkNet-53: cross and main path of half the width each, but of the whole width in stage 1."""
    first = Stage(block="dark", depth=1, width=128, entry=64, exit=64, split="conv",
                  bottleneck_ratio=1.0 if elastic else 0.5, elastic=elastic, down="conv")  # fmt: skip
    rest = [
        Stage(block="dark", depth=depth, width=width, split="conv", bottleneck_ratio=1.0, elastic=elastic)
        for depth, width in ((2, 128), (8, 256), (8, 512), (4, 1024))
    ]
    return _net(Stem(kind="single", width=32, stride=1), [first, *rest], activation)


# -- ResNet family ----------------------------------------------------------------------------------------------

RESNET_STEM = Stem(kind="conv_pool", width=64, kernel=7, pool=2)
CSP_DEPTHS = (3, 3, 5, 2)

RESNET10 = _net(
    RESNET_STEM,
    [_plain(block="basic", depth=1, width=64 * 2**k, down="block" if k else None) for k in range(4)],
)


def resnet(block: str, depths: tuple[int, ...], ratio: float, cardinality: int | None = None) -> Architecture:
    """ResNet without projection shortcuts, as the darknet files have it: the stage's first block strides."""
    return _net(
        RESNET_STEM,
        [
            _plain(block=block, depth=depth, width=256 * 2**k, bottleneck_ratio=ratio, cardinality=cardinality,
                   down="block" if k else None)
            for k, depth in enumerate(depths)
        ],
    )  # fmt: skip


def cspresnet(*, grouped: bool, elastic: bool = False, timm: bool = False,
              activation: str = "leaky_relu") -> Architecture:  # fmt: skip
    """CSPResNet-50, or CSPResNeXt-50 with `grouped`.

    The darknet file's stage 1 begins its main path with 64 channels, which the first block widens to 128; timm's
    begins with 128. timm's splits have no activation in any stage, the files' only in stages 1 and 4.
    """
    stages = []
    for k, depth in enumerate(CSP_DEPTHS):
        half = 128 * 2**k  # cross and main path
        leaves = 2 * half if grouped else half
        comes = 64 if k == 0 else leaves // 2
        stages.append(
            Stage(
                block="resx" if grouped else "res",
                depth=depth,
                width=2 * half,
                entry=comes,
                exit=leaves,
                split="conv",
                split_linear=timm or k in (1, 2),
                bottleneck_ratio=1.0 if grouped or elastic else 0.5,
                cardinality=32 if grouped else None,
                down_groups=32 if grouped else None,
                main_entry=64 if k == 0 and not (elastic or timm) else None,
                elastic=elastic,
            )
        )
    stem = replace(RESNET_STEM, pool=3) if timm else RESNET_STEM
    return _net(stem, stages, activation)


# -- PeleeNet and DenseNet families -----------------------------------------------------------------------------

PELEE_STEM = Stem(kind="pelee", width=32)
PELEE_DEPTHS = (3, 4, 8, 6)
PELEE_RATIOS = (1.0, 2.0, 4.0, 4.0)


def peleenet(block: str = "dense_two_way", **axes: Any) -> list[Stage]:
    """PeleeNet's four stages: two ways of 16 channels a layer, square transitions."""
    plain = {"fusion": "none", "partial_ratio": 0.0, **axes}
    return [
        Stage(**{"block": block, "depth": depth, "width": width, "growth_rate": 32, "bottleneck_ratio": ratio, **plain})
        for depth, width, ratio in zip(PELEE_DEPTHS, (32, 128, 256, 512), PELEE_RATIOS, strict=True)
    ]


def densenet(depths: tuple[int, ...], *, growth_rate: int = 32, elastic: bool = False) -> Architecture:
    """DenseNet-BC: transitions halve; a last normalisation, no last transition."""
    stages, width = [], 2 * growth_rate
    for index, depth in enumerate(depths):
        last = index == len(depths) - 1
        stages.append(
            _plain(block="dense_pre", depth=depth, width=width, growth_rate=growth_rate, bottleneck_ratio=4.0,
                   elastic=elastic, transition=False if last else None)
        )  # fmt: skip
        width = (width + depth * growth_rate) // 2
    return _net(Stem(kind="conv_pool", width=2 * growth_rate, kernel=7, pool=3), stages, "relu")


# -- Others -----------------------------------------------------------------------------------------------------

RES2NETLITE72 = _net(
    Stem(kind="conv_pool", width=32, kernel=3, pool=3),
    [
        _plain(block="res2", depth=1 + blocks, width=288 * 2**k, cardinality=2, down="block")
        for k, blocks in enumerate((3, 7, 3))
    ],
)


def _mobilenet_v2() -> Architecture:
    shape = ((16, 1, None, 1), (24, 2, "block", 6), (32, 3, "block", 6), (64, 4, None, 6), (96, 3, "block", 6),
             (160, 3, "block", 6), (320, 1, None, 6))  # fmt: skip
    stages = [
        _plain(block="inverted", depth=depth, width=width, bottleneck_ratio=float(ratio), down=down or "none")
        for width, depth, down, ratio in shape
    ]
    return _net(Stem(kind="single", width=32, stride=2), stages, "relu", replace(CLASSIFIER, last_width=1280))


ENTRIES: tuple[Entry, ...] = (
    Entry(name="PeleeNet", resolution=224, source="CSPNet Table 1; PeleeNet (Wang et al. 2018)",
          architecture=_net(PELEE_STEM, peleenet(), "relu")),
    Entry(name="SparsePeleeNet", resolution=224, source="CSPNet Table 3",
          architecture=_net(PELEE_STEM, peleenet("dense_sparse"), "relu")),
    Entry(name="Darknet Reference", resolution=256, source=CFG.format("darknet"), architecture=DARKNET_REFERENCE,
          aliases=("darknet", "darknet-ref")),
    Entry(name="DarkNet-53", resolution=256, source=CFG.format("darknet53"),
          published_as=("DarkNet-53", "darknet53 (timm)"),
          architecture=DARKNET53),
    Entry(name="CSPDarkNet-53", resolution=256, source=CFG.format("csdarknet53"),
          published_as=("CSPDarkNet-53", "CSPDarkNet-53 gamma", "CSPDarkNet-53 omega"),
          architecture=cspdarknet53()),
    Entry(name="CSPDarkNet-53-Elastic", resolution=256, source=CFG.format("csdarknet53-elastic"),
          architecture=cspdarknet53(elastic=True)),
    Entry(name="ResNet-10", resolution=256, source=CFG.format("resnet10"), architecture=RESNET10),
    Entry(name="ResNet-50", resolution=256, source=CFG.format("resnet50"),
          architecture=resnet("res", (3, 4, 6, 3), 0.25)),
    Entry(name="CSPResNet-50", resolution=256, source=CFG.format("csresnet50"),
          published_as=("CSPResNet-50", "CSPResNet-50 gamma", "CSPResNet-50 omega"),
          architecture=cspresnet(grouped=False)),
    Entry(name="CSPResNet-50-Elastic", resolution=256, source=CFG.format("csresnet50-elastic"),
          architecture=cspresnet(grouped=False, elastic=True)),
    Entry(name="ResNeXt-50", resolution=256, source=CFG.format("resnext50"),
          architecture=resnet("resx", (3, 4, 6, 3), 0.5, 32)),
    Entry(name="CSPResNeXt-50", resolution=256, source=CFG.format("csresnext50"),
          published_as=("CSPResNeXt-50", "CSPResNeXt-50 (10-crop)", "CSPResNeXt-50 gamma", "CSPResNeXt-50 omega"),
          architecture=cspresnet(grouped=True)),
    Entry(name="CSPResNeXt-50-Elastic", resolution=256, source=CFG.format("csresnext50-elastic"),
          architecture=cspresnet(grouped=True, elastic=True)),
    Entry(name="Res2NetLite-72", resolution=224, source=CFG.format("res2netlite72"), architecture=RES2NETLITE72),
    Entry(name="MobileNetV2", resolution=224, source=CFG.format("mobilenet-v2"), architecture=_mobilenet_v2()),
    *(
        Entry(name=f"DenseNet-{name}", resolution=224, source=source, architecture=densenet(depths),
              published_as={"264": ("",), "264 (paper)": ("DenseNet-264",)}.get(name, ()))
        for name, depths, source in (
            ("121", (6, 12, 24, 16), "Huang et al. 2017"),
            ("169", (6, 12, 32, 32), "Huang et al. 2017"),
            ("201", (6, 12, 48, 32), "Huang et al. 2017; CSPNet Table 3"),
            ("264", (6, 12, 64, 48), "Huang et al. 2017"),
            ("264 (paper)", (6, 12, 64, 32), "CSPNet Table 3, where it is called DenseNet-264"),
        )
    ),
    Entry(name="DenseNet-201-Elastic", resolution=224, source="Elastic (Wang et al. 2019)",
          architecture=densenet((10, 20, 40, 30), elastic=True),
          approximate="the parameters are exact; the paper's BFLOPs are 4 % above ours, 2 % above those of a network "
          "whose last stage does not pool its coarse half (8.60): pooling or upsampling was probably counted"),
    *(
        Entry(name=f"{name} (timm)", resolution=256, source="timm 1.0.31, models/cspnet.py; mmpretrain cspnet",
              architecture=architecture, aliases=(f"timm {name}", f"{name} (mmpretrain)"),
              published_as=(f"{name} (timm)", f"{name} (mmpretrain)"))
        for name, architecture in (
            ("cspresnet50", cspresnet(grouped=False, timm=True, activation="leaky_relu_0.01")),
            ("cspresnext50", cspresnet(grouped=True, timm=True, activation="leaky_relu_0.01")),
            ("cspdarknet53", cspdarknet53(activation="leaky_relu_0.01")),
        )
    ),
)  # fmt: skip
