"""What a column is: numeric, integer, boolean, category, datetime, identifier, constant or missing."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

from genus.data.identifier import is_identifier
from genus.data.personal import LIKE, personal_kind
from genus.data.tail import is_text
from genus.data.typed import date_format, stray_date
from genus.errors import DataError, UsageError, nearest

KINDS = ("numeric", "integer", "boolean", "category", "datetime", "text", "identifier", "personal")
OUT = ("identifier", "personal", "constant", "missing")
PERSONAL = tuple(LIKE)
SAMPLE = 1000


def recognise(series: pd.Series, forced: str | None = None) -> str:
    """The kind of a column; `forced` is the user's word, which only a constant column overrules.

    Numbers are `integer` when every value is whole; text is `datetime` when all of it is one format of date;
    a boolean is a column of truth values; ordered and unordered categories, and all other text, are `category`.
    """
    if forced is not None and forced not in KINDS:
        raise UsageError(f"{forced!r} is not a kind of column ({', '.join(KINDS)}).{nearest(forced, KINDS)}")
    if series.isna().all():
        return "missing"
    if _constant(series):
        return "constant"
    if forced is not None:
        return forced
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return "category"
    if pd.api.types.is_bool_dtype(dtype):
        return "boolean"
    if pd.api.types.is_complex_dtype(dtype):
        raise DataError(f"Column {series.name!r} holds complex numbers: split it into two columns.")
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return "datetime"
    if pd.api.types.is_timedelta64_dtype(dtype):
        return "numeric"
    if personal_kind(series) is not None:
        return "personal"
    if is_identifier(series):
        if not pd.api.types.is_numeric_dtype(dtype):
            _tell_stray(series)
        return "identifier"
    if pd.api.types.is_numeric_dtype(dtype):
        return _number(series)
    return _object(series)


def _constant(series: pd.Series) -> bool:
    if series.isna().any():
        return False
    try:
        return series.nunique() == 1
    except TypeError:
        return False


def _number(series: Any) -> str:
    if pd.api.types.is_integer_dtype(series.dtype):
        return "category" if int(series.max()) >= 2**63 else "integer"
    held = series.dropna().to_numpy(dtype=np.float64)
    return "integer" if np.all(np.rint(held) == held) and np.abs(held).max() < 2**53 else "numeric"


def _object(series: pd.Series) -> str:
    inferred = pd.api.types.infer_dtype(series, skipna=True)
    match inferred:
        case "boolean":
            return "boolean"
        case "integer" | "floating" | "mixed-integer-float":
            return _number(pd.to_numeric(series))
        case "datetime" | "datetime64" | "date":
            return "datetime"
        case "string":
            if date_format(series):
                return "datetime"
            _tell_stray(series)
            return "text" if is_text(series) else "category"
        case "mixed" | "mixed-integer":
            _tell_mixed(series)
        case "decimal":
            raise DataError(f"Column {series.name!r} holds Decimal objects: convert it with astype(float).")
    return "category"


def _tell_mixed(series: pd.Series) -> None:
    """Warn of a few words among many numbers."""
    words = series.map(lambda cell: isinstance(cell, str)).to_numpy(dtype=bool)
    if 0 < words.mean() < 0.1 and series.nunique() > 20:
        row = int(words.argmax())
        warnings.warn(
            f"Column {series.name!r} holds numbers, but {series.iloc[row]!r} at row {series.index[row]}: "
            "all of it is read as labels; mend the row.",
            stacklevel=6,
        )


def _tell_stray(series: pd.Series) -> None:
    """Warn of a few cells that are no dates among many that are."""
    stray = stray_date(series)
    if stray is not None:
        warnings.warn(
            f"Column {series.name!r} holds dates like {stray[2]}, but {stray[1]!r} at row {series.index[stray[0]]}: "
            "it is not read as dates; mend the row.",
            stacklevel=6,
        )


def describe_columns(columns: list[tuple[Any, str, str]]) -> str:
    """One sentence about the columns left out of the model, for a warning."""
    words = {"identifier": "names the rows", "personal": "holds personal data", "constant": "is constant", "missing": "is empty"}
    told = "; ".join(f"{name!r} {words[kind]}" for name, kind, _ in columns[:8])
    more = f"; and {len(columns) - 8} more" if len(columns) > 8 else ""
    return f"Left out of the model and put back in samples: {told}{more}."
