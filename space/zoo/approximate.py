"""Rows of Table 3 whose files were never published, each in one documented reading.

A reading is put together from choices that the published files and Table 1 show: split, width of the paths, fusion,
where transitions stand. They were made with the printed figures in view, among some thousand combinations for
CSPResNet-10 and the Reference networks and some hundred for CSPDenseNet, so a small deviation proves nothing; networks
of a family share them, and no number was tuned. The farthest is CSPDenseNetb Reference, 22 % high in parameters.
`approximate` of each entry says what is known and what was assumed. HarDNet-138s and Res2NeXt-50 are in
`space.zoo.irregular`.
"""

from __future__ import annotations

from dataclasses import replace

from space.architecture import Architecture, Stage, Stem
from space.zoo import Entry
from space.zoo.classifiers import (
    CLASSIFIER,
    PELEE_RATIOS,
    RESNET10,
    RESNET_STEM,
    densenet,
    peleenet,
    resnet,
)

README = "CrossStagePartialNetworks, README; no cfg"


def resnet152() -> Architecture:
    """ResNet-152 of our residual blocks."""
    plain = resnet("res", (3, 8, 36, 3), 0.25)
    return replace(plain, stem=replace(RESNET_STEM, pool=3), activation="relu")


def cspresnet10() -> Architecture:
    """ResNet-10 with cross and main path of half its width each, of its whole width in stage 1.

    T2 leaves half of ResNet-10's width (csresnet50), the 3x3 of stride 2 before a stage doubles that (csdarknet53).
    """
    stages = []
    for k in range(4):
        width = 64 * 2**k
        stages.append(
            Stage(block="basic", depth=1, width=width if k else 2 * width, split="conv", bottleneck_ratio=None,
                  entry=width // 2 if k else width, exit=width // 2, down="conv" if k else None)
        )  # fmt: skip
    return replace(RESNET10, stages=tuple(stages))


def cspdensenet(depths: tuple[int, ...], *, elastic: bool = False) -> Architecture:
    """DenseNet with fusion last at a partial ratio of 0.5; stage 4 closes with a transition, as in Table 1."""
    plain = densenet(depths, elastic=elastic)
    stages = [replace(stage, fusion="last", partial_ratio=0.5, transition=None) for stage in plain.stages]
    return replace(plain, stages=(*stages[:-1], replace(stages[-1], transition=True)))


def reference(*, two_way: bool, light: bool) -> Architecture:
    """Darknet Reference's convolutions of 16 and 32 channels and pools, then PeleeNet's four stages with a cross path.

    The dense layer has both ways of PeleeNet's, or one of the inner width of one way. As in Darknet Reference there
    are 1024 channels at the end. `light` (the rows called b) has fusion last, no closing transition, no 1024 channels.
    """
    lead = Stage(block="conv", depth=1, width=32, fusion="none", partial_ratio=0.0, down="pool")
    fusion = "last" if light else "csp"
    stages = peleenet(block="dense_two_way" if two_way else "dense", fusion=fusion, partial_ratio=0.5)
    if not two_way:
        stages = [replace(stage, bottleneck_ratio=ratio / 2) for stage, ratio in zip(stages, PELEE_RATIOS, strict=True)]
    stages = [replace(stages[0], down="pool"), *stages[1:-1], replace(stages[-1], transition=not light)]
    return Architecture(
        stem=Stem(kind="single", width=16, stride=1),
        stages=(lead, *stages),
        head=replace(CLASSIFIER, last_width=None if light else 1024),
        activation="leaky_relu",
    )


_REFERENCE = (
    "Only the figures are published, not even the input size; assumed are 224 pixels, Darknet Reference's first two "
    "convolutions, PeleeNet's depths and {layer}, Table 1's textbook reading with fusion {fusion} at γ 0.5, and {end}."
)


def _reference(name: str, *, two_way: bool, light: bool) -> Entry:
    return Entry(
        name=f"{name} Reference",
        resolution=224,
        source=README,
        architecture=reference(two_way=two_way, light=light),
        aliases=(f"{name} Ref", f"{name} Ref."),
        approximate=_REFERENCE.format(
            layer="layers" if two_way else "bottleneck widths of one of its ways",
            fusion="last" if light else "CSP",
            end="no closing layers, as what the letter b takes away is not said" if light
            else "its closing transition and Darknet Reference's 1024 channels",
        ),
    )  # fmt: skip


ENTRIES: tuple[Entry, ...] = (
    Entry(name="ResNet-152", resolution=224, source="He et al. 2016; CSPNet Table 3", architecture=resnet152(),
          approximate="The paper quotes torchvision's network, which has projection shortcuts; ours are partial "
                      "shortcuts, as the family's data has no projection, and so 2.8 M parameters are missing."),
    Entry(name="CSPResNet-10", resolution=256, source=README, architecture=cspresnet10(),
          approximate="Only the figures are published; assumed are ResNet-10's blocks on 1x1 splits of half its width "
                      "(whole in stage 1, as in csdarknet53) and transitions that halve as in csresnet50's file; no "
                      "such combination that was tried meets both figures."),
    *(
        Entry(name=name, resolution=224, source="CSPNet Table 3; no cfg", architecture=architecture,
              approximate=f"Only the figures are published; assumed are {plain}'s blocks and halving transitions, "
                          "sliced channels, fusion last at γ 0.5 and a closing transition, as in Table 1's textbook "
                          "reading; no reading that was tried meets both CSPDenseNet rows.")
        for name, plain, architecture in (
            ("CSPDenseNet-201", "DenseNet-201", cspdensenet((6, 12, 48, 32))),
            ("CSPDenseNet-201-Elastic", "DenseNet-201-Elastic", cspdensenet((10, 20, 40, 30), elastic=True)),
        )
    ),
    _reference("CSPDenseNet", two_way=False, light=False),
    _reference("CSPPeleeNet", two_way=True, light=False),
    _reference("CSPDenseNetb", two_way=False, light=True),
    _reference("CSPPeleeNetb", two_way=True, light=True),
)  # fmt: skip
