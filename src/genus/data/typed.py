"""The user's types: one column as plain numbers or labels, and back again in the dtype it came with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from genus.errors import DataError, nearest

FORMATS = (
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%SZ",
    "%Y/%m/%d", "%Y/%m/%d %H:%M:%S", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M",
    "%d.%m.%Y %H:%M", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%Y-%m",
)  # fmt: skip
PLAIN = (str, bool, int, float)


def dtype_state(dtype: Any) -> dict[str, Any]:
    """A dtype as plain values that JSON can hold."""
    if isinstance(dtype, pd.CategoricalDtype):
        categories = [plain(c) for c in dtype.categories]
        wrong = [c for c in categories if not isinstance(c, PLAIN)]
        if wrong:
            raise DataError(f"Categories of type {type(wrong[0]).__name__} cannot be kept: convert the column with astype(str).")
        return {"categories": categories, "of": dtype_state(dtype.categories.dtype), "ordered": bool(dtype.ordered)}
    if isinstance(dtype, pd.StringDtype):
        return {"string": dtype.storage, "nan": isinstance(dtype.na_value, float)}
    return {"name": str(dtype)}


def dtype_from(state: dict[str, Any]) -> Any:
    """The inverse of `dtype_state`."""
    if "categories" in state:
        return pd.CategoricalDtype(pd.Index(state["categories"], dtype=dtype_from(state["of"])), state["ordered"])
    if "string" in state:
        return pd.StringDtype(state["string"], na_value=np.nan) if state["nan"] else pd.StringDtype(state["string"])
    return pd.api.types.pandas_dtype(state["name"])


def plain(value: Any) -> Any:
    """A numpy scalar as Python's own."""
    return value.item() if isinstance(value, np.generic) and not isinstance(value, np.datetime64 | np.timedelta64) else value


def form_of(series: Any, kind: str) -> dict[str, Any]:
    """How to read a column as `kind` and write it back: its dtype, what stands for a missing cell, its unit of time."""
    form: dict[str, Any] = {"dtype": dtype_state(series.dtype), "none": _missing_is_none(series), "as": "label"}
    if kind in ("numeric", "integer"):
        form["as"] = "number"
        form["text"] = _is_text(series)
        if pd.api.types.is_timedelta64_dtype(series.dtype):
            form |= {"as": "duration", "unit": np.datetime_data(series.to_numpy().dtype)[0]}
    elif kind == "datetime":
        form |= {"as": "time", "unit": "s", "tz": None, "format": None, "date": False}
        if isinstance(series.dtype, pd.DatetimeTZDtype):
            form |= {"unit": series.dtype.unit, "tz": str(series.dtype.tz)}
        elif pd.api.types.is_datetime64_dtype(series.dtype):
            form["unit"] = np.datetime_data(series.to_numpy().dtype)[0]
        elif pd.api.types.infer_dtype(series, skipna=True) == "date":
            form["date"] = True
        elif _is_text(series):
            form["format"] = date_format(series)
            if form["format"] is None:
                stray = stray_date(series)
                why = f"{stray[1]!r} at row {stray[0]} is no date like {stray[2]}" if stray else "its text is no date"
                raise DataError(f"Column {series.name!r} was called datetime, but {why}: mend it, or declare another kind.")
        else:
            form["unit"] = "us"
    return form


def _missing_is_none(series: Any) -> bool:
    if series.dtype != object:
        return False
    holes = series[series.isna()]
    return len(holes) == 0 or holes.iloc[0] is None


def _is_text(series: pd.Series) -> bool:
    return isinstance(series.dtype, pd.StringDtype) or (
        series.dtype == object and pd.api.types.infer_dtype(series, skipna=True) == "string"
    )


def date_format(series: pd.Series) -> str | None:
    """The one format in which every string of a column is a date that is written back the same, or None."""
    held = series.dropna()
    first = held.iloc[:20]
    if not len(held) or not first.str.fullmatch(r"[\w /:.,-]*\d[\w /:.,-]*").all():
        return None
    for shape in FORMATS:
        if (_written(first, shape) == first).all() and (_written(held, shape) == held).all():
            return shape
    return None


def stray_date(series: pd.Series) -> tuple[int, str, str] | None:
    """(row, text, example) of the first cell that is no date in a column whose other cells nearly all are, else None."""
    held: Any = series.dropna().astype(str)
    first = held.iloc[:200]
    if len(held) < 10 or first.str.contains(r"\d").mean() < 0.9:
        return None
    for shape in FORMATS:
        if (_written(first, shape) == first).mean() < 0.9:
            continue
        wrong = _written(held, shape) != held
        if 0 < wrong.mean() < 0.1:
            label = wrong.index[int(wrong.to_numpy().argmax())]
            row = int(np.flatnonzero((series.notna() & (series.astype(object).astype(str) == held[label])).to_numpy())[0])
            return row, str(series.iloc[row]), str(held[~wrong].iloc[0])
    return None


def _written(held: Any, shape: str) -> Any:
    return pd.to_datetime(held, format=shape, errors="coerce").dt.strftime(shape)


def numbers(series: Any, form: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """(int64 or float64 values, mask of missing ones) of a numeric or time column; anything stands in a missing cell."""
    missing = series.isna().to_numpy(dtype=bool)
    if form["as"] in ("time", "duration"):
        return _ticks(series, missing, form), missing
    if pd.api.types.is_integer_dtype(series.dtype) or pd.api.types.is_bool_dtype(series.dtype):
        return series.fillna(0).to_numpy(dtype=np.int64) if missing.any() else series.to_numpy(dtype=np.int64), missing
    if not pd.api.types.is_float_dtype(series.dtype):
        coerced: Any = pd.to_numeric(series.astype(object), errors="coerce")
        _refuse(series, coerced.isna().to_numpy() & ~missing, "a number")
        series = coerced
    values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    endless = np.isinf(values)
    if endless.any():
        row = int(endless.argmax())
        raise DataError(f"Column {series.name!r} holds infinity at row {row}: replace it by a number or leave it empty.")
    return np.where(missing, 0.0, values), missing


def _ticks(series: pd.Series, missing: np.ndarray, form: dict[str, Any]) -> np.ndarray:
    dtype = f"{'timedelta64' if form['as'] == 'duration' else 'datetime64'}[{form['unit']}]"
    if form["as"] == "duration":
        times = pd.to_timedelta(series.astype(object) if series.dtype == object else series, errors="coerce")
    elif form["tz"]:
        times = pd.to_datetime(series, utc=True, errors="coerce").dt.tz_localize(None)
    else:
        text = _is_text(series)
        times = pd.to_datetime(series, format=form["format"] if text else None, errors="coerce")
    _refuse(series, times.isna().to_numpy() & ~missing, "a time" + (f" like {form['format']}" if form.get("format") else ""))
    ticks = times.to_numpy().astype(dtype).astype(np.int64)
    return np.where(missing, 0, ticks)


def _refuse(series: pd.Series, wrong: np.ndarray, expected: str) -> None:
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f"Column {series.name!r} holds {series.iloc[row]!r} at row {row}, where {expected} was expected.")


def labels(series: pd.Series) -> tuple[np.ndarray, list[Any]]:
    """(code of each cell, −1 where missing; the distinct values) of a column of categories or booleans."""
    try:
        if series.dtype == object and pd.api.types.infer_dtype(series, skipna=True).startswith("mixed"):
            codes, distinct = _mixed(series)
        else:
            codes, distinct = pd.factorize(series)
    except TypeError:
        kind = next(type(v).__name__ for v in series if getattr(v, "__hash__", None) is None)
        cell = "a cell of a table is a number, a text, a truth value or a time"
        raise DataError(f"Column {series.name!r} holds a {kind}: {cell}.") from None
    values = [plain(v) for v in distinct]
    wrong = [v for v in values if not isinstance(v, PLAIN)]
    if wrong:
        kind = type(wrong[0]).__name__
        raise DataError(f"Column {series.name!r} holds a {kind}, which cannot be a category: convert it with astype(str).")
    return np.asarray(codes), values


def _mixed(series: pd.Series) -> tuple[np.ndarray, list[Any]]:
    """As factorize, where 1, 1.0 and True are different values."""
    found: dict[Any, int] = {}
    missing = series.isna()
    codes = [-1 if gap else found.setdefault((type(v), v), len(found)) for v, gap in zip(series, missing, strict=True)]
    return np.array(codes, dtype=np.int64), [v for _, v in found]


def restored(values: np.ndarray, missing: np.ndarray, form: dict[str, Any], decimals: int = 0) -> Any:
    """Numbers as an array of the user's dtype."""
    dtype = dtype_from(form["dtype"])
    if form["as"] == "duration":
        return pd.array(_holes(values.astype(f"timedelta64[{form['unit']}]"), missing), dtype=dtype)
    if form["as"] == "time":
        return _times(values, missing, form, dtype)
    if form.get("text"):
        text = [f"{v:.{decimals}f}" if decimals >= 0 else repr(float(v)) for v in values]
        return _object(text, missing, form, dtype)
    if pd.api.types.is_object_dtype(dtype):
        return _object(values.tolist(), missing, form, dtype)
    out = pd.Series(values).astype(dtype)
    return (out.mask(pd.Series(missing)) if missing.any() else out).array


def _times(values: np.ndarray, missing: np.ndarray, form: dict[str, Any], dtype: Any) -> Any:
    times = pd.Series(_holes(values.astype(f"datetime64[{form['unit']}]"), missing))
    if form["tz"]:
        return times.dt.tz_localize("UTC").dt.tz_convert(form["tz"]).astype(dtype).array
    if form["format"]:
        return _object(times.dt.strftime(form["format"]).tolist(), missing, form, dtype)
    if form["date"]:
        return _object(times.dt.date.tolist(), missing, form, dtype)
    return (
        _object(times.astype(object).tolist(), missing, form, dtype)
        if pd.api.types.is_object_dtype(dtype)
        else times.astype(dtype).array
    )


def _holes(times: np.ndarray, missing: np.ndarray) -> np.ndarray:
    times[missing] = np.array("NaT", dtype=times.dtype)
    return times


def _object(values: list[Any], missing: np.ndarray, form: dict[str, Any], dtype: Any) -> Any:
    out = np.empty(len(values), dtype=object)
    out[:] = values
    out[missing] = None if form["none"] else np.nan
    return out if pd.api.types.is_object_dtype(dtype) else pd.array(out, dtype=dtype)


def relabelled(codes: np.ndarray, levels: list[Any], form: dict[str, Any]) -> Any:
    """The levels at `codes` (−1: missing) as an array of the user's dtype."""
    dtype = dtype_from(form["dtype"])
    if pd.api.types.is_object_dtype(dtype):
        return _object([*levels, None], np.arange(len(levels) + 1) == len(levels), form, dtype)[codes]
    if isinstance(dtype, np.dtype):
        held = np.array([*levels, math.nan] if dtype.kind == "f" else levels, dtype=dtype)
        return held[codes]
    return pd.array(levels, dtype=dtype).take(codes, allow_fill=True)


def level_of(value: Any, levels: list[Any], name: Any) -> Any:
    """The level a user means by `value`, which may be its text ("3", ">50K"); DataError with the nearest one otherwise.

    >>> level_of("3", [1, 2, 3], "rooms")
    3
    """
    value = plain(value)
    for level in levels:
        if type(level) is type(value) and level == value:
            return level
    texts = {_text(level): level for level in reversed(levels)}
    if _text(value) in texts:
        return texts[_text(value)]
    shown = ", ".join(list(map(str, levels))[:8]) + (" …" if len(levels) > 8 else "")
    guess = nearest(str(value), map(str, levels))
    raise DataError(f"{value!r} is not a value of {str(name)!r} seen in training ({shown}).{guess}")


def _text(value: Any) -> str:
    """One spelling for 3, 3.0, "3" and "3.0", for True and "true", for " x" and "x"."""
    word = str(value).strip()
    if word.lower() in ("true", "false"):
        return word.lower()
    try:
        number = float(word)
    except ValueError:
        return word
    return repr(int(number)) if number.is_integer() and abs(number) < 2**53 and "_" not in word else repr(number)
