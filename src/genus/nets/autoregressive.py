"""A net that tells each entry of a vector how it moves, from the entries before it alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, relu


class MaskedLinear(nn.Linear):
    """h ↦ (W ∘ M) h + b, where M (outputs, inputs) says who may hear whom."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.to(self.weight.dtype), persistent=False)
        heard = self.mask.sum(1, keepdim=True).clamp_min(1)
        with torch.no_grad():
            self.weight.mul_(self.mask).mul_((mask.shape[1] / heard).sqrt())

    def forward(self, h: Tensor) -> Tensor:
        return linear(h, self.weight * self.mask, self.bias)

    def across(self, h: Tensor) -> Tensor:
        """The same, held feature by feature: (outputs, n) of h (n, inputs)."""
        return torch.addmm(self.bias[:, None], self.weight * self.mask, h.t())


class MaskedTeller(nn.Module):
    """x (n, d), y (n, condition) ↦ (n, parameters × d), zero before training; entry i hears the entries before it and y.

    Every hidden unit has a degree m, hears the entries of rank < m and is heard by those of rank ≥ m.

    Parameters
    ----------
    rank: (d,) the place of each entry in the order. parameters: numbers told an entry. width: hidden units.
    depth: residual blocks after the first hidden layer. condition: features of y. dropout: in the blocks.

    Reference: M. Germain et al. 2015, MADE, https://arxiv.org/abs/1502.03509

    >>> MaskedTeller(torch.arange(3), 2, width=8, depth=1)(torch.zeros(4, 3)).shape
    torch.Size([4, 6])
    """

    def __init__(
        self, rank: Tensor, parameters: int, *, width: int, depth: int, condition: int = 0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        d = len(rank)
        least = 0 if condition or d == 1 else 1
        degree = least + (torch.arange(width) * max(d - least, 1)) // width
        self.enter = MaskedLinear(rank < degree[:, None])
        self.tell = nn.Linear(condition, width, bias=False) if condition else None
        among = degree[:, None] >= degree
        self.blocks = nn.ModuleList(
            nn.ModuleList([MaskedLinear(among), nn.Dropout(dropout), MaskedLinear(among)]) for _ in range(depth)
        )
        self.leave = MaskedLinear(rank.repeat(parameters)[:, None] >= degree)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)
        with torch.no_grad():
            for block in self.blocks:
                block[2].weight.mul_(1 / math.sqrt(2 * max(depth, 1)))  # pyright: ignore[reportIndexIssue]

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.enter(x)
        if self.tell is not None and y is not None:
            h = h + self.tell(y)
        for first, drop, last in self.blocks:  # pyright: ignore[reportGeneralTypeIssues]
            h = h + last(drop(relu(first(relu(h)))))
        return self.leave.across(relu(h)).t()
