"""Columns: a table or array as numbers and codes that a metric can use, learnt from one reference set."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd

MOST_LEVELS = 250
WIDEST = 64


def frame_of(X: Any) -> pd.DataFrame | None:
    """X as a table of columns: itself, or the entries of a narrow array; None where columns would say nothing."""
    if isinstance(X, pd.DataFrame):
        return X
    a = np.asarray(X)
    if a.dtype.kind not in "fiu" or (a.dtype == np.uint8 and a.ndim > 2):
        return None
    flat = a.reshape(len(a), -1)
    return pd.DataFrame(flat, columns=[f"x{i}" for i in range(flat.shape[1])]) if flat.shape[1] <= WIDEST else None


def is_number(column: Any) -> bool:
    """True for columns with an order worth keeping: numbers (not booleans) and times."""
    kind = pd.api.types
    return (kind.is_numeric_dtype(column) and not kind.is_bool_dtype(column)) or (
        kind.is_datetime64_any_dtype(column) or kind.is_timedelta64_dtype(column)
    )


def words(column: Any) -> Any:
    """A column of categories as texts, a missing cell as the level "(missing)"."""
    return column.astype(object).where(column.notna(), "(missing)").astype(str)


def numeric(column: Any) -> np.ndarray:
    """A column of numbers or times as float64, missing cells NaN."""
    if pd.api.types.is_numeric_dtype(column):
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    numbers: Any = pd.to_numeric(column)
    ticks = numbers.to_numpy(dtype=np.float64)
    return np.where(column.isna(), np.nan, ticks)


@dataclass
class Columns:
    """Columns of a reference frame, and what is needed to read another frame the same way.

    Attributes
    ----------
    names: of all columns. levels: {category column: its levels by frequency}. sorted: {number column: its sorted values}.
    """

    names: list[Any] = field(default_factory=list)
    levels: dict[Any, list[str]] = field(default_factory=dict)
    sorted: dict[Any, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, frame: Any) -> Self:
        """The columns of `frame`, which becomes the reference."""
        self = cls(list(frame.columns))
        for name in self.names:
            column = frame[name]
            if is_number(column):
                values = numeric(column)
                self.sorted[name] = np.sort(values[~np.isnan(values)])
            else:
                self.levels[name] = [str(v) for v in words(column).value_counts().index[:MOST_LEVELS]]
        return self

    @property
    def categorical(self) -> np.ndarray:
        """(columns,) True where a column holds categories."""
        return np.array([name in self.levels for name in self.names])

    def matrix(self, frame: Any) -> np.ndarray:
        """(n, columns) for trees: numbers as they are (NaN where missing), categories as codes; rare or new levels share one."""
        return np.stack([self._cells(name, frame[name]) for name in self.names], 1)

    def _cells(self, name: Any, column: Any) -> np.ndarray:
        if name in self.levels:
            codes = pd.Categorical(words(column), categories=self.levels[name]).codes.astype(np.float64)
            return np.where(codes < 0, len(self.levels[name]), codes)
        if not is_number(column):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                column = pd.to_numeric(column, errors="coerce")
        return numeric(column)

    def bins(self, frame: Any, count: int = 10, most: int = 20) -> np.ndarray:
        """(n, columns) codes: numbers in `count` quantile bins of the reference, the commonest levels, one code for missing."""
        out = np.empty((len(frame), len(self.names)), dtype=np.int64)
        for i, name in enumerate(self.names):
            cells = self._cells(name, frame[name])
            if name in self.levels:
                out[:, i] = np.minimum(cells, most)
            else:
                edges = self._edges(name, count)
                out[:, i] = np.where(np.isnan(cells), len(edges) + 1, np.searchsorted(edges, cells, "right"))
        return out

    def _edges(self, name: Any, count: int) -> np.ndarray:
        held = self.sorted[name]
        return np.unique(np.quantile(held, np.linspace(0, 1, count + 1)[1:-1])) if len(held) else np.zeros(0)

    def dense(self, frame: Any, most: int = 49) -> np.ndarray:
        """(n, width) for distances: numbers as their rank among the reference in (−½, ½) and a flag where missing,
        categories one-hot over √2, so that two rows that differ in one category are 1 apart."""
        parts = []
        for name in self.names:
            cells = self._cells(name, frame[name])
            if name in self.levels:
                width = min(len(self.levels[name]), most) + 1
                parts.append(np.eye(width)[np.minimum(cells, width - 1).astype(int)] / np.sqrt(2))
            else:
                parts.append(self._ranks(name, cells))
        return np.concatenate(parts, 1)

    def _ranks(self, name: Any, cells: np.ndarray) -> np.ndarray:
        held, missing = self.sorted[name], np.isnan(cells)
        middle = np.searchsorted(held, cells, "left") + np.searchsorted(held, cells, "right")
        rank = middle / max(2 * len(held), 1) - 0.5
        return np.stack([np.where(missing, 0.0, rank), missing / np.sqrt(2)], 1)
