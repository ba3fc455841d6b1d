"""Nets that tell a coupling how its moving half moves; each begins by telling the identity."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genus.nets.default import half
from genus.nets.dropout import Dropout
from genus.nets.mlp import MLP


class VectorTeller(nn.Module):
    """x (n, inputs), y (n, condition) ↦ (n, outputs), zero before training; inputs may be 0.

    Parameters
    ----------
    inputs: features that stay. outputs: numbers told. width, depth, dropout: of the MLP. condition: features of y.
    """

    def __init__(self, inputs: int, outputs: int, *, width: int, depth: int, condition: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        self.inputs = inputs
        self.net = MLP(max(inputs, 1), outputs, width=width, depth=depth, condition=condition, dropout=dropout)
        nn.init.zeros_(self.net.leave.weight)
        nn.init.zeros_(self.net.leave.bias)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.net(x if self.inputs else x.new_ones(len(x), 1), y)


class ImageTeller(nn.Module):
    """x (n, inputs, H, W), y (n, condition) ↦ (n, outputs, H, W), zero before training: a residual convolutional net.

    Parameters
    ----------
    inputs, outputs: channels. width, depth: of the hidden maps and residual blocks. condition: features of y.
    """

    def __init__(self, inputs: int, outputs: int, *, width: int, depth: int, condition: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        self.enter = nn.Conv2d(inputs, width, 3, padding=1)
        self.tell = nn.Linear(condition, width, bias=False) if condition else None
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.SiLU(), nn.Conv2d(width, width, 3, padding=1), nn.SiLU(), Dropout(dropout), nn.Conv2d(width, width, 1)
            )
            for _ in range(depth)
        )
        self.leave = nn.Conv2d(width, outputs, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        assert self.leave.bias is not None
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        if not self.training:
            return self._told(x, y)
        with half(x.device):  # never when scoring and sampling, which have to invert each other
            return self._told(x, y).to(x.dtype)

    def _told(self, x: Tensor, y: Tensor | None) -> Tensor:
        h = self.enter(x)
        if self.tell is not None and y is not None:
            h = h + self.tell(y)[:, :, None, None]
        for block in self.blocks:
            h = h + block(h)
        return self.leave(torch.nn.functional.silu(h))
