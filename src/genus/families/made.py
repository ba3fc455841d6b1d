"""MADE: a masked autoregressive net over a record's cells; the family to begin with for tables."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from genus.capability import Conditional
from genus.errors import UsageError
from genus.maths.particles import Items
from genus.maths.quantise import Packed
from genus.nets.default import half
from genus.nets.masked import CellNet, Several, Unfolding, average
from genus.nets.unseen import Unseen
from genus.ordered import Ordered
from genus.train.descend import descend
from genus.train.recipe import Recipe
from genus.train.run import Run

COUNTED = 50_000
CELLS = 128  # cells above which pairs are not counted
VISITS = 210_000  # rows read in training at 26,000 rows; fewer at fewer, a little more at more


@dataclass(kw_only=True, eq=False, repr=False)
class MADE(Recipe, Ordered, Conditional):
    """A masked autoregressive net: log p(x | y) = Σᵢ log p(xᵢ | x₁ … xᵢ₋₁, y), exactly, all terms in one pass.

    A record's cells are read in a fixed order, few levels first; the conditional of each is a softmax over its own levels,
    smooth over ordered ones, of a residual net whose weights are masked so that nothing looks ahead. Small and strongly
    regularised: dropout, averaged weights, and of all epochs the one that held-out rows like best. Binary vectors and
    images, and vectors of categories, are read in their own order.

    `complete` is exact where what is known comes first in the order; else the unknown cells are drawn by `particles`
    copies weighed by the known ones, exact as they grow more.

    Parameters
    ----------
    width: units of a layer; the record chooses when None. depth: residual blocks. inner: width of a cell's vector, 8, but 1 for
    binary images and vectors, when None. masks: which units see how far is drawn so many times; a batch of training takes one,
    and a cell's probabilities are averaged over all, which takes so many times as long.
    steps, batch, dropout: as in every recipe; the number of rows chooses when None.

    Attributes
    ----------
    net_: the CellNet. unseen_: the pairs never seen together, see nets.unseen.

    Reference: M. Germain, K. Gregor, I. Murray and H. Larochelle 2015, MADE: masked autoencoder for distribution
    estimation, https://arxiv.org/abs/1502.03509; P. Tiwald et al. 2025, TabularARGN, https://arxiv.org/abs/2501.12012
    """

    private: ClassVar[bool] = True

    width: int | None = None
    depth: int = 2
    inner: int | None = None
    masks: int = 1
    steps: int | None = None
    batch: int | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    lr: float = 4e-3
    ema: float = 0.998
    dropout: float | None = None  # pyright: ignore[reportIncompatibleVariableOverride]

    def _check(self) -> None:
        super()._check()
        for name in ("width", "depth", "inner", "masks"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}, but must be 1 or more.")
        if self.masks > 1 and self.epsilon is not None:
            raise UsageError("epsilon asks for one gradient of one net: leave masks at 1.")

    # -- choices ------------------------------------------------------------------------------------------

    def _recipe(self, n: int) -> MADE:
        """This recipe with what the number of items chooses where a field is None."""
        batch = self.batch or (512 if n > 200_000 else max(16, min(256, n // 20)))
        steps = self.steps
        if not (steps or self.epochs or self.minutes):
            visits = VISITS * (n / 26_000) ** (0.5 if n < 26_000 else 0.4)
            steps = int(max(300, min(visits / batch, 60 * n / batch)))
        return replace(self, batch=batch, steps=steps, dropout=self._dropout(n))

    def _dropout(self, n: int) -> float:
        return self.dropout if self.dropout is not None else 0.3 if n < 100_000 else 0.1

    def _build(self) -> None:
        cells = self._cells()
        levels = [cell.levels for cell in cells]
        own = self._own_net(self.space_, self.width_y, ("log_probs", "heads"))
        self.net_: CellNet = own or CellNet(
            levels, ordered=[cell.kind == "levels" for cell in cells], missing=[cell.missing for cell in cells],
            condition=self.width_y, width=self.width or _default_width(len(levels)), depth=self.depth,
            inner=self.inner or (1 if self.space_.kind == "binary" else 8), dropout=self.dropout or 0.0,
            masks=self.masks,
        )  # fmt: skip
        self.unseen_ = Unseen(levels)

    # -- hooks --------------------------------------------------------------------------------------------

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        if self.epsilon is None:  # counts are taken without noise
            some = self._ordered(x[torch.randint(len(x), (min(len(x), COUNTED),))])
            self.net_.heads.count(some)
            if self.space_.size <= CELLS:
                self.unseen_.count(some)
        recipe = self._recipe(len(x))
        self.net_.dropout.p = float(recipe.dropout or 0.0)
        self.history_ = descend(self.net_, self._loss, x, y, recipe=recipe, run=run)
        if self.epsilon is not None:
            self.privacy_ = recipe.privacy_  # pyright: ignore[reportAttributeAccessIssue]

    def _loss(self, x: Tensor, y: Tensor | None) -> Tensor:
        x = self._ordered(x)
        with half(x.device, self.precision if self.space_.size > CELLS else "f32"):
            logits = self.net_(x, y)
        return -self.net_.log_probs(logits.float() + self.unseen_(x), x).sum(1)

    def _entries_log_prob(self, x: Tensor, y: Tensor | None) -> Tensor:
        device = self.net_.heads.bias.device
        x, y = x.to(device), None if y is None else y.to(device)
        unseen = self.unseen_(x)
        return average([self.net_.log_probs(net(x, y) + unseen, x) for net in self._nets()])

    def _unfolding(self, x: Tensor, y: Tensor | None) -> Items:
        device = self.net_.heads.bias.device
        x, y = x.to(device), None if y is None else y.to(device)
        parts = [_Rows(net, self.unseen_, x, y) for net in self._nets()]
        return parts[0] if len(parts) == 1 else Several(parts)

    def _nets(self) -> list[CellNet]:
        """The net under each of its masks."""
        if self.masks == 1 or not isinstance(self.net_, CellNet):
            return [self.net_]
        return [self.net_.turned(k) for k in range(self.masks)]


class _Rows(Unfolding):
    """Records in the making, what was never seen together taken off their logits."""

    def __init__(self, net: CellNet, unseen: Unseen, x: Tensor, y: Tensor | None) -> None:
        super().__init__(net, x, y)
        self.unseen = unseen

    def logits(self, step: int) -> Tensor:
        """Logits (n, levels) of cell `step`."""
        return super().logits(step) + self.unseen.at(self.x, step)


def _default_width(cells: int) -> int:
    """Units for records of so many cells: 256, more for wide ones, in steps of 64."""
    return int(min(768, max(256, 64 * math.ceil(cells * 12 / 64))))
