"""Times in parts: the week, the weekday and the time of day in cells of their own, and a later time as the gap after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from genus.data.cells import Read, filled_in, read_numbers
from genus.data.column import Column, numeric_column
from genus.data.part import Part, Place, ticks_of
from genus.data.typed import restored

LEAST = 100  # rows below which a time stays one number
HOURS = 24


def per_day(form: dict[str, Any]) -> int:
    """Ticks in a day."""
    return int(np.timedelta64(1, "D") / np.timedelta64(1, form["unit"]))


@dataclass(kw_only=True)
class Moment(Part):
    """A time as (day or week, weekday, time of day): tick = day · T + time, day = first + 7 · week + weekday.

    A bijection of ticks, so that probabilities of the parts multiply to that of the time. Weeks begin on the weekday of
    the first day of training. Where every date is the first of a month the only part is the month.

    Attributes
    ----------
    form: how to read and write the user's column. first: day of training, since 1970. low, high: first and last tick.
    shift: ticks by which local time is ahead of what is counted. weekly, timed: which parts there are. months: see above.
    """

    kind: ClassVar[str] = "moment"

    form: dict[str, Any]
    first: int
    low: int
    high: int
    shift: int = 0
    weekly: bool = False
    timed: bool = False
    months: bool = False

    def split(self, ticks: np.ndarray) -> list[np.ndarray]:
        """The parts of ticks."""
        if self.months:
            return [_months(ticks, self.form)]
        day, time = np.divmod(ticks + self.shift, per_day(self.form))
        week, weekday = np.divmod(day - self.first, 7)
        return [*([week, weekday] if self.weekly else [day]), *([time] if self.timed else [])]

    def joined(self, parts: list[np.ndarray]) -> np.ndarray:
        """The ticks of parts; one just past the ends of training lies a day (or week) further in."""
        if self.months:
            return parts[0].astype("datetime64[M]").astype(f"datetime64[{self.form['unit']}]").astype(np.int64)
        day = self.first + 7 * parts[0] + parts[1] if self.weekly else parts[0]
        ticks = day * per_day(self.form) + (parts[-1] if self.timed else 0) - self.shift
        step = per_day(self.form) * (7 if self.weekly else 1)
        return np.where(ticks > self.high, ticks - step, np.where(ticks < self.low, ticks + step, ticks))

    def read(self, X: pd.DataFrame, holes: bool) -> list[Read]:
        ticks, missing = ticks_of(X[self.names[0]], self.form, self.names[0])
        parts = self.split(ticks)
        return [read_numbers(column, part, missing, holes) for column, part in zip(self.columns, parts, strict=True)]

    def write(self, places: list[Place], done: dict[Any, Any]) -> dict[Any, Any]:
        missing = places[0][0] == self.columns[0].missing
        parts = [
            column.values(column.draw(_whole(column, leaf), at)) for column, (leaf, at) in zip(self.columns, places, strict=True)
        ]
        return {self.names[0]: restored(self.joined(parts), missing, self.form)}


def _whole(column: Column, leaf: np.ndarray) -> np.ndarray:
    """The leaves with those that say "missing" drawn among the others; whether a time is missing is its first part's to say."""
    return filled_in(column, leaf) if column.missing >= 0 else leaf


def _months(ticks: np.ndarray, form: dict[str, Any]) -> np.ndarray:
    return ticks.astype(f"datetime64[{form['unit']}]").astype("datetime64[M]").astype(np.int64)


@dataclass(kw_only=True)
class Gap(Part):
    """A time that is never before another one, as the time after it.

    Attributes
    ----------
    form, before: how to read and write the user's column, and the earlier one. after: the earlier one's name.
    ratio: ticks of this column in a tick of the earlier one.
    """

    kind: ClassVar[str] = "gap"
    views: ClassVar[tuple[str, ...]] = ("record", "real", "mixed")

    form: dict[str, Any]
    before: dict[str, Any]
    after: Any
    ratio: int

    def read(self, X: pd.DataFrame, holes: bool) -> list[Read]:
        gap, missing = self._gaps(X[self.names[0]], X[self.after])
        return [read_numbers(self.columns[0], gap, missing, holes)]

    def _gaps(self, late: Any, early: Any) -> tuple[np.ndarray, np.ndarray]:
        end, no_end = ticks_of(late, self.form, self.names[0])
        start, no_start = ticks_of(early, self.before, self.after)
        missing = no_end | no_start
        return np.where(missing, 0, end - start * self.ratio), missing

    def write(self, places: list[Place], done: dict[Any, Any]) -> dict[Any, Any]:
        column, (leaf, at) = self.columns[0], places[0]
        start, unknown = ticks_of(done[self.after], self.before, self.after)
        end = start * self.ratio + column.values(column.draw(leaf, at))
        missing = (leaf == column.missing) | unknown
        return {self.names[0]: restored(np.where(missing, 0, end), missing, self.form)}

    def mend(self, X: pd.DataFrame, filled: pd.DataFrame) -> pd.DataFrame:
        """Where only the later time was known, the earlier one lies the drawn gap before it."""
        name = self.names[0]
        rows = (X[name].notna() & X[self.after].isna()).to_numpy()
        if not rows.any():
            return filled
        gap, _ = self._gaps(filled[name], filled[self.after])
        end, _ = ticks_of(X[name], self.form, name)
        start, _ = ticks_of(filled[self.after], self.before, self.after)
        start = np.where(rows, (end - gap) // self.ratio, start)
        whole = restored(start, np.zeros(len(start), dtype=bool), self.before)
        filled = filled.copy()
        filled[self.after] = pd.Series(whole, index=filled.index)
        return filled


# -- deciding ---------------------------------------------------------------------------------------------


def moment(
    name: Any, form: dict[str, Any], ticks: np.ndarray, missing: np.ndarray, ranks: np.ndarray, plain: Column
) -> Moment | None:
    """The parts of a column of times that show structure, None where one number does.

    Weekdays and times of day become parts where they are unevenly filled, lie on a coarse grid, or go with the numbers
    of the table (ranks (n, numbers), centred).
    """
    held = ticks[~missing]
    if len(held) < LEAST or not len(plain.edges) or form["as"] != "time":
        return None
    day, shift = per_day(form), _shift(form, held)
    if day < 1:
        return None
    low, high = int(held.min()), int(held.max())
    ends = plain.values(plain.values_at_ends())
    if ends.min() < low or ends.max() > high:
        return None
    dates = held.astype(f"datetime64[{form['unit']}]").astype("datetime64[D]")
    if not (held % day).any() and not shift and (dates == dates.astype("datetime64[M]")).all():
        return _fitted(Moment(names=[name], columns=[], form=form, first=0, low=low, high=high, months=True), ticks, missing)
    days, time = np.divmod(held + shift, day)
    first, last, ranks = int(days.min()), int(days.max()), ranks[~missing]
    hour = time * HOURS // day
    timed = last - first >= 7 and bool(time.any()) and (len(np.unique(time)) <= 4 * HOURS or _structured(hour, HOURS, ranks))
    weekly = last - first >= 28 and _structured((days - first) % 7, 7, ranks)
    if (time.any() and not timed) or not (timed or weekly):
        return None
    part = Moment(names=[name], columns=[], form=form, first=first, low=low, high=high, shift=shift, weekly=weekly, timed=timed)
    return _fitted(part, ticks, missing)


def _fitted(part: Moment, ticks: np.ndarray, missing: np.ndarray) -> Moment:
    words = ["week", "weekday"] if part.weekly else ["month" if part.months else "day"]
    words += ["time"] if part.timed else []
    values = part.split(ticks)
    part.columns = [
        numeric_column(
            f"{part.names[0]}/{word}",
            "datetime",
            {"as": "number", "dtype": {"name": "int64"}},
            value,
            missing,
            bounds=(0, 6) if word == "weekday" else None,
        )
        for word, value in zip(words, values, strict=True)
    ]
    return part


def _shift(form: dict[str, Any], held: np.ndarray) -> int:
    """Ticks from UTC to the usual local time."""
    if not form["tz"]:
        return 0
    middle: Any = pd.Timestamp(int(np.sort(held)[len(held) // 2]), unit=form["unit"], tz="UTC").tz_convert(form["tz"])
    offset = middle.utcoffset()
    return round(offset.total_seconds() / 86400 * per_day(form)) if offset is not None else 0


def _structured(group: np.ndarray, k: int, ranks: np.ndarray) -> bool:
    """Whether groups are unevenly filled, or means of ranks differ between them, by chi-square and by F."""
    n = len(group)
    counts = np.bincount(group, minlength=k)
    chi = float(((counts - n / k) ** 2 / (n / k)).sum())
    if chi > k - 1 + 5 * np.sqrt(2 * (k - 1)) and chi / n > 0.005:
        return True
    for rank in ranks.T:
        sums = np.bincount(group, rank - rank.mean(), minlength=k)
        between = float((sums**2 / np.maximum(counts, 1)).sum())
        total = float(((rank - rank.mean()) ** 2).sum()) or 1.0
        if between / total > 0.002 and n * between / total > k - 1 + 5 * np.sqrt(2 * (k - 1)):
            return True
    return False


def gaps(times: dict[Any, tuple[dict[str, Any], np.ndarray, np.ndarray]]) -> list[Gap]:
    """For each time that never lies before another, and keeps near it, its Gap after the nearest such; earliest first.

    times: {name: (form, ticks, missing)}.
    """
    found: list[Gap] = []
    after: dict[Any, Any] = {}
    for name, (form, ticks, missing) in times.items():
        best: tuple[float, Gap, np.ndarray] | None = None
        for other, (before, start, unknown) in times.items():
            if other == name or _leads(after, other, name) or bool(form["tz"]) != bool(before["tz"]):
                continue
            if per_day(form) % max(per_day(before), 1) or (unknown & ~missing).any() or (~missing).sum() < LEAST:
                continue
            ratio = per_day(form) // per_day(before)
            gap, held = (ticks - start * ratio)[~missing], ticks[~missing]
            spread = _spread(gap)
            if gap.min() < 0 or not gap.any() or spread > 0.5 * _spread(held) or (best and spread >= best[0]):
                continue
            best = spread, Gap(names=[name], columns=[], needs=[other], form=form, before=before, after=other, ratio=ratio), gap
        if best:
            after[name] = best[1].after
            values = np.zeros(len(ticks), dtype=np.int64)
            values[~missing] = best[2]
            number = {"as": "number", "dtype": {"name": "int64"}}
            best[1].columns = [numeric_column(f"{name}/gap", "datetime", number, values, missing)]
            found.append(best[1])
    return found


def _leads(after: dict[Any, Any], name: Any, back: Any) -> bool:
    """Whether following what each time is told after, from `name`, comes to `back`."""
    while name in after:
        name = after[name]
        if name == back:
            return True
    return False


def _spread(a: np.ndarray) -> float:
    return float(np.subtract(*np.percentile(a.astype(np.float64), [75, 25])))
