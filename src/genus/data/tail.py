"""Text of many values: the frequent ones are tokens, the rest one token whose text is drawn letter by letter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from genus.data.cells import Read, read, written
from genus.data.levels import along, category_column
from genus.data.ngram import Ngram
from genus.data.part import Part, Place
from genus.data.typed import form_of

REST = "\0rest"
OFTEN = 20
TOKENS = 100
LEAST = 200
TRIES = 30


def is_text(series: pd.Series) -> bool:
    """Strings of which half the rows, of 200 or more, hold one that occurs less than three times."""
    held = series.dropna()
    if len(held) < LEAST:
        return False
    counts = held.value_counts()
    return float(counts[counts < 3].sum()) > 0.5 * len(held)


@dataclass(kw_only=True)
class Tail(Part):
    """A column of free text: p(text) = p(token), or p(rest) · q(text) / (1 − Σ q(frequent texts)) with q an `Ngram`.

    Frequent texts have tokens of their own; no other text of training is kept.

    Attributes
    ----------
    tail: the Ngram. spare: log(1 − Σ q) over the frequent texts, which the rest leaves out.
    """

    kind: ClassVar[str] = "tail"
    views: ClassVar[tuple[str, ...]] = ("record", "real", "mixed")

    tail: Ngram
    spare: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        state: Any = self.tail
        self.tail = Ngram(**state) if isinstance(state, dict) else state

    def _mapped(self, series: Any) -> tuple[pd.Series, np.ndarray]:
        """The column with every text that has no token replaced, and where."""
        known = set(self.columns[0].levels) - {REST}
        texts = series.astype(object)
        rest = texts.notna().to_numpy() & ~texts.isin(known).to_numpy()
        return texts.mask(rest, REST), rest

    def read(self, X: pd.DataFrame, holes: bool) -> list[Read]:
        return [read(self.columns[0], self._mapped(X[self.names[0]])[0], holes)]

    def log_tail(self, X: pd.DataFrame) -> np.ndarray | None:
        series: Any = X[self.names[0]]
        _, rest = self._mapped(series)
        out = np.zeros(len(series))
        out[rest] = self.tail.log_prob([str(text) for text in series[rest]]) - self.spare
        return out

    def write(self, places: list[Place], done: dict[Any, Any]) -> dict[Any, Any]:
        values = pd.Series(written(self.columns[0], *places[0]))
        rest = (values.astype(object) == REST).to_numpy()
        if rest.any():
            values[rest] = self._fresh(int(rest.sum()))
        return {self.names[0]: values.array}

    def _fresh(self, n: int) -> np.ndarray:
        """n texts that have no token."""
        known = set(self.columns[0].levels)
        texts = np.array(self.tail.draw(n), dtype=object)
        for _ in range(TRIES):
            again = np.flatnonzero([text in known for text in texts])
            if not len(again):
                break
            texts[again] = self.tail.draw(len(again))
        return texts


def text_tail(series: pd.Series, name: Any, ranks: np.ndarray) -> Tail:
    """Fit a column of free text."""
    counts = series.value_counts()
    often = [text for text, count in counts.items() if count >= OFTEN][:TOKENS]
    levels = [*often, REST]
    place = {text: i for i, text in enumerate(levels)}
    missing = series.isna().to_numpy()
    codes = np.where(missing, -1, [place.get(text, len(often)) for text in series])
    sizes = np.bincount(codes[~missing], minlength=len(levels))
    form = form_of(series, "category")
    column = category_column(name, "text", form, levels, sizes, along(codes, np.maximum(sizes, 1), ranks), int(missing.sum()))
    tail = Ngram.fit([str(text) for text, count in counts.items() if count < OFTEN] or [""])
    taken = float(np.exp(tail.log_prob([str(text) for text in often])).sum()) if often else 0.0
    return Tail(names=[name], columns=[column], tail=tail, spare=float(np.log1p(-min(taken, 0.999))))
