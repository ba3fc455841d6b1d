"""Condition: labels or columns y as one real vector an item, one-hot for categories, standardised for numbers."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from genus.data.caption import bag, is_sentences, learn_bag, learn_sequence, sequence
from genus.data.typed import PLAIN, form_of, level_of, numbers, plain
from genus.errors import DataError, UsageError, nearest

FEW = 64
MOST = 2048
KEPT = 65536


class Condition:
    """y ⇄ a float tensor (n, width).

    A column is numeric when it holds times, fractions, or more than 64 distinct whole numbers; text when it holds sentences, or
    so many different strings that they cannot be classes; else categorical. `y.attrs["kinds"] = {column: "text" or "label"}`
    overrules that, `y.attrs["tokens"]` says what texts are cut into, such as "bpe:1000". Text is a sequence of symbols for a
    family that reads it, else the bag of its words.

    Parameters
    ----------
    reads: whether the family reads sequences of symbols.

    Attributes
    ----------
    names_: the columns. levels_: {column: its categories}. centre_: {column: (mean, scale)} of numeric ones.
    forms_: {column: how to read it}. rows_, counts_: the packed conditions of training and how often each
    occurred, to draw from. bare_: entries of a condition that came packed, else 0. texts_: {column: how its text is packed}.
    """

    bare_: int = 0

    def __init__(self, reads: bool = False) -> None:
        self.reads_ = reads
        self.texts_: dict[str, dict[str, Any]] = {}

    def fit(self, y: Any) -> Self:
        if isinstance(y, Tensor):  # packed already, by the family this one is a part of
            self.names_, self.bare_ = ["y"], y.shape[1]
            self._keep(y.float())
            return self
        frame = _frame(y, None)
        self.names_: list[str] = [str(c) for c in frame.columns]
        self.levels_: dict[str, list[Any]] = {}
        self.centre_: dict[str, tuple[float, float]] = {}
        self.forms_: dict[str, dict[str, Any]] = {}
        self.texts_ = {}
        self.tokens_ = getattr(y, "attrs", {}).get("tokens") or "character"
        self.kinds_ = dict(getattr(y, "attrs", {}).get("kinds") or {})
        for position, name in enumerate(self.names_):
            self._learn(name, frame.iloc[:, position])
        self._keep(self.pack(y, len(frame)))
        return self

    def _keep(self, packed: Tensor) -> None:
        rows, counts = torch.unique(packed, dim=0, return_counts=True)
        keep = torch.randperm(len(rows))[:KEPT]
        self.rows_, self.counts_ = rows[keep], counts[keep]

    def _learn(self, name: str, column: Any) -> None:
        if not len(column):
            raise DataError(f"The condition {name!r} is empty: give one value an item.")
        _whole(name, column)
        kind = self.kinds_.get(name) or _kind(column)
        if kind == "text":
            texts = [str(v) for v in column]
            self.texts_[name] = (
                learn_sequence(texts, name, self.tokens_) if self.reads_ else learn_bag(texts, name, meant=name in self.kinds_)
            )
            return
        if kind == "label":
            levels = [plain(v) for v in column.unique()]
            wrong = [v for v in levels if not isinstance(v, PLAIN)]
            if wrong:
                raise DataError(f"The condition {name!r} holds a {type(wrong[0]).__name__}: give labels, numbers or times.")
            if len(levels) > MOST:
                raise DataError(f"The condition {name!r} has {len(levels)} labels (at most {MOST}): is it an identifier?")
            self.levels_[name] = sorted(levels, key=lambda v: (str(type(v)), v))
            return
        self.forms_[name] = form_of(column, kind)
        values = numbers(column, self.forms_[name])[0].astype(np.float64)
        self.centre_[name] = (float(values.mean()), float(values.std()) or 1.0)

    @property
    def width(self) -> int:
        """Entries of a packed condition."""
        if self.bare_:
            return self.bare_
        return sum(self._widths)

    @property
    def _widths(self) -> list[int]:
        texts = {name: form.get("length") or len(form["words"]) for name, form in self.texts_.items()}
        return [texts.get(name) or (len(self.levels_[name]) if name in self.levels_ else 1) for name in self.names_]

    @property
    def sequences(self) -> tuple[tuple[int, int, int], ...]:
        """(first entry, entries, symbols with the padding) of each text that is packed as symbols."""
        starts = [sum(self._widths[:i]) for i in range(len(self.names_))] if self.texts_ else []
        found = zip(self.names_, starts, strict=False)
        forms = [(start, self.texts_.get(name, {})) for name, start in found]
        return tuple((start, form["length"], form["symbols"]) for start, form in forms if "state" in form)

    def pack(self, y: Any, n: int) -> Tensor:
        """y for n items: labels (n,), a frame (n rows), one label, or {column: value or n values}.

        A label may be given as its text ("3", ">50K"); one unseen in training is a DataError with the nearest.
        """
        if isinstance(y, Tensor) and self.bare_:
            return y.float()
        frame = _frame(y, self.names_, n)
        if len(frame) != n:
            raise UsageError(f"y has {len(frame)} conditions for {n} items.")
        parts = [self._part(name, frame.iloc[:, i]) for i, name in enumerate(self.names_)]
        return torch.cat(parts, 1)

    def _part(self, name: str, column: Any) -> Tensor:
        _whole(name, column)
        if name in self.texts_:
            form = self.texts_[name]
            return (sequence if "state" in form else bag)([str(v) for v in column], form, name)
        if name in self.centre_:
            mean, scale = self.centre_[name]
            values = numbers(column.rename(name), self.forms_[name])[0].astype(np.float64)
            return torch.from_numpy((values - mean) / scale).float()[:, None]
        codes, distinct = pd.factorize(column)
        levels = self.levels_[name]
        place = torch.tensor([levels.index(level_of(value, levels, name)) for value in distinct], dtype=torch.int64)
        return torch.nn.functional.one_hot(place[torch.from_numpy(np.asarray(codes))], len(levels)).float()

    def draw(self, n: int) -> Tensor:
        """n packed conditions as often as they occurred in training."""
        return self.rows_[torch.multinomial(self.counts_.double(), n, replacement=True)] if n else self.rows_[:0]


def _whole(name: str, column: Any) -> None:
    gaps = column.isna().to_numpy(dtype=bool)
    if gaps.any():
        raise DataError(
            f"The condition {name!r} has missing values (first at row {int(gaps.argmax())}): fill them or drop the rows."
        )


def _kind(column: Any) -> str:
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(dtype):
        return "label"
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return "datetime"
    if pd.api.types.is_timedelta64_dtype(dtype):
        return "numeric"
    if pd.api.types.is_object_dtype(dtype):
        inferred = pd.api.types.infer_dtype(column)
        if inferred in ("date", "datetime"):
            return "datetime"
        if inferred not in ("integer", "floating", "mixed-integer-float"):
            return "text" if is_sentences(list(column), FEW, MOST) else "label"
        column = pd.to_numeric(column)
    elif not pd.api.types.is_numeric_dtype(dtype):
        return "text" if is_sentences(list(column), FEW, MOST) else "label"
    values = column.to_numpy(dtype=np.float64)
    fractions = not np.all(np.rint(values) == values)
    return "numeric" if fractions or column.nunique() > FEW else "label"


def _frame(y: Any, names: list[str] | None, n: int = 1) -> pd.DataFrame:
    """y as a frame; with `names`, its columns are those, in that order."""
    if isinstance(y, dict):
        y = pd.DataFrame({k: v if _many(v) else [v] * n for k, v in y.items()})
        return y if names is None else _columns(y, names)
    if isinstance(y, pd.DataFrame):
        return y if names is None else _columns(y, names)
    if not _many(y):
        y = pd.Series([y] * n, name="y")
    if isinstance(y, list | tuple) and not any(_many(v) for v in y):
        y = pd.Series(list(y), name="y")
    if not isinstance(y, pd.Series):
        a = np.asarray(y)
        y = pd.Series(a) if a.ndim == 1 else pd.DataFrame(a.reshape(len(a), -1)).add_prefix("y")
    frame = y.to_frame(name="y" if y.name is None else y.name) if isinstance(y, pd.Series) else y
    if names is not None and frame.shape[1] != len(names):
        raise UsageError(f"y has {frame.shape[1]} columns; the model was fitted on {len(names)}: {', '.join(names)}.")
    return frame


def _many(value: Any) -> bool:
    """A sequence of values rather than one."""
    return not isinstance(value, str | bytes | dict) and (np.ndim(value) > 0 or isinstance(value, pd.Series | pd.Index))


def _columns(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    given = {str(column): i for i, column in enumerate(frame.columns)}
    lacking = [name for name in names if name not in given]
    if lacking:
        guess = nearest(lacking[0], given)
        raise UsageError(f"The condition lacks {lacking[0]!r}: the model was fitted on {', '.join(names)}.{guess}")
    return frame.iloc[:, [given[name] for name in names]]
