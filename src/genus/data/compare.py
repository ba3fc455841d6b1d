"""Compare: cells of columns of different types as numbers that compare and as texts that are equal where the cells are."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

from genus.data.typed import plain


def comparable(series: Any) -> np.ndarray:
    """A column as floats that compare (numbers; times in days since 1970), NaN where it is neither."""
    dtype = series.dtype
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype):
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    if pd.api.types.is_timedelta64_dtype(dtype):
        return (series / pd.Timedelta(1, "D")).to_numpy(dtype=np.float64, na_value=np.nan)
    if isinstance(dtype, pd.CategoricalDtype):
        series = series.astype(object)
    number: Any = pd.to_numeric(series, errors="coerce") if not pd.api.types.is_datetime64_any_dtype(dtype) else None
    if number is not None and number.notna().sum() == series.notna().sum():
        return number.to_numpy(dtype=np.float64, na_value=np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        times: Any = pd.to_datetime(series, errors="coerce", utc=True)
    days = (times - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(1, "D")
    return days.to_numpy(dtype=np.float64, na_value=np.nan)


def like(series: Any, value: Any) -> pd.Series:
    """One value as a column that compares with the other."""
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        return pd.Series(pd.to_datetime([value], utc=True))
    return pd.Series([value])


def keys(series: Any) -> Any:
    """Cells as texts that are equal where the cells are: 3 and 3.0 alike."""
    codes, distinct = pd.factorize(series)
    texts = np.array([*(_key(v) for v in distinct), ""], dtype=object)
    return pd.Series(texts[codes], index=series.index, dtype=object)


def _key(value: Any) -> str:
    value = plain(value)
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int | float) and float(value).is_integer() and abs(value) < 2**53:
        return str(int(value))
    return repr(value) if isinstance(value, float) else str(value)


def among(series: Any, values: list[Any]) -> np.ndarray:
    """Mask (n,) of the cells that hold one of the values."""
    return keys(series).isin([_key(v) for v in values]).to_numpy() & series.notna().to_numpy()


def spelt(part: dict[str, list[Any]]) -> str:
    """{column: values} in words."""
    words = [f"{name} {'=' if len(v) == 1 else '∈'} {', '.join(map(str, v))}" for name, v in part.items()]
    return " and ".join(words)
