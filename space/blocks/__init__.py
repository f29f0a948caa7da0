"""Blocks: one file each. A block is one function `block(g, x, stage, *, width, stride) -> Ref` for ONE unit.

`@block(name, …)` registers it with the facts that the lowering and the design space need:

- `reads`: the axes and options of `Stage` that it uses beside depth and width; the others are None or off in the
  canonical form.
- `grows`: a unit adds `growth_rate` channels instead of giving `width`.
- `projects`: a unit can change its width and resolution; only then may it begin a stage with `down="block"` or
  with another number of channels. Shortcuts across such a change are partial and strided, as darknet's are: no
  published file of the family has a projection shortcut.
- `pre`: normalisation and activation stand before each convolution (DenseNet); transitions follow suit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from space.architecture import Stage
from space.graph import Builder, Ref
from space.registry import Registry, part


class Block(Protocol):
    """One repeated unit on the main path."""

    reads: frozenset[str]
    grows: bool
    projects: bool
    pre: bool

    def __call__(self, g: Builder, x: Ref, stage: Stage, *, width: int, stride: int) -> Ref:
        """Add one unit after `x` that gives `width` channels, or `growth_rate` more; `stride` is 1 or 2."""
        ...


BLOCKS: Registry[Block] = Registry("block", "space.blocks")

F = TypeVar("F", bound=Callable[..., Any])


def block(name: str, *, reads: Iterable[str] = (), grows: bool = False, projects: bool = False,
          pre: bool = False) -> Callable[[F], F]:  # fmt: skip
    """Decorator that registers a block; see the module for what the facts mean."""
    return part(BLOCKS, name, reads=frozenset(reads), grows=grows, projects=projects, pre=pre)


def gated(g: Builder, x: Ref, stage: Stage) -> Ref:
    """Squeeze-and-excitation at the end of a branch, where the stage asks for it (Hu et al. 2018)."""
    if not stage.squeeze:
        return x
    with g.scope("se"):
        c = g.channels(x)
        y = g.conv(g.global_pool(x), max(1, round(c * stage.squeeze)), 1, norm=False, name="reduce")
        return g.mul(x, g.conv(y, c, 1, norm=False, activation="logistic", name="expand"))


def branch(g: Builder, x: Ref, stage: Stage, width: int, body: Callable[[Ref, int, int], Ref]) -> Ref:
    """`body(x, width, groups)`, or, elastic, that body on two halves of the channels, the second at half resolution.

    Elastic as in the darknet files of CrossStagePartialNetworks: halves by a slice, 2x2 max-pool before the
    second, nearest-neighbour upsampling after it, concatenation; each half has half of the groups.
    """
    groups = stage.cardinality or 1
    if not stage.elastic:
        return gated(g, body(x, width, groups), stage)
    c, groups = g.channels(x), max(1, groups // 2)
    if c < 2 or width < 2:
        return gated(g, body(x, width, 1), stage)
    with g.scope("fine"):
        a = body(g.slice(x, 0, c // 2, name="slice"), width // 2, groups)
    with g.scope("coarse"):
        b = g.max_pool(g.slice(x, c // 2, c, name="slice"))
        b = g.resize_like(body(b, width - width // 2, groups), a, name="up")
    return gated(g, g.concat([a, b]), stage)
