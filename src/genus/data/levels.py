"""Columns of labels: which levels are tokens of their own, which share one by likeness, which are pooled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from genus.data.column import Column

RARE = 3
ONE_CELL = 128
ALONE = 64
SHARED = 128


def category_column(
    name: Any, kind: str, form: dict[str, Any], levels: list[Any], counts: np.ndarray, order: np.ndarray, missing: int
) -> Column:
    """Fit a column of labels, its levels placed by `order`.

    Levels of fewer than three rows, where there are more than twenty, are pooled by the octave of their frequency. More
    than 128 others fill two cells: the 64 most frequent are tokens, the rest share up to 64 further tokens with their
    neighbours by `order`, and the second cell says which of them it is.
    """
    alone = counts >= RARE if len(levels) > 20 else np.ones(len(levels), dtype=bool)
    alone = _most(alone, counts, ALONE + (ONE_CELL - ALONE) * SHARED)
    group = _groups(alone, counts, order)
    pool = np.where(alone, -1, np.floor(np.log2(np.maximum(counts, 1))).astype(int))
    place = np.where(alone, _mean(group, order), np.inf)
    group = np.where(alone, group, -1)
    rows = np.lexsort((np.arange(len(levels)), order, pool, group, place))
    new = np.append(True, alone[rows][1:] | (np.diff(pool[rows]) != 0))
    leaf = np.cumsum(new) - 1
    lo = np.flatnonzero(new)
    heads = rows[lo]
    begins = np.append(True, ~alone[heads][1:] | ~alone[heads][:-1] | (np.diff(group[heads]) != 0))
    token = np.cumsum(begins) - 1
    sub = np.arange(len(lo)) - np.searchsorted(token, token)
    mass = np.bincount(leaf, np.maximum(counts[rows], 0.5)).astype(np.float64)
    column = Column(
        name=name, kind=kind, form=form, line=False, decimals=0, offset=0, step=1,
        atoms=lo[:0], atom_leaf=lo[:0], edges=lo[:0], bin_leaf=lo[:0], lo=lo, size=np.bincount(leaf).astype(np.float64),
        mass=mass, token=token, sub=sub, fine=int(sub.max()) + 1 if sub.max() > 0 else 0, missing=-1,
        levels=[levels[i] for i in rows], level_leaf=leaf,
    )  # fmt: skip
    if missing:
        column.missing = len(lo)
        column.lo, column.size, column.mass = np.append(lo, 0), np.append(column.size, 1.0), np.append(mass, missing)
        column.token, column.sub = np.append(token, token[-1] + 1), np.append(sub, 0)
    column.mass = column.mass / column.mass.sum()
    return column


def _most(alone: np.ndarray, counts: np.ndarray, limit: int) -> np.ndarray:
    """At most `limit` of the levels, the most frequent."""
    if alone.sum() <= limit:
        return alone
    kept = np.argsort(-np.where(alone, counts, -1), kind="stable")[:limit]
    return np.isin(np.arange(len(counts)), kept)


def _groups(alone: np.ndarray, counts: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Which token each level belongs to; neighbours by `order` share one where tokens would be too many."""
    group = np.arange(len(counts))
    if alone.sum() <= ONE_CELL:
        return group
    by_count = np.argsort(-np.where(alone, counts, -1), kind="stable")
    shared = by_count[ALONE : int(alone.sum())]
    shared = shared[np.argsort(order[shared], kind="stable")]
    tokens = min(ONE_CELL - ALONE, max(math.ceil(len(shared) / SHARED), math.ceil(math.sqrt(len(shared)))))
    group[shared] = len(counts) + np.arange(len(shared)) * tokens // len(shared)
    return group


def _mean(group: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The mean order of the levels of each one's group."""
    _, of = np.unique(group, return_inverse=True)
    return (np.bincount(of, order) / np.bincount(of))[of]


def along(codes: np.ndarray, counts: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """A place for each level: along the direction in which the levels' mean ranks differ most, else by frequency.

    codes (n,), −1 where missing; counts (levels,); ranks (n, numbers) of the rows in the numeric columns, centred.
    """
    if not ranks.shape[1]:
        return -counts.astype(float)
    held = codes >= 0
    sums = np.stack([np.bincount(codes[held], r[held], minlength=len(counts)) for r in ranks.T], 1)
    means = sums / (counts[:, None] + 10.0)
    spread = np.sqrt(counts)[:, None] * (means - (counts[:, None] * means).sum(0) / counts.sum())
    direction = np.linalg.svd(spread, full_matrices=False)[2][0]
    return means @ (direction * (1 if direction[np.abs(direction).argmax()] > 0 else -1))
