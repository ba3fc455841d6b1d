"""Interval: a mean with its 95 % interval."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

Interval = tuple[float, float, float]


def share(values: np.ndarray) -> Interval:
    """(mean, low, high) of one value an item: Wilson's interval for shares, normal for others."""
    if np.isin(values, (0, 1)).all():
        return wilson(float(np.sum(values)), len(values))
    p, wide = float(np.mean(values)), float(norm.ppf(0.975) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return p, p - wide, p + wide


def wilson(hits: float, n: int) -> Interval:
    """(share, low, high) by Wilson's interval."""
    z, p = float(norm.ppf(0.975)), hits / n
    centre, wide = (p + z * z / (2 * n)) / (1 + z * z / n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return p, max(0.0, min(p, centre - wide)), min(1.0, max(p, centre + wide))
