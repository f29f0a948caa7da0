"""Figures, not tests: each prints its ratios with machine and versions. Run on a quiet machine."""
