"""Naming: new keys for sampled rows: unique, of the old form, and never those of real rows where they count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from genus import dice
from genus.data.identifier import fresh_identifiers, identifier_state
from genus.data.keys import Table
from genus.data.typed import dtype_from, dtype_state
from genus.errors import DataError


def naming_of(name: str, frame: Any, table: Table) -> dict[str, Any] | None:
    """What `named` needs to make keys of this table; None where foreign keys are all of it, or there is no key."""
    linked = {column for columns in table.parents for column in columns}
    own = [column for column in table.key if column not in linked]
    if not own:
        return None
    if len(own) > 1:
        raise DataError(
            f"The key of {name} has {len(own)} columns of its own ({', '.join(own)}): beside foreign keys one can be made anew."
        )
    series = frame[own[0]]
    dtype = dtype_state(series.dtype)
    running = len(table.key) > 1
    if running and not pd.api.types.is_integer_dtype(series.dtype):
        raise DataError(f"{name}.{own[0]} is part of a key of several columns: it has to be a running number.")
    if pd.api.types.is_float_dtype(series.dtype):
        series = series.astype(np.int64)
    state = (
        {"first": int(series.min())} if running else identifier_state(series.astype(object) if "categories" in dtype else series)
    )
    return {"column": own[0], "dtype": dtype, "running": running, "state": state}


def named(naming: dict[str, Any], n: int, position: np.ndarray | None, seed: int) -> Any:
    """n keys; a running number restarts at every parent."""
    dtype = dtype_from(naming["dtype"])
    if naming["running"]:
        place = np.arange(n) if position is None else position
        return pd.array(place + naming["state"]["first"], dtype=dtype)
    with dice.private(seed):
        if "next" in naming["state"]:
            return pd.array(np.arange(n) + naming["state"]["next"], dtype=dtype)
        made = np.asarray(fresh_identifiers(naming["state"], n, np.dtype(object)), dtype=object)
    again = np.flatnonzero(pd.Series(made).duplicated())
    made[again] = [f"{made[i]}-{k}" for k, i in enumerate(again)]
    return made if isinstance(dtype, pd.CategoricalDtype) or pd.api.types.is_object_dtype(dtype) else pd.array(made, dtype=dtype)
