"""Identifiers: columns that name a row and say nothing else; never learnt, made anew in the same form."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import torch

NAMED = re.compile(r"(^|[\W_])(id|ids|key|uuid|guid|index|rowid|unnamed: ?0)$|[a-z]Id$|[A-Z]ID$", re.IGNORECASE)
LENGTHS = 32
LEAST = 20


def is_identifier(series: pd.Series) -> bool:
    """Text of which over 95 % is unique, whole keys that count 1, 2, 3 …, or unique whole numbers in a column named so."""
    held = series.dropna()
    n = len(held)
    if n < LEAST or isinstance(series.dtype, pd.CategoricalDtype):
        return False
    named = NAMED.search(str(series.name)) is not None
    if pd.api.types.is_integer_dtype(series.dtype):
        if held.nunique() < n:
            return False
        low, high = int(held.min()), int(held.max())
        counting = held.is_monotonic_increasing and 0 <= low <= 1 + n // 50 + 5 and high - low < 1.5 * n
        return counting or named
    if isinstance(series.dtype, pd.StringDtype) or pd.api.types.infer_dtype(held, skipna=True) == "string":
        prose = not named and held.iloc[:1000].str.contains(r"[^\W\d_]{2,}[ ,;]+[^\W\d_]{2,}").mean() > 0.3
        return not prose and held.nunique() > (0.8 if named else 0.95) * n
    return False


def identifier_state(series: pd.Series) -> dict[str, Any]:
    """What fresh identifiers need: the largest number, or for each length which characters stand where."""
    held = series.dropna()
    if pd.api.types.is_integer_dtype(series.dtype):
        return {"next": int(held.max()) + 1}
    by_length: dict[int, list[str]] = {}
    for text in held:
        by_length.setdefault(len(text), []).append(text)
    common = sorted(by_length.items(), key=lambda item: -len(item[1]))[:LENGTHS]
    return {
        "weights": [len(texts) for _, texts in common],
        "alphabets": [["".join(sorted(set(column))) for column in zip(*texts, strict=True)] for _, texts in common],
    }


def fresh_identifiers(state: dict[str, Any], n: int, dtype: Any) -> Any:
    """n new identifiers: the numbers after the largest, or random text of the same lengths and characters."""
    if "next" in state:
        start = state["next"]
        top = np.iinfo(getattr(dtype, "numpy_dtype", dtype)).max if getattr(dtype, "kind", "") in "iu" else 2**63 - 1
        return pd.array(np.arange(n) + (start if start + n <= top else max(0, top - n)), dtype=dtype)
    texts = _texts(state, n)
    for _ in range(8):
        again = np.flatnonzero(pd.Series(texts).duplicated())
        if not len(again):
            break
        texts[again] = _texts(state, len(again))
    return texts if pd.api.types.is_object_dtype(dtype) else pd.array(texts, dtype=dtype)


def _texts(state: dict[str, Any], n: int) -> np.ndarray:
    weights = torch.tensor(state["weights"], dtype=torch.float64)
    shape = torch.multinomial(weights, n, replacement=True).numpy() if n else np.zeros(0)
    out = np.empty(n, dtype=object)
    for which, alphabet in enumerate(state["alphabets"]):
        rows = np.flatnonzero(shape == which)
        drawn = [np.array(list(letters))[torch.randint(len(letters), (len(rows),)).numpy()] for letters in alphabet]
        out[rows] = ["".join(letters) for letters in zip(*drawn, strict=True)] if drawn else [""] * len(rows)
    return out
