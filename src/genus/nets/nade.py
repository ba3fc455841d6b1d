"""NADE: hidden units that take in one cell after the other, and the logits of each cell read from them before it is taken in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genus.nets.dropout import Dropout
from genus.nets.embed import cosines

Activation = Literal["relu", "sigmoid"]


def features(levels: int, ordered: bool, missing: int | None, rank: int) -> Tensor:
    """What a level means to a net, (levels, numbers), zeros for level 0.

    One number a level beside the first; over more ordered levels than that, `rank` cosines of the place, and one number each
    for the least level, the greatest, and the missing one, relative to level 0.
    """
    if not ordered or levels <= rank + 3:
        return torch.eye(levels)[:, 1:] if levels > 1 else torch.zeros(1, 1)
    marks = torch.zeros(levels, 2 if missing is None else 3)
    held = [i for i in range(levels) if i != missing]
    marks[held[0], 0] = marks[held[-1], 1] = 1.0
    if missing is not None:
        marks[missing, 2] = 1.0
    table = torch.cat([cosines(levels, rank, missing), marks], 1)
    return table - table[0]


class NADENet(nn.Module):
    """aᵢ = c + Σ_{j<i} Wⱼ φ(xⱼ), hᵢ = f(aᵢ), log p(xᵢ | x_{<i}) = log softmax(bᵢ + ψ Vᵢ hᵢ)[xᵢ]: O(cells · width) for all terms.

    φ = ψ are the `features` of levels, zero at level 0: a cell at level 0 leaves the units as they are. So all cells between two
    others share one state of the units, and only the distinct states are computed, block by block of cells.

    Parameters
    ----------
    levels, ordered, missing: of each cell. width: units. condition: entries of y. activation: of the units. dropout: of the
    units, the same ones for all cells of an item. rank: of ordered levels, see `features`.
    """

    table: Tensor
    closed: Tensor

    def __init__(
        self, levels: Sequence[int], *, ordered: Sequence[bool], missing: Sequence[int | None], width: int = 500,
        condition: int = 0, activation: Activation = "relu", dropout: float = 0.0, rank: int = 12,
    ) -> None:  # fmt: skip
        super().__init__()
        cells, most = len(levels), max(levels)
        kinds = list(zip(levels, ordered, missing, strict=True))
        alike = len(set(kinds)) == 1
        tables = [features(*kind, rank) for kind in (kinds[:1] if alike else kinds)]
        wide = max(t.shape[1] for t in tables)
        table = torch.stack([F.pad(t, (0, wide - t.shape[1], 0, most - len(t))) for t in tables])
        closed = torch.arange(most) >= torch.tensor(levels[:1] if alike else list(levels))[:, None]
        self.register_buffer("table", table, persistent=False)
        self.register_buffer("closed", torch.zeros(closed.shape).masked_fill(closed, -torch.inf), persistent=False)
        self.activation, self.dropout, self.stride = activation, Dropout(dropout), max(1, round(0.6 * math.sqrt(cells)))
        self.enter = nn.Parameter(torch.randn(cells, wide, width) * (0.5 / math.sqrt(cells)))
        self.start = nn.Parameter(torch.randn(width) * 0.1)
        self.leave = nn.Parameter(torch.randn(cells, wide, width) * (0.2 / math.sqrt(width)))
        self.bias = nn.Parameter(torch.zeros(cells, most))
        self.tell = nn.Linear(condition, width, bias=False) if condition else None
        self.answer = nn.Linear(condition, cells * wide, bias=False) if condition else None
        if self.answer is not None:
            nn.init.zeros_(self.answer.weight)

    def count(self, x: Tensor) -> None:
        """Begin the logits at the smoothed log-frequencies of the cells x (n, cells)."""
        counts = torch.stack([torch.bincount(cell, minlength=self.bias.shape[1]) for cell in x.T]).float() + 0.1
        with torch.no_grad():
            self.bias.copy_((counts / counts.sum(1, keepdim=True)).log())

    def log_probs(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(xᵢ | x_{<i}, y) of each cell of x, (n, cells)."""
        told = self.told(y)
        kept = None
        if self.training and self.dropout.p:
            kept = self.dropout(torch.ones(len(x), len(self.start), device=x.device))
        a, out = self.first(len(x), y), []
        weights = zip(self.enter.split(self.stride), self.leave.split(self.stride), strict=True)  # a slice's gradient is costlier
        for begin, (enter, leave) in zip(range(0, x.shape[1], self.stride), weights, strict=True):
            part = slice(begin, begin + len(enter))
            seen = self.seen(x[:, part], part)
            enter, leave = enter.flatten(0, 1), leave.flatten(0, 1)
            z = self._block(a, x[:, part] != 0, seen, enter, leave, kept)
            z = z if told is None else z + told[:, part]
            out.append(z)
            a = torch.addmm(a, seen.flatten(1), enter)
        logits = self.logits_of(torch.cat(out, 1), slice(0, x.shape[1]))
        return logits.gather(2, x[..., None])[..., 0] - logits.logsumexp(2)

    def _block(
        self, a: Tensor, changed: Tensor, seen: Tensor, enter: Tensor, leave: Tensor, kept: Tensor | None
    ) -> Tensor:  # fmt: skip
        """Vᵢ hᵢ of the cells of a block, (n, cells, features): each state once, from the units a (n, width) before the block."""
        n, cells = changed.shape
        after = changed.long().cumsum(1)
        before = after - changed.long()  # changes ahead of a cell, the number of its state
        states = before[:, -1] + 1
        first = states.cumsum(0) - states
        owner = torch.repeat_interleave(torch.arange(n, device=a.device), states)
        number = torch.arange(len(owner), device=a.device) - first[owner]
        inside = after[owner] <= number[:, None]
        taken = (seen[owner] * inside[..., None]).flatten(1)
        h = self.units(torch.addmm(a.index_select(0, owner), taken, enter))
        h = h if kept is None else h * kept.index_select(0, owner)
        row = (first[:, None] + before)[..., None].expand(-1, -1, seen.shape[2]).flatten(1)
        return (h @ leave.T).gather(0, row).view(n, cells, -1)

    # -- the pieces, also of drawing ----------------------------------------------------------------------

    def first(self, n: int, y: Tensor | None) -> Tensor:
        """The units (n, width) before any cell."""
        a = self.start.expand(n, -1)
        return a if y is None or self.tell is None else a + self.tell(y)

    def told(self, y: Tensor | None) -> Tensor | None:
        """What y adds to V h, (n, cells, features)."""
        return None if y is None or self.answer is None else self.answer(y).unflatten(1, self.leave.shape[:2])

    def seen(self, x: Tensor, part: slice) -> Tensor:
        """φ of the cells x (n, cells of the part), (n, cells, features)."""
        if len(self.table) == 1:
            return F.embedding(x, self.table[0])
        return self.table[torch.arange(part.start, part.stop, device=x.device), x]

    def units(self, a: Tensor) -> Tensor:
        """f(a)."""
        return F.relu(a) if self.activation == "relu" else torch.sigmoid(a)

    def logits_of(self, z: Tensor, part: slice) -> Tensor:
        """Logits (n, cells, levels), −∞ beyond a cell's own, of V h (n, cells, features)."""
        whole = len(self.table) == 1
        table, closed = (self.table[0], self.closed[0]) if whole else (self.table[part], self.closed[part])
        smooth = z @ table.T if whole else torch.einsum("ncf,clf->ncl", z, table)
        return smooth + (self.bias[part] + closed)


class Intake:
    """Items drawn cell by cell: the units take in each cell as it is put, O(width) a cell.

    Parameters
    ----------
    net: a NADENet. x: (n, cells), known or still to be drawn. y: the condition.
    """

    def __init__(self, net: NADENet, x: Tensor, y: Tensor | None) -> None:
        self.net, self.x = net, x
        self.a, self.told = net.first(len(x), y), net.told(y)

    def logits(self, step: int) -> Tensor:
        """Logits (n, levels) of cell `step`, from what the cells before it hold."""
        z = self.net.units(self.a) @ self.net.leave[step].T
        z = z if self.told is None else z + self.told[:, step]
        return self.net.logits_of(z[:, None], slice(step, step + 1))[:, 0]

    def put(self, step: int, symbol: Tensor) -> None:
        """Set cell `step`."""
        self.x[:, step] = symbol
        seen = self.net.seen(symbol[:, None], slice(step, step + 1))[:, 0]
        self.a = self.a + seen @ self.net.enter[step]

    def keep(self, index: Tensor) -> None:
        """Go on with the items at `index`, which may repeat."""
        self.x, self.a = self.x[index], self.a[index]
        self.told = None if self.told is None else self.told[index]
