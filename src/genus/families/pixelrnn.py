"""PixelRNN: an image pixel by pixel, each from those before by LSTMs over rows or diagonals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from genus.capability import Conditional, Partial, Sequential
from genus.errors import UsageError
from genus.maths.quantise import Packed
from genus.nets.default import half
from genus.nets.pixelrnn import RecurrentStack
from genus.nets.raster import Drawing, Raster, image_shape, input_channels
from genus.space import Space
from genus.train.descend import descend
from genus.train.recipe import Recipe
from genus.train.run import Run

SHAPES = {"small": (16, 1), "base": (32, 1), "large": (64, 3)}  # (width, depth)


@dataclass(kw_only=True, eq=False, repr=False)
class PixelRNN(Recipe, Sequential, Partial, Conditional):
    """LSTMs over an image in raster order: log p(x | y) = Σᵢ log p(xᵢ | x₁ … xᵢ₋₁, y), exactly, no pixel before out of reach.

    Few levels and categories are drawn from a softmax, many ordered levels from a mixture of logistics; the channels of a
    pixel follow one another. y is a bias in every layer. Drawing goes pixel by pixel and remembers every layer's states.
    Vectors are read as images of one row.

    `complete` is exact where the known pixels come first in raster order; else the unknown ones are drawn by `particles`
    copies weighed by the known ones, exact as they grow more.

    Parameters
    ----------
    rows: "row", an LSTM whose state comes of the three pixels above, seeing a triangle; "diagonal", two along both
    diagonals, seeing all pixels before. width: features and units, `size` chooses when None. depth: layers, likewise.
    temperature: logits are divided by it when drawing. particles: of `complete`.

    Attributes
    ----------
    net_: a Raster; a net of your own gives log p(x | y) (n,) when called and has `complete`.

    Reference: A. van den Oord, N. Kalchbrenner and K. Kavukcuoglu 2016, Pixel recurrent neural networks,
    https://arxiv.org/abs/1601.06759
    """

    accepts: ClassVar[tuple[str, ...]] = ("binary", "levels", "category")
    chunk: ClassVar[int] = 256

    rows: Literal["row", "diagonal"] = "diagonal"
    width: int | None = None
    depth: int | None = None
    batch: int = 32
    lr: float = 3e-3
    temperature: float = 1.0
    particles: int = 16

    def _check(self) -> None:
        if self.rows not in ("row", "diagonal"):
            raise UsageError(f"rows is row or diagonal, not {self.rows!r}.")
        if not self.temperature > 0:
            raise UsageError(f"temperature is {self.temperature}, but must be above 0.")
        for name in ("width", "depth", "particles"):
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
            space, RecurrentStack(
                self.rows, input_channels(space), image_shape(space)[1:], width=width, depth=depth, condition=self.width_y,
                dropout=self.dropout,
            ), inner=2 * width,
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
