"""One column's cells as leaves, and leaves as tokens or as one real; the arithmetic of `TableCodec`."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genus.data.column import INSET, Column
from genus.data.typed import labels, numbers, relabelled, restored

Read = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def read(column: Column, series: Any, holes: bool) -> Read:
    """(leaf, position, extent, missing) of a column's cells."""
    if not column.levels:
        return read_numbers(column, *numbers(series, column.form), holes)
    return _gapped(column, *_read_labels(column, series), holes)


def read_numbers(column: Column, values: np.ndarray, missing: np.ndarray, holes: bool) -> Read:
    """(leaf, position, extent, missing) of numbers or ticks."""
    c = column.coordinates(values)
    leaf, at, extent = column.find(c)
    _warn_outside(column, c[~missing])
    return _gapped(column, leaf, at, extent, missing, holes)


def _gapped(column: Column, leaf: np.ndarray, at: np.ndarray, extent: np.ndarray, missing: np.ndarray, holes: bool) -> Read:
    stand_in = column.missing
    if missing.any() and (holes or stand_in < 0):
        stand_in = int(np.argmax(np.where(np.arange(len(column.mass)) == column.missing, -1, column.mass)))
        if not holes:
            _warn(
                f"{int(missing.sum())} cells of {column.name!r} are missing, though none was in training: "
                "they are read as its most frequent value; complete(X) fills them instead."
            )
    leaf = np.where(missing, stand_in, leaf)
    width = 0.0 if column.solid[stand_in] else 1.0 / column.size[stand_in]
    return leaf, np.where(missing, 0.0, at), np.where(missing, width, extent), missing


def _read_labels(column: Column, series: Any) -> Read:
    codes, values = labels(series)
    found = _found(column.levels, values)
    held = found >= 0
    if not held.all() and len(codes):
        unseen = [v for v, ok in zip(values, held, strict=True) if not ok]
        _warn(
            f"{len(unseen)} levels of {column.name!r} did not occur in training (such as {unseen[0]!r}): "
            "they are read as a rare level."
        )
        present = np.where(np.arange(len(column.mass)) == column.missing, np.inf, column.mass / column.size)
        found[~held] = int(column.lo[int(np.argmin(present))])
    level = np.append(found, 0)[codes]
    leaf = column.level_leaf[level]
    size = column.size[leaf]
    return leaf, (level - column.lo[leaf]) / size, 1.0 / size, codes < 0


def _found(levels: list[Any], values: list[Any]) -> np.ndarray:
    """Where each value stands among the levels: by type and value, else by value, else by its text; else −1."""
    found = np.full(len(values), -1, dtype=np.int64)
    for key in (_typed, _valued, str):
        left = np.flatnonzero(found < 0)
        if len(left):
            places = {key(v): i for i, v in reversed(list(enumerate(levels)))}
            found[left] = [places.get(key(values[i]), -1) for i in left]
    return found


def _typed(value: Any) -> Any:
    return type(value), value


def _valued(value: Any) -> Any:
    return isinstance(value, bool), value


def _warn_outside(column: Column, c: np.ndarray) -> None:
    ends = np.concatenate([column.atoms, column.values_at_ends()])
    outside = int(((c < ends.min()) | (c > ends.max())).sum()) if len(c) else 0
    if outside:
        _warn(f"{outside} values of {column.name!r} lie outside the range of training: they are read as the nearest in it.")


def _warn(sentence: str) -> None:
    warnings.warn(sentence, stacklevel=8)


def cells(column: Column, leaf: np.ndarray) -> list[np.ndarray]:
    """The record's cells of leaves: the token, and the place inside it where the column has one."""
    token = column.token[leaf]
    if not column.fine:
        return [token]
    return [token, np.where(column.placed, column.sub, column.fine)[leaf]]


def interval(column: Column, leaf: np.ndarray, at: np.ndarray, extent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The interval of u a cell stands for, a little inside its true ends so that rounding never leaves it."""
    start = (np.cumsum(column.mass) - column.mass)[leaf]
    mass, solid = column.mass[leaf], column.solid[leaf]
    low = np.where(solid, np.clip(at, INSET / 10, 1 - INSET / 10), at + INSET * extent)
    return start + mass * low, mass * np.where(solid, 0.0, extent * (1 - 2 * INSET))


def log_density(column: Column) -> np.ndarray:
    """(leaves,) log of the density (line) or of the probability (else) of a value in the leaf, as u counts it."""
    return np.log(column.mass) - column.volume + np.where(column.solid, 0.0, math.log1p(-2 * INSET))


def from_real(column: Column, z: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(leaf, share of the leaf below) of reals z: the inverse of the distributional transform."""
    u = torch.special.ndtr(z.double().nan_to_num(0.0)).cpu().numpy()
    end = np.cumsum(column.mass)
    leaf = np.minimum(np.searchsorted(end, u * end[-1], "right"), len(end) - 1)
    mass = column.mass[leaf]
    return leaf, np.clip((u * end[-1] - (end[leaf] - mass)) / mass, 0.0, 1.0)


def from_cells(column: Column, token: Tensor, fine: Tensor | None) -> tuple[np.ndarray, np.ndarray]:
    """(leaf, share of the leaf below) of record cells, the share drawn uniformly."""
    start, count = column.starts
    t = token.long().clamp(0, len(start) - 1).cpu().numpy()
    leaf = start[t]
    if fine is not None:
        sub = fine.long().cpu().numpy()
        leaf = leaf + np.where(sub < count[t], sub, np.floor(_uniform(len(t)) * count[t]).astype(np.int64))
    return leaf, _uniform(len(t))


def _uniform(n: int) -> np.ndarray:
    return torch.rand(n, dtype=torch.float64).numpy()


def filled_in(column: Column, leaf: np.ndarray) -> np.ndarray:
    """The leaves with missing ones drawn from the others."""
    rows = np.flatnonzero(leaf == column.missing)
    if len(rows):
        mass = torch.from_numpy(column.mass.copy())
        mass[column.missing] = 0.0
        leaf = leaf.copy()
        leaf[rows] = torch.multinomial(mass, len(rows), replacement=True).numpy()
    return leaf


def written(column: Column, leaf: np.ndarray, position: np.ndarray) -> Any:
    missing = leaf == column.missing
    c = column.draw(leaf, position)
    if column.levels:
        return relabelled(np.where(missing, -1, c), column.levels, column.form)
    return restored(column.values(c), missing, column.form, column.decimals)
