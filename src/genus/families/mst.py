"""MST: a tree of pairs chosen and counted under differential privacy, and the distribution that agrees with them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from genus.capability import Density, Partial
from genus.errors import UsageError
from genus.maths.coarse import Coarse, cells_of, hosts_of, shrunk, states_of, within_of
from genus.maths.network import Network
from genus.maths.private import Ledger, check_budget, sigma_of
from genus.maths.quantise import Packed, drawn
from genus.maths.treefit import TreeFit
from genus.train.private import account
from genus.train.run import Run

SHARES = (1 / 3, 1 / 3, 1 / 3)  # of the budget: single cells, the choice of pairs, the pairs
NOISE = 0.3  # noise in a pair's table, over the rows, up to which its cells get more states
STATES = (4, 64)


@dataclass(kw_only=True, eq=False, repr=False)
class MST(Density, Partial):
    """Private synthesis from a maximum spanning tree: p(x) = p(root) ∏ p(cell | its parent), learnt from noisy counts.

    Each cell is counted under Gaussian noise; from these counts ordered cells get as many states as the noise allows, and levels
    that it drowns share one. The exponential mechanism picks the pairs of a spanning tree, those furthest from independence; they
    are counted under noise, and the tree that agrees best with everything counted (least squares over distributions) is drawn
    from. A column's second cell depends on its first alone. Everything learnt is (ε, δ)-differentially private in the packed
    rows, whatever else an attacker knows: two tables that differ by one row make nearly the same model. What the promise leaves
    out is listed in `privacy_`.

    Parameters
    ----------
    epsilon: of the promise, for the whole fit: 1 strong, 3 usual, 10 weak.
    delta: the chance that it fails, below one over the number of rows.
    bins: most states of an ordered cell in the tree; as many as the noise allows, 4 to 64, when None.
    noise: "secret" is drawn afresh from the system; "seeded" repeats with the seed, and protects from nobody who knows it.

    Attributes
    ----------
    privacy_: ε, δ, how they were spent, and what they do not cover. edges_: (cell, cell) of the tree. parents_: of each variable.
    tables_: (parent's states, states). nodes_: the cell of each variable. state_: (levels,) each level's state.
    within_: p(level | state). fine_: p(second cell | first cell). rows_: how many there were, give or take the noise.

    Reference: R. McKenna, G. Miklau and D. Sheldon 2021, Winning the NIST contest: a scalable and general approach to
    differentially private synthetic data, https://arxiv.org/abs/2108.04978
    """

    accepts: ClassVar[tuple[str, ...]] = ("record", "levels", "binary", "category")
    chunk: ClassVar[int] = 65536

    epsilon: float = 3.0
    delta: float = 1e-5
    bins: int | None = None
    noise: Literal["secret", "seeded"] = "secret"

    def _check(self) -> None:
        check_budget(self.epsilon, self.delta)
        if self.bins is not None and self.bins < 2:
            raise UsageError(f"bins={self.bins} must be 2 or more.")
        if self.noise not in ("secret", "seeded"):
            raise UsageError(f"noise={self.noise!r} is not one of secret, seeded.")

    # -- fitting ------------------------------------------------------------------------------------------

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        data = drawn(x).reshape(len(x), -1).long()
        check_budget(self.epsilon, self.delta, len(data))
        seed = None if self.noise == "secret" else int(torch.randint(2**62, ()))
        ledger = Ledger(self.epsilon, self.delta, seed)
        self._nets = {}
        hosts = hosts_of(self.space_)
        self.hosts_ = [list(pair) for pair in hosts]
        self.nodes_ = [i for i in range(data.shape[1]) if i not in {i for i, _ in hosts}]
        one, choice, two = self._shares(ledger.rho, len(self.nodes_), len(hosts))
        singles, sigma = self._singles(data, ledger, one)
        self._place(singles, sigma, two)
        self.fine_ = [self._fine(data, i, host, ledger, two) for i, host in hosts]
        self._grow(self._coarse.states(data), singles, sigma, ledger, choice, two)
        self.privacy_ = account(ledger.to_json(), self.codec_, run)
        self.history_ = [{"step": 0, "epsilon": self.privacy_["epsilon"]}]

    def _shares(self, rho: float, d: int, fine: int) -> tuple[float, float, float]:
        """(ρ of each cell's count, of each choice of a pair, of each pair's count)."""
        pairs = d - 1
        if pairs + fine == 0:
            return rho, 0.0, 0.0
        choice = SHARES[1] if pairs > 1 else 0.0
        rest = (1 - choice) / 2
        return rest * rho / d, choice * rho / max(1, pairs), rest * rho / (pairs + fine)

    def _singles(self, data: Tensor, ledger: Ledger, rho: float) -> tuple[list[Tensor], float]:
        """(noisy counts of each variable's levels, the noise's deviation), and how many rows there seem to be."""
        spaces, found, sigma = cells_of(self.space_), [], 0.0
        for i in self.nodes_:
            counts, sigma = ledger.measure("single cells", torch.bincount(data[:, i], minlength=spaces[i][1].levels), rho)
            found.append(counts)
        weights = [1 / len(c) for c in found]
        self.rows_ = max(1.0, sum(w * float(c.sum()) for w, c in zip(weights, found, strict=True)) / sum(weights))
        return found, sigma

    def _place(self, singles: list[Tensor], sigma: float, rho: float) -> None:
        """The states of each variable, as few as the noise in a table of two asks for."""
        noise = sigma_of(rho) if rho else 0.0
        most = math.sqrt(NOISE * self.rows_ / noise) if noise else STATES[1]
        bins = self.bins or round(min(max(most, STATES[0]), STATES[1]))
        spaces = cells_of(self.space_)
        self.state_ = [states_of(c, spaces[i][1], bins, sigma) for i, c in zip(self.nodes_, singles, strict=True)]
        self.within_ = [within_of(c, state, sigma) for c, state in zip(singles, self.state_, strict=True)]
        self.fine_ = []

    def _fine(self, data: Tensor, i: int, host: int, ledger: Ledger, rho: float) -> Tensor:
        """p(second cell | first cell), even where noise is all there is."""
        spaces = cells_of(self.space_)
        rows, r = spaces[host][1].levels, spaces[i][1].levels
        counts = torch.bincount(data[:, host] * r + data[:, i], minlength=rows * r).view(rows, r)
        noisy, sigma = ledger.measure("places inside bins", counts, rho)
        return shrunk(noisy, sigma)

    def _grow(self, states: Tensor, singles: list[Tensor], sigma: float, ledger: Ledger, choice: float, two: float) -> None:
        """Choose the tree, count its pairs and fit the tables."""
        sizes = [len(w) for w in self.within_]
        alone = [
            torch.zeros(r, dtype=torch.float64).index_add_(0, s, c) for r, s, c in zip(sizes, self.state_, singles, strict=True)
        ]
        edges = self._choose_pairs(states, [shrunk(a, 0.0) for a in alone], ledger, choice, two) if len(sizes) > 1 else []
        pairs, noise = [], 1.0
        for i, j in edges:
            counts = torch.bincount(states[:, i] * sizes[j] + states[:, j], minlength=sizes[i] * sizes[j])
            noisy, noise = ledger.measure("pairs of cells", counts.view(sizes[i], sizes[j]), two)
            pairs.append(noisy.numpy())
        tree = TreeFit(sizes, edges)
        p, joint = tree.fit(self.rows_, [a.numpy() for a in alone], pairs, (sigma, noise))
        self.edges_ = [[self.nodes_[i], self.nodes_[j]] for i, j in edges]
        self.parents_ = [list(above) for above in tree.parents]
        self.tables_ = [_conditional(i, tree, p, joint) for i in range(len(sizes))]

    def _choose_pairs(self, states: Tensor, alone: list[Tensor], ledger: Ledger, rho: float, two: float) -> list[tuple[int, int]]:
        """The edges of a spanning tree, each drawn among those that join two parts of it.

        A pair's score is the L1 distance of its table of counts from independence, less what noise alone would put into
        the table; one row changes it by at most one.
        """
        d = len(alone)
        scores = _distances(states, alone, self.rows_)
        sizes = torch.tensor([len(a) for a in alone], dtype=torch.float64)
        scores -= math.sqrt(2 / math.pi) * sigma_of(two) * sizes[:, None] * sizes
        part, edges = list(range(d)), []
        for _ in range(d - 1):
            open_ = [(i, j) for i in range(d) for j in range(i + 1, d) if part[i] != part[j]]
            values = torch.stack([scores[i, j] for i, j in open_])
            i, j = open_[ledger.select("choice of pairs", values, rho) if rho else 0]
            edges.append((i, j))
            part = [part[i] if p == part[j] else p for p in part]
        return edges

    # -- the verbs' hooks ---------------------------------------------------------------------------------

    @property
    def _coarse(self) -> Coarse:
        return Coarse(self.space_, self.nodes_, self.hosts_, self.state_, self.within_, self.fine_)

    def _net(self) -> Network:
        if not getattr(self, "_nets", None):
            states = [[str(k) for k in range(len(w))] for w in self.within_]
            names = [cells_of(self.space_)[i][0] for i in self.nodes_]
            self._nets = {0: Network(names, states, self.parents_, self.tables_)}
        return self._nets[0]

    def _log_prob(self, x: Tensor, y: Tensor | None) -> Tensor:
        data = x.reshape(len(x), -1).long()
        states = self._coarse.states(data)
        return self._net().log_prob(states) + self._coarse.log_levels(data, states).sum(1)

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        empty = torch.zeros(n, len(cells_of(self.space_)), dtype=torch.long)
        x = self._coarse.levels(self._net().sample(n), empty)
        return x.reshape(n, *self.space_.shape).to(self.space_.dtype)

    def _complete(self, x: Tensor, known: Tensor, y: Tensor | None) -> Tensor:
        data, mask = x.reshape(len(x), -1).long(), known.reshape(len(x), -1)
        coarse = self._coarse
        states = self._net().complete(coarse.states(data), mask[:, self.nodes_], weights=coarse.allowed())
        return coarse.levels(states, data, mask).reshape(x.shape).to(x.dtype)


def _distances(states: Tensor, alone: list[Tensor], rows: float) -> Tensor:
    """(d, d) L1 distance of each pair's counts from what its single counts say."""
    sizes = [len(a) for a in alone]
    first = torch.tensor([0, *np.cumsum(sizes)])
    together = torch.zeros(int(first[-1]), int(first[-1]), dtype=torch.float64)
    for piece in states.split(8192):
        hot = torch.zeros(len(piece), int(first[-1]))
        hot.scatter_(1, piece + first[:-1], 1.0)
        together += (hot.T @ hot).double()
    out = torch.zeros(len(sizes), len(sizes), dtype=torch.float64)
    for i in range(len(sizes)):
        for j in range(i + 1, len(sizes)):
            seen = together[first[i] : first[i + 1], first[j] : first[j + 1]]
            out[i, j] = (seen - rows * alone[i][:, None] * alone[j]).abs().sum()
    return out


def _conditional(i: int, tree: TreeFit, p: list[np.ndarray], joint: list[np.ndarray]) -> Tensor:
    """p(variable i | its parent's state), or p(variable i) at a root."""
    above = tree.above[i]
    if above is None:
        table = p[i]
    else:
        parent, e = above
        table = joint[e] if tree.edges[e][0] == parent else joint[e].T
    table = torch.from_numpy(np.ascontiguousarray(table)).clamp_min(0) + 1e-9 * torch.from_numpy(p[i]) + 1e-12
    return table / table.sum(-1, keepdim=True)
