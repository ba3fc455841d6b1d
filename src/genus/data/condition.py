"""Condition: labels or columns y as one real vector an item, one-hot for categories, standardised for numbers."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from genus.errors import DataError, UsageError, nearest


class Condition:
    """y ⇄ a float tensor (n, width).

    A column is numeric when its values are floats, or integers of more than 64 values; else categorical.

    Attributes
    ----------
    names_: the columns. levels_: {column: its categories}. centre_: {column: (mean, scale)}.
    rows_, counts_: the packed conditions of training and how often each occurred, to draw from.
    """

    def fit(self, y: Any) -> Self:
        frame = _frame(y, None)
        self.names_: list[str] = [str(c) for c in frame.columns]
        self.levels_: dict[str, list[Any]] = {}
        self.centre_: dict[str, tuple[float, float]] = {}
        for name, column in zip(self.names_, frame.items(), strict=True):
            values = column[1]
            if values.isna().any():
                raise DataError(f"The condition {name!r} has missing values (first at row {int(values.isna().argmax())}).")
            if pd.api.types.is_float_dtype(values) or (pd.api.types.is_integer_dtype(values) and values.nunique() > 64):
                self.centre_[name] = (float(values.mean()), float(values.std()) or 1.0)
            else:
                self.levels_[name] = [_plain(v) for v in sorted(values.unique(), key=lambda v: (str(type(v)), v))]
        packed = self.pack(y, len(frame))
        rows, counts = torch.unique(packed, dim=0, return_counts=True)
        keep = torch.randperm(len(rows))[:65536]
        self.rows_, self.counts_ = rows[keep], counts[keep]
        return self

    @property
    def width(self) -> int:
        return sum(len(self.levels_[name]) if name in self.levels_ else 1 for name in self.names_)

    def pack(self, y: Any, n: int) -> Tensor:
        """y for n items: labels (n,), a frame (n rows), one label, or {column: value} for all."""
        frame = _frame(y, self.names_, n)
        if len(frame) != n:
            raise UsageError(f"y has {len(frame)} conditions for {n} items.")
        parts = []
        for position, name in enumerate(self.names_):
            values = frame.iloc[:, position]
            if name in self.centre_:
                mean, scale = self.centre_[name]
                parts.append(torch.as_tensor(((values.astype(float) - mean) / scale).to_numpy(), dtype=torch.float32)[:, None])
                continue
            index = {str(v): i for i, v in enumerate(self.levels_[name])}
            codes = [index.get(str(_plain(v)), -1) for v in values]
            if -1 in codes:
                label = str(values.iloc[codes.index(-1)])
                shown = ", ".join(list(index)[:8]) + (" …" if len(index) > 8 else "")
                raise DataError(f"{label!r} is not a value of {name!r} seen in training ({shown}).{nearest(label, index)}")
            parts.append(torch.nn.functional.one_hot(torch.tensor(codes, dtype=torch.int64), len(index)).float())
        return torch.cat(parts, 1)

    def draw(self, n: int) -> Tensor:
        """n packed conditions as often as they occurred in training."""
        return self.rows_[torch.multinomial(self.counts_.double(), n, replacement=True)] if n else self.rows_[:0]


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _frame(y: Any, names: list[str] | None, n: int = 1) -> pd.DataFrame:
    if isinstance(y, pd.DataFrame):
        return y if names is None else _columns(y, names)
    if isinstance(y, dict):
        columns = {k: v if isinstance(v, list | tuple | np.ndarray | pd.Series) else [v] * n for k, v in y.items()}
        return pd.DataFrame(columns) if names is None else _columns(pd.DataFrame(columns), names)
    if isinstance(y, pd.Series):
        return y.to_frame(name=y.name if y.name is not None else "y")
    if isinstance(y, str) or np.ndim(y) == 0:
        return pd.DataFrame({"y": [y] * n})
    a = np.asarray(y)
    return pd.DataFrame({"y": a} if a.ndim == 1 else {f"y{i}": a[:, i] for i in range(a.shape[1])})


def _columns(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise UsageError(f"The condition lacks {missing[0]!r}: the model was fitted on {', '.join(names)}.")
    return frame[names]
