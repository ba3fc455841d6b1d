"""Sufficient statistics: sums over items that say all a family needs to know of them, added up piece by piece."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from genus import store
from genus.errors import UsageError


@dataclass
class Statistics:
    """Sums over items, by name: T(x₁ … xₙ) = Σ t(xᵢ), so that T of two parts of the data is the sum of their T.

    What a family learns from data it learns from T alone (Fisher 1922, https://doi.org/10.1098/rsta.1922.0009): processes that
    each saw some of the rows exchange T, a few numbers, instead of rows, and reach what one process would have.

    Parameters
    ----------
    sums: {name: a tensor}, counts and moments in whole numbers or double precision.

    >>> import torch
    >>> (Statistics({"n": torch.tensor(2)}) + Statistics({"n": torch.tensor(3)})).sums["n"].item()
    5
    """

    sums: dict[str, Tensor]

    def __add__(self, other: Statistics) -> Statistics:
        mine, theirs = ({name: tuple(t.shape) for name, t in s.sums.items()} for s in (self, other))
        if mine != theirs:
            raise UsageError("These statistics are of different models: summarize both parts with the same fitted model.")
        return Statistics({name: t + other.sums[name] for name, t in self.sums.items()})

    def to_bytes(self) -> bytes:
        """safetensors, to be sent or kept."""
        return store.pack_tensors(self.sums)

    @staticmethod
    def from_bytes(content: bytes) -> Statistics:
        """The inverse of `to_bytes`."""
        return Statistics(store.unpack_tensors(content, "statistics"))
