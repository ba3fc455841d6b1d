"""Ancestral: items drawn entry by entry, some of them clamped to what is known."""

from __future__ import annotations

import torch
from torch import Tensor

from genus.nets.autoregression import Autoregression
from genus.nets.decode import kept, pick


class Ancestral:
    """Items in the making: what has been drawn, and the cache of what has been read.

    Parameters
    ----------
    net: gives the conditionals. x: (n, length), entries known or still to be drawn. y: the condition.
    temperature, top_k, top_p: of each draw. end: the symbol that closes an item, or None.
    banned: (length, levels), −∞ at levels never to be drawn, or None.

    Where x is longer than the net, the net starts anew on the latter half of its window whenever that is full, so
    that a drawn entry always sees between half a window and a whole one, in positions it was trained on.
    """

    def __init__(
        self, net: Autoregression, x: Tensor, y: Tensor | None, *, temperature: float = 1.0, top_k: int | None = None,
        top_p: float | None = None, end: int | None = None, banned: Tensor | None = None,
    ) -> None:  # fmt: skip
        self.net, self.x, self.y = net, x, y
        self.temperature, self.top_k, self.top_p = temperature, top_k, top_p
        self.end, self.banned = end, banned
        self.place, self.offset = net.begin(len(x)), 0
        self.done = torch.zeros(len(x), dtype=torch.bool, device=x.device)

    def logits(self, i: int) -> Tensor:
        """Logits (n, levels) of entry i, over the temperature."""
        length = self.net.decoder.length
        if i - self.offset >= length:
            self.offset = i - length // 2
            self.place = self.net.begin(len(self.x))
        return self.net.read(self.place, self.x[:, self.offset :], i - self.offset + 1, self.y) / self.temperature

    def put(self, i: int, symbol: Tensor) -> None:
        """Set entry i; a closed item stays closed."""
        if self.end is not None:
            symbol = torch.where(self.done, self.end, symbol)
            self.done |= symbol == self.end
        self.x[:, i] = symbol

    def run(self, start: int, stop: int) -> Tensor:
        """Draw entries start … stop − 1; returns x."""
        for i in range(start, stop):
            logits = self.logits(i)
            if self.banned is not None:
                logits = logits + self.banned[i]
            self.put(i, pick(kept(logits, self.top_k, self.top_p)))
            if self.end is not None and bool(self.done.all()):
                self.x[:, i + 1 :] = self.end
                break
        return self.x

    def keep(self, index: Tensor) -> None:
        """Go on with the items at `index`, which may repeat."""
        self.x, self.done, self.place = self.x[index], self.done[index], self.place.take(index)
        self.y = None if self.y is None else self.y[index]

    def filter(self, known: Tensor, start: int, stop: int, particles: int) -> None:
        """Draw the unknown among entries start … stop − 1 given all the known: a particle filter for each item.

        Each item becomes `particles` copies, in which unknown entries are drawn in order from the conditionals and
        known ones are clamped. A copy's weight is the product of the probabilities of the values allowed to it: of the
        known value, or of all that are not banned. Copies are resampled where their effective number falls below
        half, and one is kept by weight in the end. (Gordon, Salmond & Smith 1993, https://doi.org/10.1049/ip-f-2.1993.0015)
        """
        n = len(self.x)
        held = self.x.clone()
        open_until = _last(known & (held != self.end)) if self.end is not None else None
        weight = torch.zeros(n, particles, device=self.x.device)
        own = torch.arange(n, device=self.x.device).repeat_interleave(particles)
        for i in range(start, stop):
            logits = self.logits(i)
            if i == start:
                self.keep(own)
                logits = logits[own]
            allowed = self._allowed(logits, held[own, i], known[own, i], i, None if open_until is None else open_until[own])
            gain = (logits.log_softmax(-1) + allowed).logsumexp(-1)
            weight = weight + torch.where(self.done, 0.0, gain).view(n, particles)
            self.put(i, pick(kept(logits + allowed, self.top_k, self.top_p)))
            if i + 1 < stop:
                weight = self._resample(weight)
        best = pick(weight.clamp(min=-1e30))
        self.keep(torch.arange(n, device=best.device) * particles + best)

    def _allowed(self, logits: Tensor, value: Tensor, known: Tensor, i: int, open_until: Tensor | None) -> Tensor:
        """0 at the levels entry i may take, −∞ elsewhere, (n, levels)."""
        free = torch.zeros_like(logits) if self.banned is None else self.banned[i].expand_as(logits).clone()
        if open_until is not None and self.end is not None:
            free[:, self.end] = torch.where(open_until > i, -torch.inf, 0.0)
        only = torch.full_like(logits, -torch.inf).scatter(-1, value[:, None], 0.0)
        return torch.where(known[:, None], only, free)

    def _resample(self, weight: Tensor) -> Tensor:
        """Weights after the resampling of the items whose particles have become too few."""
        n, particles = weight.shape
        chance = weight.clamp(min=-1e30).softmax(1)
        poor = 1 / chance.square().sum(1) < particles / 2
        if not bool(poor.any()):
            return weight
        index = torch.arange(particles, device=weight.device).repeat(n, 1)
        index[poor] = torch.multinomial(chance[poor], particles, replacement=True)
        self.keep((torch.arange(n, device=weight.device)[:, None] * particles + index).flatten())
        return weight.masked_fill(poor[:, None], 0.0)


def _last(mask: Tensor) -> Tensor:
    """The last True of each row (n, length), −1 where there is none."""
    return (mask * torch.arange(1, mask.shape[1] + 1, device=mask.device)).amax(1) - 1
