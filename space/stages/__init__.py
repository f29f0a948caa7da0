"""Cross-stage variants: one file each, one function that joins the main path and the cross path.

Where the transitions stand follows the two families of published networks (`space.lower`):

- **growing blocks** (dense): CSPNet Fig. 3 in its textbook reading, which meets the published CSPPeleeNet at
  γ = 0.5 within 0.6 %: T1 at the stage's resolution, then the pool, then T2 to the next stage's width. A plain
  stage has DenseNet's transition, before the pool.
- **residual blocks**: the darknet files of csresnet50, csresnext50 and csdarknet53: T1 and T2 both stand before
  the next stage's 3x3 convolution of stride 2. A plain stage has no transition.
"""

from __future__ import annotations

from typing import Protocol

from space.graph import Builder, Ref
from space.registry import Registry


class Fusion(Protocol):
    """How the two paths of a stage meet."""

    t2: bool
    """A 1x1 transition follows the concatenation."""

    def __call__(self, g: Builder, main: Ref, cross: Ref | None, width: int) -> Ref:
        """Join the paths; T1, where there is one, gives `width` channels. `cross` is None without a cross path."""
        ...


FUSIONS: Registry[Fusion] = Registry("fusion", "space.stages")


def paths(g: Builder, main: Ref, cross: Ref | None) -> Ref:
    """Concatenation of main and cross path, main first (as in the published files)."""
    return g.concat([main] if cross is None else [main, cross])
