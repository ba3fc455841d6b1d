"""Divide: what is learnt, X, and what it is learnt under, y."""

from __future__ import annotations

from typing import Any

from genus.data.caption import is_sentences
from genus.data.condition import FEW, MOST
from genus.data.load import Dataset
from genus.data.schema import without
from genus.data.tokens import tokenised
from genus.errors import UsageError, nearest


def divide(data: Dataset, condition: str | None, kind: str = "") -> tuple[Any, Any]:
    """(X, y): the labels, or some columns of a table, become y; "name:text" and "name:label" say what a column of strings is.

    Where the one column that is left holds texts, X is these texts rather than a table. `kind` is that of the X that a model was
    fitted on, which decides where it is given: a few rows do not tell texts from labels.
    """
    if condition is None:
        return data.X, None
    if condition == "labels":
        if data.y is None:
            raise UsageError(f"{data.name} has no labels to condition on: name columns of a table instead.")
        return data.X, data.y
    if data.kind != "table":
        raise UsageError(f"The condition names columns of a table, but {data.name} is {data.kind}; try 'labels'.")
    names, kinds = _named(condition, data)
    if len(names) == data.X.shape[1]:
        raise UsageError(f"The condition names every column of {data.name}: leave at least one to learn.")
    y = data.X[names]
    y.attrs = y.attrs | {"kinds": kinds}
    left = [name for name in data.X.columns if name not in names]
    if len(left) == 1 and (kind == "text" or (not kind and is_sentences(list(data.X[left[0]]), FEW, MOST))):
        return tokenised(list(map(str, data.X[left[0]])), data.X.attrs.get("tokens")), y
    return without(data.X, names), y


def _named(condition: str, data: Dataset) -> tuple[list[str], dict[str, str]]:
    """(the columns of a condition, what is said of them)."""
    names, kinds = [], {}
    for word in condition.split(","):
        name, _, kind = word.strip().rpartition(":")
        if word.strip() in data.X.columns or kind not in ("text", "label"):
            name, kind = word.strip(), ""
        if name not in data.X.columns:
            raise UsageError(f"{data.name} has no column {name!r}.{nearest(name, map(str, data.X.columns))}")
        names.append(name)
        if kind:
            kinds[name] = kind
    return names, kinds
