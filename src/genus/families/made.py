"""MADE: a masked autoregressive net over a record's cells; the family to begin with for tables."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from genus.capability import Conditional, Constrained, Factored, Partial, Sequential
from genus.errors import UsageError
from genus.maths.particles import fill
from genus.maths.quantise import Packed
from genus.maths.within import Banned, Within
from genus.nets.default import half
from genus.nets.masked import CellNet, Unfolding, draw
from genus.nets.unseen import Unseen
from genus.space import Record, few_first
from genus.train.descend import descend
from genus.train.recipe import Recipe
from genus.train.run import Run

COUNTED = 50_000
CELLS = 128  # cells above which pairs are not counted
VISITS = 210_000  # rows read in training at 26,000 rows; fewer at fewer, a little more at more


@dataclass(kw_only=True, eq=False, repr=False)
class MADE(Recipe, Factored, Sequential, Partial, Constrained, Conditional):
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
    binary images and vectors, when None.
    order: of a record's cells; "few" takes cells of few levels first, "given" as they come, "random" by seed.
    steps, batch, dropout: as in every recipe; the number of rows chooses when None.
    temperature: logits are divided by it when drawing. particles: of `complete`, and of `sample` given ranges or sets.

    Attributes
    ----------
    net_: the CellNet. unseen_: the pairs never seen together, see nets.unseen. order_: (entries,) which entry is read when.

    Reference: M. Germain, K. Gregor, I. Murray and H. Larochelle 2015, MADE: masked autoencoder for distribution
    estimation, https://arxiv.org/abs/1502.03509; P. Tiwald et al. 2025, TabularARGN, https://arxiv.org/abs/2501.12012
    """

    accepts: ClassVar[tuple[str, ...]] = ("record", "category", "binary", "levels")
    chunk: ClassVar[int] = 16384
    private: ClassVar[bool] = True

    width: int | None = None
    depth: int = 2
    inner: int | None = None
    order: Literal["few", "given", "random"] = "few"
    steps: int | None = None
    batch: int | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    lr: float = 4e-3
    ema: float = 0.998
    dropout: float | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    temperature: float = 1.0
    particles: int = 16

    def _check(self) -> None:
        if not self.temperature > 0:
            raise UsageError(f"temperature is {self.temperature}, but must be above 0.")
        for name in ("width", "depth", "inner", "particles"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}, but must be 1 or more.")

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
        space = self.space_
        cells = [cell for _, cell in space.fields] if isinstance(space, Record) else None
        count = space.size
        if not hasattr(self, "order_"):
            self.order_ = self._order()
        picked = self.order_.tolist()
        levels = [cells[i].levels for i in picked] if cells else [space.levels or 2] * count
        ordered = [cells[i].kind == "levels" for i in picked] if cells else [space.kind == "levels"] * count
        missing = [cells[i].missing for i in picked] if cells else [None] * count
        own = self._own_net(space, self.width_y, ("log_probs", "heads"))
        self.net_: CellNet = own or CellNet(
            levels, ordered=ordered, missing=missing, condition=self.width_y, width=self.width or _default_width(len(levels)),
            depth=self.depth, inner=self.inner or (1 if space.kind == "binary" else 8), dropout=self.dropout or 0.0,
        )  # fmt: skip

        self.unseen_ = Unseen(levels)

    def _order(self) -> Tensor:
        if self.order == "random":
            return torch.randperm(self.space_.size)
        if self.order == "few" and isinstance(self.space_, Record):
            return torch.tensor(few_first(self.space_))
        return torch.arange(self.space_.size)

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

    def _log_prob_cells(self, x: Tensor, y: Tensor | None) -> Tensor:
        device = self.net_.heads.bias.device
        x = self._ordered(x).to(device)
        each = self.net_.log_probs(self.net_(x, None if y is None else y.to(device)) + self.unseen_(x), x)
        return each[:, self.order_.argsort()]

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        return self._filled(torch.zeros((n, self.space_.size), dtype=torch.int64), None, None, y)[0]

    def _sample_within(self, n: int, within: Within, y: Tensor | None) -> tuple[Tensor, Tensor]:
        x = torch.zeros((n, self.space_.size), dtype=torch.int64)
        return self._filled(x, None, within.ordered(self.order_), y)

    def _complete(self, x: Tensor, known: Tensor, y: Tensor | None) -> Tensor:
        mask = known.flatten(1)[:, self.order_]
        return self._filled(self._ordered(x), mask, self._banned(), y)[0]

    def _unfold(self, n: int, y: Tensor | None) -> tuple[_Rows, list[int]]:
        x = torch.zeros((n, self.space_.size), dtype=torch.int64, device=self.net_.heads.bias.device)
        return _Rows(self.net_, self.unseen_, x, None if y is None else y.to(x.device)), self.order_.tolist()

    def _filled(self, x: Tensor, known: Tensor | None, within: Within | None, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """(items, log P(what is known and within)) drawn cell by cell from x, in the net's order."""
        copies = 1 if known is None and (within is None or within.light) else self.particles
        device, rows = self.net_.heads.bias.device, max(1, self.chunk // copies)
        out, weights = [], []
        for start in range(0, len(x), rows):
            i = torch.arange(start, min(start + rows, len(x)))
            items = _Rows(self.net_, self.unseen_, x[i].to(device), None if y is None else y[i].to(device))
            held = None if known is None else known[i].to(device)
            part = within if within is None else within.take(i)
            found, weight = fill(items, range(x.shape[1]), within=part, known=held, particles=self.particles, pick=self._pick)
            out.append(found)
            weights.append(weight)
        return self._restored(torch.cat(out) if out else x), torch.cat(weights) if weights else torch.zeros(0)

    def _pick(self, logits: Tensor) -> Tensor:
        return draw(logits / self.temperature)

    def _banned(self) -> Within | None:
        """The missing levels, which a completion never draws."""
        if not isinstance(self.space_, Record):
            return None
        weights = {}
        for row, i in enumerate(self.order_.tolist()):
            cell = self.space_.fields[i][1]
            if cell.missing is not None and cell.levels > 1:
                weights[row] = torch.zeros(cell.levels).index_fill(0, torch.tensor(cell.missing), -torch.inf)
        return Banned(weights)

    # -- the order of entries -----------------------------------------------------------------------------

    def _ordered(self, x: Tensor) -> Tensor:
        """Items (n, *space) as entries (n, size) in reading order."""
        return x.flatten(1).long()[:, self.order_.to(x.device)]

    def _restored(self, x: Tensor) -> Tensor:
        """The inverse of `_ordered`."""
        return x[:, self.order_.argsort().to(x.device)].to(self.space_.dtype).view(-1, *self.space_.shape)


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
