"""Which columns of a table are coded together or in pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from genus.data.column import Column
from genus.data.moment import Gap, Moment, gaps, moment
from genus.data.part import Part, ticks_of
from genus.data.place import Spot, spots
from genus.data.tail import Tail
from genus.errors import RunError

PARTS: dict[str, type[Part]] = {cls.kind: cls for cls in (Moment, Gap, Spot, Tail)}


def joined(X: pd.DataFrame, columns: dict[Any, Column], ranks: np.ndarray) -> list[Part]:
    """The parts that code some columns of X otherwise than each by itself.

    columns: {name: the column fitted by itself}. ranks: (n, numbers) of the rows in the numeric columns, centred.
    """
    times = {name: (column.form, *ticks_of(X[name], column.form, name)) for name, column in columns.items() if _is_time(column)}
    late = gaps(times)
    out: list[Part] = [*late, *spots(X, columns)]
    taken = {name for part in out for name in part.names}
    numbers = [name for name, column in columns.items() if not column.levels]
    for name, (form, ticks, missing) in times.items():
        others = ranks[:, [i for i, other in enumerate(numbers) if other not in times]]
        part = None if name in taken else moment(name, form, ticks, missing, others, columns[name])
        if part is not None:
            out.append(part)
    return out


def _is_time(column: Column) -> bool:
    return column.kind == "datetime" and column.form["as"] == "time"


def part_from(state: dict[str, Any]) -> Part:
    """A part from what `to_state` kept of it."""
    fields = dict(state)
    kind = fields.pop("kind")
    if kind not in PARTS:
        raise RunError(f"The model codes columns as {kind!r}, which this genus does not know: install a newer one.")
    return PARTS[kind](**fields)
