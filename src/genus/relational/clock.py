"""Clock: a column of time among siblings as a start and gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from genus.data.recognise import recognise
from genus.data.typed import form_of, numbers, restored
from genus.errors import DataError

MOST = 12


@dataclass
class Clock:
    """The column of time as a start and gaps: t₁ as it is or as a gap after the parent's time, then tᵢ − tᵢ₋₁, in steps.

    Attributes
    ----------
    name: the column. form: how its cells are read. step: the greatest unit all gaps are whole multiples of (1 for reals).
    after: the parent's column of time that starts are counted from, and its form; or None. decimals: of reals.
    """

    name: str
    form: dict[str, Any]
    step: int = 1
    after: tuple[str, dict[str, Any]] | None = None
    decimals: int = 12

    def ticks(self, frame: Any) -> np.ndarray:
        """The times as numbers."""
        return numbers(frame[self.name], self.form)[0]

    def origin(self, parents: Any, rows: np.ndarray) -> np.ndarray | int:
        """The parents' times in the units of the children's, 0 where starts are not counted from them."""
        if self.after is None:
            return 0
        name, form = self.after
        ticks = numbers(parents[name], form)[0]
        return _in_unit(ticks, form, self.form)[rows]

    def written(self, ticks: np.ndarray) -> Any:
        """Times as cells of the user's dtype."""
        if ticks.dtype.kind == "f":
            ticks = np.round(ticks, self.decimals)
        return restored(ticks, np.zeros(len(ticks), dtype=bool), self.form, self.decimals)


def _in_unit(ticks: np.ndarray, form: dict[str, Any], to: dict[str, Any]) -> np.ndarray:
    """Ticks of one unit of time in another."""
    if form["as"] != "time":
        return ticks
    return ticks.astype(f"datetime64[{form['unit']}]").astype(f"datetime64[{to['unit']}]").astype(np.int64)


def clock_of(frame: Any, time: str, parents: Any, group: np.ndarray) -> Clock:
    """How the column of time is coded."""
    kind = recognise(frame[time])
    if kind not in ("numeric", "integer", "datetime"):
        kind = "datetime" if kind == "constant" and not pd.api.types.is_numeric_dtype(frame[time].dtype) else "integer"
    form = form_of(frame[time], kind)
    ticks, missing = numbers(frame[time], form)
    if missing.any():
        raise DataError(
            f"The column of time {time!r} is empty in {int(missing.sum())} rows (first at row {int(missing.argmax())}): "
            "fill them or drop the rows."
        )
    clock = Clock(time, form, after=_after(ticks, form, parents, group))
    if ticks.dtype.kind == "f":
        clock.decimals = next((d for d in range(MOST) if np.allclose(np.round(ticks, d), ticks, atol=1e-12)), MOST)
        return clock
    origin = clock.origin(parents, np.maximum(group, 0))
    starts = (ticks - origin)[group >= 0]
    whole = np.concatenate([np.diff(np.sort(ticks)), starts if clock.after is not None else starts[:0]])
    clock.step = max(1, int(np.gcd.reduce(whole))) if len(whole) else 1
    return clock


def _after(ticks: np.ndarray, form: dict[str, Any], parents: Any, group: np.ndarray) -> Any:
    """The parent's only column of time, where no child comes before it."""
    times = [str(name) for name in parents.columns if recognise(parents[name]) == "datetime"]
    if form["as"] != "time" or len(times) != 1 or parents[times[0]].isna().any() or not (group >= 0).any():
        return None
    own = form_of(parents[times[0]], "datetime")
    origin = _in_unit(numbers(parents[times[0]], own)[0], own, form)
    held = group >= 0
    return (times[0], own) if (ticks[held] >= origin[group[held]]).all() else None


def with_gap(frame: Any, clock: Clock, gap: np.ndarray) -> Any:
    """The frame with gaps in place of times."""
    out = frame.assign(**{clock.name: gap})
    kind = "integer" if gap.dtype.kind == "i" else "numeric"
    out.attrs = dict(frame.attrs) | {"kinds": (frame.attrs.get("kinds") or {}) | {clock.name: kind}}
    if out.attrs.get("schema"):
        schema: Any = out.attrs["schema"]
        columns = {k: v for k, v in schema["columns"].items() if k != clock.name}
        out.attrs["schema"] = schema | {"columns": columns}
    return out
