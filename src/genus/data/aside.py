"""Columns left out of the model: what is kept of them, and how they are put back into samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from genus.data.identifier import fresh_identifiers, identifier_state
from genus.data.personal import fresh_personal, personal_kind, personal_state
from genus.data.typed import dtype_from, form_of, labels, numbers, plain, relabelled, restored


def set_aside(series: pd.Series, kind: str, declared: str | None = None) -> dict[str, Any]:
    """What is kept of an identifier, personal data (of the declared kind), a constant or an empty column."""
    if kind == "personal":
        return personal_state(series, declared or personal_kind(series, forced=True) or "name")
    if kind == "missing":
        return {"form": form_of(series, "category"), "value": None}
    if kind != "constant":
        return {"identifier": identifier_state(series)}
    shown = _written_as(series)
    form = form_of(series, "category" if shown == "label" else shown)
    value = labels(series)[1][0] if shown == "label" else plain(numbers(series, form)[0][0])
    return {"form": form, "value": value}


def _written_as(series: pd.Series) -> str:
    """How the one value of a constant column is written: a number, a time, or a label."""
    dtype = series.dtype
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return "datetime"
    number = pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)
    if number or pd.api.types.is_timedelta64_dtype(dtype):
        return "numeric"
    return "datetime" if pd.api.types.infer_dtype(series) in ("date", "datetime") else "label"


def put_back(state: dict[str, Any], n: int, dtype: dict[str, Any]) -> Any:
    """n cells of a column that was set aside, in the user's dtype."""
    if "identifier" in state:
        return fresh_identifiers(state["identifier"], n, dtype_from(dtype))
    form, value = state["form"], state["value"]
    if value is None:
        blank = pd.Series(np.full(n, None if form["none"] else np.nan, dtype=object))
        return blank.array if dtype.get("name") == "object" else blank.astype(dtype_from(dtype)).array
    if form["as"] == "label":
        return relabelled(np.zeros(n, dtype=np.int64), [value], form)
    return restored(np.full(n, value), np.zeros(n, dtype=bool), form, -1)


def persons(left_out: dict[Any, dict[str, Any]], dtypes: dict[Any, Any], n: int) -> dict[Any, Any]:
    """The personal columns of n rows, what stands in a row belonging to one person, in the user's dtypes."""
    made = fresh_personal({name: state for name, state in left_out.items() if "personal" in state}, n)
    return {name: _texts(values, dtype_from(dtypes[name])) for name, values in made.items()}


def _texts(values: np.ndarray, dtype: Any) -> Any:
    if pd.api.types.is_integer_dtype(dtype):
        numbers = pd.Series([None if v is None else int(v) for v in values], dtype="Int64")
        return numbers.astype(dtype).array
    return values if pd.api.types.is_object_dtype(dtype) else pd.array(values, dtype=dtype)


def told_aside(state: dict[str, Any]) -> str:
    """What becomes of the column, in words."""
    if "personal" in state:
        return f"left out, fakes are made ({state['personal'].replace('_', ' ')})"
    return f"left out, put back as {state['value']!r}" if "value" in state else "left out, made anew"
