"""NADE: the neural autoregressive density estimator, hidden units that take in a cell at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from genus.capability import Conditional
from genus.errors import UsageError
from genus.maths.quantise import Packed
from genus.nets.nade import Activation, Intake, NADENet
from genus.ordered import Ordered
from genus.train.descend import descend
from genus.train.recipe import Recipe
from genus.train.run import Run

COUNTED = 50_000


@dataclass(kw_only=True, eq=False, repr=False)
class NADE(Recipe, Ordered, Conditional):
    """One layer of units that takes in cell after cell: log p(x | y) = Σᵢ log p(xᵢ | hᵢ), hᵢ = f(c + Σ_{j<i} Wⱼ φ(xⱼ)), exactly.

    All terms cost O(cells · width), and so does a draw. Each conditional is a softmax over the cell's levels, over many ordered
    ones a smooth one. A cell at its first level (a black pixel) leaves the units as they are, so sparse data cost less still.
    The orderless, deep NADE of Uria et al. is `anyorder`.

    `complete` is exact where what is known comes first in the order; else the unknown cells are drawn by `particles`
    copies weighed by the known ones, exact as they grow more.

    Parameters
    ----------
    width: units of the layer. activation: f, "relu" or "sigmoid".
    batch: items a step; the number of items chooses when None.

    Attributes
    ----------
    net_: the NADENet; a net of your own has its log_probs, count, first, told, seen, units, logits_of, enter and leave.

    Reference: H. Larochelle and I. Murray 2011, The neural autoregressive distribution estimator,
    https://proceedings.mlr.press/v15/larochelle11a.html
    """

    chunk: ClassVar[int] = 1024
    private: ClassVar[bool] = True

    width: int = 500
    activation: Activation = "relu"
    batch: int | None = None  # pyright: ignore[reportIncompatibleVariableOverride]

    def _check(self) -> None:
        super()._check()
        if self.width < 1:
            raise UsageError(f"width is {self.width}, but must be 1 or more.")
        if self.activation not in ("relu", "sigmoid"):
            raise UsageError(f"activation is {self.activation!r}, but must be 'relu' or 'sigmoid'.")

    def _build(self) -> None:
        cells = self._cells()
        own = self._own_net(self.space_, self.width_y, ("log_probs", "enter", "leave"))
        self.net_: NADENet = own or NADENet(
            [c.levels for c in cells], ordered=[c.kind == "levels" for c in cells], missing=[c.missing for c in cells],
            width=self.width, condition=self.width_y, activation=self.activation, dropout=self.dropout,
        )  # fmt: skip

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        if self.epsilon is None:  # counts are taken without noise
            self.net_.count(self._ordered(x[torch.randint(len(x), (min(len(x), COUNTED),))]))
        recipe = replace(self, batch=self.batch or max(16, min(100, len(x) // 20)))
        self.history_ = descend(self.net_, self._loss, x, y, recipe=recipe, run=run)
        if self.epsilon is not None:
            self.privacy_ = recipe.privacy_  # pyright: ignore[reportAttributeAccessIssue]

    def _loss(self, x: Tensor, y: Tensor | None) -> Tensor:
        return -self.net_.log_probs(self._ordered(x), y).sum(1)

    def _entries_log_prob(self, x: Tensor, y: Tensor | None) -> Tensor:
        device = self.net_.bias.device
        return self.net_.log_probs(x.to(device), None if y is None else y.to(device))

    def _unfolding(self, x: Tensor, y: Tensor | None) -> Intake:
        device = self.net_.bias.device
        return Intake(self.net_, x.to(device), None if y is None else y.to(device))
