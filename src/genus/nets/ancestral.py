"""Ancestral: items drawn entry by entry, some of them clamped to what is known."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from genus.maths.particles import fill
from genus.maths.within import All, Banned, Within
from genus.nets.autoregression import Autoregression
from genus.nets.decode import discouraged, kept, pick


class Ancestral:
    """Items in the making: what has been drawn, and the cache of what has been read.

    Parameters
    ----------
    net: gives the conditionals. x: (n, length), entries known or still to be drawn. y: the condition.
    temperature, top_k, top_p, min_p: of each draw. penalty: of levels drawn before, 1 for none. end: the symbol that
    closes an item, or None. banned: (length, levels), −∞ at levels never to be drawn, or None.

    Where x is longer than the net, the net starts anew on the latter half of its window whenever that is full, so
    that a drawn entry always sees between half a window and a whole one, in positions it was trained on.
    """

    def __init__(
        self, net: Autoregression, x: Tensor, y: Tensor | None, *, temperature: float = 1.0, top_k: int | None = None,
        top_p: float | None = None, min_p: float | None = None, penalty: float = 1.0, end: int | None = None,
        banned: Tensor | None = None,
    ) -> None:  # fmt: skip
        self.net, self.x, self.y = net, x, y
        self.temperature, self.penalty = temperature, penalty
        self.kept = partial(kept, top_k=top_k, top_p=top_p, min_p=min_p)
        self.end, self.banned = end, banned
        self.place, self.offset = net.begin(len(x)), 0
        self.done = torch.zeros(len(x), dtype=torch.bool, device=x.device)

    def logits(self, step: int) -> Tensor:
        """Logits (n, levels) of entry `step`, over the temperature; a closed item holds nothing but the end symbol."""
        i, length = step, self.net.decoder.length
        if i - self.offset >= length:
            self.offset = i - length // 2
            self.place = self.net.begin(len(self.x))
        logits = self.net.read(self.place, self.x[:, self.offset :], i - self.offset + 1, self.y)
        if self.penalty != 1:
            logits = discouraged(logits, self.x[:, self.offset : i], self.penalty)
        logits = logits / self.temperature
        if self.end is None or not bool(self.done.any()):
            return logits
        closed = torch.full_like(logits, -torch.inf)
        closed[:, self.end] = 0.0
        return torch.where(self.done[:, None], closed, logits)

    def put(self, step: int, symbol: Tensor) -> None:
        """Set entry `step`; a closed item stays closed."""
        if self.end is not None:
            symbol = torch.where(self.done, self.end, symbol)
            self.done |= symbol == self.end
        self.x[:, step] = symbol

    def run(self, start: int, stop: int) -> Tensor:
        """Draw entries start … stop − 1; returns x."""
        for _ in self.steps(start, stop):
            pass
        return self.x

    def steps(self, start: int, stop: int) -> Iterator[Tensor]:
        """The same, giving each entry (n,) as it is drawn; entries after the last one given are the end symbol."""
        for i in range(start, stop):
            if self.end is not None and bool(self.done.all()):
                self.x[:, i:] = self.end
                return
            self.put(i, pick(self.kept(self.allowed(i))))
            yield self.x[:, i]

    def allowed(self, step: int) -> Tensor:
        """The logits of entry `step` with −∞ at what is never to be drawn."""
        logits = self.logits(step)
        return logits if self.banned is None else logits + self.banned[step]

    def keep(self, index: Tensor) -> None:
        """Go on with the items at `index`, which may repeat."""
        self.x, self.done, self.place = self.x[index], self.done[index], self.place.take(index)
        self.y = None if self.y is None else self.y[index]

    def fill(self, start: int, stop: int, particles: int, known: Tensor | None = None, within: Within | None = None) -> Tensor:
        """Draw entries start … stop − 1 given the known ones and within a restriction, see `particles.fill`; log-weights (n,)."""
        parts = [part for part in (within, self._never, self._open(known)) if part is not None]
        whole = All(parts) if parts else None
        return fill(self, range(stop), within=whole, known=known, particles=particles, pick=self._pick, start=start)[1]

    def _pick(self, logits: Tensor) -> Tensor:
        return pick(self.kept(logits))

    @property
    def _never(self) -> Banned | None:
        return None if self.banned is None else Banned(dict(enumerate(self.banned)))

    def _open(self, known: Tensor | None) -> _Open | None:
        if self.end is None or known is None:
            return None
        return _Open(self.end, _last(known & (self.x != self.end)))


class _Open(Within):
    """No item ends before its last known entry: until (n,)."""

    light = True

    def __init__(self, end: int, until: Tensor) -> None:
        self.end, self.until = end, until
        self.stop = int(until.max()) if len(until) else -1

    def weigh(self, cell: int, x: Tensor, done: Tensor) -> Tensor | None:
        weight = torch.zeros(len(x), self.end + 1, device=x.device)
        weight[:, self.end] = torch.where(self.until > cell, -torch.inf, 0.0)
        return weight

    def touches(self, cell: int) -> bool:
        return cell < self.stop

    def take(self, index: Tensor) -> Within:
        return _Open(self.end, self.until[index])


def _last(mask: Tensor) -> Tensor:
    """The last True of each row (n, length), −1 where there is none."""
    return (mask * torch.arange(1, mask.shape[1] + 1, device=mask.device)).amax(1) - 1
