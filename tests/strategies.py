"""Random valid objects for property tests: genomes of the default space, and free-form architectures."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from search.study import load
from space.architecture import SPLITS, Architecture, Head, Stage, Stem
from space.blocks import BLOCKS
from space.heads import PYRAMIDS
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


@st.composite
def stages(draw: st.DrawFn, *, block: str | None = None, fusion: str | None = None, width: int = 0) -> Stage:
    """Any stage of small size, on no grid: odd widths and odd shares included."""
    block = block or draw(st.sampled_from(BLOCKS.names()))
    width = width or draw(st.integers(4, 40))
    cardinality = draw(st.sampled_from([1, 2, 4]))
    fusion = fusion or draw(st.sampled_from(FUSIONS.names()))
    crosses = 0 if fusion == "none" else draw(st.integers(1, width - 1))
    outer = width - crosses
    inner = draw(st.integers(1, 6)) * cardinality
    growth = draw(st.integers(1, 12))
    return Stage(
        block=block,
        depth=draw(st.integers(1, 3)),
        width=width,
        fusion=fusion,
        partial_ratio=crosses / width,
        split=draw(st.sampled_from(SPLITS)),
        bottleneck_ratio=inner / (growth if block == "dense" else outer),
        growth_rate=growth,
        cardinality=cardinality,
    )


@st.composite
def wild_architectures(draw: st.DrawFn) -> Architecture:
    """Architectures that no design space would propose, but that are valid: every block, fusion, split, head."""
    count = draw(st.integers(3, 5))
    shape = []
    width = 0
    for _ in range(count):
        width = draw(st.integers(width + 1 if width else 4, width + 16))  # rising, so that 'last' is valid
        shape.append(draw(stages(width=width)))
    maxout = draw(st.sampled_from([1, 2, 4]))
    head = draw(
        st.sampled_from(
            [Head(kind="classifier", fusion=None, width=None, maxout=None)]
            + [Head(fusion=fusion, width=4 * maxout, maxout=maxout) for fusion in PYRAMIDS.names()]
        )
    )
    return Architecture(
        stem=Stem(width=draw(st.integers(1, 24)), stride=draw(st.sampled_from([2, 4]))),
        stages=tuple(shape),
        head=head,
        activation=draw(st.sampled_from(ACTIVATIONS)),
    )


sizes = st.sampled_from([(64, 64), (100, 100), (96, 128), (33, 71)])
