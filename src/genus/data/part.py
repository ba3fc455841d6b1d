"""Parts: columns of a table that are coded together, as the leaves of one or more fitted Columns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from genus.data.cells import Read, read, written
from genus.data.column import Column
from genus.data.typed import numbers

Place = tuple[np.ndarray, np.ndarray]


@dataclass(kw_only=True)
class Part(ABC):
    """Some of the user's columns ⇄ leaves of `columns`: a bijection, but for what `log_tail` accounts for.

    Attributes
    ----------
    names: the user's columns it stands for; the likelihood of its cells is told under the first.
    columns: the fitted Columns that are coded, in order.
    needs: user columns that must be written before it can be.
    """

    kind: ClassVar[str]
    views: ClassVar[tuple[str, ...]] = ("record",)

    names: list[Any]
    columns: list[Column]
    needs: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.columns = [Column(**c) if isinstance(c, dict) else c for c in self.columns]

    @abstractmethod
    def read(self, X: pd.DataFrame, holes: bool) -> list[Read]:
        """(leaf, position, extent, missing) of the rows of X, one for each of `columns`."""

    @abstractmethod
    def write(self, places: list[Place], done: dict[Any, Any]) -> dict[Any, Any]:
        """The user's columns from (leaf, position) of each of `columns`; `done` holds those written before."""

    def log_tail(self, X: pd.DataFrame) -> np.ndarray | None:
        """log p of what the leaves leave out of X, (n,); None where they leave out nothing."""
        return None

    def mend(self, X: pd.DataFrame, filled: pd.DataFrame) -> pd.DataFrame:
        """What was filled in, made to agree with what X knew and the leaves could not say."""
        return filled

    def to_state(self) -> dict[str, Any]:
        """Everything learnt, as plain values and arrays."""
        return {"kind": self.kind} | asdict(self)


@dataclass(kw_only=True)
class Plain(Part):
    """One column, coded by itself."""

    kind: ClassVar[str] = "plain"
    views: ClassVar[tuple[str, ...]] = ("record", "real", "mixed")

    def read(self, X: pd.DataFrame, holes: bool) -> list[Read]:
        return [read(self.columns[0], X[self.names[0]], holes)]

    def write(self, places: list[Place], done: dict[Any, Any]) -> dict[Any, Any]:
        return {self.names[0]: written(self.columns[0], *places[0])}


def ticks_of(values: Any, form: dict[str, Any], name: Any) -> tuple[np.ndarray, np.ndarray]:
    """(numbers or ticks, mask of missing ones) of a column in the user's type."""
    return numbers(values if isinstance(values, pd.Series) else pd.Series(values, name=name), form)
