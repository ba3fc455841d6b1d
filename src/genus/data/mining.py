"""Mining: rules that the rows of a table keep, where columns independent of one another would not."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from genus.data.compare import comparable
from genus.data.rules import Determines, Implies, Order, Range, Rule, Sum, Unique
from genus.data.typed import plain

ROWS = 20_000  # searched; the rules found are then counted on all rows
FEW = 64  # distinct values of a column that implications are looked for in
MANY = 10_000  # distinct values of a column that may determine another
LOOSE = 1e-3  # exceptions among the rows that a rule speaks of
SURE = 10.0  # least strength
LEAST = 20  # rows that a rule speaks of
SHOWN = 200


def found(X: pd.DataFrame, seed: int = 0) -> list[Rule]:
    """The rules, strongest first within each kind; each counted on all the rows of X.

    Looked for: columns that determine another (alone, or two of few values together), implications between values,
    orderings of numbers and times, sums of two columns, ends of ranges that are round, unique columns. A rule is kept
    where all but one in a thousand of the rows it speaks of keep it, and the chance that independent columns with the same
    values would is below 10^−10.
    """
    X = X.set_axis([str(name) for name in X.columns], axis=1).reset_index(drop=True)
    some = X if len(X) <= ROWS else X.sample(ROWS, random_state=seed).reset_index(drop=True)
    if len(some) < LEAST:
        return []
    coded = {name: pd.factorize(some[name]) for name in some.columns}
    codes = {name: np.asarray(code) for name, (code, _) in coded.items()}
    values = {name: list(distinct) for name, (_, distinct) in coded.items()}
    one = _determined(codes, values)
    numbers = _numbers(some)
    rules: list[Rule] = [
        *one, *_determined_by_two(codes, values, one), *_implied(codes, values, one), *_ordered(numbers), *_sums(numbers),
        *_ranges(some, numbers), *_unique(some, codes, values),
    ]  # fmt: skip
    return _counted(rules, X, whole=len(X) == len(some))


def _counted(rules: list[Rule], X: pd.DataFrame, whole: bool) -> list[Rule]:
    """The rules that all the rows keep too, with support and exceptions."""
    out = []
    for rule in rules:
        if rule.exceptions is None or not whole:
            rule = replace(rule, support=int(rule.speaks(X).sum()), exceptions=int(rule.breaks(X).sum()))
        if (rule.exceptions or 0) <= LOOSE * (rule.support or 0):
            out.append(rule)
    order = {kind: i for i, kind in enumerate(("determines", "implies", "order", "sum", "range", "unique"))}
    return sorted(out, key=lambda rule: (order[rule.kind], -(rule.strength or 0)))[:SHOWN]


# -- functional dependencies ------------------------------------------------------------------------------


def _determined(codes: dict[str, np.ndarray], values: dict[str, list[Any]]) -> list[Determines]:
    """Single columns that determine another."""
    out = []
    for a, b in itertools.permutations(codes, 2):
        if len(values[b]) >= 2 and 2 <= len(values[a]) <= MANY:
            rule = _dependency([a], b, codes[a], codes[b], len(values[a]), len(values[b]))
            out += [] if rule is None else [rule]
    return out


def _determined_by_two(codes: dict[str, np.ndarray], values: dict[str, list[Any]], one: list[Determines]) -> list[Determines]:
    """Pairs of columns of few values that determine a third, which neither does alone."""
    alone = {(rule.given[0], rule.then) for rule in one}
    few = [name for name in codes if 2 <= len(values[name]) <= FEW][:12]
    out = []
    for a, b in itertools.combinations(few, 2):
        if (a, b) in alone or (b, a) in alone:
            continue
        joint = np.where((codes[a] < 0) | (codes[b] < 0), -1, codes[a] * len(values[b]) + codes[b])
        for c in codes:
            if c in (a, b) or (a, c) in alone or (b, c) in alone or not 2 <= len(values[c]) <= MANY:
                continue
            rule = _dependency([a, b], c, joint, codes[c], len(values[a]) * len(values[b]), len(values[c]))
            out += [] if rule is None else [rule]
    return out


def _dependency(given: list[str], then: str, a: np.ndarray, b: np.ndarray, ka: int, kb: int) -> Determines | None:
    """The rule that a determines b, unless rows break it or chance would keep it."""
    if _fails(a[:500], b[:500], kb):
        return None
    held = (a >= 0) & (b >= 0)
    n = int(held.sum())
    if n < LEAST:
        return None
    joint, counts = np.unique(a[held].astype(np.int64) * kb + b[held], return_counts=True)
    group = joint // kb
    starts = np.flatnonzero(np.append(True, np.diff(group) != 0))
    sizes, tops = np.add.reduceat(counts, starts), np.maximum.reduceat(counts, starts)
    exceptions = int((sizes - tops).sum())
    repeated = sizes >= 2
    if exceptions > LOOSE * n or len(sizes) < 2 or sizes[repeated].sum() < max(LEAST, n / 2):
        return None
    likeliest = float(np.bincount(b[held]).max() / n)
    strength = float((sizes[repeated] - 1).sum() - exceptions) * -np.log10(likeliest)
    strength -= exceptions * np.log10(max(n, 2))
    if strength < SURE or likeliest > 0.99:
        return None
    return Determines(given=given, then=then, support=n, exceptions=exceptions, strength=round(strength, 1))


def _fails(a: np.ndarray, b: np.ndarray, kb: int) -> bool:
    """Whether a few rows already show that a does not determine b."""
    held = (a >= 0) & (b >= 0)
    a, b = a[held], b[held]
    if not len(a):
        return False
    joint, counts = np.unique(a.astype(np.int64) * kb + b, return_counts=True)
    group = joint // kb
    tops = np.maximum.reduceat(counts, np.flatnonzero(np.append(True, np.diff(group) != 0)))
    return int(len(a) - tops.sum()) > max(3, 0.02 * len(a))


# -- implications -----------------------------------------------------------------------------------------


def _implied(codes: dict[str, np.ndarray], values: dict[str, list[Any]], one: list[Determines]) -> list[Implies]:
    """A = a ⇒ B in a few of its values, where A does not determine B altogether."""
    alone = {(rule.given[0], rule.then) for rule in one}
    few = [name for name in codes if 2 <= len(values[name]) <= FEW]
    out = []
    for a, b in itertools.permutations(few, 2):
        if (a, b) not in alone:
            out += _implied_by(a, b, codes, values)
    return out


def _implied_by(a: str, b: str, codes: dict[str, np.ndarray], values: dict[str, list[Any]]) -> list[Implies]:
    held = (codes[a] >= 0) & (codes[b] >= 0)
    kb = len(values[b])
    table = np.bincount(codes[a][held] * kb + codes[b][held], minlength=len(values[a]) * kb).reshape(-1, kb)
    share = table.sum(0) / max(table.sum(), 1)
    out = []
    for i, row in enumerate(table):
        n, order = int(row.sum()), np.argsort(-row, kind="stable")
        if n < LEAST:
            continue
        size = int(np.searchsorted(np.cumsum(row[order]), n - LOOSE * n) + 1)
        allowed = order[:size]
        exceptions = int(n - row[allowed].sum())
        likely = float(share[allowed].sum())
        if size > max(1, kb // 3) or likely >= 1:
            continue
        strength = (n - exceptions) * -np.log10(max(likely, 1e-300)) - exceptions * np.log10(n)
        if strength >= SURE:
            told = sorted((plain(values[b][j]) for j in allowed), key=str)
            out.append(
                Implies(
                    given={a: [plain(values[a][i])]},
                    then={b: told},
                    support=n,
                    exceptions=exceptions,
                    strength=round(strength, 1),
                )
            )
    return out


# -- numbers ----------------------------------------------------------------------------------------------


def _numbers(X: pd.DataFrame) -> dict[str, tuple[str, np.ndarray]]:
    """{column: (what may be compared with it, its values as floats)} of numbers and times."""
    out = {}
    for name in X.columns:
        series: Any = X[name]
        dtype = series.dtype
        timed = pd.api.types.is_datetime64_any_dtype(dtype)
        text = isinstance(dtype, pd.StringDtype) or pd.api.types.is_object_dtype(dtype)
        if text:
            first = series.dropna().head(20).astype(str)
            timed = len(first) > 0 and bool(first.str.fullmatch(r"\d{4}-\d\d(-\d\d.*)?|\d\d?[./]\d\d?[./]\d{4}.*").all())
            if not timed:
                continue
        if pd.api.types.is_bool_dtype(dtype) or isinstance(dtype, pd.CategoricalDtype):
            continue
        values = comparable(series)
        if np.isfinite(values).sum() >= max(LEAST, len(values) // 20):
            out[name] = ("time" if timed else "number", values)
    return out


def _ordered(numbers: dict[str, tuple[str, np.ndarray]]) -> list[Order]:
    """Pairs of which one is never below the other, though their ranges overlap."""
    ranked = {name: np.sort(values[np.isfinite(values)]) for name, (_, values) in numbers.items()}
    out = []
    for a, b in itertools.permutations(numbers, 2):
        (kind, x), (other, y) = numbers[a], numbers[b]
        if kind != other or (x[:200] > y[:200]).sum() > 2:
            continue
        held = np.isfinite(x) & np.isfinite(y)
        n, exceptions = int(held.sum()), int((x > y)[held].sum())
        if n < LEAST or exceptions > LOOSE * n or (x == y)[held].mean() > 0.9:
            continue
        by_chance = float(1 - np.searchsorted(ranked[b], x[held], "left").mean() / len(ranked[b]))
        strength = -(n - exceptions) * np.log10(max(by_chance, 1e-300)) - exceptions * np.log10(n)
        if strength >= SURE and by_chance < 0.98 and not np.array_equal(x[held], y[held]):
            strict = not bool((x == y)[held].any()) and exceptions == 0
            out.append(Order(low=a, high=b, strict=strict, support=n, exceptions=exceptions, strength=round(float(strength), 1)))
    return _direct(out)


def _direct(rules: list[Order]) -> list[Order]:
    """Without those that follow from two others."""
    pairs = {(rule.low, rule.high) for rule in rules}
    names = {name for pair in pairs for name in pair}
    return [r for r in rules if not any((r.low, c) in pairs and (c, r.high) in pairs for c in names)]


def _sums(numbers: dict[str, tuple[str, np.ndarray]]) -> list[Sum]:
    """a + b = c, but for the rounding of the three."""
    plain_numbers = {name: values for name, (kind, values) in numbers.items() if kind == "number"}
    varied = {name: v for name, v in plain_numbers.items() if np.nanstd(v) > 0 and np.mean(v != 0) > 0.05}
    rows = np.flatnonzero(np.isfinite(np.stack(list(varied.values()))).all(0))[:64] if varied else np.zeros(0, int)
    out = []
    few = {name: v[rows] for name, v in varied.items()} if len(rows) >= LEAST else varied
    for a, b in itertools.combinations(varied, 2):
        part = few[a] + few[b]
        for c in varied:
            if (
                c in (a, b)
                or np.nanmean(np.abs(part - few[c]) > _rounding(few[a], few[b], few[c]) + 1e-9 * (1 + np.abs(few[c]))) > 0.05
            ):
                continue
            x, y, z = varied[a], varied[b], varied[c]
            within = _rounding(x, y, z)
            held = np.isfinite(x + y + z)
            n, exceptions = int(held.sum()), int((np.abs(x + y - z) > within + 1e-9 * (1 + np.abs(z)))[held].sum())
            if n >= LEAST and exceptions <= LOOSE * n:
                same = float(pd.Series(z[held]).value_counts(normalize=True).iloc[0])
                strength = (n - exceptions) * -np.log10(max(same, 1e-3))
                if strength >= SURE:
                    out.append(
                        Sum(terms=[a, b], total=c, within=within, support=n, exceptions=exceptions, strength=round(strength, 1))
                    )
    return out


def _rounding(*columns: np.ndarray) -> float:
    """What rounding alone can make of a sum of three: half a unit of the last decimal each; 0 where sums are exact."""
    decimals = [_decimals(c) for c in columns]
    if max(decimals) == 0:
        return 0.0
    unit = 10.0 ** -min(decimals)
    exact = np.abs(columns[0] + columns[1] - columns[2])
    exact = exact[np.isfinite(exact)]
    scale = float(np.nanmax(np.abs(columns[2]))) if len(exact) else 1.0
    return 0.0 if len(exact) and float(np.quantile(exact, 0.99)) <= 1e-9 * (1 + scale) else 1.5 * unit * (min(decimals) < 9)


def _decimals(values: np.ndarray) -> int:
    held = values[np.isfinite(values)][:256]
    return next((d for d in range(9) if np.array_equal(np.round(held, d), held)), 9)


def _ranges(X: pd.DataFrame, numbers: dict[str, tuple[str, np.ndarray]]) -> list[Range]:
    """Ends at 0, 1 or 100 that a bell curve of the same mean and spread would cross."""
    out = []
    for name, (kind, values) in numbers.items():
        held = values[np.isfinite(values)]
        if kind != "number" or held.std() == 0:
            continue
        low = 0 if held.min() >= 0 and _crossing(held, 0.0, -1) >= SURE else None
        top = next((t for t in (1, 100) if held.max() <= t and held.max() > 0.9 * t and _crossing(held, t, 1) >= SURE), None)
        if low is not None or top is not None:
            strength = max(_crossing(held, 0.0, -1) if low is not None else 0, _crossing(held, top, 1) if top else 0)
            out.append(Range(column=name, low=low, high=top, support=len(held), exceptions=0, strength=round(strength, 1)))
    return out


def _crossing(held: np.ndarray, end: float, side: int) -> float:
    """−log10 of the chance that n draws of a normal of the same mean and spread all stay on this side of the end."""
    from scipy.special import log_ndtr

    return float(-len(held) * log_ndtr(side * (end - held.mean()) / held.std()) / np.log(10))


def _unique(X: pd.DataFrame, codes: dict[str, np.ndarray], values: dict[str, list[Any]]) -> list[Unique]:
    """Columns of whole numbers or text without a repeated value, where as many draws from their range would repeat some."""
    out = []
    for name, code in codes.items():
        series: Any = X[name]
        n = int((code >= 0).sum())
        if len(values[name]) < n or n < LEAST or pd.api.types.is_float_dtype(series.dtype):
            continue
        wide = 1e6
        if pd.api.types.is_integer_dtype(series.dtype):
            wide = float(series.max()) - float(series.min()) + 1
        strength = n * (n - 1) / 2 / wide / np.log(10)
        if strength >= SURE:
            out.append(Unique(of=[name], support=n, exceptions=0, strength=round(strength, 1)))
    return out
