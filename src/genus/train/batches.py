"""Batches: which items each step sees, from a stream of random numbers of their own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from genus import dice
from genus.maths.quantise import Packed
from genus.maths.stored import BLOCK, WINDOW, Stored

LARGE = 2**24


class Batches:
    """An endless stream of random permutations of n items, cut into batches: each epoch sees every item once.

    Above 16 million items, and for overlapping windows of one text, indices are drawn independently instead. Items on disk are
    shuffled within windows of some of their blocks, the blocks of an epoch in random order, so that few are read at a time.

    Parameters
    ----------
    x: items. size: of a batch, over all processes; n at most. seed: of the order. part: (rank, processes), each of which
    takes its own share of every batch.
    """

    def __init__(self, x: Packed, size: int, seed: int, part: tuple[int, int] = (0, 1)) -> None:
        self.n, self.size, self.part = len(x), min(size, len(x)), part
        self.blocked, self.window, self.seed = isinstance(x, Stored), 0, seed
        self.free = not self.blocked and (self.n > LARGE or (isinstance(x, Tensor) and _overlaps(x)))
        self.generator = torch.Generator().manual_seed(seed)
        self.before = self.generator.get_state()
        self.order = torch.zeros(0, dtype=torch.long)
        self.place = 0

    def next(self) -> Tensor:
        """Indices of this process's share of the next batch."""
        rank, processes = self.part
        whole = self._free() if self.free else self._ordered()
        return whole if processes == 1 else whole.tensor_split(processes)[rank]

    def _free(self) -> Tensor:
        return torch.randint(self.n, (self.size,), generator=self.generator)

    def _ordered(self) -> Tensor:
        found = self.order[self.place : self.place + self.size]
        self.place += len(found)
        while len(found) < self.size:
            self._shuffle()
            self.place = min(self.size - len(found), len(self.order))
            found = torch.cat([found, self.order[: self.place]])
        return found

    def _shuffle(self) -> None:
        self.before = self.generator.get_state()
        if not self.blocked:
            self.order = torch.randperm(self.n, generator=self.generator)
            return
        blocks = -(-self.n // BLOCK)
        windows = -(-blocks // WINDOW)
        epoch, window = divmod(self.window, windows)
        mine = torch.randperm(blocks, generator=torch.Generator().manual_seed(dice.derive(self.seed, epoch)))
        rows = (mine[window * WINDOW : (window + 1) * WINDOW, None] * BLOCK + torch.arange(BLOCK)).flatten()
        rows = rows[rows < self.n]
        self.order = rows[torch.randperm(len(rows), generator=self.generator)]
        self.window += 1

    def state(self) -> dict[str, Any]:
        """The place in the stream, for a checkpoint: small, since a permutation is remembered by what it was drawn from."""
        drawn = not self.free and len(self.order) > 0
        return {"stream": self.before if drawn else self.generator.get_state(), "place": self.place, "drawn": drawn,
                "window": self.window - (drawn and self.blocked)}  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.generator.set_state(state["stream"])
        self.window = state.get("window", 0)
        if state["drawn"]:
            self._shuffle()
        self.place = state["place"]


def _overlaps(x: Tensor) -> bool:
    return x.dim() > 1 and x.stride(0) < x[0].numel() and len(x) > 1
