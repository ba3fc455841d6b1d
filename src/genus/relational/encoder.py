"""Encoder: a table's columns as what a law is given: scores of numbers, codes of labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from genus.data.recognise import recognise
from genus.data.typed import form_of, labels, numbers

KNOTS = 257
FEW = 12
LEVELS = 40
LEAST = 5
EDGE = 2e-3


@dataclass
class Features:
    """What is known of n rows.

    Attributes
    ----------
    scores: {name: (n,) floats}, about standard normal. codes: {name: (n,) int64, −1 where nothing is known}.
    levels: {name: how many codes}.
    """

    scores: dict[str, np.ndarray] = field(default_factory=dict)
    codes: dict[str, np.ndarray] = field(default_factory=dict)
    levels: dict[str, int] = field(default_factory=dict)

    def take(self, rows: np.ndarray) -> Features:
        """The features of the rows at these places; of place −1 nothing is known."""
        known = rows >= 0
        if known.all():
            return Features(
                {k: v[rows] for k, v in self.scores.items()}, {k: v[rows] for k, v in self.codes.items()}, self.levels
            )
        scores = {k: np.where(known, np.append(v, 0.0)[rows], 0.0) for k, v in self.scores.items()}
        codes = {k: np.where(known, np.append(v, -1)[rows], -1) for k, v in self.codes.items()}
        return Features(scores, codes, self.levels)

    def called(self, prefix: str) -> Features:
        """The same features under names that begin with a prefix."""
        parts: Any = (self.scores, self.codes, self.levels)
        scores, codes, levels = ({f"{prefix}{k}": v for k, v in part.items()} for part in parts)
        return Features(scores, codes, levels)

    def __or__(self, other: Features) -> Features:
        return Features(self.scores | other.scores, self.codes | other.codes, self.levels | other.levels)


@dataclass
class Encoder:
    """Columns → Features: a number becomes the normal score of its rank, and a code too where its values are few; a label a code.

    Rare labels share a code. Identifiers, personal data and constants say nothing and are left out.

    Attributes
    ----------
    numbers_: {column: (form, knots, normal scores at the knots)}. labels_: {column: levels}. few_: {column: its few values}.
    gaps_: columns of numbers with empty cells, which have a code of their own for it.
    """

    numbers_: dict[str, Any] = field(default_factory=dict)
    labels_: dict[str, list[str]] = field(default_factory=dict)
    few_: dict[str, np.ndarray] = field(default_factory=dict)
    gaps_: list[str] = field(default_factory=list)

    def fit(self, frame: Any, kinds: dict[Any, str] | None = None) -> Encoder:
        """Learn the columns of a table."""
        for name in frame.columns:
            kind = recognise(frame[name], (kinds or {}).get(name))
            if kind in ("numeric", "integer", "datetime"):
                self._fit_number(str(name), frame[name], kind)
            elif kind in ("category", "boolean", "text"):
                counts = _text(frame[name]).value_counts()
                self.labels_[str(name)] = list(counts.index[:LEVELS][counts.to_numpy()[:LEVELS] >= LEAST])
        return self

    def _fit_number(self, name: str, series: Any, kind: str) -> None:
        form = form_of(series, kind)
        values, missing = numbers(series, form)
        held = np.sort(values[~missing].astype(np.float64))
        distinct = np.unique(held)
        if missing.any():
            self.gaps_.append(name)
        if len(distinct) <= FEW:
            self.few_[name] = distinct
        at = np.unique(np.quantile(held, np.linspace(0, 1, KNOTS), method="nearest"))
        middle = (np.searchsorted(held, at, "left") + np.searchsorted(held, at, "right")) / (2 * len(held))
        self.numbers_[name] = (form, at, ndtri(np.clip(middle, EDGE, 1 - EDGE)))

    def encode(self, frame: Any) -> Features:
        """The features of a table's rows."""
        out = Features()
        for name, (form, at, scores) in self.numbers_.items():
            values, missing = numbers(frame[name], form)
            values = values.astype(np.float64)
            out.scores[name] = np.where(missing, 0.0, np.interp(values, at, scores))
            if name in self.few_:
                codes = np.abs(values[:, None] - self.few_[name]).argmin(1)
                out.codes[name], out.levels[name] = np.where(missing, len(self.few_[name]), codes), len(self.few_[name]) + 1
            elif name in self.gaps_:
                out.codes[name], out.levels[name] = missing.astype(np.int64), 2
        for name, levels in self.labels_.items():
            out.codes[name], out.levels[name] = _codes(_text(frame[name]), levels), len(levels) + 1
        return out

    def only(self, columns: Sequence[str]) -> Encoder:
        """The same encoder of some of its columns."""
        kept = set(columns)
        numbers_ = {k: v for k, v in self.numbers_.items() if k in kept}
        few: Any
        labelled: Any
        few, labelled = ({k: v for k, v in part.items() if k in kept} for part in (self.few_, self.labels_))
        return Encoder(numbers_, labelled, few, [k for k in self.gaps_ if k in kept])


def _text(series: Any) -> pd.Series:
    """Labels as text, an empty cell as a label of its own."""
    codes, levels = labels(series)
    words = np.array([*map(str, levels), "(missing)"], dtype=object)
    return pd.Series(words[codes])


def _codes(words: Any, levels: list[str]) -> np.ndarray:
    place = {level: i for i, level in enumerate(levels)}
    codes, distinct = pd.factorize(words)
    return np.array([place.get(word, len(levels)) for word in distinct], dtype=np.int64)[codes]
