"""Disclosure: what a release of synthetic rows tells about single people: who they are, and what they keep secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from genus.judgement.columns import Columns
from genus.judgement.interval import Interval
from genus.judgement.membership import nearest_item

WINDOW = 0.005  # half the width of a predicate on a number, in ranks
CLOSE = 0.025  # how far, in ranks, a guessed number may be from the secret


@dataclass
class Cells:
    """Tables as codes and ranks, all read by the columns of one reference.

    Parameters
    ----------
    columns: of the reference, the training rows.
    """

    columns: Columns

    def __call__(self, frame: Any) -> np.ndarray:
        """(n, columns): numbers as ranks in [0, 1] (−1 where missing), categories as codes."""
        raw = self.columns.matrix(frame)
        out = np.empty_like(raw)
        for i, name in enumerate(self.columns.names):
            if name in self.columns.levels:
                out[:, i] = raw[:, i]
            else:
                held = self.columns.sorted[name]
                middle = np.searchsorted(held, raw[:, i], "left") + np.searchsorted(held, raw[:, i], "right")
                out[:, i] = np.where(np.isnan(raw[:, i]), -1.0, middle / max(2 * len(held), 1))
        return out

    @property
    def numbers(self) -> np.ndarray:
        """(columns,) True where a column holds numbers."""
        return ~self.columns.categorical

    def vectors(self, frame: Any) -> tuple[np.ndarray, np.ndarray]:
        """((n, width) for distances, (width,) the column that each entry belongs to)."""
        dense, owner = self.columns.dense(frame).astype(np.float32), []
        for i, name in enumerate(self.columns.names):
            owner += [i] * (min(len(self.columns.levels[name]), 49) + 1 if name in self.columns.levels else 2)
        return dense, np.array(owner)


def singled_out(
    release: np.ndarray, people: np.ndarray, others: np.ndarray, numbers: np.ndarray, *, attacks: int, seed: int
) -> tuple[Interval, dict[str, float]]:
    """(risk, low, high) that a predicate made of a released row fits exactly one person of the training set because of it.

    A predicate asks for the values of half to all columns of one released row: a category exactly, a number within half a percent
    of the ranks. It is put to `people`, cut into sets as large as `others`, and to `others`, whom no model saw. With s successes
    among K sets of people and c among the others, risk = (s − K c) / (1 − c): 1 where each row stands for one person.
    With one set this is Anonymeter's risk.

    Parameters
    ----------
    release, people, others: (n, columns) of `Cells`. numbers: which columns hold numbers. attacks: predicates.

    Reference: M. Giomi, F. Boenisch, C. Wehmeyer and B. Tasnádi 2023, A unified framework for quantifying privacy risk in
    synthetic data, https://arxiv.org/abs/2211.10459; A. Cohen and K. Nissim 2020, https://arxiv.org/abs/1904.06009
    """
    rng = np.random.default_rng(seed)
    size = min(len(others), len(people))
    sets = max(1, len(people) // size)
    pool = np.concatenate([people[rng.permutation(len(people))[: sets * size]], others[rng.permutation(len(others))[:size]]])
    home = np.repeat(np.arange(sets + 1), size)
    search = _Search(pool, numbers)
    d = pool.shape[1]
    found = np.zeros((attacks, sets + 1))
    for hits, row in zip(found, release[rng.integers(0, len(release), attacks)], strict=True):
        which = rng.permutation(d)[: rng.integers((d + 1) // 2, d + 1)]
        hits[:] = np.bincount(home[search.fitting(row, which)], minlength=sets + 1) == 1
    ours, base = found[:, :sets].sum(1) * len(people) / (sets * size), found[:, sets]
    whole = len(people) / size
    excess = ours - whole * base
    rate, scale = float(base.mean()), max(1e-9, 1 - float(base.mean()))
    wide = 1.96 * max(float(excess.std(ddof=1)) / np.sqrt(attacks), 1 / attacks)
    middle = float(excess.mean())
    risk = (middle / scale, (middle - wide) / scale, min(1.0, (middle + wide) / scale))
    return risk, {"people": float(ours.mean()) / whole, "others": rate}


class _Search:
    """Rows fitting a predicate, the column that leaves the fewest asked first."""

    def __init__(self, pool: np.ndarray, numbers: np.ndarray):
        self.pool, self.numbers = pool, numbers
        self.order = np.argsort(pool, axis=0, kind="stable")
        self.sorted = np.take_along_axis(pool, self.order, 0)

    def fitting(self, row: np.ndarray, which: np.ndarray) -> np.ndarray:
        """Indices of the rows that agree with `row` in the columns `which`."""
        wide = np.where(self.numbers[which] & (row[which] >= 0), WINDOW, 0.0)
        low, high = row[which] - wide, row[which] + wide
        first = [np.searchsorted(self.sorted[:, c], a, "left") for c, a in zip(which, low, strict=True)]
        last = [np.searchsorted(self.sorted[:, c], b, "right") for c, b in zip(which, high, strict=True)]
        counts = np.array(last) - np.array(first)
        by = np.argsort(counts)
        some = self.order[first[by[0]] : last[by[0]], which[by[0]]]
        for i in by[1:]:
            if len(some) == 0:
                break
            values = self.pool[some, which[i]]
            some = some[(values >= low[i]) & (values <= high[i])]
        return some


def inferred(
    release: Any, people: Any, others: Any, cells: Cells, *, seed: int, secret: Any = None
) -> tuple[Interval, dict[str, float]]:
    """(risk, low, high) of a secret being guessed better for people in the training set than for others.

    The guess is the value in the released row nearest in all other columns; it is right where a category is the same or
    a number within 2.5 % of the ranks. risk = (right among people − right among others) / (1 − right among others), so that
    what the release teaches about everybody (smoking harms) does not count, only what it tells about its own people.

    Parameters
    ----------
    release, people, others: frames, people and others of equal number. secret: one column; all in turn when None.

    Reference: M. Giomi, F. Boenisch, C. Wehmeyer and B. Tasnádi 2023, https://arxiv.org/abs/2211.10459
    """
    (known, owner), own = cells.vectors(release), cells(release)
    names = cells.columns.names
    secrets = [names.index(secret)] if secret is not None else list(range(len(names)))
    rng = np.random.default_rng(seed)
    rates, n = [], 0
    for frame in (people, others):
        seen, truth = cells.vectors(frame)[0], cells(frame)
        turn = rng.permutation(len(truth))
        right = [
            _guess(known, own, seen[i], truth[i], owner, c, bool(cells.numbers[c]))
            for c, i in ((c, turn[k :: len(secrets)]) for k, c in enumerate(secrets))
            if len(i)
        ]
        n = len(truth)
        rates.append(float(np.concatenate(right).mean()))
    inside, outside = rates
    scale = max(1e-9, 1 - outside)
    wide = 1.96 * max(float(np.sqrt((inside * (1 - inside) + outside * (1 - outside)) / n)), 1 / n)
    risk = (inside - outside) / scale
    return (risk, risk - wide / scale, min(1.0, risk + wide / scale)), {"people": inside, "others": outside}


def _guess(
    known: np.ndarray, own: np.ndarray, seen: np.ndarray, truth: np.ndarray, owner: np.ndarray, c: int, number: bool
) -> np.ndarray:
    """Which secrets in column c are guessed right, (n,)."""
    others = (owner != c) & (known.any(0) | seen.any(0))
    if not others.any():
        return np.zeros(len(seen))
    guess = own[nearest_item(seen[:, others], known[:, others]), c]
    if not number:
        return guess == truth[:, c]
    gone = (guess < 0) | (truth[:, c] < 0)
    return np.where(gone, guess == truth[:, c], np.abs(guess - truth[:, c]) <= CLOSE)
