"""Splits made once, by seed: rows at random (by class where y has classes), a running text by position, a table by time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from genus.data.tokens import tokenised
from genus.data.typed import form_of, numbers
from genus.errors import DataError, UsageError, nearest
from genus.space import Items

HELD_OUT_AT_MOST = 5000
FEW = 64


class Split(NamedTuple):
    """Three (X, y) pairs, and which items each holds: arrays of positions in the data that were split."""

    train: tuple[Any, Any]
    validation: tuple[Any, Any]
    test: tuple[Any, Any]
    index: tuple[np.ndarray, np.ndarray, np.ndarray]


def rows(X: Any, index: np.ndarray) -> Any:
    """The items of X at `index`, X's own type."""
    if isinstance(X, dict):
        return {name: rows(column, index) for name, column in X.items()}
    if hasattr(X, "iloc"):
        return X.iloc[index]
    if isinstance(X, Items | torch.Tensor):
        return X[torch.from_numpy(index)]
    if isinstance(X, list | tuple):
        return tokenised([X[i] for i in index], getattr(X, "tokens", None))
    return np.asarray(X)[index]


def split(
    X: Any, y: Any = None, *, seed: int, shares: tuple[float, float, float] = (0.8, 0.1, 0.1), time: Any = None
) -> Split:  # fmt: skip
    """X and y in three parts: train, validation, test.

    Rows are drawn at random by `seed`, in equal shares of every class where y has classes of enough rows; a
    running text (one str) is cut by position, the last part being the test; with `time`, the name of a column
    of X, the earliest rows train and the latest test, and no time occurs in two parts.

    >>> split(list("abcdefghij"), seed=0).test
    (['b'], None)
    """
    if len(shares) != 3 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise UsageError(f"shares are three positive numbers that sum to 1, such as (0.8, 0.1, 0.1), not {shares}.")
    n = len(X)
    if n < 3:
        raise DataError(f"{n} items cannot be split in three: give at least 3.")
    if isinstance(X, str):
        index = _cut(np.arange(n), shares)
        pieces = [(X[i[0] : i[-1] + 1], y) for i in index]
        return Split(*pieces, index=tuple(index))  # pyright: ignore[reportArgumentType, reportCallIssue]
    index = _by_time(X, time, shares) if time is not None else _at_random(n, y, seed, shares)
    pieces = [(rows(X, i), None if y is None else rows(y, i)) for i in index]
    return Split(*pieces, index=tuple(index))  # pyright: ignore[reportArgumentType, reportCallIssue]


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
    keep, out = _at_random(n, y, seed, (1 - held / n, held / n))
    halves = [(rows(X, i), None if y is None else rows(y, i)) for i in (keep, out)]
    return *halves[0], halves[1]


def _cut(order: np.ndarray, shares: Sequence[float]) -> list[np.ndarray]:
    """Consecutive pieces of `order`, none of them empty."""
    n, parts = len(order), len(shares)
    ends = np.rint(np.cumsum(shares)[:-1] * n).astype(int)
    ends = [int(np.clip(end, i + 1, n - parts + i + 1)) for i, end in enumerate(ends)]
    return np.split(order, ends)


def _at_random(n: int, y: Any, seed: int, shares: Sequence[float]) -> list[np.ndarray]:
    order = np.random.default_rng(seed).permutation(n)
    classes = _classes(y, n, min(shares))
    if classes is None:
        return [np.sort(piece) for piece in _cut(order, shares)]
    ranked = pd.Series(np.arange(n)).groupby(classes[order], sort=False).cumcount().to_numpy()
    size = np.bincount(classes)[classes[order]]
    part = np.searchsorted(np.cumsum(shares)[:-1], (ranked + 0.5) / size, "right")
    return [np.sort(order[part == i]) for i in range(len(shares))]


def _classes(y: Any, n: int, least: float) -> np.ndarray | None:
    """The class of each row where y is one column of classes of which each can fill the smallest part, else None."""
    if isinstance(y, pd.DataFrame) and y.shape[1] == 1:
        y = y.iloc[:, 0]
    if y is None or isinstance(y, pd.DataFrame | dict | str) or np.ndim(y) != 1 or len(y) != n:
        return None
    column = y.reset_index(drop=True) if isinstance(y, pd.Series) else pd.Series(y)
    if pd.api.types.is_float_dtype(column.dtype) or column.isna().any():
        return None
    codes, distinct = pd.factorize(column)
    if not 1 < len(distinct) <= FEW or np.bincount(codes).min() * least < 1:
        return None
    return np.asarray(codes)


def _by_time(X: Any, time: Any, shares: Sequence[float]) -> list[np.ndarray]:
    if not isinstance(X, pd.DataFrame):
        raise UsageError(f"time={time!r} names a column, but X is no table: leave time out, or give a DataFrame.")
    if time not in X.columns:
        raise UsageError(f"time names column {time!r}, which the table lacks.{nearest(str(time), map(str, X.columns))}")
    column: Any = X[time]
    kind = "numeric" if pd.api.types.is_numeric_dtype(column.dtype) else "datetime"
    when, missing = numbers(column, form_of(column, kind))
    if missing.any():
        raise DataError(f"Column {time!r} has no time at row {int(missing.argmax())}: fill it or drop the row.")
    order = np.argsort(when, kind="stable")
    sorted_times = when[order]
    ends = np.cumsum([len(piece) for piece in _cut(order, shares)])[:-1]
    ends = [int(np.searchsorted(sorted_times, sorted_times[end])) for end in ends]
    pieces = np.split(order, ends)
    if not all(map(len, pieces)):
        raise DataError(f"Column {time!r} has too few different times to split by.")
    return [np.sort(piece) for piece in pieces]
