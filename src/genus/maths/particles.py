"""Particles: cells drawn in order under a restriction, by a particle filter for each item."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from genus.maths.within import Within, clamped

DEAD = -1e30


class Items(Protocol):
    """Records in the making."""

    x: Tensor

    def logits(self, step: int) -> Tensor:
        """Logits (n, levels) of the cell drawn at `step`, −∞ beyond its own levels."""
        ...

    def put(self, step: int, symbol: Tensor) -> None:
        """Set the cell drawn at `step` to symbol (n,)."""
        ...

    def keep(self, index: Tensor) -> Any:
        """Go on with the items at `index`, which may repeat."""
        ...


def race(logits: Tensor) -> Tensor:
    """A draw (…,) from softmax(logits) (…, levels), as the winner of a race of exponential clocks."""
    chance = logits.softmax(-1)
    return (chance / torch.empty_like(chance).exponential_()).argmax(-1)


def fill(
    items: Items, order: Sequence[int] | Tensor, *, within: Within | None = None, known: Tensor | None = None,
    particles: int = 1, pick: Callable[[Tensor], Tensor] = race, start: int = 0,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Draw the cells in order; returns (x, log_weight).

    A draw is weighed by the probability, given what came before, of all that is allowed to each cell. From the first cell
    that is drawn freely until the last that is steered (see `Within.steers`) each item becomes `particles` copies, resampled
    where their effective number falls below half; one is kept by weight, and later cells are masked only. log_weight (n,)
    estimates log P(the restriction) of each item, without bias in P itself; −∞ where no copy could go on, and then x of that
    item is meaningless. (Gordon, Salmond & Smith 1993, https://doi.org/10.1049/ip-f-2.1993.0015; Del Moral 2004,
    Feynman-Kac formulae.)

    Parameters
    ----------
    items: see `Items`; x (n, cells) in the order of `within`. order: which cell each step draws.
    known: (n, cells) cells that are clamped to what items.x holds. particles: copies an item; a restriction that is `light` and
    nothing known take one. pick: a draw from logits. start: steps before it are done.
    """
    n, order = len(items.x), [int(i) for i in order]
    copies = 1 if known is None and (within is None or within.light) else particles
    state = _Filter(items, n, order, within, known, copies, pick)
    for step in range(start, len(order)):
        state.step(step)
    return items.x, state.finish()


class _Filter:
    """The copies of n items, their weights since the last resampling, and what was weighed before it."""

    def __init__(
        self, items: Items, n: int, order: list[int], within: Within | None, known: Tensor | None, copies: int,
        pick: Callable[[Tensor], Tensor],
    ) -> None:  # fmt: skip
        self.items, self.n, self.order, self.within, self.copies, self.pick = items, n, order, within, copies, pick
        self.held = None if known is None else (items.x.clone(), known)
        touched = [within is not None and within.steers(cell) for cell in order]
        clamps = [False] * len(order) if known is None else known.any(0)[order].tolist()
        self.last = max((s for s, (a, b) in enumerate(zip(touched, clamps, strict=True)) if a or b), default=-1)
        self.past = torch.zeros(n, device=items.x.device)
        self.weight = torch.zeros(n, 1, device=items.x.device)
        self.done = torch.zeros(items.x.shape[1], dtype=torch.bool, device=items.x.device)

    def step(self, step: int) -> None:
        """Draw one cell of every copy."""
        cell, device = self.order[step], self.items.x.device
        self.done[self.order[:step]] = True
        logits = self.items.logits(step)
        allowed = self._allowed(cell, logits.shape[-1])
        if allowed is not None:
            logits, gain = _weighed(logits, allowed)
            self.weight = self.weight + gain.view(self.n, -1)
        settled = allowed is not None and bool(((logits > -torch.inf).sum(-1) <= 1).all())
        if self.copies > 1 and self.weight.shape[1] == 1 and not settled and step < self.last:
            own = torch.arange(self.n, device=device).repeat_interleave(self.copies)
            self._keep(own)
            self.weight, logits = self.weight.repeat(1, self.copies), logits[own]
        self.items.put(step, self.pick(logits))
        if self.weight.shape[1] > 1:
            self._settle() if step == self.last else self._resample()

    def _allowed(self, cell: int, width: int) -> Tensor | None:
        """Log-weights of the levels of a cell, None where it may hold anything."""
        total = None if self.within is None else self.within.weigh(cell, self.items.x, self.done)
        total = None if total is None else _fitted(total, width).to(self.items.x.device)
        if self.held is None or not bool(self.held[1][:, cell].any()):
            return total
        only = clamped(*self.held, cell, width)
        return only if total is None else total + only

    def _keep(self, index: Tensor) -> None:
        self.items.keep(index)
        if self.held is not None:
            self.held = self.held[0][index], self.held[1][index]
        self.within = None if self.within is None else self.within.take(index)

    def _resample(self) -> None:
        """Draw anew the copies of the items where they have become too unlike."""
        chance = self.weight.clamp(min=DEAD).softmax(1)
        poor = 1 / chance.square().sum(1) < self.copies / 2
        if not bool(poor.any()):
            return
        index = torch.arange(self.copies, device=chance.device).repeat(self.n, 1)
        index[poor] = torch.multinomial(chance[poor], self.copies, replacement=True)
        self._keep((torch.arange(self.n, device=chance.device)[:, None] * self.copies + index).flatten())
        self.past = torch.where(poor, self.past + _mean(self.weight), self.past)
        self.weight = self.weight.masked_fill(poor[:, None], 0.0)

    def _settle(self) -> None:
        """Go on with one copy an item, drawn by weight."""
        best = race(self.weight.clamp(min=DEAD))
        self._keep(torch.arange(self.n, device=best.device) * self.copies + best)
        self.weight, self.past = torch.zeros(self.n, 1, device=best.device), self.past + _mean(self.weight)
        self.copies = 1

    def finish(self) -> Tensor:
        """log P(the restriction) of each item."""
        return self.past + _mean(self.weight)


def _weighed(logits: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
    """(logits of what is allowed, log of its probability); a copy that can hold nothing holds anything, at weight −∞."""
    chance = logits.log_softmax(-1) + allowed
    gain = chance.logsumexp(-1)
    return torch.where((gain > -torch.inf)[..., None], logits + allowed, logits), gain


def _mean(weight: Tensor) -> Tensor:
    """log of the mean of exp(weight) over copies."""
    return weight.logsumexp(1) - torch.log(torch.tensor(float(weight.shape[1])))


def _fitted(weight: Tensor, width: int) -> Tensor:
    """Log-weights as wide as the logits, which are −∞ beyond a cell's own levels."""
    if weight.shape[-1] == width:
        return weight
    if weight.shape[-1] > width:
        return weight[..., :width]
    return torch.nn.functional.pad(weight, (0, width - weight.shape[-1]))
