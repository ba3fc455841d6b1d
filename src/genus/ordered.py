"""Ordered: what families share that draw an item's cells one after the other in one order."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from genus.capability import Constrained, Factored, Partial, Sequential
from genus.errors import UsageError
from genus.maths.particles import Items, fill
from genus.maths.within import Banned, Within
from genus.nets.masked import draw
from genus.space import Record, Space, few_first


@dataclass(kw_only=True, eq=False, repr=False)
class Ordered(Factored, Sequential, Partial, Constrained):
    """A density that is a product over cells in one order: log p(x | y) = Σᵢ log p(xᵢ | cells before it, y).

    The family writes `_entries_log_prob` and `_unfolding`, both over entries in reading order; drawing, completing, and drawing
    under restrictions follow. What is known is clamped and weighed by `particles` copies (see maths.particles).

    Parameters
    ----------
    order: of a record's cells; "few" takes cells of few levels first, "given" as they come, "random" by seed.
    temperature: logits are divided by it when drawing. particles: of `complete`, and of `sample` given ranges or sets.

    Attributes
    ----------
    order_: (entries,) which entry is read when.
    """

    accepts: ClassVar[tuple[str, ...]] = ("record", "category", "binary", "levels")
    chunk: ClassVar[int] = 16384

    order: Literal["few", "given", "random"] = "few"
    temperature: float = 1.0
    particles: int = 16

    @abstractmethod
    def _entries_log_prob(self, x: Tensor, y: Tensor | None) -> Tensor:
        """The terms (n, entries) of entries x (n, entries) in reading order."""

    @abstractmethod
    def _unfolding(self, x: Tensor, y: Tensor | None) -> Items:
        """Entries x (n, entries) in the making, see maths.particles."""

    def _check(self) -> None:
        if not self.temperature > 0:
            raise UsageError(f"temperature is {self.temperature}, but must be above 0.")
        if self.particles < 1:
            raise UsageError(f"particles is {self.particles}, but must be 1 or more.")

    def _cells(self) -> list[Space]:
        """The Space of each entry in reading order; chooses the order the first time."""
        space = self.space_
        if not hasattr(self, "order_"):
            self.order_ = self._order()
        if isinstance(space, Record):
            return [space.fields[i][1] for i in self.order_.tolist()]
        kind = "levels" if space.kind == "levels" else "category"
        return [Space(kind, (), levels=space.levels or 2)] * space.size

    def _order(self) -> Tensor:
        if self.order == "random":
            return torch.randperm(self.space_.size)
        if self.order == "few" and isinstance(self.space_, Record):
            return torch.tensor(few_first(self.space_))
        return torch.arange(self.space_.size)

    # -- hooks --------------------------------------------------------------------------------------------

    def _log_prob_cells(self, x: Tensor, y: Tensor | None) -> Tensor:
        return self._entries_log_prob(self._ordered(x), y)[:, self.order_.argsort()]

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        return self._filled(torch.zeros((n, self.space_.size), dtype=torch.int64), None, None, y)[0]

    def _sample_within(self, n: int, within: Within, y: Tensor | None) -> tuple[Tensor, Tensor]:
        x = torch.zeros((n, self.space_.size), dtype=torch.int64)
        return self._filled(x, None, within.ordered(self.order_), y)

    def _complete(self, x: Tensor, known: Tensor, y: Tensor | None) -> Tensor:
        mask = known.flatten(1)[:, self.order_]
        return self._filled(self._ordered(x), mask, self._banned(), y)[0]

    def _unfold(self, n: int, y: Tensor | None) -> tuple[Items, list[int]]:
        return self._unfolding(torch.zeros((n, self.space_.size), dtype=torch.int64), y), self.order_.tolist()

    def _filled(self, x: Tensor, known: Tensor | None, within: Within | None, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """(items, log P(what is known and within)) drawn cell by cell from x, in the reading order."""
        copies = 1 if known is None and (within is None or within.light) else self.particles
        rows = max(1, self.chunk // copies)
        out, weights = [], []
        for start in range(0, len(x), rows):
            i = torch.arange(start, min(start + rows, len(x)))
            items = self._unfolding(x[i], None if y is None else y[i])
            held = None if known is None else known[i].to(items.x.device)
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
        gaps = [(row, cell.levels, cell.missing) for row, cell in enumerate(self._cells())]
        held = [(row, levels, gap) for row, levels, gap in gaps if gap is not None and levels > 1]
        return Banned({row: torch.zeros(levels).index_fill(0, torch.tensor(gap), -torch.inf) for row, levels, gap in held})

    # -- the order of entries -----------------------------------------------------------------------------

    def _ordered(self, x: Tensor) -> Tensor:
        """Items (n, *space) as entries (n, size) in reading order."""
        return x.flatten(1).long()[:, self.order_.to(x.device)]

    def _restored(self, x: Tensor) -> Tensor:
        """The inverse of `_ordered`."""
        return x[:, self.order_.argsort().to(x.device)].to(self.space_.dtype).view(-1, *self.space_.shape)
