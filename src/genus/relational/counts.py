"""Counts: how many children a parent has: a table of frequencies for each kind of parent, the kinds found by splitting."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from genus import dice
from genus.relational.encoder import Features

BINS = 6
LEAF = 30
DEPTH = 10
CUTS = 31
PRIOR = 2.0


@dataclass
class Counts:
    """p(count | parent): in each leaf of a tree over the parent's features, the frequencies of counts, drawn a little to all.

    A leaf is split where that raises the log-likelihood of the counts, taken in at most six classes, by more than Schwarz's
    criterion asks. Counts never seen have a geometric tail of weight 1 / (rows + 1), so that every count has a probability.

    Attributes
    ----------
    nodes_: a list of [feature, threshold, left, right]; a leaf is ["", 0, leaf, 0]. A score goes left below its threshold, a code
    where it equals it. tables_: (leaves, counts) probabilities of 0, 1, 2 … weight_, ratio_: of the tail.
    """

    nodes_: list[list] = field(default_factory=list)
    tables_: np.ndarray = field(default_factory=lambda: np.ones((1, 1)))
    weight_: float = 0.0
    ratio_: float = 0.5

    def fit(self, count: np.ndarray, given: Features) -> Counts:
        """Learn from the counts of parents, (n,), and what is known of them."""
        edges = np.unique(np.quantile(count, np.linspace(0, 1, BINS + 1)[1:-1], method="nearest"))
        self._class = np.eye(len(edges) + 1)[np.searchsorted(edges, count, "right")]
        self.weight_, self.ratio_ = 1 / (len(count) + 1), float(count.mean() / (1 + count.mean()))
        everybody = np.bincount(count) / len(count)
        self._leaves: list[np.ndarray] = []
        self._grow(np.arange(len(count)), given, 0)
        tables = [np.bincount(count[rows], minlength=len(everybody)) for rows in self._leaves]
        self.tables_ = np.stack([(table + PRIOR * everybody) / (table.sum() + PRIOR) for table in tables])
        del self._class, self._leaves
        return self

    def _grow(self, rows: np.ndarray, given: Features, depth: int) -> int:
        """Add the tree over these rows; returns its node."""
        at = len(self.nodes_)
        self.nodes_.append(["", 0.0, len(self._leaves), 0])
        best = self._split(rows, given) if depth < DEPTH and len(rows) >= 2 * LEAF else None
        if best is None:
            self._leaves.append(rows)
            return at
        name, threshold, left = best
        low, high = (self._grow(part, given, depth + 1) for part in (rows[left], rows[~left]))
        self.nodes_[at] = [name, threshold, low, high]
        return at

    def _split(self, rows: np.ndarray, given: Features) -> tuple[str, float, np.ndarray] | None:
        """The split that gains most, if it gains enough."""
        held = self._class[rows]
        total = held.sum(0)
        enough = (held.shape[1] - 1) / 2 * np.log(len(rows)) + np.log(1 + len(given.scores) + len(given.codes))
        best: tuple[float, str, float] | None = None
        for name, score in given.scores.items():
            cuts = np.unique(np.quantile(score[rows], np.linspace(0, 1, CUTS + 2)[1:-1]))
            below = np.searchsorted(cuts, score[rows], "right")
            sums = np.zeros((len(cuts) + 1, held.shape[1]))
            np.add.at(sums, below, held)
            best = _better(best, f"s{name}", cuts, np.cumsum(sums, 0)[:-1], total)
        for name, codes in given.codes.items():
            sums = np.zeros((given.levels[name] + 1, held.shape[1]))
            np.add.at(sums, codes[rows] + 1, held)
            best = _better(best, f"c{name}", np.arange(len(sums)) - 1.0, sums, total)
        if best is None or best[0] < enough:
            return None
        return best[1], best[2], _left(given, best[1], best[2])[rows]

    def _leaf(self, given: Features, n: int) -> np.ndarray:
        """The leaf of each parent, (n,)."""
        at = np.zeros(n, dtype=np.int64)
        while True:
            moved = False
            for node in np.unique(at):
                name, threshold, low, high = self.nodes_[node]
                if name:
                    here = at == node
                    at[here] = np.where(_left(given, name, threshold)[here], low, high)
                    moved = True
            if not moved:
                return np.array([node[2] for node in self.nodes_])[at]

    def sample(self, n: int, given: Features, seed: int) -> np.ndarray:
        """The number of children of each of n parents, (n,)."""
        with dice.private(seed):
            if not n:
                return np.zeros(0, dtype=np.int64)
            u = torch.rand((3, n), dtype=torch.float64).numpy()
        cumulative = np.cumsum(self.tables_, 1)[self._leaf(given, n)]
        drawn = np.minimum((cumulative < u[0][:, None]).sum(1), self.tables_.shape[1] - 1)
        tail = np.floor(np.log1p(-u[2]) / np.log(self.ratio_)).astype(np.int64) if self.ratio_ > 0 else 0
        return np.where(u[1] < self.weight_, tail, drawn)

    def log_prob(self, count: np.ndarray, given: Features) -> np.ndarray:
        """log p of each parent's number of children, (n,), nats; a probability."""
        table = np.pad(self.tables_, ((0, 0), (0, 1)))
        held = table[self._leaf(given, len(count)), np.minimum(count, table.shape[1] - 1)]
        tail = (1 - self.ratio_) * self.ratio_ ** count.astype(np.float64)
        return np.log((1 - self.weight_) * held + self.weight_ * tail)


def _left(given: Features, name: str, threshold: float) -> np.ndarray:
    return given.scores[name[1:]] < threshold if name[0] == "s" else given.codes[name[1:]] == threshold


def _better(
    best: tuple[float, str, float] | None, name: str, cuts: np.ndarray, left: np.ndarray, total: np.ndarray
) -> tuple[float, str, float] | None:
    """The better of `best` and this feature's best split, of those that leave enough rows on both sides."""
    right = total - left
    gain = _likelihood(left) + _likelihood(right) - _likelihood(total[None])
    gain[(left.sum(1) < LEAF) | (right.sum(1) < LEAF)] = -np.inf
    if not len(gain) or (best is not None and gain.max() <= best[0]):
        return best
    return float(gain.max()), name, float(cuts[int(gain.argmax())])


def _likelihood(counts: np.ndarray) -> np.ndarray:
    """Log-likelihood of rows of class counts under their own frequencies, (rows,), nats."""
    n = counts.sum(1, keepdims=True)
    return (counts * np.log(np.maximum(counts, 1e-12) / np.maximum(n, 1e-12))).sum(1)
