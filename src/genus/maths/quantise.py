"""Discrete values as intervals of the real line, drawn afresh each time they are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor

from genus.maths.stored import Stored


def _same(u: Tensor) -> Tensor:
    return u


@dataclass
class Fuzzy:
    """Items known only up to an interval: reading draws `place(low + width · U)`, U uniform on [0, 1).

    This is uniform dequantisation (Theis et al. 2016, https://arxiv.org/abs/1511.01844): a density over
    the draws bounds the probability of the discrete item from below. Training loops index it like a
    tensor, so every batch sees new noise.

    Attributes
    ----------
    low: (n, *shape), the interval's start, of any dtype.
    width: its length, a number or a tensor that broadcasts over `low`; 0 where the entry is exact.
    place: a monotone map from the interval's line to the Space.
    """

    low: Tensor
    width: Tensor | float
    place: Callable[[Tensor], Tensor] = _same

    def __len__(self) -> int:
        return len(self.low)

    @property
    def shape(self) -> torch.Size:
        return self.low.shape

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        low = self.low[index].to(torch.get_default_dtype())
        width = self.width[index] if isinstance(self.width, Tensor) and self.width.dim() == self.low.dim() else self.width
        return self.place(low + width * torch.rand(low.shape))

    def part(self, index: Tensor | slice) -> Fuzzy:
        """The same for some of the items, still undrawn."""
        full = isinstance(self.width, Tensor) and self.width.dim() == self.low.dim()
        return Fuzzy(self.low[index], self.width[index] if full else self.width, self.place)  # pyright: ignore[reportIndexIssue]

    def steps(self, length: float) -> int | None:
        """How many intervals of equal width fill a length of the Space, None where widths differ or do not fill it."""
        if isinstance(self.width, Tensor):
            return None
        ends = self.place(torch.tensor([0.0, self.width], dtype=torch.float64))
        count = length / float(ends[1] - ends[0]) if self.width else 0.0
        return round(count) if count > 1 and abs(count - round(count)) < 1e-6 * count else None


Packed = Tensor | Fuzzy | Stored


@overload
def part(x: Tensor, index: Tensor | slice) -> Tensor: ...
@overload
def part(x: Fuzzy, index: Tensor | slice) -> Fuzzy: ...
@overload
def part(x: Stored, index: Tensor | slice) -> Tensor: ...
def part(x: Packed, index: Tensor | slice) -> Packed:
    """Some items of x, undrawn where x is."""
    return x.part(index) if isinstance(x, Fuzzy) else x[index]


def drawn(x: Packed) -> Tensor:
    """x as one tensor in memory, its noise drawn now."""
    return x if isinstance(x, Tensor) else x[slice(None)]
