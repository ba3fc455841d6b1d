"""Raster: images read pixel by pixel, from left to right and from above, each pixel told by those before."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genus.errors import DataError
from genus.maths.particles import fill, race
from genus.nets.pixel import Body
from genus.nets.pixelhead import head_for
from genus.space import Space

TOGETHER = 512  # images in the making at once, copies counted


def image_shape(space: Space) -> tuple[int, int, int]:
    """(channels, height, width); a vector is an image of one row, a grid has one channel."""
    if len(space.shape) > 3:
        raise DataError(f"Pixels are read from images (channels, height, width), not from items of {len(space.shape)} axes.")
    shape = (*[1] * (3 - len(space.shape)), *space.shape)
    return shape[0], shape[1], shape[2]


def input_channels(space: Space) -> int:
    """Numbers that tell a net one pixel: a channel each, or one for each level of a category."""
    return image_shape(space)[0] * (space.levels if space.kind == "category" else 1)


class Raster(nn.Module):
    """log p(x | y) = Σ over pixels of log p(pixel | pixels before it, y).

    Parameters
    ----------
    body: features of each pixel from those before. mixture: ordered levels by logistics even where they are few.
    """

    def __init__(self, space: Space, body: Body, *, mixture: bool = False, inner: int = 64) -> None:
        super().__init__()
        self.shape, self.kind, self.levels = image_shape(space), space.kind, max(space.levels, 2)
        self.body = body
        self.head = head_for(space, self.shape[0], body.features, inner=inner, mixture=mixture)

    def entered(self, x: Tensor) -> Tensor:
        """Pixels (n, C, …) as the body likes them: ordered levels in [−1, 1], categories one-hot."""
        if self.kind == "category":
            return nn.functional.one_hot(x.long(), self.levels).float().movedim(-1, 2).flatten(1, 2)
        return x.float() * (2 / (self.levels - 1)) - 1

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(x | y), (n,), nats, of items x (n, *space)."""
        x = x.view(-1, *self.shape)
        return self.head.log_prob(self.body(self.entered(x), y), x).flatten(1).sum(1)

    def order(self) -> list[int]:
        """The cells of a flat item in the order they are read: the channels of each pixel, pixel by pixel."""
        c, h, w = self.shape
        return torch.arange(c * h * w).view(c, h * w).T.flatten().tolist()

    def complete(
        self, x: Tensor, known: Tensor | None = None, y: Tensor | None = None, *, particles: int = 1, temperature: float = 1.0,
        cached: bool = True,
    ) -> Tensor:  # fmt: skip
        """Items (n, *space) with what is not known drawn given what is; nothing is known where the mask is None.

        Parameters
        ----------
        particles: see `particles.fill`. temperature: logits are divided by it. cached: remember features, else compute all
        of them anew for each pixel, to the same end.
        """
        device = next(self.parameters()).device
        flat, y = x.flatten(1).long().to(device, copy=True), None if y is None else y.to(device)
        held = None if known is None else known.flatten(1).to(device)
        with torch.inference_mode():
            rows = torch.arange(len(flat), device=device).split(max(1, TOGETHER // (1 if held is None else particles)))
            order, parts = self.order(), []
            for i in rows:
                items = (Drawing if cached else Naive)(self, flat[i], None if y is None else y[i])
                some = None if held is None else held[i]
                parts.append(fill(items, order, known=some, particles=particles, pick=lambda z: race(z / temperature))[0])
            found = torch.cat(parts) if parts else flat
        return found.to(x.dtype, copy=True).view(x.shape)


class Naive:
    """Images in the making, for each cell all features of the whole image: what caching is measured against."""

    def __init__(self, net: Raster, x: Tensor, y: Tensor | None) -> None:
        self.net, self.x, self.y = net, x, y
        self.channels, self.height, self.width = net.shape

    def logits(self, step: int) -> Tensor:
        """Logits (n, levels) of the cell drawn at `step`."""
        x = self.x.view(-1, *self.net.shape)
        pixel, channel = divmod(step, self.channels)
        i, j = divmod(pixel, self.width)
        features = self.net.body(self.net.entered(x), self.y)[:, :, i, j].contiguous()
        return self.net.head.logits(features, x[:, :, i, j], channel)

    def put(self, step: int, symbol: Tensor) -> None:
        """Set the cell drawn at `step`."""
        pixel, channel = divmod(step, self.channels)
        self.x[:, channel * self.height * self.width + pixel] = symbol

    def keep(self, index: Tensor) -> None:
        """Go on with the items at `index`, which may repeat."""
        self.x = self.x[index]
        self.y = None if self.y is None else self.y[index]


class Drawing(Naive):
    """Images in the making: each new pixel computes its own column of features only, the rest is remembered."""

    def __init__(self, net: Raster, x: Tensor, y: Tensor | None) -> None:
        super().__init__(net, x, y)
        self.memory = net.body.begin(len(x))
        self.features = torch.zeros(0)

    def logits(self, step: int) -> Tensor:
        """Logits (n, levels) of the cell drawn at `step`."""
        pixel, channel = divmod(step, self.channels)
        memory = self.memory
        if channel == 0:
            memory.i, memory.j = divmod(pixel, self.width)
            if memory.j == 0:
                self.net.body.row(memory, self.y)
            self.features = self.net.body.pixel(memory)
        return self.net.head.logits(self.features, self._pixel(pixel), channel)

    def put(self, step: int, symbol: Tensor) -> None:
        """Set the cell drawn at `step`."""
        super().put(step, symbol)
        pixel, channel = divmod(step, self.channels)
        if channel == self.channels - 1:
            self.net.body.put(self.memory, self.net.entered(self._pixel(pixel)))

    def _pixel(self, pixel: int) -> Tensor:
        """(n, channels) of a pixel."""
        return self.x.view(len(self.x), self.channels, -1)[:, :, pixel]

    def keep(self, index: Tensor) -> None:
        """Go on with the items at `index`, which may repeat."""
        super().keep(index)
        self.memory.keep(index)
        self.features = self.features[index]
