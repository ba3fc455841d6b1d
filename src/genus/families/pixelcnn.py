"""PixelCNN: an image pixel by pixel, each from those before by masked convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from genus.capability import Conditional, Partial, Sequential
from genus.errors import UsageError
from genus.maths.quantise import Packed
from genus.nets.default import half
from genus.nets.pixelcnn import Stack
from genus.nets.raster import Drawing, Raster, image_shape, input_channels
from genus.space import Space
from genus.train.descend import descend
from genus.train.recipe import Recipe
from genus.train.run import Run

SHAPES = {"small": (16, 2), "base": (32, 3), "large": (64, 6)}  # (width, depth)


@dataclass(kw_only=True, eq=False, repr=False)
class PixelCNN(Recipe, Sequential, Partial, Conditional):
    """A masked convolutional net over pixels in raster order: log p(x | y) = Σᵢ log p(xᵢ | x₁ … xᵢ₋₁, y), exactly.

    All terms come of one pass in training; drawing goes pixel by pixel and remembers every layer's features, so that a
    new pixel computes its own column of them alone. Few levels and categories are drawn from a softmax, many ordered levels
    from a mixture of logistics; the channels of a pixel follow one another. y is a bias in every layer. Vectors are
    read as images of one row.

    `complete` is exact where the known pixels come first in raster order; else the unknown ones are drawn by `particles`
    copies weighed by the known ones, exact as they grow more.

    Parameters
    ----------
    variant: "plain", masked residual blocks; "gated", vertical and horizontal stacks; "mixture", PixelCNN++: gated residual
    layers with skips, and logistics for few ordered levels too. reach: pixels that a block's kernel sees to either side and
    above. width: features of a layer, `size` chooses when None. depth: blocks, likewise.
    temperature: logits are divided by it when drawing. particles: of `complete`.

    Attributes
    ----------
    net_: a Raster; a net of your own gives log p(x | y) (n,) when called and has `complete`.

    Reference: A. van den Oord et al. 2016, Pixel recurrent neural networks, https://arxiv.org/abs/1601.06759, and Conditional
    image generation with PixelCNN decoders, https://arxiv.org/abs/1606.05328; T. Salimans et al. 2017, PixelCNN++,
    https://arxiv.org/abs/1701.05517
    """

    accepts: ClassVar[tuple[str, ...]] = ("binary", "levels", "category")
    chunk: ClassVar[int] = 256
    private: ClassVar[bool] = True

    variant: Literal["plain", "gated", "mixture"] = "gated"
    width: int | None = None
    depth: int | None = None
    reach: int = 2
    batch: int = 32
    lr: float = 3e-3
    precision: Literal["auto", "f32", "bf16"] = "auto"
    temperature: float = 1.0
    particles: int = 16

    def _check(self) -> None:
        if self.variant not in ("plain", "gated", "mixture"):
            raise UsageError(f"variant is plain, gated or mixture, not {self.variant!r}.")
        if not self.temperature > 0:
            raise UsageError(f"temperature is {self.temperature}, but must be above 0.")
        for name in ("width", "depth", "reach", "particles"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}, but must be 1 or more.")

    def _build(self) -> None:
        space = self.space_
        assert isinstance(space, Space)
        width, depth = SHAPES[self.size]
        width, depth = self.width or width, self.depth or depth
        own = self._own_net(space, self.width_y, ("complete",))
        self.net_: Raster = own or Raster(
            space, Stack(
                self.variant, input_channels(space), image_shape(space)[1:], width=width, depth=depth, side=self.reach,
                condition=self.width_y, dropout=self.dropout,
            ), mixture=self.variant == "mixture", inner=2 * width,
        )  # fmt: skip

    # -- hooks --------------------------------------------------------------------------------------------

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        self.history_ = descend(self.net_, self._loss, x, y, recipe=self, run=run)

    def _loss(self, x: Tensor, y: Tensor | None) -> Tensor:
        with half(x.device, self.precision):
            return -self.net_(x, y)

    def _log_prob(self, x: Tensor, y: Tensor | None) -> Tensor:
        return self.net_(x, y)

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        nothing = torch.zeros((n, *self.space_.shape), dtype=self.space_.dtype)
        return self.net_.complete(nothing, None, y, temperature=self.temperature)

    def _complete(self, x: Tensor, known: Tensor, y: Tensor | None) -> Tensor:
        return self.net_.complete(x, known, y, particles=self.particles, temperature=self.temperature)

    def _unfold(self, n: int, y: Tensor | None) -> tuple[Drawing, list[int]]:
        x = torch.zeros((n, self.space_.size), dtype=torch.int64, device=next(self.net_.parameters()).device)
        return Drawing(self.net_, x, None if y is None else y.to(x.device)), self.net_.order()
