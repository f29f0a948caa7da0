"""Random valid objects for property tests: genomes of the default space, and free-form architectures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from search.study import load
from space.architecture import SPLITS, Architecture, ArchitectureError, Head, Stage, Stem
from space.blocks import BLOCKS
from space.heads import NECKS
from space.lower import lower
from space.ops import ACTIVATIONS
from space.stages import FUSIONS

STUDY = load()
SPACE = STUDY.space


def random_architectures(count: int, seed: int = 0) -> list[Architecture]:
    """Architectures of the default space."""
    rng = np.random.default_rng(seed)
    return [SPACE.build(SPACE.sample(rng)) for _ in range(count)]


genomes = st.fixed_dictionaries({name: st.sampled_from(choices) for name, choices in SPACE.genes.items()}).filter(
    SPACE.valid
)
architectures = genomes.map(SPACE.build)


def exists(architecture: Architecture) -> bool:
    """Whether an architecture breaks no rule."""
    try:
        lower(architecture, 32, 32)
    except ArchitectureError:
        return False
    return True


@st.composite
def stages(draw: st.DrawFn, *, block: str | None = None, fusion: str | None = None, width: int = 0) -> Stage:
    """Any stage of small size, on no grid: odd widths and odd shares included."""
    block = block or draw(st.sampled_from(BLOCKS.names()))
    width = width or draw(st.integers(4, 40))
    cardinality = draw(st.sampled_from([1, 2, 4]))
    fusion = fusion or draw(st.sampled_from(FUSIONS.names()))
    main = width if fusion == "none" else draw(st.integers(1, width - 1))
    if block == "res2":
        main = max(4, main // 4 * 4)
        width = max(width, main + (fusion != "none")) if fusion != "none" else main
        cardinality = 1
    inner = draw(st.integers(1, 6)) * cardinality
    growth = draw(st.integers(2, 12))
    elastic = draw(st.booleans()) and "elastic" in BLOCKS.get(block).reads
    if elastic and "cardinality" in BLOCKS.get(block).reads:
        cardinality = 1  # halves of odd widths: groups need not divide them
    split = draw(st.sampled_from(SPLITS)) if fusion != "none" else "slice"
    wide = split == "conv"
    return Stage(
        block=block,
        depth=draw(st.integers(1, 3)),
        width=width,
        fusion=fusion,
        partial_ratio=(width - main) / width,
        split=split,
        bottleneck_ratio=inner / (growth if BLOCKS.get(block).grows else main),
        growth_rate=growth,
        cardinality=cardinality,
        elastic=elastic,
        squeeze=draw(st.sampled_from([0.0, 0.0, 0.25])),
        entry=draw(st.sampled_from([None, None, 5])) if wide else None,
        exit=draw(st.sampled_from([None, None, 7])) if wide else None,
        main_entry=draw(st.sampled_from([None, None, 3])) if wide else None,
        split_linear=draw(st.booleans()) if split != "slice" else False,
        down=draw(st.sampled_from([None, None, None, "pool", "block", "none", "pool_stride1"])),
        pool_first=draw(st.sampled_from([None, True, False])),
        transition=draw(st.sampled_from([None, True, False])),
    )


stems = st.one_of(
    st.builds(Stem, width=st.integers(1, 24), stride=st.sampled_from([2, 4])),
    st.builds(Stem, kind=st.just("single"), width=st.integers(1, 24), stride=st.sampled_from([1, 2])),
    st.builds(Stem, kind=st.just("conv_pool"), width=st.none(), kernel=st.sampled_from([3, 7]),
              pool=st.sampled_from([2, 3])),
    st.builds(Stem, kind=st.just("pelee"), width=st.none()),
)  # fmt: skip


@st.composite
def heads(draw: st.DrawFn, levels: int) -> Head:
    """Any head."""
    if draw(st.integers(0, 3)) == 0:
        last_width = draw(st.sampled_from([None, 6]))
        return Head(kind="classifier", fusion=None, width=None, maxout=None, last_width=last_width)
    maxout = draw(st.sampled_from([1, 2, 4]))
    return Head(
        fusion=draw(st.sampled_from(NECKS.names())),
        width=4 * maxout,
        maxout=maxout,
        levels=draw(st.integers(2, min(3, levels))),
        attention=draw(st.sampled_from([None, "sam"])),
        spp=draw(st.booleans()),
    )


@st.composite
def wild_architectures(draw: st.DrawFn) -> Architecture:
    """Architectures that no design space would propose, but that are valid: every block, fusion, split, stem, head."""
    count = draw(st.integers(2, 5))
    shape = []
    width = 0
    for _ in range(count):
        stage = draw(stages(width=draw(st.integers(width + 1 if width else 4, width + 16))))
        width = stage.width  # rising, so that 'last' is valid
        shape.append(stage)
    architecture = Architecture(
        stem=draw(stems), stages=tuple(shape), head=draw(heads(count)), activation=draw(st.sampled_from(ACTIVATIONS))
    )
    if not exists(architecture):
        plain = {"down": None, "split": "slice", "entry": None, "exit": None, "main_entry": None}
        architecture = replace(
            architecture, stem=Stem(width=8), stages=tuple(replace(stage, **plain) for stage in shape)
        )
    assume(exists(architecture))
    return architecture


sizes = st.sampled_from([(64, 64), (100, 100), (96, 128), (33, 71)])
