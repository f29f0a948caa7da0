"""COCO detectors: Table 2 of the paper, the PRN report, and the published YOLO, PANet and SPP files.

A detector predicts 3 anchors a level of 80 classes: 255 channels. Backbones are the classifiers without their head;
the CSPPeleeNet of Table 2 is the reading `paper-flops`, which leaves 3.590 BFLOPs with the exactly known PRN head.
"""

from __future__ import annotations

from dataclasses import replace

from space.architecture import Architecture, Head, Stem
from space.zoo import COCO_CLASSES, Entry
from space.zoo.approximate import reference
from space.zoo.classifiers import (
    CFG,
    DARKNET53,
    PELEE_STEM,
    _net,
    _plain,
    cspdarknet53,
    cspresnet,
    peleenet,
)
from space.zoo.table1 import csppeleenet

UNPUBLISHED = (
    "the head is our definition (space.heads): the authors never published its layers, and many sets of layers "
    "have the same sum"
)
REFERENCE = "the backbone is our reading of an unpublished file (space/zoo/approximate.py)"


def _head(fusion: str, width: int = 128, **fields: object) -> Head:
    return replace(Head(fusion=fusion, width=width, maxout=None), **fields)  # type: ignore[arg-type]


def _with(backbone: Architecture, head: Head) -> Architecture:
    return replace(backbone, head=head)


PELEE = _net(PELEE_STEM, peleenet(), "relu")
CSPPELEE = _net(PELEE_STEM, list(csppeleenet("csp", 0.5, "paper-flops")), "relu")


def tiny(last: int) -> Architecture:
    """YOLOv3-tiny's backbone with `last` channels at the end: 1024, or 512 in its PRN form.

    The PRN file is not public here; 512 gives its published 3.467 BFLOPs and the size of its weights exactly.
    """
    widths = ((32, "pool"), (64, "pool"), (128, "pool"), (256, "pool"), (512, "pool"), (last, "pool_stride1"))
    return _net(
        Stem(kind="single", width=16, stride=1),
        [_plain(block="conv", depth=1, width=width, down=down) for width, down in widths],
    )


TABLE2: tuple[tuple[str, Head, str | None], ...] = (
    ("CSPPeleeNet-PRN", _head("prn", levels=2), None),
    ("CSPPeleeNet-PRN-3l", _head("prn"), None),
    ("CSPPeleeNet-CEM", _head("cem"), UNPUBLISHED),
    ("CSPPeleeNet-CEM(SAM)", _head("cem", attention="sam"), UNPUBLISHED),
    ("CSPPeleeNet-GFM", _head("gfm", maxout=4), UNPUBLISHED),
    ("CSPPeleeNet-EFM", _head("efm", maxout=4), UNPUBLISHED),
    ("CSPPeleeNet-EFM(SAM)", _head("efm", maxout=4, attention="sam"), UNPUBLISHED),
    ("CSPPeleeNet-EFM(SPP)", _head("efm", maxout=4, spp=True), UNPUBLISHED),
)


def _detector(name: str, resolution: int, source: str, architecture: Architecture, *, group: str,
              also: tuple[str, ...] = (), approximate: str | None = None) -> Entry:  # fmt: skip
    return Entry(name=name, resolution=resolution, source=source, architecture=architecture, group=group,
                 num_classes=COCO_CLASSES, aliases=also, published_as=(name, *also),
                 approximate=approximate)  # fmt: skip


YOLO = "COCO detectors of the repository"
PRN = "PRN report"
ENTRIES: tuple[Entry, ...] = (
    *(
        _detector(name, 416, "CSPNet Table 2", _with(CSPPELEE, head), group="Table 2, necks", approximate=approximate,
                  also=("CSPPeleeNet-EFM(GIoU)",) if name == "CSPPeleeNet-EFM" else ())
        for name, head, approximate in TABLE2
    ),
    *(
        _detector(name, 320, "CSPNet Tables 4 and 5", _with(reference(two_way=two_way, light=light), head),
                  group="Tables 4 and 5, detectors for devices",
                  approximate=REFERENCE if head.fusion == "prn" else f"{REFERENCE}; {UNPUBLISHED}")
        for name, two_way, light, head in (
            ("CSPDenseNetb Reference-PRN", False, True, _head("prn", levels=2)),
            ("CSPPeleeNet Reference-PRN-3l", True, False, _head("prn")),
            ("CSPPeleeNet Reference-EFM(SAM)", True, False, _head("efm", maxout=4, attention="sam")),
        )
    ),
    _detector("PeleeNet-PRN", 416, "PartialResidualNetworks README", _with(PELEE, _head("prn", levels=2)), group=PRN),
    _detector("PeleeNet-PRN-3l", 416, "PartialResidualNetworks README", _with(PELEE, _head("prn")), group=PRN),
    _detector("PeleeNet-FPN", 416, "PartialResidualNetworks README", _with(PELEE, _head("fpn_tiny", levels=2)),
              group=PRN),
    _detector("YOLOv3-tiny", 416, "PartialResidualNetworks, cfg/yolov3-tiny.cfg",
              _with(tiny(1024), _head("tiny", levels=2)), group=PRN),
    _detector("YOLOv3-tiny-PRN", 416, "PartialResidualNetworks README", _with(tiny(512), _head("prn", levels=2)),
              group=PRN),
    _detector("CSPResNeXt50-PANet-SPP", 512, CFG.format("csresnext50-panet-spp-original-optimal"),
              _with(cspresnet(grouped=True), _head("panet", spp=True)), group=YOLO,
              also=tuple(f"CSPResNeXt50-PANet-SPP{form}" for form in (" (optimal)", "-GIoU", "-DIoU", "-CIoU"))),
    _detector("CSPDarknet53-PANet-SPP", 512, CFG.format("csdarknet53-panet-spp"),
              _with(cspdarknet53(), _head("panet", spp=True)), group=YOLO,
              also=("CSPDarknet53-PANet-SPP (optimal)",)),
    _detector("CSPResNet50-PANet-SPP", 512, CFG.format("csresnet50-panet-spp"),
              _with(cspresnet(grouped=False), _head("panet", spp=True)), group=YOLO),
    _detector("CSPResNeXt50-YOLO-SPP", 416, "CrossStagePartialNetworks, in progress/csresnext50-yolo-spp.cfg",
              _with(cspresnet(grouped=True), _head("yolo", spp=True)), group=YOLO),
    _detector("YOLOv3-SPP", 608, "CrossStagePartialNetworks (branch pytorch), cfg/yolov3-spp.cfg",
              _with(DARKNET53, _head("yolo", spp=True)), group=YOLO),
)  # fmt: skip
