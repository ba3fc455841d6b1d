"""What the cells of one column allow: shares of leaves, places inside them, and the interval of values behind a cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genus.data.column import Column
from genus.maths.within import Shares

Term = tuple[tuple[int, ...], Tensor, Tensor, float]
EPS = 1e-12


@dataclass
class Inside:
    """The part of each leaf of a column that is allowed.

    Attributes
    ----------
    share: (leaves,) how much of it. low, high: (leaves,) ends of the allowed positions in [0, 1].
    spots: {leaf: allowed positions} where only single values are; instead of low and high.
    """

    share: np.ndarray
    low: np.ndarray
    high: np.ndarray
    spots: dict[int, np.ndarray] | None = None

    def place(self, leaf: np.ndarray) -> np.ndarray:
        """A position in each leaf, drawn evenly from what is allowed."""
        u = torch.rand(len(leaf), dtype=torch.float64).numpy()
        if self.spots is None:
            return self.low[leaf] + u * (self.high[leaf] - self.low[leaf])
        out = u.copy()
        for k, spots in self.spots.items():
            rows = np.flatnonzero(leaf == k)
            out[rows] = spots[np.minimum((u[rows] * len(spots)).astype(int), len(spots) - 1)]
        return out

    def cells(self, column: Column, cells: tuple[int, ...]) -> Shares:
        """The restriction of the column's cells."""
        weight = np.bincount(column.token, column.mass, minlength=column.tokens)
        guide = np.bincount(column.token, column.mass * self.share, minlength=column.tokens) / np.maximum(weight, 1e-300)
        share = _by_cell(column, self.share, 0.0)
        return Shares(cells, share, torch.from_numpy(guide) if len(cells) == 2 else None)


def _by_cell(column: Column, values: np.ndarray, none: float) -> Tensor:
    """(leaves,) as (tokens,) or (tokens, levels of the second cell), `none` where there is no such leaf."""
    if not column.fine:
        return torch.from_numpy(np.asarray(values, dtype=np.float64))
    out = np.full((column.tokens, column.fine + column.blank), none)
    at = np.where(column.placed, column.sub, column.fine)
    out[column.token, at] = values
    return torch.from_numpy(out)


def inside_missing(column: Column) -> Inside:
    """Only missing cells."""
    share = (np.arange(len(column.mass)) == column.missing).astype(float)
    return Inside(share, np.zeros(len(share)), np.ones(len(share)))


def inside_levels(column: Column, levels: list[Any]) -> Inside:
    """Only these levels of a category, or these values of a number (as coordinates)."""
    share = np.zeros(len(column.mass))
    spots: dict[int, list[float]] = {}
    if column.levels:
        at = np.array([column.levels.index(level) for level in levels])
        leaf = column.level_leaf[at]
        position = (at - column.lo[leaf] + 0.5) / column.size[leaf]
    else:
        leaf, position, _ = column.find(np.array(levels))
        position = position if column.line else position + 0.5 / column.size[leaf]
    widest = float(column.size[leaf].min()) if column.line else 1.0
    for k, p in zip(leaf, position, strict=True):
        spots.setdefault(int(k), []).append(float(p))
        share[k] += 1.0 if not column.placed[k] and not column.levels else widest / column.size[k]
    places = {k: np.array(v) for k, v in spots.items()}
    return Inside(np.minimum(share, 1.0), np.zeros(len(share)), np.ones(len(share)), places)


def inside_range(column: Column, low: float, high: float) -> Inside:
    """Only numbers from low to high (in the column's own numbers or ticks; ends may be infinite), never missing cells."""
    share, first, last = np.zeros(len(column.mass)), np.zeros(len(column.mass)), np.ones(len(column.mass))
    low, high = _as_coordinates(column, low, high)
    atom = column.atoms
    share[column.atom_leaf[(atom >= low) & (atom <= high)]] = 1.0
    bins = column.bin_leaf
    if len(bins) and high >= low:
        lo, size = column.lo[bins].astype(np.float64), column.size[bins]
        if not column.line:
            low, high = low - np.searchsorted(atom, low), high + 1 - np.searchsorted(atom, high, "right")
        a, b = np.clip((low - lo) / size, 0, 1), np.clip((high - lo) / size, 0, 1)
        share[bins], first[bins], last[bins] = np.clip(b - a, 0, 1), a, np.maximum(a, b)
        if column.line and low == high:
            share[bins] = (low >= lo) & (low < lo + size)
    return Inside(share, first, last)


def _as_coordinates(column: Column, low: float, high: float) -> tuple[float, float]:
    """The first and last coordinate whose value lies from low to high."""
    if column.line:
        if column.decimals < 0:
            return low, high
        unit, half = 10.0**column.decimals, 0.5 - 1e-6
        return (np.ceil(low * unit - 1e-9) - half) / unit, (np.floor(high * unit + 1e-9) + half) / unit
    unit = 10**column.decimals
    big = 2.0**62
    first = np.ceil((np.clip(low * unit, -big, big) - column.offset) / column.step - 1e-9)
    last = np.floor((np.clip(high * unit, -big, big) - column.offset) / column.step + 1e-9)
    return float(first), float(last)


def outside_of(column: Column) -> tuple[float, float]:
    """The smallest and the largest number of training."""
    ends = np.concatenate([column.atoms, column.values_at_ends()]) if len(column.edges) else column.atoms
    values = column.values(np.array([ends.min(), ends.max()]))
    return float(values[0]), float(values[1])


def term(column: Column, cells: tuple[int, ...], coefficient: float = 1.0) -> Term:
    """A column's cells as an interval of its numbers, for `Linear`; NaN where missing."""
    leaf = np.arange(len(column.mass))
    lo = column.values(column.draw(leaf, np.zeros(len(leaf)))).astype(np.float64)
    hi = column.values(column.draw(leaf, np.full(len(leaf), 1 - EPS))).astype(np.float64)
    if column.missing >= 0:
        lo[column.missing] = hi[column.missing] = np.nan
    return cells, _finite(column, lo, np.inf), _finite(column, hi, -np.inf), coefficient


def literal(column: Column, cells: tuple[int, ...], inside: Inside, coefficient: float) -> Term:
    """1 where a column surely holds what is inside, 0 where it surely does not, and the interval between where it may."""
    sure, may = (inside.share >= 1 - 1e-9).astype(float), (inside.share > 0).astype(float)
    if column.missing >= 0:
        sure[column.missing] = may[column.missing] = np.nan
    return cells, _finite(column, sure, np.inf), _finite(column, may, -np.inf), coefficient


def _finite(column: Column, values: np.ndarray, none: float) -> Tensor:
    """By cell, with an empty interval where there is no leaf: its low end above any, its high end below any."""
    return _by_cell(column, values, none)


Place = Callable[[np.ndarray], np.ndarray]
