"""Unseen: what pairs of levels that hardly ever occur together, though by chance they would, take off a cell's logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EXPECTED = 8.0  # times a pair would have been seen by chance, below which its absence says little
RARELY = 0.05  # share of those times up to which it counts as seen too rarely
DETERMINED = 0.1  # share of a cell's entropy that another may leave, below which it as good as determines it
WIDE = 256  # levels of a cell above which its pairs are not counted
ROWS = 100_000  # looked at


class Unseen(nn.Module):
    """Σⱼ log((n + ½) / (E + ½)) over the cells j before cell i whose level was seen n times with i's, far below the E of chance.

    A net learns slowly that a husband is never a woman, since the last percent of a probability earns it almost nothing;
    counts say so at once. A cell that one before it as good as determines begins at that one's table of log-odds instead.
    These are offsets of logits: conditionals stay normalised and log p exact.

    Parameters
    ----------
    levels: of each cell, in the order they are drawn.
    """

    pair: Tensor
    odds: Tensor

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        counts = torch.tensor(list(levels))
        self.sizes, self.shifts = list(levels), (counts.cumsum(0) - counts).tolist()
        self.register_buffer("pair", torch.zeros(0, 2, dtype=torch.int64))
        self.register_buffer("odds", torch.zeros(0))
        self._spread()

    def _spread(self) -> None:
        """The pairs as dense tables, (levels of the cells before, levels of a cell), for the cells that have any."""
        total = sum(self.sizes)
        self.tables: dict[int, Tensor] = {}
        for cell, (start, size) in enumerate(zip(self.shifts, self.sizes, strict=True)):
            mine = (self.pair[:, 1] >= start) & (self.pair[:, 1] < start + size)
            if bool(mine.any()):
                table = torch.zeros(total, size)
                table[self.pair[mine, 0], self.pair[mine, 1] - start] = self.odds[mine]
                self.tables[cell] = table[:start]

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: object) -> None:
        self.pair, self.odds = state_dict[f"{prefix}pair"].clone(), state_dict[f"{prefix}odds"].clone()
        super()._load_from_state_dict(state_dict, prefix, *rest)  # pyright: ignore[reportArgumentType]
        self._spread()

    def count(self, x: Tensor) -> None:
        """Find the pairs in records x (n, cells)."""
        x = x[:ROWS]
        found: list[tuple[Tensor, Tensor]] = []
        for i in range(len(self.sizes)):
            joints = {j: self._joint(x, j, i) for j in range(i) if max(self.sizes[i], self.sizes[j]) <= WIDE}
            decided = {j: _left(joint) for j, joint in joints.items()}
            best = min(decided, key=lambda j: decided[j], default=-1)
            if best >= 0 and decided[best] < DETERMINED:
                found.append(self._table(best, i, _log_odds(joints[best])))
            else:
                found += [self._table(j, i, _rare(joint)) for j, joint in joints.items()]
        if found:
            self.pair, self.odds = torch.cat([at for at, _ in found]), torch.cat([value for _, value in found])
        self._spread()

    def _joint(self, x: Tensor, j: int, i: int) -> Tensor:
        """How often each level of cell j occurs with each of cell i."""
        code = x[:, j] * self.sizes[i] + x[:, i]
        return torch.bincount(code, minlength=self.sizes[j] * self.sizes[i]).double().view(self.sizes[j], self.sizes[i])

    def _table(self, j: int, i: int, offset: Tensor) -> tuple[Tensor, Tensor]:
        """(pairs (m, 2), offsets (m,)) that are not 0."""
        at = offset.nonzero()
        return at + torch.tensor([self.shifts[j], self.shifts[i]]), offset[at[:, 0], at[:, 1]].float()

    def forward(self, x: Tensor, shown: Tensor | None = None) -> Tensor:
        """What records x (n, cells) take off the flat logits (n, levels of all cells) of every cell, by the cells before it."""
        out = torch.zeros(len(x), sum(self.sizes), device=x.device)
        for cell in self.tables:
            out[:, self.shifts[cell] : self.shifts[cell] + self.sizes[cell]] = self.at(x, cell, shown)
        return out

    def at(self, x: Tensor, cell: int, shown: Tensor | None = None) -> Tensor | float:
        """The same of one cell, (n, levels); only x's cells before it are read."""
        if cell not in self.tables:
            return 0.0
        table = self.tables[cell] = self.tables[cell].to(x.device)
        index = x[:, :cell] + torch.tensor(self.shifts[:cell], device=x.device)
        weight = None if shown is None else shown[:, :cell].to(table.dtype)
        return F.embedding_bag(index, table, mode="sum", per_sample_weights=weight)


def _left(joint: Tensor) -> float:
    """H(i | j) / H(i): how much of cell i's entropy cell j leaves; 1 for a constant cell."""
    p = joint / joint.sum()
    own, given = torch.special.entr(p.sum(0)).sum(), torch.special.entr(p).sum() - torch.special.entr(p.sum(1)).sum()
    return float(given / own) if own > 0 else 1.0


def _log_odds(joint: Tensor) -> Tensor:
    """log p(i | j) − log p(i), a tenth of an item added to each row as the margins have it."""
    margin = joint.sum(0) / joint.sum()
    given = (joint + 0.1 * margin) / (joint.sum(1, keepdim=True) + 0.1)
    return torch.where(margin > 0, given.log() - margin.log(), 0.0)


def _rare(joint: Tensor) -> Tensor:
    """log((n + ½) / (E + ½)) of the pairs seen far less often than the E of chance, 0 of the others."""
    expected = joint.sum(1, keepdim=True) * joint.sum(0) / joint.sum()
    odd = (joint <= RARELY * expected) & (expected >= EXPECTED)
    return torch.where(odd, ((joint + 0.5) / (expected + 0.5)).log(), 0.0)
