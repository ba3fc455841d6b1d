"""Sameness: rows that occur twice: inside one set, or in training and held-out rows at once; and levels that are lost."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pandas as pd

from genus.judgement.columns import Columns, words
from genus.judgement.interval import share, wilson
from genus.judgement.membership import reach

RARE = 0.01
LEAST_ROWS = 5
Interval = tuple[float, float, float]


def marks(frame: Any) -> np.ndarray:
    """(n,) a 64-bit hash of each row, equal for equal rows: 3 and 3.0 are the same."""
    plain, hashed = {}, cast(Any, pd).util.hash_pandas_object
    for i, name in enumerate(frame.columns):
        column = frame[name]
        number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        plain[i] = column.to_numpy(np.float64, na_value=np.nan) if number else words(column).to_numpy(object)
    return hashed(pd.DataFrame(plain), index=False).to_numpy()


def repeated(frame: Any) -> Interval:
    """(share, low, high) of the rows that repeat an earlier one."""
    n = len(frame)
    return wilson(n - len(np.unique(marks(frame))), n)


def overlap(train: Any, test: Any) -> tuple[Interval, dict[str, float]]:
    """((share, low, high) of test rows that occur in train, {"expected": …, "repeated in test": …}).

    What is expected is the share of training rows that occur more than once among them: in a table of few values rows meet by
    chance, in a sound split as often across the two sets as inside one.
    """
    a, b = marks(train), marks(test)
    _, codes, counts = np.unique(a, return_inverse=True, return_counts=True)
    twice = float(np.mean(counts[codes] > 1))
    return wilson(float(np.isin(b, a).sum()), len(b)), {"expected": twice, "repeated in test": repeated(test)[0]}


def contaminated(value: Interval, expected: float) -> bool:
    """Whether more test rows occur in train than chance explains."""
    return value[1] > 1.5 * expected + 0.01


def rare(train: Any, fake: Any, columns: Columns) -> tuple[Interval, list[str]]:
    """((share, low, high) of rare levels that are drawn at least once, those never drawn). A level is rare that at most one
    in a hundred training rows holds, and at least five; nan where there is none."""
    found, lost = [], []
    for name in columns.levels:
        counts = words(train[name]).value_counts()
        some = counts[(counts <= RARE * len(train)) & (counts >= LEAST_ROWS)].index
        drawn = set(words(fake[name]).unique())
        found += [level in drawn for level in some]
        lost += [f"{name} = {level}" for level in some if level not in drawn]
    return (wilson(float(np.sum(found)), len(found)) if found else (math.nan, math.nan, math.nan)), lost


def nearer(fake: np.ndarray, train: np.ndarray, held: np.ndarray, *, seed: int = 0) -> Interval:
    """(share, low, high) of samples that lie nearer to a training item than to a held-out one, the two sets of equal size."""
    n = min(len(train), len(held))
    rng = np.random.default_rng(seed)
    a, b = (reach(fake, part[rng.permutation(len(part))[:n]], 1)[:, 0] for part in (train, held))
    return share((a < b) + 0.5 * (a == b))
