"""Time as features a net can read, and a perceptron that reads them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from genus.nets.mlp import MLP


class TimeFeatures(nn.Module):
    """t (n,) in [0, 1] ↦ (n, width): sines and cosines of frequencies from 1 to `fastest`, geometric.

    Reference: A. Vaswani et al. 2017, Attention is all you need, section 3.5, https://arxiv.org/abs/1706.03762
    """

    frequencies: Tensor

    def __init__(self, width: int, fastest: float = 100.0) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.logspace(0, math.log10(fastest), width // 2), persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        angles = t[:, None] * self.frequencies
        return torch.cat([angles.sin(), angles.cos()], 1)


class TimedMLP(nn.Module):
    """An MLP of items of any shape and a time: x (n, *shape), t (n,), y (n, condition) ↦ (n, *shape).

    Parameters
    ----------
    features: entries of an item. condition: features of y. width, depth, dropout: of the MLP.
    waves: frequencies at which each entry of x is also shown, so that sharp edges in few dimensions can be learnt.
    """

    def __init__(
        self, features: int, *, condition: int = 0, width: int = 256, depth: int = 3, dropout: float = 0.0, waves: int = 0
    ) -> None:
        super().__init__()
        self.time = TimeFeatures(32)
        self.waves = waves
        self.net = MLP(
            features * (1 + 2 * waves) + 32,
            features,
            width=width,
            depth=depth,
            condition=condition,
            dropout=dropout,
            norm="layer",
        )
        with torch.no_grad():
            self.net.leave.weight.mul_(0.01)

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        flat = x.flatten(1)
        angles = [flat * 2.0**k for k in range(self.waves)]
        shown = [flat, *(a.sin() for a in angles), *(a.cos() for a in angles)]
        return self.net(torch.cat([*shown, self.time(t)], 1), y).reshape(x.shape)
