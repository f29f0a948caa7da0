"""A model of what only a measurement tells, with its doubt: draws of what the function may be.

Two learners of different kinds, half each: Bayesian ridge regression, which knows the trend from twenty results, and
extremely randomised trees (Geurts et al. 2006), which find what depends on what. `studies/samplers.md` has the
comparison that chose them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

DRAWS = 32
TREES_A_DRAW = 2
COLUMNS_A_SPLIT = 0.3


class Surrogate:
    """Fitted to `x` (n, columns; scaled) and `y` (n,). `draws` are plausible functions, the same for every call."""

    def __init__(self, x: Array, y: Array, seed: int, kind: str = "both") -> None:
        from sklearn.ensemble import ExtraTreesRegressor
        from sklearn.linear_model import BayesianRidge

        self._offset, self._scale = float(y.mean()), float(y.std()) or 1.0
        scaled = (y - self._offset) / self._scale
        self._kind = kind
        if kind != "trees":
            ridge = BayesianRidge().fit(x, scaled)
            rng = np.random.default_rng(seed)
            # The covariance of the weights is symmetric and, but for rounding, positive.
            values, vectors = np.linalg.eigh(ridge.sigma_)
            root = vectors * np.sqrt(np.maximum(values, 0.0))
            self._weights = ridge.coef_ + rng.standard_normal((DRAWS, len(values))) @ root.T
            self._intercept = float(ridge.intercept_)
        if kind != "ridge":
            self._trees = ExtraTreesRegressor(
                DRAWS * TREES_A_DRAW, max_features=COLUMNS_A_SPLIT, random_state=seed
            ).fit(x, scaled).estimators_  # fmt: skip

    def draws(self, x: Array) -> Array:
        """(DRAWS, n) values at `x` (n, columns)."""
        parts = []
        if self._kind != "trees":
            parts.append(self._weights @ x.T + self._intercept)
        if self._kind != "ridge":
            narrow = np.ascontiguousarray(x, np.float32)
            leaves = np.array([tree.predict(narrow, check_input=False) for tree in self._trees])
            parts.append(leaves.reshape(DRAWS, TREES_A_DRAW, -1).mean(axis=1))
        result: Array = np.mean(parts, axis=0) * self._scale + self._offset
        return result
