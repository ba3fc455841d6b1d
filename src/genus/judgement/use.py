"""Use: what samples teach about every column: each is predicted in turn from all the others, on real held-out rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.tree import DecisionTreeRegressor

from genus.judgement.columns import Columns

MOST_ROWS = 10000
MOST_LEVELS = 10
LEAST_LEAF, LEAVES = 20, 100  # rows in a leaf; leaves
RESAMPLES = 50


def explained(train: Any, test: Any, columns: Columns, *, seed: int = 0) -> tuple[tuple[float, float, float], dict[str, float]]:
    """((mean over columns, low, high), {column: share of its variance that is explained}): "global utility".

    A decision tree learnt from at most 10,000 rows of `train` predicts each column of `test` from the others: a number's rank, or
    the shares of a category's ten commonest levels; 1 − (squared error) / (variance), 0 for guessing, less for learning
    something false. The interval is a bootstrap over test rows.

    Reference: X. Jiang et al. 2025, TabStruct, https://arxiv.org/abs/2509.11950 (every column as a target in turn)
    """
    rng = np.random.default_rng(seed)
    train = train.iloc[np.sort(rng.permutation(len(train))[:MOST_ROWS])]
    a, b = (np.nan_to_num(columns.matrix(frame), nan=-1e12) for frame in (train, test))
    wrong, spread, names = [], [], []
    for i, name in enumerate(columns.names):
        seen, truth = (_aims(columns, name, frame) for frame in (train, test))
        rest = np.arange(a.shape[1]) != i
        leaf = max(LEAST_LEAF, len(a) // LEAVES)
        tree = DecisionTreeRegressor(min_samples_leaf=leaf, random_state=seed).fit(a[:, rest], seen)
        guess = tree.predict(b[:, rest]).reshape(len(b), -1)
        if (away := ((truth - truth.mean(0)) ** 2).sum(1)).any():
            wrong.append(((truth - guess) ** 2).sum(1))
            spread.append(away)
            names.append(str(name))
    if not names:
        return (math.nan, math.nan, math.nan), {}
    e, s = np.stack(wrong), np.stack(spread)
    each = 1 - e.mean(1) / s.mean(1)
    again = []
    for _ in range(RESAMPLES):
        i = rng.integers(len(b), size=len(b))
        again.append(np.mean(1 - e[:, i].mean(1) / np.maximum(s[:, i].mean(1), 1e-12)))
    wide = 1.96 * float(np.std(again, ddof=1))
    value = float(each.mean())
    return (value, value - wide, value + wide), dict(zip(names, each.tolist(), strict=True))


def _aims(columns: Columns, name: Any, frame: Any) -> np.ndarray:
    """(n, k) what is to be predicted: rank and gap of a number, or one-hot levels."""
    one = Columns([name], {k: v for k, v in columns.levels.items() if k == name},
                  {k: v for k, v in columns.sorted.items() if k == name})  # fmt: skip
    return one.dense(frame, most=MOST_LEVELS)
