"""Splits made once, by seed: rows at random, a running text by position, a time column by time."""

from __future__ import annotations

from typing import Any

import numpy as np

HELD_OUT_AT_MOST = 5000


def rows(X: Any, index: np.ndarray) -> Any:
    """The items of X at `index`, X's own type."""
    if hasattr(X, "iloc"):
        return X.iloc[index]
    return [X[i] for i in index] if isinstance(X, list | tuple) else np.asarray(X)[index]


def split_off(X: Any, y: Any, *, seed: int, share: float = 0.1) -> tuple[Any, Any, tuple[Any, Any] | None]:
    """(X, y) without some rows, and those rows as validation; None where there are too few to spare any."""
    if isinstance(X, str):
        cut = len(X) - int(len(X) * share)
        return (X, y, None) if len(X) < 1000 else (X[:cut], y, (X[cut:], None))
    try:
        n = len(X)
    except TypeError:
        return X, y, None
    held = min(int(n * share), HELD_OUT_AT_MOST)
    if held < 5:
        return X, y, None
    order = np.random.default_rng(seed).permutation(n)
    keep, out = np.sort(order[held:]), np.sort(order[:held])
    halves = [(rows(X, i), None if y is None else rows(y, i)) for i in (keep, out)]
    return *halves[0], halves[1]
