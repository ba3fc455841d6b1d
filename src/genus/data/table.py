"""Tables (placeholder until the table codec lands)."""

from __future__ import annotations

from typing import Any

import pandas as pd

from genus.data.array import ArrayCodec


def is_table(X: Any) -> bool:
    """A pandas DataFrame."""
    return isinstance(X, pd.DataFrame)


class TableCodec(ArrayCodec):
    kind = "table"
