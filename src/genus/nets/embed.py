"""Embed: discrete entries into vectors and vectors back into logits, smooth over ordered levels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def cosines(levels: int, rank: int, missing: int | None = None) -> Tensor:
    """The first `rank` cosines over the order of the levels, (levels, rank): √2 cos(π j (i + ½) / levels).

    A row of zeros stands at the level `missing`, which has no place in the order.
    """
    held = torch.tensor([i for i in range(levels) if i != missing], dtype=torch.int64)
    place = (torch.arange(len(held)) + 0.5) / max(len(held), 1)
    out = torch.zeros(levels, rank)
    out[held] = math.sqrt(2) * torch.cos(math.pi * torch.arange(1, rank + 1) * place[:, None])
    return out


class Symbols(nn.Module):
    """One vocabulary shared by all positions; a position reads several earlier entries at once.

    Position i is Σⱼ Eⱼ[x_{i−offset_j}] (+ P_i): the entry before it, and others nearby such as the pixel above,
    whose vectors cost nothing next to a block. Before the first entry stands a start symbol.

    Parameters
    ----------
    levels: of an entry. length: of an item. width: of a vector. offsets: how far back the entries read lie.
    positions: learn a vector for each position. ordered: the levels have an order, so that vectors and logits are
    a free part plus a smooth one, coefficients times `cosines`. rank: of the smooth part.
    """

    basis: Tensor
    offsets: Tensor

    def __init__(
        self, levels: int, length: int, width: int, *, offsets: Sequence[int] = (1,), positions: bool = True,
        ordered: bool = False, rank: int = 8,
    ) -> None:  # fmt: skip
        super().__init__()
        self.levels, self.reach = levels, max(offsets)
        rank = min(rank, levels - 1) if ordered and levels > 2 else 0
        self.free = nn.Parameter(torch.randn(len(offsets), levels + 1, width) * (0.1 if rank else 0.5))
        self.smooth = nn.Parameter(torch.randn(len(offsets), rank, width) * 0.5 * max(rank, 1) ** -0.5)
        self.place = nn.Parameter(torch.randn(length, width) * 0.1) if positions else None
        self.head = nn.Parameter(torch.randn(levels, width) * 0.2 * width**-0.5)
        self.head_smooth = nn.Parameter(torch.zeros(rank, width))
        self.bias = nn.Parameter(torch.zeros(levels))
        self.register_buffer("basis", F.pad(cosines(levels, rank), (0, 0, 0, 1)), persistent=False)
        self.register_buffer("offsets", torch.tensor(offsets), persistent=False)

    def tables(self) -> tuple[Tensor, Tensor]:
        """(vectors of all symbols, weights of the logits), the smooth part added."""
        if not len(self.head_smooth):
            return self.free.flatten(0, 1), self.head
        free = self.free + self.basis @ self.smooth
        return free.flatten(0, 1), self.head + self.basis[:-1] @ self.head_smooth

    def enter(self, x: Tensor, first: int, stop: int, tables: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Vectors (n, stop − first, width) of positions, from the entries x (n, at least stop − 1) before them."""
        lead = F.pad(x[:, max(first - self.reach, 0) : stop - 1], (max(self.reach - first, 0), 0), value=self.levels)
        back = self.reach - self.offsets
        at = lead[:, torch.arange(stop - first, device=x.device)[:, None] + back]
        at = at + torch.arange(len(back), device=x.device) * (self.levels + 1)
        table = (tables or self.tables())[0]
        h = F.embedding_bag(at.flatten(0, 1), table, mode="sum").view(len(x), stop - first, -1)
        return h if self.place is None else h + self.place[first:stop]

    def leave(self, h: Tensor, first: int, tables: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Logits (n, t, levels) of the entries at positions first, first + 1, …"""
        return F.linear(h, (tables or self.tables())[1], self.bias)

    def count(self, x: Tensor, weight: Tensor) -> None:
        """Begin the logits at the smoothed log-frequencies of the entries x (n, length) of weight 1."""
        counts = torch.bincount(x[weight > 0], minlength=self.levels).float()
        with torch.no_grad():
            self.bias.copy_(((counts + 0.1) / (counts + 0.1).sum()).log())


class Cells(nn.Module):
    """Each position has a vocabulary of its own; one flat table of vectors, one stack of padded heads.

    Parameters
    ----------
    levels: of each cell. width: of a vector. ordered: which cells' levels have an order. missing: each cell's level
    outside the order, or None. rank: of the smooth part of ordered cells, see `Symbols`.
    """

    basis: Tensor
    table_basis: Tensor
    cell: Tensor
    shift: Tensor
    closed: Tensor

    def __init__(
        self, levels: Sequence[int], width: int, *, ordered: Sequence[bool], missing: Sequence[int | None], rank: int = 8
    ) -> None:
        super().__init__()
        cells, self.levels = len(levels), max(levels)
        counts = torch.tensor(levels)
        scale = torch.where(torch.tensor(ordered), 0.1, 0.5).repeat_interleave(counts)
        self.free = nn.Parameter(torch.randn(int(counts.sum()), width) * scale[:, None])
        self.smooth = nn.Parameter(torch.randn(cells, rank, width) * 0.5 * rank**-0.5)
        self.start = nn.Parameter(torch.randn(width) * 0.1)
        self.place = nn.Parameter(torch.randn(cells, width) * 0.1)
        self.head = nn.Parameter(torch.randn(cells, width, self.levels) * 0.2 * width**-0.5)
        self.head_smooth = nn.Parameter(torch.zeros(cells, width, rank))
        self.bias = nn.Parameter(torch.zeros(cells, self.levels))
        basis = torch.zeros(cells, self.levels, rank)
        for i, (k, has_order, hole) in enumerate(zip(levels, ordered, missing, strict=True)):
            if has_order and k > 2:
                basis[i, :k, : min(rank, k - 1)] = cosines(k, min(rank, k - 1), hole)
        closed = torch.arange(self.levels) >= counts[:, None]
        self.register_buffer("basis", basis, persistent=False)
        self.register_buffer("table_basis", basis[~closed], persistent=False)
        self.register_buffer("cell", torch.arange(cells).repeat_interleave(counts), persistent=False)
        self.register_buffer("shift", counts.cumsum(0) - counts, persistent=False)
        self.register_buffer("closed", torch.zeros(closed.shape).masked_fill(closed, -torch.inf), persistent=False)

    def tables(self) -> tuple[Tensor, Tensor]:
        """(vectors of all levels of all cells, weights of the logits), the smooth parts added."""
        smooth = torch.einsum("vr,vrw->vw", self.table_basis, self.smooth[self.cell])
        return self.free + smooth, self.head + self.head_smooth @ self.basis.mT

    def enter(self, x: Tensor, first: int, stop: int, tables: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Vectors (n, stop − first, width) of positions, from the cells x (n, at least stop − 1) before them."""
        before = max(first - 1, 0)
        h = F.embedding(x[:, before : stop - 1] + self.shift[before : stop - 1], (tables or self.tables())[0])
        if first == 0:
            h = torch.cat([self.start.expand(len(x), 1, -1), h], 1)
        return h + self.place[first:stop]

    def leave(self, h: Tensor, first: int, tables: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Logits (n, t, levels) of cells first, first + 1, …; −∞ beyond a cell's own levels."""
        cells = slice(first, first + h.shape[1])
        logits = torch.bmm(h.transpose(0, 1), (tables or self.tables())[1][cells]).transpose(0, 1)
        return logits + (self.bias + self.closed)[cells]

    def count(self, x: Tensor, weight: Tensor) -> None:
        """Begin the logits at the smoothed log-frequencies of the cells x (n, cells)."""
        counts = F.one_hot(x, self.levels).sum(0).float() if x.numel() * self.levels < 2**28 else torch.stack(
            [torch.bincount(c, minlength=self.levels) for c in x.T]).float()  # fmt: skip
        with torch.no_grad():
            self.bias.copy_(((counts + 0.1) / (counts + 0.1).sum(1, keepdim=True)).log())
