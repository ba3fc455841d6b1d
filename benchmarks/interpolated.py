"""Interpolated n-grams of symbols: the control that stands beside models of text."""

from __future__ import annotations

import numpy as np


def ngram(train: np.ndarray, test: np.ndarray, levels: int, order: int = 5, start: int | None = None) -> float:
    """Nats a symbol of a Witten–Bell interpolated n-gram (1991, https://doi.org/10.1109/18.87000).

    p(w | h) = (count(h w) + kinds(h) · p(w | shorter h)) / (count(h) + kinds(h)), kinds(h) the distinct symbols after h.
    A symbol `start` is context alone: it is neither counted nor asked for.
    """
    asked = np.ones(len(test), dtype=bool) if start is None else test != start
    chance = np.full(int(asked.sum()), 1 / (levels - (start is not None)))
    for k in range(order):
        seen = grams(train, k + 1, levels)
        pairs, times = np.unique(seen if start is None else seen[train[k:] != start], return_counts=True)
        owners, first = np.unique(pairs // levels, return_index=True)
        total, kinds = np.add.reduceat(times, first), np.diff(np.append(first, len(pairs)))
        want = grams(np.concatenate([train[-k:], test]) if k else test, k + 1, levels)[asked]
        both, own = looked_up(pairs, times, want), looked_up(owners, total, want // levels)
        kind = looked_up(owners, kinds, want // levels)
        chance = np.where(own > 0, (both + kind * chance) / np.maximum(own + kind, 1), chance)
    return float(-np.log(chance).mean())


def grams(codes: np.ndarray, k: int, levels: int) -> np.ndarray:
    """Every run of k symbols as one number."""
    return sum(codes[i : len(codes) - k + 1 + i].astype(np.int64) * levels ** (k - 1 - i) for i in range(k))  # pyright: ignore


def looked_up(keys: np.ndarray, values: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The values of the keys asked for, 0 where a key is absent."""
    at = np.searchsorted(keys, asked).clip(0, len(keys) - 1)
    return np.where(keys[at] == asked, values[at], 0)
