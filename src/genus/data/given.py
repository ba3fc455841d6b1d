"""What a user gives of a row: values in the type of their column, and cells put back into filled rows."""

from __future__ import annotations

from typing import Any

import pandas as pd

from genus.data.column import Column
from genus.data.typed import level_of, numbers, plain, restored


def merged(old: Any, new: Any) -> Any:
    """`new` with the cells `old` holds, in the dtype of `new` unless a cell would change by it."""
    kept = old.notna()
    both = old.astype(object).where(kept, new.astype(object))
    try:
        cast = both.astype(new.dtype)
    except (TypeError, ValueError):
        return both.infer_objects()
    unchanged = (cast[kept].astype(object) == old[kept].astype(object)).all()
    return cast if unchanged else both.infer_objects()


def meant_by(value: Any, column: Column | None, name: Any) -> Any:
    """A given value in the type of its column."""
    if column is None or pd.isna(value):
        return value
    if column.kind == "text":
        return str(value)
    if column.levels:
        return level_of(value, column.levels, name)
    values, missing = numbers(pd.Series([value], name=name, dtype=object), column.form)
    timed = column.form["as"] != "number"
    return restored(values, missing, column.form)[0] if timed else plain(values[0])
