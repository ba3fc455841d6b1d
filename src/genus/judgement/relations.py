"""Relations: are sampled tables linked as the real ones are? Each number stands beside real against real."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from genus.data.keys import NULL, Keys, link
from genus.errors import DataError
from genus.judgement.twosample import detect, trees
from genus.relational.encoder import Encoder, Features
from genus.relational.history import Rows
from genus.relational.tables import Tables

BINS = 6
MOST = 30
LEAST = 20


@dataclass
class Finding:
    """One measure of one link.

    Attributes
    ----------
    what: it is, of which link. value: of the sample against the real tables. floor: of one real half against the other.
    best: the value of perfect tables. worst: where the sample differs most, in words.
    """

    what: str
    value: float
    floor: float
    best: float = 0.0
    worst: str = ""

    def __str__(self) -> str:
        note = f"; most in {self.worst}" if self.worst else ""
        return f"{self.what}: {self.value:.4f} (real against real {self.floor:.4f}, perfect {self.best:g}){note}"


def lines(findings: list[Finding]) -> list[str]:
    """The findings in words, what is furthest over its floor first."""
    return [str(f) for f in sorted(findings, key=lambda f: abs(f.floor - f.best) - abs(f.value - f.best))]


def judge_tables(model: Tables, tables: dict[str, Any], *, seed: int = 0, fake: dict[str, Any] | None = None) -> list[Finding]:
    """How sampled tables differ from real ones, link by link.

    Of every foreign key the share of rows whose parent exists (must be 1). Of every parent with its children: the total
    variation between the laws of counts; the mean difference of mutual information (nats) between a parent's and a child's cells
    and between those of adjacent siblings; and the area under ROC of boosted trees that tell parents joined with aggregates of
    their children. The floor is the same between two random halves of the real parents.

    Parameters
    ----------
    model: the fitted Tables. tables: real ones. fake: sampled ones, drawn at half the size when None.
    """
    lacking = [name for name in model.laws_ if name not in tables]
    if lacking:
        raise DataError(f"The table {lacking[0]!r} is missing: give every table the model was fitted on.")
    drawn: Any = fake
    if fake is None:
        whole = model.sample(0.5, seed=seed)
        drawn = model.parted(whole) if model.sequence_ is not None else whole
    out = []
    for name, law in model.laws_.items():
        for columns, parent in model.keys_.of(name).parents.items():
            share = whole_share(drawn, model.keys_, name, columns, parent)
            real = whole_share(tables, model.keys_, name, columns, parent)
            out.append(Finding(f"{name}.{','.join(columns)} → {parent}: share of keys in place", share, real, 1.0))
        if law.main is not None:
            out += _link(model, name, law.main, tables, drawn, seed)
    return out


def whole_share(tables: dict[str, Any], keys: Keys, name: str, columns: tuple[str, ...], parent: str) -> float:
    """The share of a table's foreign keys, empty ones apart, that a row of the parent has."""
    found = link(tables[name], columns, tables[parent], keys.of(parent).key)
    return float((found[found != NULL] >= 0).mean()) if (found != NULL).any() else 1.0


@dataclass
class _Families:
    """Parents and children of one side, as numbers."""

    parents: Features
    children: Features
    group: np.ndarray
    rows: Rows
    count: np.ndarray

    def half(self, chosen: np.ndarray) -> _Families:
        """The families of some parents."""
        place = np.full(len(self.count), -1)
        place[chosen] = np.arange(len(chosen))
        kept = np.flatnonzero(place[self.group] >= 0)
        group, ticks = place[self.group[kept]], self.rows.ticks[kept]
        rows = Rows(np.zeros(len(kept)), group, ticks)
        return _Families(self.parents.take(chosen), self.children.take(kept), group, rows, self.count[chosen])


def _link(
    model: Tables, name: str, main: tuple[str, ...], real: dict[str, Any], fake: dict[str, Any], seed: int
) -> list[Finding]:
    """The measures of one parent with its children."""
    keys, parent = model.keys_, model.keys_.of(name).parents[main]
    ours, theirs = model.laws_[parent].own, [c for c in model.laws_[name].own if c != keys.of(name).time]
    elder = Encoder().fit(real[parent][ours])
    child = Encoder().fit(real[name][theirs])
    siblings = model.laws_[name].siblings
    clock = None if siblings is None else siblings.clock_

    def families(tables: dict[str, Any]) -> _Families:
        group = link(tables[name], main, tables[parent], keys.of(parent).key)
        frame = tables[name][group >= 0].reset_index(drop=True)
        group = group[group >= 0]
        rows = Rows(frame, group, None if clock is None else clock.ticks(frame))
        count = np.bincount(group, minlength=len(tables[parent]))
        return _Families(elder.encode(tables[parent].reset_index(drop=True)), child.encode(frame), group, rows, count)

    truth, made = families(real), families(fake)
    order = np.random.default_rng(seed).permutation(len(truth.count))
    left, right = truth.half(order[: len(order) // 2]), truth.half(order[len(order) // 2 :])
    if min(len(left.count), len(made.count)) < LEAST:
        raise DataError(f"{parent} has {len(truth.count)} rows and the sample {len(made.count)}: judging needs {2 * LEAST}.")
    where = f"{parent} with {name}"
    out = [
        Finding(
            f"{where}: distance of the laws of counts", _variation(made.count, left.count), _variation(right.count, left.count)
        )
    ]
    for word, measure in (("parent and child", _across), ("adjacent siblings", _along)):
        a, b, c = measure(left), measure(made), measure(right)
        if a:
            worst = max(a, key=lambda pair: abs(b[pair] - a[pair]))
            gap, floor = (float(np.mean([abs(side[pair] - a[pair]) for pair in a])) for side in (b, c))
            out.append(Finding(f"{where}: difference of mutual information, {word}", gap, floor, worst=" and ".join(worst)))
    names = _table(left)[1]
    x, y, z = (_table(side, names)[0] for side in (left, made, right))
    value, floor = (detect("trees", trees(), side, x, seed=seed).auc[0] for side in (y, z))
    out.append(Finding(f"{where}: area under ROC, parents joined with aggregates of children", value, floor, 0.5))
    return out


def _variation(a: np.ndarray, b: np.ndarray) -> float:
    """Total variation between two laws of counts, those above 30 as one."""
    p, q = (np.bincount(np.minimum(x, MOST), minlength=MOST + 1) / len(x) for x in (a, b))
    return float(np.abs(p - q).sum() / 2)


def _bins(features: Features) -> dict[str, np.ndarray]:
    """Every column as few integers; scores are cut at normal quantiles."""
    edges = np.array([-0.967, -0.431, 0.0, 0.431, 0.967])
    return {**{k: np.searchsorted(edges, v) for k, v in features.scores.items()}, **features.codes}


def _information(a: np.ndarray, b: np.ndarray) -> float:
    """Mutual information of two columns of integers, nats, less its bias (Miller and Madow)."""
    table = np.zeros((a.max(initial=0) + 1, b.max(initial=0) + 1))
    np.add.at(table, (a, b), 1.0)
    n = max(table.sum(), 1.0)
    p = table / n
    product = p.sum(1, keepdims=True) * p.sum(0)
    held = p > 0
    free = held.sum() - (p.sum(1) > 0).sum() - (p.sum(0) > 0).sum() + 1
    return float((p[held] * np.log(p[held] / product[held])).sum() - free / (2 * n))


def _across(side: _Families) -> dict[tuple[str, str], float]:
    """Mutual information of every column of the parent with every one of the child."""
    elder, child = _bins(side.parents), _bins(side.children)
    return {(a, b): _information(elder[a][side.group], child[b]) for a in elder for b in child}


def _along(side: _Families) -> dict[tuple[str, str], float]:
    """Mutual information of each child's columns with those of its next sibling."""
    order, late = side.rows.order, side.rows.position > 0
    if not late.any():
        return {}
    after, before = order[late], order[np.flatnonzero(late) - 1]
    child = _bins(side.children)
    return {(f"{a} before", b): _information(child[a][before], child[b][after]) for a in child for b in child}


def _table(side: _Families, names: list[str] | None = None) -> tuple[np.ndarray, list[str]]:
    """Parents' columns beside number, means, spreads and shares of their children, (parents, columns)."""
    n, count = len(side.count), np.maximum(side.count, 1)
    columns = {"count": side.count.astype(float)} | {
        f"p {k}": v.astype(float) for k, v in (side.parents.scores | side.parents.codes).items()
    }
    for name, score in side.children.scores.items():
        mean = np.bincount(side.group, score, minlength=n) / count
        columns[f"mean {name}"] = np.where(side.count > 0, mean, np.nan)
        square = np.bincount(side.group, score**2, minlength=n) / count
        columns[f"spread {name}"] = np.where(side.count > 1, np.sqrt(np.maximum(square - mean**2, 0)), np.nan)
    for name, codes in side.children.codes.items():
        for level in range(min(side.children.levels[name], BINS)):
            share = np.bincount(side.group, codes == level, minlength=n) / count
            columns[f"share {name} {level}"] = np.where(side.count > 0, share, np.nan)
    names = names or list(columns)
    return np.stack([columns[k] for k in names], 1), names
