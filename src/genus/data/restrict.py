"""Restrict: rules and ranges between columns as restrictions on the cells that code them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from genus.data.cells import cells as cells_of
from genus.data.column import Column
from genus.data.leaves import Term, inside_levels, inside_range, literal, term
from genus.data.moment import Gap, Moment, per_day
from genus.data.part import Part, Plain
from genus.data.rules import Determines, Implies, Order, Range, Rule, Sum
from genus.data.table import TableCodec
from genus.data.typed import level_of, numbers
from genus.errors import DataError
from genus.maths.within import Linear, Tuples, Within
from genus.space import Record


class Cells:
    """Which cells of a record code which columns of a table.

    Attributes
    ----------
    parts: {column: its Part}. cells: {column of one code: its cell, or its two}. places: {id of a part: the cells of its codes}.
    """

    def __init__(self, codec: TableCodec, view: Record) -> None:
        self.codec, self.view = codec, view
        self.parts: dict[str, Part] = {}
        self.places: dict[int, list[tuple[int, ...]]] = {}
        self.cells: dict[str, tuple[int, ...]] = {}
        self.own = {str(column.name): column for column in codec._columns}
        at = 0
        for part in codec._parts(view):
            mine = []
            for column in part.columns:
                width = 1 + bool(column.fine)
                mine.append(tuple(range(at, at + width)))
                at += width
            self.places[id(part)] = mine
            for name in part.names:
                self.parts[str(name)] = part
            if isinstance(part, Plain):
                self.cells[str(part.names[0])] = mine[0]

    def alone(self, word: str) -> Column | None:
        """The column where it is coded by itself, else None."""
        part = self.parts.get(word)
        return part.columns[0] if isinstance(part, Plain) else None

    def form(self, word: str) -> Column:
        """The column as fitted by itself, however it is coded."""
        return self.own[word] if word in self.own else self.parts[word].columns[0]

    def missing(self, word: str) -> tuple[Column, tuple[int, ...]]:
        """The code that says whether the column is missing, and its cells."""
        part = self.parts[word]
        return part.columns[0], self.places[id(part)][0]

    def terms(self, word: str, factor: float = 1.0) -> tuple[list[Term], float] | None:
        """(terms, constant) whose sum is the column's number times a factor; None where it is no sum of codes."""
        part = self.parts.get(word)
        if part is None:
            return None
        places = self.places[id(part)]
        if isinstance(part, Plain):
            return None if part.columns[0].levels else ([term(part.columns[0], places[0], factor)], 0.0)
        if isinstance(part, Gap):
            start = self.terms(str(part.after), factor * part.ratio)
            return None if start is None else ([*start[0], term(part.columns[0], places[0], factor)], start[1])
        if isinstance(part, Moment) and not part.months:
            day = per_day(part.form)
            scale = [7 * day, day] if part.weekly else [day]
            scale += [1] if part.timed else []
            constant = (part.first * day if part.weekly else 0) - part.shift
            listed = [term(c, p, factor * s) for c, p, s in zip(part.columns, places, scale, strict=True)]
            return listed, factor * constant
        return None

    def days(self, word: str) -> float | None:
        """Days in a unit of a time's ticks; 1 for numbers, None for labels."""
        form = self.form(word).form
        if form["as"] == "number":
            return 1.0
        return float(np.timedelta64(1, form["unit"]) / np.timedelta64(1, "D")) if form["as"] in ("time", "duration") else None


def linear_range(at: Cells, word: str, low: float, high: float) -> Within:
    """A range of a column that is coded in parts."""
    told = at.terms(word)
    if told is None:
        raise DataError(f"{word!r} is coded together with others: give one value of it instead of a range.")
    terms, constant = told
    columns, lo, hi, scale = zip(*terms, strict=True)
    return Linear(list(columns), list(lo), list(hi), list(scale), low - constant, high - constant, light=False)


def rule_within(rule: Rule, at: Cells) -> Within | None:
    """A rule as a restriction of cells; None where cells cannot tell, and rows are then checked when written."""
    if any(name not in at.parts for name in rule.columns):
        return None
    if isinstance(rule, Determines):
        return _pairs(rule, at)
    if isinstance(rule, Implies):
        return _implication(rule, at)
    if isinstance(rule, Order):
        return _sum([rule.low, rule.high], [1.0, -1.0], -np.inf, 0.0, at)
    if isinstance(rule, Sum):
        ones = [1.0] * len(rule.terms)
        return _sum([*rule.terms, rule.total], [*ones, -1.0], -rule.within, rule.within, at)
    if isinstance(rule, Range) and at.alone(rule.column) is not None:
        column = at.form(rule.column)
        low, high = _range_ends(rule, column)
        within = inside_range(column, low, high).cells(column, at.cells[rule.column])
        within.light = True
        return within
    return None


def _range_ends(rule: Range, column: Column) -> tuple[float, float]:
    """A declared range in the column's own numbers or ticks."""
    out = []
    for end, none in ((rule.low, -np.inf), (rule.high, np.inf)):
        timed = column.form["as"] == "time"
        series: Any = pd.Series([end], dtype=object)
        if end is not None and timed and not column.form["format"]:
            series = pd.Series(pd.to_datetime([end], utc=bool(column.form["tz"])))
        out.append(none if end is None else float(numbers(series, column.form)[0][0]))
    return out[0], out[1]


def _sum(names: list[str], signs: list[float], low: float, high: float, at: Cells) -> Within | None:
    """low ≤ Σ sign · value ≤ high."""
    terms, constant = [], 0.0
    for name, sign in zip(names, signs, strict=True):
        days = at.days(name)
        told = None if days is None else at.terms(name, sign * days)
        if told is None:
            return None
        terms += told[0]
        constant += told[1]
    if len({columns for columns, *_ in terms}) < len(terms):
        return None
    columns, lo, hi, scale = zip(*terms, strict=True)
    return Linear(list(columns), list(lo), list(hi), list(scale), low - constant, high - constant)


def _pairs(rule: Determines, at: Cells) -> Within | None:
    """The combinations of leaves that some combination of training falls into."""
    if not rule.pairs or any(at.alone(name) is None for name in rule.columns):
        return None
    frame = pd.DataFrame(rule.pairs, columns=pd.Index(rule.columns))
    cells, tokens, levels, wild = [], [], [], []
    for name in rule.columns:
        column = at.form(name)
        leaf = _leaves(column, frame[name], name)
        cells += at.cells[name]
        tokens += cells_of(column, leaf)
        levels += [at.view.fields[cell][1].levels for cell in at.cells[name]]
        wild += [column.tokens - 1 if column.missing >= 0 else -1, *([-1] if column.fine else [])]
    rows = torch.from_numpy(np.unique(np.stack(tokens, 1), axis=0))
    return Tuples(tuple(cells), rows, levels, wild)


def _leaves(column: Column, series: Any, name: str) -> np.ndarray:
    """The leaves of values of training."""
    if column.levels:
        places = {level: i for i, level in enumerate(column.levels)}
        at = [places[v] if v in places else places[level_of(v, column.levels, name)] for v in series]
        return column.level_leaf[np.array(at)]
    return column.find(column.coordinates(_values(column, series)))[0]


def _values(column: Column, series: Any) -> np.ndarray:
    if column.form["as"] == "number":
        return numbers(series.astype(object), column.form | {"dtype": {"name": "object"}})[0]
    return numbers(series if column.form["format"] else pd.Series(pd.to_datetime(series)), column.form)[0]


def _implication(rule: Implies, at: Cells) -> Within | None:
    """Σ truth of the conditions − truth of a consequence ≤ conditions − 1, for each consequence."""
    columns = [at.alone(name) for name in rule.columns]
    if any(column is None for column in columns):
        return None
    ifs = [_truth(at, name, values, 1.0) for name, values in rule.given.items()]
    if any(t is None for t in ifs):
        return None
    parts: list[Within] = []
    for name, values in rule.then.items():
        then = _truth(at, name, values, -1.0)
        terms = [t for t in [*ifs, then] if t is not None]
        cells, lo, hi, scale = zip(*terms, strict=True)
        if len(terms) > len(ifs):
            parts.append(Linear(list(cells), list(lo), list(hi), list(scale), -np.inf, len(ifs) - 1.0))
    if not parts:
        return None
    out = parts[0]
    for part in parts[1:]:
        out = out & part
    return out


def _truth(at: Cells, name: str, values: list[Any], sign: float) -> Term | None:
    """Whether a column holds one of the values, as a term; values never seen are left out."""
    column = at.form(name)
    if column.levels:
        held = []
        for v in values:
            try:
                held.append(level_of(v, column.levels, name))
            except DataError:
                continue
        return literal(column, at.cells[name], inside_levels(column, held), sign) if held else None
    try:
        told = column.coordinates(_values(column, pd.Series(values)))
    except (DataError, ValueError):
        return None
    return literal(column, at.cells[name], inside_levels(column, list(told)), sign)
