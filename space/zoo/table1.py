"""Table 1 of the paper: PeleeNet, fusion first, fusion last and CSP at three partial ratios, in two readings.

The authors' file was never published, and no reading gives all ten BFLOPs and the parameters.

- `textbook`: channels are sliced, T1 is square at the stage's resolution, T2 square after the pool, the last
  stage keeps a square transition at 7x7. The default semantics of the design space. At γ = 0.5 parameters and
  BFLOPs of CSP are within 0.6 %; the slope in γ is too steep.
- `paper-flops`: the cross path is a 1x1 convolution of all channels, the main path a slice; T1 as above in all four
  stages; no transition closes stage 4. CSP within 0.2 % of the paper's BFLOPs, all nine rows within 0.8 %; the
  parameters are 11 % low. Fusion first needs a rule of its own: the transition stands before the pool and makes
  only the next main path, stage 1 is whole. It is a fit, not documented.
"""

from __future__ import annotations

from dataclasses import replace

from space.architecture import Architecture, Stage
from space.zoo import Entry
from space.zoo.classifiers import CLASSIFIER, PELEE_STEM, peleenet

READINGS = ("textbook", "paper-flops")
PARTIAL_RATIOS = (0.75, 0.5, 0.25)
TITLES = {"first": "PeleeNet fusion-first {}", "last": "PeleeNet fusion-last {}", "csp": "CSPPeleeNet {}"}


def csppeleenet(fusion: str, partial_ratio: float, reading: str) -> tuple[Stage, ...]:
    """The stages of a Table 1 network in one of the two readings."""
    plain = peleenet()
    if reading == "textbook":
        stages = [replace(stage, fusion=fusion, partial_ratio=partial_ratio) for stage in plain]
        return (*stages[:-1], replace(stages[-1], transition=True))
    if fusion == "first":
        rest = [replace(stage, fusion="first", partial_ratio=partial_ratio, split="early") for stage in plain[1:]]
        return (plain[0], *rest[:-1], replace(rest[-1], transition=False))
    stages = [replace(stage, fusion=fusion, partial_ratio=partial_ratio, split="cross") for stage in plain]
    return (*stages[:-1], replace(stages[-1], transition=False))


def _entry(fusion: str, partial_ratio: float, reading: str) -> Entry:
    title = TITLES[fusion].format(partial_ratio)
    standard = fusion == "csp" and partial_ratio == 0.5 and reading == "textbook"
    return Entry(
        name=title if reading == "textbook" else f"{title} (paper-flops)",
        resolution=224,
        source=f"CSPNet Table 1, reading {reading}",
        architecture=Architecture(
            stem=PELEE_STEM, stages=csppeleenet(fusion, partial_ratio, reading), head=CLASSIFIER, activation="relu"
        ),
        aliases=("CSPPeleeNet",) if standard else (),
        published_as=(title, "CSPPeleeNet") if fusion == "csp" and partial_ratio == 0.5 else (title,),
        group=f"Table 1, reading {reading} (the authors' file was never published)",
        approximate=f"reading '{reading}' of Table 1: no reading gives all of its figures (space/zoo/table1.py)",
    )


ENTRIES: tuple[Entry, ...] = tuple(
    _entry(fusion, partial_ratio, reading)
    for reading in READINGS
    for fusion in ("first", "last", "csp")
    for partial_ratio in PARTIAL_RATIOS
)
