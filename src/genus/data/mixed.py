"""How numbers enter as normal scores, and the mixed view, where labels stay what they are and plain numbers keep their scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genus.data.cells import from_real, interval, log_density
from genus.data.column import Column
from genus.space import AnySpace, Mixed, Space

EDGE = 1e-6
FEWEST = 12  # different values up to which a number is a discrete cell of the mixed view
SKEWED, PEAKED = 1.5, 6.0  # skewness and kurtosis beyond which it enters as normal scores (a normal has 0 and 3)


def by_leaf(column: Column, view: AnySpace) -> bool:
    """Whether the column enters the view as the number of its leaf: labels, and numbers of few values, all of them atoms."""
    few = not len(column.bin_leaf) and len(column.mass) <= FEWEST
    return view.kind == "mixed" and (bool(column.levels) or few)


def scale(column: Column, view: AnySpace) -> tuple[float, float] | None:
    """(mean, standard deviation) of a column that enters the view in its own unit: continuous, without long tails; else None."""
    if view.kind != "mixed" or not column.smooth:
        return None
    middle, spread = column.lo + column.size / 2, column.size**2 / 12
    mean = float(column.mass @ middle)
    away = middle - mean
    variance = float(column.mass @ (away**2 + spread))
    third, fourth = column.mass @ (away**3 + 3 * away * spread), column.mass @ (away**4 + 6 * away**2 * spread + 1.8 * spread**2)
    plain = abs(third) < SKEWED * variance**1.5 and fourth < PEAKED * variance**2
    return (mean, math.sqrt(variance)) if plain and variance > 0 else None


def mixed_space(columns: Sequence[Column]) -> Mixed:
    """A discrete cell or a real one for each column."""
    fields = []
    for column in columns:
        real = not by_leaf(column, Mixed(()))
        ordered = not column.levels or bool(column.form["dtype"].get("ordered"))
        missing = None if column.missing < 0 else int(column.missing)
        cell = Space("levels" if ordered else "category", (), len(column.mass), missing=missing)
        fields.append((str(column.name), Space("real") if real else cell))
    return Mixed(tuple(fields))


def entry(column: Column, view: AnySpace, leaf: np.ndarray, at: np.ndarray, extent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(start, width) of what a cell stands for in the view: the number of its leaf, its value, or an interval of u."""
    if by_leaf(column, view):
        return leaf.astype(np.float64), np.zeros(len(leaf))
    if unit := scale(column, view):
        return (column.lo[leaf] + at * column.size[leaf] - unit[0]) / unit[1], np.zeros(len(leaf))
    return interval(column, leaf, at, extent)


def normal_scores(u: Tensor) -> Tensor:
    """Φ⁻¹, kept off the ends."""
    return torch.special.ndtri(u.double().clamp(EDGE, 1 - EDGE)).to(u.dtype)


@dataclass(frozen=True)
class Scores:
    """`normal_scores` of some entries of the mixed view, the others as they are.

    Parameters
    ----------
    of: which entries.
    """

    of: tuple[bool, ...]

    def __call__(self, u: Tensor) -> Tensor:
        return torch.where(torch.tensor(self.of), normal_scores(u), u)


def placing(columns: Sequence[Column], view: AnySpace) -> Callable[[Tensor], Tensor]:
    """The map from what `entry` gives to the view."""
    if view.kind != "mixed":
        return normal_scores
    return Scores(tuple(not by_leaf(column, view) and scale(column, view) is None for column in columns))


def found(column: Column, view: AnySpace, z: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(leaf, share of the leaf below) of entries z of the view; values beyond the ends of training are folded back at them."""
    if unit := scale(column, view):
        value = unit[0] + unit[1] * z.double().nan_to_num(0.0).cpu().numpy()
        low, high = float(column.lo[0]), float(column.lo[-1] + column.size[-1])
        value = np.where(value < low, 2 * low - value, np.where(value > high, 2 * high - value, value)).clip(low, high)
        return column.find(value)[:2]
    if not by_leaf(column, view):
        return from_real(column, z)
    leaf = z.double().round().nan_to_num(0.0).clamp(0, len(column.mass) - 1).long().cpu().numpy()
    return leaf, torch.rand(len(leaf), dtype=torch.float64).numpy()


def log_volumes(column: Column, view: AnySpace, entries: Tensor) -> np.ndarray:
    """log |d user / d packed| of entries of the view, (n,)."""
    if unit := scale(column, view):
        return np.full(len(entries), math.log(unit[1]))
    leaf, _ = found(column, view, entries)
    if by_leaf(column, view):
        return column.volume[leaf]
    z = entries.double().cpu().numpy()
    return -0.5 * z**2 - 0.5 * math.log(2 * math.pi) - log_density(column)[leaf]
