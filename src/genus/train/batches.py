"""Batches: which items each step sees, from a stream of random numbers of their own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from genus.maths.quantise import Packed

LARGE = 2**24


class Batches:
    """An endless stream of random permutations of n items, cut into batches: each epoch sees every item once.

    Above 16 million items, and for overlapping windows of one text, indices are drawn independently instead.

    Parameters
    ----------
    x: items. size: of a batch, over all processes; n at most. seed: of the order. part: (rank, processes), each of which
    takes its own share of every batch.
    """

    def __init__(self, x: Packed, size: int, seed: int, part: tuple[int, int] = (0, 1)) -> None:
        self.n, self.size, self.part = len(x), min(size, len(x)), part
        self.free = self.n > LARGE or (isinstance(x, Tensor) and _overlaps(x))
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
        rest = self.order[self.place : self.place + self.size]
        if len(rest) == self.size:
            self.place += self.size
            return rest
        self._shuffle()
        self.place = self.size - len(rest)
        return torch.cat([rest, self.order[: self.place]])

    def _shuffle(self) -> None:
        self.before = self.generator.get_state()
        self.order = torch.randperm(self.n, generator=self.generator)

    def state(self) -> dict[str, Any]:
        """The place in the stream, for a checkpoint: small, since a permutation is remembered by what it was drawn from."""
        drawn = not self.free and len(self.order) > 0
        return {"stream": self.before if drawn else self.generator.get_state(), "place": self.place, "drawn": drawn}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.generator.set_state(state["stream"])
        if state["drawn"]:
            self._shuffle()
        self.place = state["place"]


def _overlaps(x: Tensor) -> bool:
    return x.dim() > 1 and x.stride(0) < x[0].numel() and len(x) > 1
