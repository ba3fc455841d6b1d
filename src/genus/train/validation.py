"""Validation: the loss on held-out items, with the same noise every time, so that two checks can be compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from genus import dice
from genus.maths.quantise import Packed, part
from genus.train.device import to_device

ITEMS = 2048


class Validation:
    """The mean of `loss` over at most 2048 held-out items.

    Parameters
    ----------
    loss: (x, y) → (n,) or a scalar. held_out: (x, y). chunk: items at a time.
    """

    def __init__(
        self,
        loss: Callable[[Tensor, Tensor | None], Tensor],
        held_out: tuple[Packed, Tensor | None],
        chunk: int,
        device: torch.device,
    ) -> None:
        x, y = held_out
        i = torch.linspace(0, len(x) - 1, min(len(x), ITEMS)).long()
        self.loss, self.chunk = loss, chunk
        self.x = to_device(part(x, i), device)
        self.y = None if y is None else y[i].to(device)

    def __len__(self) -> int:
        return len(self.x)

    def __call__(self) -> float:
        """The loss now; the training's own stream of random numbers is not touched."""
        total: Any = 0.0
        with dice.private(dice.derive(0, "validation")), torch.no_grad():
            for i in torch.arange(len(self)).split(self.chunk):
                value = self.loss(self.x[i], None if self.y is None else self.y[i])
                total = total + value.double().mean() * len(i)
        return float(total) / len(self)
