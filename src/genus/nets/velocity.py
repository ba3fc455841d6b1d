"""A velocity whose divergence is exact and costs one more product of matrices, in any dimension."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genus.nets.time import TimeFeatures

WAVES = 16


class Velocity(nn.Module):
    """v(x, t, y) = C h₂, h₂ = tanh(B h₁ + …), h₁ = tanh(A x + …), and div v; the dots are of the time, the condition and a bias.

    The Jacobian is C D₂ B D₁ A with diagonal D, so that div v = tr C D₂ B D₁ A = d₂ᵀ (B ∘ (A C)ᵀ) d₁: exact for the price of
    one layer, where a general net needs d passes or random probes (Grathwohl et al. 2019).

    Parameters
    ----------
    d: entries. width: hidden units. condition: features of y.

    >>> v, divergence = Velocity(3, width=8)(torch.zeros(5, 3), torch.tensor(0.5))
    >>> v.shape, divergence.shape
    (torch.Size([5, 3]), torch.Size([5]))
    """

    def __init__(self, d: int, *, width: int, condition: int = 0) -> None:
        super().__init__()
        self.time = TimeFeatures(WAVES, fastest=8.0)
        self.first, self.second = nn.Linear(d, width), nn.Linear(width, width)
        self.third = nn.Linear(width, d)
        self.when = nn.Linear(WAVES, 2 * width + d, bias=False)
        self.tell = nn.Linear(condition, 2 * width, bias=False) if condition else None
        self.width = width
        with torch.no_grad():
            self.third.weight.mul_(0.1)
            self.third.bias.zero_()
            self.when.weight.mul_(0.5)

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        now = self.when(self.time(t[None]))[0]
        one, two, drift = now.split([self.width, self.width, x.shape[1]])
        inner, outer = self.first(x) + one, two
        if self.tell is not None and y is not None:
            told, more = self.tell(y).chunk(2, 1)
            inner, outer = inner + told, outer + more
        h = torch.tanh(inner)
        g = torch.tanh(self.second(h) + outer)
        joint = self.second.weight * (self.first.weight @ self.third.weight).t()
        return self.third(g) + drift, (((1 - g * g) @ joint) * (1 - h * h)).sum(1)
