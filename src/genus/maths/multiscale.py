"""Bijections of images at several scales: squeezing, and letting half of the features out."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from genus.maths.bijection import Bijection


class Squeeze(Bijection):
    """(C, H, W) ↔ (4C, H/2, W/2): each 2 × 2 block of pixels becomes four channels, in reading order.

    After it, the channels (0, 3) of every four are one colour of a checkerboard.
    """

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return nn.functional.pixel_unshuffle(x, 2), x.new_zeros(len(x))

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return nn.functional.pixel_shuffle(z, 2), z.new_zeros(len(z))


class Multiscale(Bijection):
    """Levels of which each lets half its features out: `first` maps x, half goes to z, `rest` maps the other half.

    The output is a flat vector, the parts let out early first (Dinh et al. 2017, section 3.6).
    """

    def __init__(self, first: Bijection, rest: Bijection, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.first, self.rest, self.shape = first, rest, shape

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        h, log_det = self.first(x, y)
        out, go = h.split(self.shape[0] // 2, dim=1)
        z, more = self.rest(go, y)
        return torch.cat([out.flatten(1), z], 1), log_det + more

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        cut = math.prod(self.shape) // 2
        go, more = self.rest.inverse(z[:, cut:], y)
        out = z[:, :cut].reshape(len(z), self.shape[0] // 2, *self.shape[1:])
        x, log_det = self.first.inverse(torch.cat([out, go], 1), y)
        return x, log_det + more

    def settle(self, x: Tensor, y: Tensor | None = None) -> None:
        self.first.settle(x, y)
        self.rest.settle(self.first(x, y)[0].split(self.shape[0] // 2, dim=1)[1], y)
