"""Scores of families of discrete and normal variables: a regression of its own for each state of the discrete parents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_matrix

from genus.maths.scores import Criterion, Scores, bits

WIDEST = 2**20  # entries of the moments of all candidates at once


@dataclass
class MixedScores:
    """Decomposable scores of discrete variables, then of normal ones, which no discrete variable has as a parent.

    A normal variable's score is Σ_c −n_c/2 (log 2πσ_c² + 1), c over the states of its discrete parents, each with a regression on
    the real parents of its own, less ½ log n (bic) or 1 (aic) for each coefficient, intercept and variance of every state. A
    state's moments are mixed with `prior` rows that are like all rows.

    Parameters
    ----------
    codes: (n, k) states. sizes: how many each has. reals: (n, r), standardised. labels: (n,) which regressions a row counts to.
    criterion: the score. cells: numbers of the largest family considered.

    Reference: D. Heckerman and D. Geiger 1995, Learning Bayesian networks: a unification for discrete and Gaussian domains,
    https://arxiv.org/abs/1302.4957
    """

    codes: np.ndarray
    sizes: Sequence[int]
    reals: np.ndarray
    labels: np.ndarray
    criterion: Criterion = "bic"
    cells: int = 100_000
    prior: float = 1.0
    known: dict[tuple[int, int], float] = field(default_factory=dict)
    swept: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)
    grouped: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.n, self.k = self.codes.shape
        self.r = self.reals.shape[1]
        self.d = self.k + self.r
        self.groups = int(self.labels.max(initial=0)) + 1
        self.discrete = Scores(self.codes, self.sizes, self.criterion, cells=self.cells)
        self.cost = 0.5 * math.log(max(self.n, 2)) if self.criterion == "bic" else 1.0
        self.rows = np.column_stack([np.ones(self.n), self.reals])
        whole = self.rows.T @ self.rows / max(self.n, 1)
        self.like_all = self.prior * (whole + 1e-6 * np.diag(whole.diagonal() + 1e-12))

    def pairs(self) -> None:
        """Sweep every discrete variable without parents at once."""
        if self.k:
            self.discrete.pairs()

    def family(self, i: int, parents: int) -> float:
        """s(i, parents), the parents as bits of an integer."""
        if i < self.k:
            return self.discrete.family(i, parents) if parents < 1 << self.k else -math.inf
        if (i, parents) not in self.known:
            switches, above = self._split(parents)
            some = [0, *(p + 1 for p in above), i - self.k + 1]
            _, sums = self._moments(switches)
            value = self._value(sums[:, some][:, :, some], some).sum()
            self.known[i, parents] = float(value) - self.cost * self._states(switches) * (len(above) + 2)
        return self.known[i, parents]

    def sweep(self, i: int, parents: int) -> np.ndarray:
        """(d,) s(i, parents + z) for every z, −∞ where z is i or a parent, or may not be one."""
        if (i, parents) not in self.swept:
            out = np.full(self.d, -math.inf)
            if i < self.k:
                out[: self.k] = self.discrete.sweep(i, parents)
            else:
                switches, above = self._split(parents)
                out[self.k :] = self._with_reals(i - self.k, switches, above)
                if self.k:
                    out[: self.k] = self._with_switches(i - self.k, switches, above)
                out[[i, *bits(parents)]] = -math.inf
            self.swept[i, parents] = out
        return self.swept[i, parents]

    # -- normal variables ---------------------------------------------------------------------------------

    def _split(self, parents: int) -> tuple[int, list[int]]:
        """(discrete parents as bits, real parents as places among the reals)."""
        return parents & ((1 << self.k) - 1), bits(parents >> self.k)

    def _states(self, switches: int) -> int:
        """Regressions of a family with these discrete parents."""
        return self.groups * math.prod(int(self.sizes[p]) for p in bits(switches))

    def _moments(self, switches: int) -> tuple[np.ndarray, np.ndarray]:
        """(the state of the discrete parents each row has, (states, 1 + r, 1 + r) sums of products), of those that occur."""
        if switches not in self.grouped:
            row = self.labels.astype(np.int64)
            for p in bits(switches):
                row = row * int(self.sizes[p]) + self.codes[:, p]
            found, row = np.unique(row, return_inverse=True)
            order = np.argsort(row, kind="stable")
            ends = np.cumsum(np.bincount(row, minlength=len(found)))[:-1]
            self.grouped[switches] = row, np.stack([part.T @ part for part in np.split(self.rows[order], ends)])
        return self.grouped[switches]

    def _value(self, sums: np.ndarray, some: list[int]) -> np.ndarray:
        """(states,) log-likelihood of the last of `some` regressed on the others, from sums of products (states, m, m)."""
        mixed = sums + self.like_all[np.ix_(some, some)]
        last = mixed[:, :-1, -1:]
        solved = np.linalg.solve(mixed[:, :-1, :-1], last)
        return self._likelihood(sums[:, 0, 0], mixed[:, -1, -1] - (last * solved).sum((1, 2)))

    def _likelihood(self, n: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """−n/2 (log 2πσ² + 1), σ² = rest / (n + prior)."""
        return -0.5 * n * (np.log(2 * math.pi * np.maximum(rest / (n + self.prior), 1e-12)) + 1)

    def _with_reals(self, i: int, switches: int, above: list[int]) -> np.ndarray:
        """(r,) the scores with each real variable as a further parent."""
        _, sums = self._moments(switches)
        given = [0, *(p + 1 for p in above)]
        mixed = sums + self.like_all
        cross = mixed[:, :, given]
        rest = mixed - cross @ np.linalg.solve(mixed[:, given][:, :, given], cross.swapaxes(1, 2))
        spread = np.maximum(rest.diagonal(axis1=1, axis2=2), 1e-12)
        left = rest[:, i + 1, i + 1, None] - rest[:, i + 1] ** 2 / spread
        value = self._likelihood(sums[:, 0, 0, None], left).sum(0)[1:]
        numbers = self._states(switches) * (len(above) + 3)
        return value - self.cost * numbers if numbers <= self.cells else np.full(self.r, -math.inf)

    def _with_switches(self, i: int, switches: int, above: list[int]) -> np.ndarray:
        """(k,) the scores with each discrete variable as a further parent: one product of sparse indicators with the products."""
        row, sums = self._moments(switches)
        some = [0, *(p + 1 for p in above), i + 1]
        m, width = len(some), self.discrete.width
        out = np.full(self.k, -math.inf)
        numbers = self._states(switches) * self.discrete.size * m
        fits = numbers <= self.cells
        if len(sums) * width * m * m > WIDEST * 8 or not fits.any():
            return out
        one, two = np.triu_indices(m)
        columns = self.rows[:, some]
        index = (row[:, None] * width + self.discrete.places).ravel()
        shape = (self.n, len(sums) * width)
        shown = csr_matrix((np.ones(len(index)), index, np.arange(0, len(index) + 1, self.k)), shape=shape)
        found = np.asarray(shown.T @ (columns[:, one] * columns[:, two]))
        full = np.empty((len(found), m, m))
        full[:, one, two] = full[:, two, one] = found
        value = self._value(full, some).reshape(len(sums), width).sum(0)
        each = np.add.reduceat(value, self.discrete.start[:-1])
        out[fits] = (each - self.cost * numbers)[fits]
        return out
