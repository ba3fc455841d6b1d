"""Scores of families: how well a variable's parents explain it, from counts, for one family or for all its extensions at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

Criterion = Literal["bic", "aic", "bdeu"]
LOOKUP = 2**21  # counts whose n log n is kept in a table
PIECE = 2**20  # entries of an index made at once


@dataclass
class Scores:
    """Decomposable scores of discrete variables: s(i, parents), computed from counts and remembered.

    BIC: log-likelihood − ½ log n · parameters; AIC: log-likelihood − parameters; BDeu: the log marginal likelihood under a
    Dirichlet prior worth `sample` rows.

    Parameters
    ----------
    codes: (n, d) states. sizes: how many each variable has. criterion: the score. sample: BDeu's imagined rows.
    cells: entries of the largest table considered; larger families score −∞.

    Reference: D. Heckerman, D. Geiger and D. Chickering 1995, Learning Bayesian networks: the combination of knowledge and
    statistical data, https://doi.org/10.1007/BF00994016; G. Schwarz 1978, https://doi.org/10.1214/aos/1176344136
    """

    codes: np.ndarray
    sizes: Sequence[int]
    criterion: Criterion = "bic"
    sample: float = 10.0
    cells: int = 100_000
    known: dict[tuple[int, int], float] = field(default_factory=dict)
    swept: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.n, self.d = self.codes.shape
        self.size = np.asarray(self.sizes, np.int64)
        self.columns = np.ascontiguousarray(self.codes.T, dtype=np.int64)
        self.start = np.concatenate([[0], self.size.cumsum()])
        self.width = int(self.start[-1])
        self.places = np.ascontiguousarray(self.codes + self.start[:-1], dtype=np.int64)
        table = np.arange(min(self.n, LOOKUP) + 1, dtype=np.float64)
        self.table = table * np.log(np.maximum(table, 1))

    # -- one family ---------------------------------------------------------------------------------------

    def family(self, i: int, parents: int) -> float:
        """s(i, parents), the parents as bits of an integer."""
        key = (i, parents)
        if key not in self.known:
            above = bits(parents)
            q = math.prod(int(self.size[p]) for p in above)
            if q * int(self.size[i]) > self.cells:
                self.known[key] = -math.inf
            else:
                row, rows = self._rows(above)
                r = int(self.size[i])
                counts = np.bincount(row * r + self.columns[i], minlength=rows * r).reshape(rows, r)
                self.known[key] = float(self._value(counts[:, :, None], np.array([q]), r, np.array([0]))[0])
        return self.known[key]

    def _rows(self, above: list[int]) -> tuple[np.ndarray, int]:
        """(the configuration of the parents each row has, how many): only those that occur once there are more than rows."""
        row, rows = np.zeros(self.n, np.int64), 1
        for p in above:
            row = row * self.size[p] + self.columns[p] if rows > 1 else self.columns[p]
            rows *= int(self.size[p])
        if rows > self.n:
            found, row = np.unique(row, return_inverse=True)
            rows = len(found)
        return row, rows

    def _xlogx(self, counts: np.ndarray) -> np.ndarray:
        if self.n <= LOOKUP:
            return self.table[counts]
        return counts * np.log(np.maximum(counts, 1))

    def _value(self, counts: np.ndarray, q: np.ndarray, r: int, start: np.ndarray) -> np.ndarray:
        """Scores from counts (rows, states, columns); columns from start[k] on belong to candidate k, of q[k] rows in all."""
        total = counts.sum(1)
        if self.criterion == "bdeu":
            return self._bdeu(counts, total, q, r, start)
        each = self._xlogx(counts).sum((0, 1)) - self._xlogx(total).sum(0)
        weight = 0.5 * math.log(max(self.n, 2)) if self.criterion == "bic" else 1.0
        return np.add.reduceat(each, start) - weight * (r - 1) * q

    def _bdeu(self, counts: np.ndarray, total: np.ndarray, q: np.ndarray, r: int, start: np.ndarray) -> np.ndarray:
        """log p(data | graph) under Dirichlet(sample / (q r)) rows."""
        per_row = self.sample / np.repeat(q, np.diff(np.append(start, counts.shape[2])))
        cell = torch.from_numpy(per_row / r)
        prior = torch.from_numpy(per_row)
        inner = torch.lgamma(torch.from_numpy(counts) + cell) - torch.lgamma(cell)
        outer = torch.lgamma(prior) - torch.lgamma(torch.from_numpy(total) + prior)
        return np.add.reduceat((inner.sum((0, 1)) + outer.sum(0)).numpy(), start)

    # -- one family with each further parent --------------------------------------------------------------

    def sweep(self, i: int, parents: int) -> np.ndarray:
        """(d,) s(i, parents + z) for every z, −∞ where z is i or a parent or the table would be too large."""
        key = (i, parents)
        if key not in self.swept:
            self.swept[key] = self._sweep(i, parents)
        return self.swept[key]

    def _sweep(self, i: int, parents: int) -> np.ndarray:
        above, r = bits(parents), int(self.size[i])
        q = math.prod(int(self.size[p]) for p in above)
        out = np.full(self.d, -math.inf)
        fits = q * r * self.size <= self.cells
        fits[[i, *above]] = False
        some = np.flatnonzero(fits)
        if not len(some):
            return out
        row, rows = self._rows(above)
        cell = row * r + self.columns[i]
        counts, start = self._counts(cell, rows * r, some)
        out[some] = self._value(counts.reshape(rows, r, -1), q * self.size[some], r, start)
        return out

    def _counts(self, cell: np.ndarray, cells: int, some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(counts (cells, states of the variables in `some`), where each variable's begin)."""
        start = np.concatenate([[0], self.size[some].cumsum()])
        if self.n * self.d <= PIECE and 2 * len(some) > self.d and cells * self.width <= 8 * PIECE:
            index = (cell[:, None] * self.width + self.places).ravel()
            counts = np.bincount(index, minlength=cells * self.width).reshape(cells, self.width)
            chosen = np.zeros(self.d, bool)
            chosen[some] = True
            return counts[:, np.repeat(chosen, self.size)], start[:-1]
        counts = np.empty((cells, int(start[-1])), np.int64)
        for k, z in enumerate(some):
            size = int(self.size[z])
            found = np.bincount(cell * size + self.columns[z], minlength=cells * size)
            counts[:, start[k] : start[k + 1]] = found.reshape(cells, size)
        return counts, start[:-1]

    def pairs(self) -> None:
        """Sweep every variable without parents at once, by one product of indicator matrices."""
        if self.width > 8 * self.d or self.width > 8192:
            return
        gram = torch.zeros(self.width, self.width, dtype=torch.float64)
        for rows in np.array_split(self.places, max(1, self.n * self.width // 2**24)):
            shown = torch.zeros(len(rows), self.width)
            shown.scatter_(1, torch.from_numpy(rows), 1.0)
            gram += (shown.T @ shown).double()
        counts = gram.numpy().astype(np.int64)
        for i in range(self.d):
            r, others = int(self.size[i]), counts[self.start[i] : self.start[i + 1]]
            value = self._value(others[None], self.size, r, self.start[:-1])
            value[(r * self.size > self.cells) | (np.arange(self.d) == i)] = -math.inf
            self.swept[(i, 0)] = value


def bits(mask: int) -> list[int]:
    """The positions of the ones.

    >>> bits(0b101)
    [0, 2]
    """
    out = []
    while mask:
        low = mask & -mask
        out.append(low.bit_length() - 1)
        mask ^= low
    return out
