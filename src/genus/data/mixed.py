"""How numbers enter as normal scores, and the mixed view, where labels and numbers of few values stay what they are."""

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


def by_leaf(column: Column, view: AnySpace) -> bool:
    """Whether the column enters the view as the number of its leaf: labels, and numbers of few values, all of them atoms."""
    few = not len(column.bin_leaf) and len(column.mass) <= FEWEST
    return view.kind == "mixed" and (bool(column.levels) or few)


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
    """(start, width) of what a cell stands for in the view: an interval of u, or the number of its leaf."""
    return (leaf.astype(np.float64), np.zeros(len(leaf))) if by_leaf(column, view) else interval(column, leaf, at, extent)


def normal_scores(u: Tensor) -> Tensor:
    """Φ⁻¹, kept off the ends."""
    return torch.special.ndtri(u.double().clamp(EDGE, 1 - EDGE)).to(u.dtype)


@dataclass(frozen=True)
class Scores:
    """`normal_scores` of the real entries of the mixed view, the others as they are.

    Parameters
    ----------
    real: which entries are.
    """

    real: tuple[bool, ...]

    def __call__(self, u: Tensor) -> Tensor:
        return torch.where(torch.tensor(self.real), normal_scores(u), u)


def placing(view: AnySpace) -> Callable[[Tensor], Tensor]:
    """The map from what `entry` gives to the view."""
    return Scores(tuple(view.real)) if isinstance(view, Mixed) else normal_scores


def found(column: Column, view: AnySpace, z: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(leaf, share of the leaf below) of entries z of the view."""
    if not by_leaf(column, view):
        return from_real(column, z)
    leaf = z.double().round().nan_to_num(0.0).clamp(0, len(column.mass) - 1).long().cpu().numpy()
    return leaf, torch.rand(len(leaf), dtype=torch.float64).numpy()


def log_volumes(column: Column, view: AnySpace, entries: Tensor) -> np.ndarray:
    """log |d user / d packed| of entries of the view, (n,)."""
    leaf, _ = found(column, view, entries)
    if by_leaf(column, view):
        return column.volume[leaf]
    z = entries.double().cpu().numpy()
    return -0.5 * z**2 - 0.5 * math.log(2 * math.pi) - log_density(column)[leaf]
