"""Conditions: what is given of the columns of a table, and its rules, as a restriction on the cells of a record."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from genus.data.aside import persons, put_back
from genus.data.leaves import Place, inside_levels, inside_missing, inside_range, outside_of
from genus.data.restrict import Cells, linear_range, rule_within
from genus.data.rules import Rule, rules_of
from genus.data.table import TableCodec
from genus.data.typed import level_of, numbers, plain
from genus.errors import DataError, UsageError, nearest
from genus.maths.quantise import drawn
from genus.maths.within import All, Known, Within
from genus.space import Record

ATTEMPTS = 32  # draws of a row by the model
PROBES = 256  # rows by which the probability of the rules is estimated
ROUNDS = 24  # draws of the places inside the leaves before a row is drawn anew
FEW = 10.0  # expected training rows below which a condition is said to have little support


@dataclass
class Conditions:
    """What n rows have to keep.

    Attributes
    ----------
    codec, view, n: of the rows. within: the restriction of their cells. inside: {column: draws allowed places in leaves}.
    ruled: the restriction by the rules alone, or None. known: the given values (n rows, missing where nothing is given), or
    None. log_share: (n,) log of the share of their leaf that given values are. checks: [mask of the rows of a frame that
    keep a range or set]. rules: of the codec.
    """

    codec: TableCodec
    view: Record
    n: int
    within: Within
    inside: dict[Any, Place]
    ruled: Within | None
    known: pd.DataFrame | None
    log_share: Tensor
    checks: list[Any]
    rules: list[Rule]

    def draw(
        self, hook: Callable[[int, Within, Tensor | None], tuple[Tensor, Tensor]], c: Tensor | None, given: Any, chunk: int
    ) -> tuple[pd.DataFrame, Tensor]:
        """(n rows that keep everything, log-weights of their first draws) from a family's `_sample_within` and the conditions c.

        Rows that came to a dead end, or that no place inside their leaves mends, are drawn anew.
        """
        left, pieces = np.arange(self.n), []
        log_weight = torch.full((self.n,), -torch.inf, dtype=torch.float64)
        for attempt in range(ATTEMPTS):
            still = []
            for rows in np.split(left, range(chunk, len(left), chunk)):
                index = torch.from_numpy(rows)
                x, weight = hook(len(rows), self.within.take(index), None if c is None else c[index])
                if attempt == 0:
                    log_weight[index] = weight.double().cpu()
                alive = (weight > -torch.inf).cpu()
                if not bool(alive.any()):
                    still.append(rows)
                    continue
                frame, kept = self.write(x.cpu()[alive], rows[alive.numpy()])
                mended = rows[alive.numpy()][kept]
                pieces.append((mended, frame[kept]))
                still.append(np.setdiff1d(rows, mended))
            left = np.concatenate(still)
            if not len(left):
                return self.joined(pieces), log_weight - self._rules_alone(hook, c)
        raise impossible(given) if len(left) == self.n else unmet(given, self.n - len(left), self.n)

    def _rules_alone(self, hook: Callable[..., tuple[Tensor, Tensor]], c: Tensor | None) -> float:
        """log P(the rules), so that a condition is weighed among the rows that keep them; 0 where nothing else is asked."""
        if self.ruled is None or (self.known is None and not self.checks):
            return 0.0
        y = None if c is None else c[torch.arange(PROBES) % len(c)]
        weight = hook(PROBES, self.ruled, y)[1].double().cpu()
        return min(float(weight.logsumexp(0)) - math.log(PROBES), 0.0)

    def write(self, x: Tensor, rows: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
        """(packed rows in the user's type, mask of those that keep everything); places inside leaves are drawn until they do."""
        left, pieces, places = np.arange(len(x)), [], []
        for attempt in range(ROUNDS):
            frame = self._written(x[torch.from_numpy(left)], rows[left])
            kept = self._kept(frame)
            if attempt == ROUNDS - 1 or (attempt == ROUNDS // 2):
                frame = self._derived(frame)
                kept = self._kept(frame)
            done = kept | (attempt == ROUNDS - 1)
            pieces.append(frame[done])
            places.append((left[done], kept[done]))
            left = left[~done]
            if not len(left):
                break
        order = np.argsort(np.concatenate([place for place, _ in places]))
        whole = pd.concat(pieces, ignore_index=True).iloc[order].reset_index(drop=True)
        return whole, np.concatenate([kept for _, kept in places])[order]

    def _written(self, x: Tensor, rows: np.ndarray) -> pd.DataFrame:
        frame = self.codec.unpack(x, self.view, within=self.inside)
        for rule in self.rules:
            if rule.kind == "sum":
                frame = rule.derive(frame)
        if self.known is not None:
            frame = self.codec.merge(self.known.iloc[rows].reset_index(drop=True), frame, self.view)
        return frame

    def _derived(self, frame: pd.DataFrame) -> pd.DataFrame:
        """What rules determine, put in place of what was drawn."""
        for rule in self.rules:
            target = getattr(rule, "then", None)
            if rule.kind == "determines" and (self.known is None or bool(self.known[target].isna().to_numpy().all())):
                frame = rule.derive(frame)
        return frame

    def _kept(self, frame: pd.DataFrame) -> np.ndarray:
        """Mask of the rows that keep the conditions and the rules."""
        kept = np.ones(len(frame), dtype=bool)
        for check in self.checks:
            kept &= check(frame)
        for rule in self.rules:
            if rule.kind != "unique":
                kept &= ~rule.violations(frame)
        return kept

    def joined(self, pieces: list[tuple[np.ndarray, pd.DataFrame]]) -> pd.DataFrame:
        """Pieces (places, rows) as one frame in order; columns that are left out of the model are made anew as one."""
        order = np.argsort(np.concatenate([place for place, _ in pieces]))
        frame = pd.concat([piece for _, piece in pieces], ignore_index=True).iloc[order].reset_index(drop=True)
        codec = self.codec
        fresh = persons(codec.left_out_, dict(zip(codec.names_, codec.dtypes_, strict=True)), len(frame))
        for name, dtype in zip(codec.names_, codec.dtypes_, strict=True):
            if name in codec.left_out_:
                frame[name] = fresh[name] if name in fresh else put_back(codec.left_out_[name], len(frame), dtype)
        return frame

    def support(self, log_weight: Tensor, given: Any) -> dict[str, float]:
        """{probability: of the condition under the model, rows: of training that makes}; where they are few a warning says so."""
        p = float((log_weight.double() + self.log_share).exp().clamp(max=1.0).mean()) if len(log_weight) else 0.0
        rows = getattr(self.codec, "rows_", 0)
        if rows and p * rows < FEW:
            much = "less than one" if p * rows < 1 else f"about {p * rows:.0f}"
            warnings.warn(
                f"The model gives {_shown(given)} a probability of {p:.2g}, {much} of {rows:,} training rows: "
                f"what is drawn is {'extrapolation' if p * rows < 1 else 'little supported'}.",
                stacklevel=5,
            )
        return {"probability": p, "rows": p * rows}


def impossible(given: Any) -> DataError:
    """The error for conditions that no row can keep."""
    what = f"The condition {_shown(given)}" if given is not None else "The rules"
    return DataError(f"{what} cannot be met: the model and its rules give it a probability of 0; loosen one of them.")


def unmet(given: Any, met: int, n: int) -> DataError:
    """The error for conditions that some rows could not keep."""
    what = f"the condition {_shown(given)}" if given is not None else "the rules"
    return DataError(
        f"Only {met} of {n} rows could be drawn that keep {what}: they hardly ever hold together; loosen one of them."
    )


def _shown(given: Any) -> str:
    """What is given, in words."""
    if given is None:
        return "the rules"
    parts = []
    for name in given.columns if isinstance(given, pd.DataFrame) else given:
        value = given[name]
        if isinstance(value, tuple):
            low, high = value
            text = f" ≥ {low}" if high is None else f" ≤ {high}" if low is None else f" from {low} to {high}"
        elif isinstance(value, list | set | frozenset):
            text = f" in {', '.join(sorted(map(str, value)))}"
        elif isinstance(value, pd.Series | np.ndarray):
            text = " by row"
        else:
            text = " missing" if value is None else f" = {value}"
        parts.append(f"{name}{text}")
    return " and ".join(parts)


def conditions(codec: TableCodec, n: int, given: Any, view: Record) -> Conditions:
    """What `given` and the codec's rules ask of n rows.

    given: {column: value}, where a value is one for all rows; a set or list of values, any of which will do; a tuple (low,
    high), either end None; None for a missing cell; a Series or array of n values, one a row. Or a DataFrame of n rows.
    """
    at = Cells(codec, view)
    frame = isinstance(given, pd.DataFrame)
    asked: dict[str, Any] = {} if given is None else {str(name): given[name] for name in (given.columns if frame else given)}
    for name in asked:
        _known_name(codec, name)
    each = {name: value for name, value in asked.items() if _is_value(value)}
    rules = rules_of(getattr(codec, "rules_", []))
    parts: list[Within] = [part for rule in rules if (part := rule_within(rule, at)) is not None]
    inside: dict[Any, Place] = {}
    ruled = All(list(parts)) if parts else None
    checks: list[Any] = []
    for name, value in asked.items():
        if name not in each:
            part, place, check = _restricted(codec, at, name, value)
            parts.append(part)
            checks.append(check)
            inside |= place
    known, share = None, torch.zeros(n, dtype=torch.float64)
    if each:
        for name, value in each.items():
            _in_range(codec, at, name, value)
        known = codec.template(n, given[list(given.columns)] if frame else {_name(codec, k): v for k, v in each.items()})
        packed, mask = codec.known(known, view)
        parts.append(Known(drawn(packed), mask, [cell.levels for _, cell in view.fields]))
        share = _log_share(codec, at, drawn(packed), mask)
    return Conditions(codec, view, n, All(parts), inside, ruled, known, share, checks, rules)


def _is_value(value: Any) -> bool:
    return value is not None and not isinstance(value, tuple | list | set | frozenset)


def _name(codec: TableCodec, word: str) -> Any:
    return next(name for name in codec.names_ if str(name) == word)


def _known_name(codec: TableCodec, word: str) -> None:
    texts = [str(name) for name in codec.names_]
    if word not in texts:
        shown = ", ".join(texts[:8])
        raise UsageError(f"given names column {word!r}, which the table lacks ({shown}).{nearest(word, texts)}")
    if _name(codec, word) in codec.left_out_:
        kind = codec.kinds_[_name(codec, word)]
        raise UsageError(f"given names column {word!r}, which is left out of the model ({kind}): nothing depends on it.")


def _in_range(codec: TableCodec, at: Cells, word: str, value: Any) -> None:
    """Raise a DataError for a number outside what training held."""
    column = at.alone(word)
    if column is None or column.levels or isinstance(value, pd.Series | np.ndarray | pd.api.extensions.ExtensionArray):
        return
    number = float(_number(column, value, word))
    low, high = outside_of(column)
    if not low <= number <= high:
        raise DataError(f"{word}={value} lies outside what training held ({_bounds(codec, word)}): nothing was learnt there.")


def _bounds(codec: TableCodec, word: str) -> str:
    ends = codec.schema_.of(word).get("bounds", ["?", "?"])
    return f"{ends[0]} to {ends[1]}"


def _number(column: Any, value: Any, word: str) -> Any:
    series = pd.Series([value], name=word, dtype=object)
    try:
        if column.form["as"] == "number":
            return plain(numbers(series, column.form | {"dtype": {"name": "object"}})[0][0])
        return plain(numbers(_timed(series, column.form), column.form)[0][0])
    except (DataError, ValueError, TypeError):
        raise DataError(f"given has {value!r} for column {word!r}, which holds {_kind(column)}.") from None


def _kind(column: Any) -> str:
    return {"number": "numbers", "time": "times", "duration": "durations"}[column.form["as"]]


def _timed(series: Any, form: dict[str, Any]) -> Any:
    """A time given as text or date, in the column's own shape."""
    if form["as"] != "time" or not isinstance(series.iloc[0], str):
        return series
    time = pd.Timestamp(series.iloc[0])
    if form["format"]:
        return pd.Series([time.strftime(form["format"])], name=series.name)
    if form["tz"] and time.tzinfo is None:
        time = time.tz_localize(form["tz"])
    return pd.Series([time], name=series.name)


def _restricted(codec: TableCodec, at: Cells, word: str, value: Any) -> tuple[Within, dict[Any, Place], Any]:
    """(restriction of the cells, places inside leaves, check of a frame) of a range, a set or a missing cell."""
    name, column = _name(codec, word), at.alone(word)
    if value is None:
        first, cells = at.missing(word)
        if first.missing < 0:
            raise DataError(f"{word!r} is never missing in training: it cannot be given as missing.")
        return inside_missing(first).cells(first, cells), {}, partial(_is_missing, name)
    if isinstance(value, tuple):
        return _range(codec, at, word, name, value)
    values = list(value)
    if not values:
        raise UsageError(f"given has no value to choose from for {word!r}.")
    if column is None:
        raise UsageError(f"{word!r} is coded in parts: give one value or a range (low, high) of it, not a set.")
    if column.levels:
        levels = list(dict.fromkeys(level_of(v, column.levels, word) for v in values))
        inside = inside_levels(column, levels)
        return inside.cells(column, at.cells[word]), {column.name: inside.place}, partial(_is_level, name, set(map(str, levels)))
    told = np.array([_number(column, v, word) for v in values])
    for v in told:
        low, high = outside_of(column)
        if not low <= v <= high:
            raise DataError(f"{word}={v} lies outside what training held ({_bounds(codec, word)}): nothing was learnt there.")
    inside = inside_levels(column, list(column.coordinates(told)))
    wanted = column.values(column.coordinates(told)).astype(np.float64)
    return inside.cells(column, at.cells[word]), {column.name: inside.place}, partial(_is_near, name, wanted, column)


def _range(codec: TableCodec, at: Cells, word: str, name: Any, value: tuple[Any, ...]) -> tuple[Within, dict[Any, Place], Any]:
    if len(value) != 2:
        raise UsageError(f"A range of {word!r} is a tuple (low, high), either end None, not {value!r}.")
    column, own = at.alone(word), at.form(word)
    if own.levels:
        levels = _levels_between(own, word, *value)
        inside = inside_levels(own, levels)
        return inside.cells(own, at.cells[word]), {own.name: inside.place}, partial(_is_level, name, set(map(str, levels)))
    low, high = (none if end is None else _number(own, end, word) for end, none in zip(value, (-np.inf, np.inf), strict=True))
    if low > high:
        raise UsageError(f"given has an empty range of {word!r}: {value[0]} is above {value[1]}.")
    check = partial(_is_between, name, own, low, high)
    if column is None:
        return linear_range(at, word, low, high), {}, check
    inside = inside_range(column, low, high)
    if not (inside.share > 0).any():
        raise DataError(f"No value of {word!r} from {value[0]} to {value[1]} was seen in training ({_bounds(codec, word)}).")
    return inside.cells(column, at.cells[word]), {column.name: inside.place}, check


def _levels_between(column: Any, word: str, low: Any, high: Any) -> list[Any]:
    """Levels of a column of labels from low to high: by their order where they have one, as numbers, or as text."""
    order = column.form["dtype"].get("categories") if column.form["dtype"].get("ordered") else None
    try:
        if order:
            a, b = (None if end is None else order.index(level_of(end, order, word)) for end in (low, high))
            where = {level: order.index(level) for level in column.levels}
        else:
            a, b = (None if end is None else float(end) for end in (low, high))
            where = {level: float(level) for level in column.levels}
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise UsageError(f"{word!r} has no order: give a set of its values instead of a range.") from None
    levels = [level for level, i in where.items() if (a is None or i >= a) and (b is None or i <= b)]
    if not levels:
        raise DataError(f"No value of {word!r} from {low} to {high} was seen in training: nothing was learnt.")
    return levels


def _is_missing(name: Any, frame: pd.DataFrame) -> np.ndarray:
    return frame[name].isna().to_numpy()


def _is_level(name: Any, levels: set[str], frame: pd.DataFrame) -> np.ndarray:
    return frame[name].astype(object).map(lambda v: str(plain(v))).isin(list(levels)).to_numpy()


def _is_near(name: Any, wanted: np.ndarray, column: Any, frame: pd.DataFrame) -> np.ndarray:
    values, missing = numbers(frame[name], column.form)
    gap = np.abs(values[:, None].astype(np.float64) - wanted).min(1)
    return (gap <= 1e-9 * (1 + np.abs(values))) & ~missing


def _is_between(name: Any, column: Any, low: Any, high: Any, frame: pd.DataFrame) -> np.ndarray:
    values, missing = numbers(frame[name], column.form)
    return (values >= low) & (values <= high) & ~missing


def _log_share(codec: TableCodec, at: Cells, x: Tensor, mask: Tensor) -> Tensor:
    """log of the share of their leaves that the known values are, (n,); 0 for values of the line, which count as their bin."""
    total = np.zeros(len(x))
    for word, cells in at.cells.items():
        column = at.alone(word)
        if column is None or column.line:
            continue
        start, count = column.starts
        token = x[:, cells[0]].numpy()
        sub = np.minimum(x[:, cells[1]].numpy(), count[token] - 1) if len(cells) == 2 else 0
        total -= np.where(mask[:, cells[0]].numpy(), column.volume[start[token] + sub], 0.0)
    return torch.from_numpy(total)
