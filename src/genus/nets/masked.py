"""Masked: nets over the cells of a record whose logits of a cell see only the cells before it, or only those shown."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genus.nets.dropout import Dropout
from genus.nets.embed import cosines


class Heads(nn.Module):
    """Vectors of every cell's levels, and weights of every cell's logits, one flat table each.

    Over ordered levels both are a free part plus a smooth one, coefficients times `cosines` of the rank.

    Parameters
    ----------
    levels: of each cell. inner, width: of a level's vector, of the trunk. ordered: which cells' levels have an order.
    missing: each cell's level outside the order, or None. rank: of the smooth part.
    """

    basis: Tensor
    at: Tensor
    rows: Tensor
    shift: Tensor

    def __init__(
        self, levels: Sequence[int], inner: int, width: int, *, ordered: Sequence[bool], missing: Sequence[int | None], rank: int
    ) -> None:
        super().__init__()
        counts, self.sizes = torch.tensor(levels), list(levels)
        smooth = [i for i, k in enumerate(levels) if ordered[i] and k > 2]
        most = max((levels[i] for i in smooth), default=1)
        basis, at, rows = torch.zeros(len(smooth), most, rank), [], []
        shift = counts.cumsum(0) - counts
        for place, i in enumerate(smooth):
            few = min(rank, levels[i] - 1)
            basis[place, : levels[i], :few] = cosines(levels[i], few, missing[i])
            at.append(torch.arange(levels[i]) + place * most)
            rows.append(torch.arange(levels[i]) + shift[i])
        scale = torch.ones(int(counts.sum()), 1)
        self.register_buffer("basis", basis, persistent=False)
        self.register_buffer("at", torch.cat(at) if at else torch.zeros(0, dtype=torch.int64), persistent=False)
        self.register_buffer("rows", torch.cat(rows) if rows else torch.zeros(0, dtype=torch.int64), persistent=False)
        self.register_buffer("shift", shift, persistent=False)
        scale[self.rows] = 0.1
        self.free = nn.Parameter(torch.randn(len(scale), inner) * scale * 0.5)
        self.smooth = nn.Parameter(torch.randn(len(smooth), rank, inner) * 0.5 * rank**-0.5)
        self.head = nn.Parameter(torch.randn(len(scale), width) * scale * 0.2 * width**-0.5)
        self.head_smooth = nn.Parameter(torch.zeros(len(smooth), rank, width))
        self.bias = nn.Parameter(torch.zeros(len(scale)))

    def vectors(self) -> Tensor:
        """(levels of all cells, inner)."""
        return self._whole(self.free, self.smooth)

    def weights(self) -> Tensor:
        """(levels of all cells, width) of the logits."""
        return self._whole(self.head, self.head_smooth)

    def _whole(self, free: Tensor, smooth: Tensor) -> Tensor:
        if not len(self.rows):
            return free
        return free.index_add(0, self.rows, (self.basis @ smooth).flatten(0, 1)[self.at])

    def count(self, x: Tensor) -> None:
        """Begin the logits at the smoothed log-frequencies of the cells x (n, cells)."""
        counts = torch.bincount((x + self.shift).flatten(), minlength=len(self.bias)).float() + 0.1
        with torch.no_grad():
            self.bias.copy_(torch.cat([(part / part.sum()).log() for part in counts.split(self.sizes)]))


class CellNet(nn.Module):
    """A residual net from the cells of a record to the logits of each.

    With `masked`, unit u of degree d sees the cells before cell d, and the logits of cell i see the units of degree ≤ i,
    so that one pass gives every conditional p(xᵢ | x_{<i}, y) (MADE). Units stand in the order of their degree: what cell i
    adds is a slice, and drawing all cells costs one pass. Without, every logit sees every cell that `shown` shows.

    Parameters
    ----------
    levels, ordered, missing, rank: of the cells, see `Heads`. inner: width of a cell's vector. width: units. depth: blocks.
    condition: entries of y. dropout: of the units. masked: see above.
    masks: assignments of degrees to units, of which each batch of training takes one and `chosen` is the one in use.

    Reference: Germain et al. 2015, MADE: Masked autoencoder for distribution estimation, https://arxiv.org/abs/1502.03509
    """

    degree: Tensor
    sees: Tensor
    below: Tensor
    reads: Tensor
    before: Tensor
    turns: Tensor

    def __init__(
        self, levels: Sequence[int], *, ordered: Sequence[bool], missing: Sequence[int | None], inner: int = 8, rank: int = 16,
        width: int = 256, depth: int = 2, condition: int = 0, dropout: float = 0.0, masked: bool = True,
        masks: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        cells, self.inner, self.masked, self.chosen = len(levels), inner, masked, 0
        self.heads = Heads(levels, inner, width, ordered=ordered, missing=missing, rank=rank)
        self.enter = nn.Linear(cells * inner, width)
        self.tell = nn.Linear(condition, width, bias=False) if condition else None
        self.first = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.second = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        for layer in self.second:
            nn.init.zeros_(layer.weight)  # pyright: ignore[reportArgumentType]
        self.across = nn.Parameter(torch.zeros(sum(levels), cells * inner))
        self.answer = nn.Linear(condition, sum(levels), bias=False) if condition else None
        if self.answer is not None:
            nn.init.zeros_(self.answer.weight)
        self.dropout = Dropout(dropout)
        degree = torch.arange(width) * cells // width
        level = torch.arange(cells).repeat_interleave(torch.tensor(levels))
        self.register_buffer("degree", degree, persistent=False)
        self.register_buffer("sees", torch.arange(cells).repeat_interleave(inner) < degree[:, None], persistent=False)
        self.register_buffer("below", degree <= degree[:, None], persistent=False)
        self.register_buffer("reads", degree <= level[:, None], persistent=False)
        owner = torch.arange(cells).repeat_interleave(inner)
        self.register_buffer("before", owner < level[:, None], persistent=False)
        dice = torch.Generator().manual_seed(0)
        turns = [torch.arange(width), *(torch.randperm(width, generator=dice) for _ in range(masks - 1))]
        self.register_buffer("turns", torch.stack(turns), persistent=False)
        with torch.no_grad():
            seen = self.sees.sum(1, keepdim=True).clamp(min=1) if masked else torch.full((width, 1), cells * inner)
            self.enter.weight.copy_(torch.randn_like(self.enter.weight) * (2 / seen).sqrt())

    def forward(self, x: Tensor, y: Tensor | None = None, shown: Tensor | None = None) -> Tensor:
        """x (n, cells) ↦ flat logits (n, levels of all cells); `shown` (n, cells) says which cells an unmasked net sees."""
        seen = F.embedding(x + self.heads.shift, self.heads.vectors())
        seen = (seen if shown is None else seen * shown[..., None]).flatten(1)
        if self.training and len(self.turns) > 1:
            self.chosen = int(torch.randint(len(self.turns), ()))
        u, weight, across = self.trunk(seen, y), self.heads.weights(), self.across
        if self.masked:
            reads = self.reads[:, self.turns[self.chosen]] if self.chosen else self.reads
            weight, across = weight * reads, across * self.before
        logits = F.linear(u, weight, self.heads.bias) + F.linear(seen, across)
        return logits if self.answer is None or y is None else logits + self.answer(y)

    def one(self, x: Tensor, y: Tensor | None, shown: Tensor, cell: int) -> Tensor:
        """Logits (n, levels) of one cell of an unmasked net, given the cells that are shown."""
        seen = (F.embedding(x + self.heads.shift, self.heads.vectors()) * shown[..., None]).flatten(1)
        rows = slice(int(self.heads.shift[cell]), int(self.heads.shift[cell]) + self.heads.sizes[cell])
        logits = F.linear(self.trunk(seen, y), self.heads.weights()[rows], self.heads.bias[rows]) + F.linear(
            seen, self.across[rows]
        )
        return logits if self.answer is None or y is None else logits + F.linear(y, self.answer.weight[rows])

    def trunk(self, seen: Tensor, y: Tensor | None = None) -> Tensor:
        """The units (n, width) the logits are read from, of the cells' vectors (n, cells · inner)."""
        sees, below = self.sees, self.below
        if self.chosen:
            turn = self.turns[self.chosen]
            sees, below = sees[turn], below[turn][:, turn]
        h = F.linear(seen, self._kept(self.enter, sees), self.enter.bias)
        if self.tell is not None and y is not None:
            h = h + self.tell(y)
        for first, second in zip(self.first, self.second, strict=True):
            v = F.relu(F.linear(F.relu(h), self._kept(first, below), first.bias))  # pyright: ignore[reportArgumentType]
            h = h + F.linear(self.dropout(v), self._kept(second, below), second.bias)  # pyright: ignore[reportArgumentType]
        return self.dropout(F.relu(h))

    def _kept(self, layer: nn.Module, mask: Tensor) -> Tensor:
        return layer.weight * mask if self.masked else layer.weight  # pyright: ignore[reportOperatorIssue, reportReturnType]

    def turned(self, k: int) -> CellNet:
        """This net under its k-th masks as a net whose units stand in the order of their degrees."""
        back, twin = self.turns[k].argsort(), copy.deepcopy(self)
        units = [(part, 0) for part in (twin.enter.weight, twin.enter.bias, *([twin.tell.weight] if twin.tell else []))]
        units += [
            (part, axis) for layer in (*twin.first, *twin.second) for part in layer.parameters() for axis in range(part.dim())
        ]
        units += [(twin.heads.head, 1), (twin.heads.head_smooth, 2)]
        for part, axis in units:
            part.data = part.data.index_select(axis, back)
        twin.chosen, twin.turns = 0, self.turns[:1]
        return twin

    def log_probs(self, logits: Tensor, x: Tensor) -> Tensor:
        """log of the probability of each cell of x (n, cells) under flat logits."""
        sizes = self.heads.sizes
        if min(sizes) == max(sizes):
            total = logits.unflatten(1, (len(sizes), sizes[0])).logsumexp(2)
        else:
            total = torch.stack([part.logsumexp(1) for part in logits.split(sizes, 1)], 1)
        return logits.gather(1, x + self.heads.shift) - total


class Unfolding:
    """Records drawn cell by cell from a masked net: each step computes only the units that its cell adds.

    Parameters
    ----------
    net: a masked CellNet. x: (n, cells), known or still to be drawn. y: the condition.
    """

    def __init__(self, net: CellNet, x: Tensor, y: Tensor | None) -> None:
        self.net, self.x, self.y = net, x, y
        n, width = len(x), len(net.degree)
        self.ends = [0, *torch.searchsorted(net.degree, torch.arange(x.shape[1]), right=True).tolist()]
        self.vectors, self.weights = net.heads.vectors(), net.heads.weights()
        told = 0.0 if net.tell is None or y is None else net.tell(y)
        self.h = net.enter.bias.expand(n, width) + told
        self.seen = torch.empty(n, 0, device=x.device)
        self.read = 0  # cells whose vectors the units have taken in
        self.layers = [torch.zeros(n, width, device=x.device) for _ in range(2 * len(net.first) + 1)]
        self.made = 0  # cells whose units are made

    def logits(self, step: int) -> Tensor:
        """Logits (n, levels of the cell) of cell `step`, from what the cells before it hold."""
        while self.made <= step:
            self._make(self.made)
            self.made += 1
        stop, begin = self.ends[step + 1], int(self.net.heads.shift[step])
        rows = slice(begin, begin + self.net.heads.sizes[step])
        logits = F.linear(self.layers[-1][:, :stop], self.weights[rows, :stop], self.net.heads.bias[rows])
        self._take_in(step)
        past = step * self.net.inner
        logits = logits + F.linear(self.seen[:, :past], self.net.across[rows, :past])
        return logits if self.y is None or self.net.answer is None else logits + F.linear(self.y, self.net.answer.weight[rows])

    def _make(self, cell: int) -> None:
        """The units of degree `cell`, in all layers."""
        a, b, net = self.ends[cell], self.ends[cell + 1], self.net
        if a == b:
            return
        self._take_in(cell)
        part = self.h[:, a:b] + F.linear(self.seen, net.enter.weight[a:b, : self.seen.shape[1]])
        for i, (first, second) in enumerate(zip(net.first, net.second, strict=True)):
            self.layers[2 * i][:, a:b] = F.relu(part)
            v = F.relu(_slice(first, self.layers[2 * i], a, b))
            self.layers[2 * i + 1][:, a:b] = v
            part = part + _slice(second, self.layers[2 * i + 1], a, b)
        self.layers[-1][:, a:b] = F.relu(part)

    def _take_in(self, cell: int) -> None:
        if cell > self.read:
            rows = self.x[:, self.read : cell] + self.net.heads.shift[self.read : cell]
            self.seen = torch.cat([self.seen, F.embedding(rows, self.vectors).flatten(1)], 1)
            self.read = cell

    def put(self, step: int, symbol: Tensor) -> None:
        """Set cell `step`."""
        self.x[:, step] = symbol

    def keep(self, index: Tensor) -> None:
        """Go on with the records at `index`, which may repeat."""
        self.x, self.h, self.seen = self.x[index], self.h[index], self.seen[index]
        self.y = None if self.y is None else self.y[index]
        self.layers = [layer[index] for layer in self.layers]


class Several:
    """Records in the making by several nets, whose probabilities are averaged cell by cell."""

    def __init__(self, parts: Sequence[Unfolding]) -> None:
        self.parts, self.x = parts, parts[0].x

    def logits(self, step: int) -> Tensor:
        """Logits (n, levels of the cell) of cell `step`."""
        return average([part.logits(step).log_softmax(1) for part in self.parts])

    def put(self, step: int, symbol: Tensor) -> None:
        """Set cell `step`."""
        for part in self.parts:
            part.put(step, symbol)

    def keep(self, index: Tensor) -> None:
        """Go on with the records at `index`, which may repeat."""
        for part in self.parts:
            part.keep(index)
        self.x = self.parts[0].x


def average(log_probs: Sequence[Tensor]) -> Tensor:
    """log of the mean of probabilities whose logs these are."""
    return log_probs[0] if len(log_probs) == 1 else torch.stack(list(log_probs)).logsumexp(0) - math.log(len(log_probs))


def _slice(layer: nn.Module, below: Tensor, a: int, b: int) -> Tensor:
    """Outputs a … b − 1 of a layer from its inputs before b."""
    return F.linear(below[:, :b], layer.weight[a:b, :b], layer.bias[a:b])  # pyright: ignore[reportArgumentType, reportIndexIssue]


def draw(logits: Tensor) -> Tensor:
    """A draw (n,) from softmax(logits) (n, levels), by the inverse of the distribution function: one uniform a row."""
    total = logits.softmax(-1).cumsum(-1)
    u = torch.rand(len(total), 1, device=total.device).clamp(max=1 - 2e-7) * total[:, -1:]
    return torch.searchsorted(total, u, right=True).squeeze(1).clamp(max=total.shape[1] - 1)
