"""Coarse: the cells of an item as variables of few states, and back, from counts that may be noisy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from genus.maths.ordered import by_rows, grouped
from genus.space import AnySpace, Record, Space

LEAST = 1e-9  # share that keeps every level possible


def cells_of(space: AnySpace) -> Sequence[tuple[str, Space]]:
    """(name, space) of every entry of an item."""
    if isinstance(space, Record):
        return space.fields
    assert isinstance(space, Space)
    return [(str(i), space) for i in range(space.size)]


def hosts_of(space: AnySpace) -> list[tuple[int, int]]:
    """(cell, the cell before it) of each second cell `name/fine`, which says where in its bin a number lies."""
    names = [name for name, _ in cells_of(space)]
    return [(i, i - 1) for i, name in enumerate(names) if i and name.startswith(f"{names[i - 1]}/fine")]


def shrunk(counts: Tensor, sigma: float) -> Tensor:
    """Rows of noisy counts as probabilities, drawn towards the even ones as far as the noise, of deviation `sigma`, could explain
    the row (positive-part James and Stein): what is only noise becomes even, what stands out stays.

    Reference: W. James and C. Stein 1961, Estimation with quadratic loss
    """
    middle = counts.mean(-1, keepdim=True)
    spread = (counts - middle).square().sum(-1, keepdim=True)
    trust = (1 - (counts.shape[-1] - 1) * sigma**2 / spread.clamp_min(1e-12)).clamp(0, 1)
    kept = (middle + trust * (counts - middle)).clamp_min(0) if sigma else counts.clamp_min(0)
    total = kept.sum(-1, keepdim=True)
    p = torch.where(total > 0, kept / total.clamp_min(1e-12), 1 / counts.shape[-1])
    return (p + LEAST) / (1 + LEAST * counts.shape[-1])


def states_of(counts: Tensor, space: Space, bins: int, sigma: float) -> Tensor:
    """(levels,) the state of each level of a cell with these noisy counts.

    Neighbouring levels of an ordered cell share `bins` states of about equal mass. Levels of a category are states of their own,
    but for those whose counts the noise drowns (below 3σ), which share one. "Missing" is a state of its own.
    """
    counts = counts.clamp_min(0)
    if space.kind == "levels" and space.levels > bins:
        return grouped(counts, bins, alone=space.missing)
    alone = counts >= 3 * sigma
    if space.missing is not None:
        alone[space.missing] = True
    if int((~alone).sum()) <= 1:
        return torch.arange(space.levels)
    key = torch.where(alone, torch.arange(space.levels), space.levels)
    return torch.unique(key, return_inverse=True)[1]


def within_of(counts: Tensor, state: Tensor, sigma: float) -> Tensor:
    """(states, levels) p(level | state) from noisy counts of the levels."""
    table = torch.zeros(int(state.max()) + 1, len(state), dtype=torch.float64)
    for s in range(len(table)):
        mine = state == s
        table[s, mine] = shrunk(counts[mine].double(), sigma)
    return table / table.sum(1, keepdim=True)


@dataclass
class Coarse:
    """Items as rows of states: x_i = level, s_i = state; p(x) = p(s) ∏ p(x_i | s_i) ∏ p(second cell | first cell).

    Attributes
    ----------
    space: of the items. nodes: the cell of each variable. hosts: (second cell, first cell).
    state: (levels,) of each variable. within: (states, levels) of each. fine: (levels of the first
    cell, levels) of each second cell.
    """

    space: AnySpace
    nodes: Sequence[int]
    hosts: Sequence[Sequence[int]]
    state: Sequence[Tensor]
    within: Sequence[Tensor]
    fine: Sequence[Tensor]

    def states(self, data: Tensor) -> Tensor:
        """(n, variables) the states of items (n, cells)."""
        return torch.stack([state[data[:, i]] for i, state in zip(self.nodes, self.state, strict=True)], 1)

    def log_levels(self, data: Tensor, states: Tensor) -> Tensor:
        """log p(levels | states), (n, cells), nats."""
        out = torch.zeros(data.shape, dtype=torch.float64)
        for k, i in enumerate(self.nodes):
            out[:, i] = self.within[k].log()[states[:, k], data[:, i]]
        for table, (i, host) in zip(self.fine, self.hosts, strict=True):
            out[:, i] = table.log()[data[:, host], data[:, i]]
        return out

    def levels(self, states: Tensor, x: Tensor, known: Tensor | None = None) -> Tensor:
        """x with the levels of unknown cells drawn within the variables' states."""
        out = x.clone()
        tables = [(i, self.within[k], states[:, k]) for k, i in enumerate(self.nodes)]
        for i, table, row in tables:
            value = by_rows(table, row)
            out[:, i] = value if known is None else torch.where(known[:, i], x[:, i], value)
        for table, (i, host) in zip(self.fine, self.hosts, strict=True):
            value = by_rows(table, out[:, host])
            out[:, i] = value if known is None else torch.where(known[:, i], x[:, i], value)
        return out

    def allowed(self) -> list[Tensor]:
        """(states,) of each variable: 0 at "missing", 1 elsewhere."""
        out, spaces = [], cells_of(self.space)
        for i, state, table in zip(self.nodes, self.state, self.within, strict=True):
            weight, missing = torch.ones(len(table), dtype=torch.float64), spaces[i][1].missing
            out.append(weight if missing is None else weight.index_fill(0, state[missing], 0.0))
        return out
