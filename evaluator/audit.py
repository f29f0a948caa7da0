"""An independent count of a network's MACs: fvcore's, restricted to convolutions and linear layers.

fvcore's "flops" are multiply-accumulates; it adds normalisation, and it misses functional operators in
silence, which is why it audits our count and does not make it.
"""

from __future__ import annotations

import logging
import warnings

import torch

from space.module import Network


def fvcore_macs(network: Network) -> int:
    """MACs of convolutions and linear layers of `network` for one image, as fvcore counts them."""
    from fvcore.nn import FlopCountAnalysis

    shape = network.graph.nodes[0].shape
    logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counts = FlopCountAnalysis(network.eval(), torch.zeros(1, *shape)).by_operator()
    return int(counts["conv"] + counts["linear"])
