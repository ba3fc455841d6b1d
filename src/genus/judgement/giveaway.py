"""Giveaway: which columns, and which pairs of columns, let boosted trees tell samples from real rows."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import norm

from genus.judgement.columns import Columns
from genus.judgement.differs import difference
from genus.judgement.twosample import area, boosted, giveaways

PAIRED = 6  # columns whose pairs are looked at
ROUNDS = 30
SHOWN = 6


def given_away(fake: Any, real: Any, columns: Columns, *, seed: int = 0) -> dict[str, Any]:
    """What gave the samples away, for a Score's detail.

    "gave it away": [[column, AUC lost when its cells are shuffled]], worst first; "columns": of the worst, what
    trees reach that see this column alone, and how it differs in words; "pairs": [["a × b", AUC of trees that see the two
    alone, the better of each by itself]], those that tell more together than chance explains, worst first.

    Parameters
    ----------
    fake, real: frames of about equal length. columns: how they are read.

    Reference: L. Breiman 2001, Random forests (shuffled columns), https://doi.org/10.1023/A:1010933404324
    """
    a, b, categorical = columns.matrix(fake), columns.matrix(real), columns.categorical
    lost = giveaways(a, b, columns.names, categorical, seed=seed)
    sight = _Sight(a, b, categorical, seed)
    place = {str(name): i for i, name in enumerate(columns.names)}
    alone = [sight((i,)) for i in range(len(columns.names))]
    ranked = sorted(lost, key=lambda pair: -max(pair[1], alone[place[pair[0]]] - 0.5))
    told = [
        {"column": n, "lost": v, "alone": alone[place[n]],
         "says": difference(real[columns.names[place[n]]], fake[columns.names[place[n]]])}
        for n, v in ranked[:SHOWN]
    ]  # fmt: skip
    return {
        "gave it away": lost,
        "columns": told,
        "pairs": _together(sight, [place[n] for n, _ in lost[:PAIRED]], alone, columns),
    }


def _together(sight: _Sight, some: list[int], alone: list[float], columns: Columns) -> list[list[Any]]:
    """Pairs that tell more than either column, by three standard errors and more as more pairs are tried."""
    pairs = list(combinations(sorted(some), 2))
    if not pairs:
        return []
    least = float(norm.isf(0.001 / len(pairs))) * sight.error
    found = []
    for i, j in pairs:
        both, better = sight((i, j)), max(alone[i], alone[j], 0.5)
        if both - better > least:
            found.append([f"{columns.names[i]} × {columns.names[j]}", both, better])
    return sorted(found, key=lambda line: line[2] - line[1])


class _Sight:
    """What trees that see only some columns reach on rows they were not trained on."""

    def __init__(self, fake: np.ndarray, real: np.ndarray, categorical: np.ndarray, seed: int):
        self.x, self.label = np.concatenate([fake, real]), np.arange(len(fake) + len(real)) < len(fake)
        order = np.random.default_rng(seed).permutation(len(self.x))
        self.train, self.test = order[: len(order) // 2], order[len(order) // 2 :]
        self.categorical, self.seed = categorical, seed
        n, m = self.label[self.test].sum(), (~self.label[self.test]).sum()
        self.error = float(np.sqrt((n + m + 1) / (12 * max(n * m, 1))))

    def __call__(self, which: tuple[int, ...]) -> float:
        """AUC of trees that see the columns `which` alone."""
        some = list(which)
        trees = boosted(self.categorical[some], self.seed, ROUNDS).fit(self.x[self.train][:, some], self.label[self.train])
        score, truth = trees.predict_proba(self.x[self.test][:, some])[:, 1], self.label[self.test]
        return area(score[truth], score[~truth])[0]
