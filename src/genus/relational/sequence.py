"""Sequence: one table with a key and a time column, as a table of keys and a table of rows, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from genus.data.keys import Keys, Table
from genus.data.schema import without
from genus.errors import DataError, UsageError, nearest
from genus.relational.history import Rows

OWNERS, ROWS = "keys", "rows"


@dataclass
class Sequence:
    """How a flat table is two: the columns that never differ within a key belong to the key.

    Attributes
    ----------
    key: the column that names whose row it is. time: the column that orders them, or None. columns: all, in order.
    """

    key: str
    time: str | None
    columns: list[str]

    @classmethod
    def of(cls, frame: Any, key: str, time: str | None) -> Sequence:
        """The sequence in a table; a sentence where a column is not there or empty."""
        for name in [key] if time is None else [key, time]:
            if name not in frame.columns:
                raise UsageError(f"The table has no column {name!r}.{nearest(name, map(str, frame.columns))}")
        if key == time:
            raise UsageError(f"{key!r} cannot be both the key and the time.")
        gaps = frame[key].isna()
        if gaps.any():
            row = int(gaps.to_numpy().argmax())
            raise DataError(
                f"The key {key!r} is empty in {int(gaps.sum())} rows (first at row {row}): fill them or drop the rows."
            )
        if frame[key].is_unique:
            raise DataError(f"Every row has a {key!r} of its own, so that there are no sequences: leave --key out.")
        return cls(key, time, list(frame.columns))

    def parted(self, frame: Any) -> tuple[dict[str, Any], Keys]:
        """The table of keys and the table of rows."""
        group = pd.factorize(frame[self.key])[0]
        rows = Rows(frame, group, None)
        constant = [c for c in frame.columns if c not in (self.key, self.time) and rows.constant(frame[c])]
        owners = without(frame, [c for c in frame.columns if c != self.key and c not in constant])
        owners = owners.drop_duplicates(self.key).reset_index(drop=True)
        keys = Keys({OWNERS: Table((self.key,)), ROWS: Table((), {(self.key,): OWNERS}, self.time)})
        return {OWNERS: owners, ROWS: without(frame, constant)}, keys

    def joined(self, tables: dict[str, Any]) -> pd.DataFrame:
        """The inverse of `parted`."""
        return tables[ROWS].merge(tables[OWNERS], on=self.key, how="left", sort=False)[self.columns]
