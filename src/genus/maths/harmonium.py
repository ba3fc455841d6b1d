"""Harmonium: a visible and a hidden layer with weights between them and none within (a restricted Boltzmann machine)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from genus.maths.units import Categories, Units

BLOCK = 2**22  # numbers of one block of an enumeration
ENUMERABLE = 20  # bits of the smaller layer up to which log Z is a sum


@dataclass
class Harmonium:
    """p(v, h) = exp(b·v + c·h + v W h − base(v)) / Z with hidden zeros and ones h.

    Attributes
    ----------
    units: of the visible layer. weight: W (D, H). visible: b (D,). hidden: c (H,).

    Reference: P. Smolensky 1986, Information processing in dynamical systems: foundations of harmony theory;
    M. Welling, M. Rosen-Zvi and G. Hinton 2004, Exponential family harmoniums, https://papers.nips.cc/paper/2672
    """

    units: Units
    weight: Tensor
    visible: Tensor
    hidden: Tensor

    def free_energy(self, v: Tensor) -> Tensor:
        """F(v) = −log Σ_h exp(−E(v, h)) = −b·v + base(v) − Σ log(1 + exp(c + vW)), (n,): −log p(v) − log Z."""
        pre = torch.addmm(self.hidden, v, self.weight)
        return self.units.base(v) - (v @ self.visible).double() - F.softplus(pre).sum(-1, dtype=torch.float64)

    def hidden_mass(self, h: Tensor) -> Tensor:
        """log Σ_v exp(−E(v, h)) of each row of h, (n,)."""
        return self.units.log_partition(torch.addmm(self.visible, h, self.weight.T)) + (h @ self.hidden).double()

    def climb(self, v: Tensor, sweeps: int = 50) -> tuple[Tensor, Tensor]:
        """(v, h) where the likeliest v of h is v and the likeliest h of v is h: modes of the joint density near v."""
        h = torch.zeros(len(v), len(self.hidden), dtype=v.dtype, device=v.device)
        for _ in range(sweeps):
            before, h = h, (torch.addmm(self.hidden, v, self.weight) > 0).to(v)
            if torch.equal(before, h):
                break
            v = self.units.mode(torch.addmm(self.visible, h, self.weight.T))
        return v, h

    @property
    def bits(self) -> float:
        """log₂ of the states of the smaller layer."""
        return min(self.units.bits, float(len(self.hidden)))

    @property
    def enumerable(self) -> bool:
        """Whether `enumerate_log_z` is feasible."""
        return self.bits <= ENUMERABLE


def enumerate_log_z(machine: Harmonium, dtype: torch.dtype = torch.float64) -> float:
    """log Z by the sum over every state of the smaller layer, with the other layer summed analytically.

    >>> from genus.maths.units import Binary
    >>> tiny = Harmonium(Binary(3), torch.zeros(3, 2), torch.zeros(3), torch.zeros(2))
    >>> round(enumerate_log_z(tiny) / math.log(2), 6)
    5.0
    """
    m = replace(machine, weight=machine.weight.to(dtype), visible=machine.visible.to(dtype), hidden=machine.hidden.to(dtype))
    if len(m.hidden) <= m.units.bits:
        parts = [m.hidden_mass(h) for h in _states([2] * len(m.hidden), m.weight, len(m.visible))]
    else:
        units = m.units
        levels = units.sizes.tolist() if isinstance(units, Categories) else [2] * units.count
        codes = _states(levels, m.weight, max(len(m.hidden), units.count))
        hot = (lambda s: units.one_hot(s.long(), dtype)) if isinstance(units, Categories) else (lambda s: s)
        parts = [-m.free_energy(hot(s)) for s in codes]
    return float(torch.logsumexp(torch.cat(parts), 0))


def _states(levels: list[int], like: Tensor, width: int) -> Iterator[Tensor]:
    """Every state of entries with these numbers of levels, in blocks of rows."""
    total, rows = math.prod(levels), max(1, BLOCK // max(width, 1))
    place = torch.tensor([math.prod(levels[i + 1 :]) for i in range(len(levels))])
    sizes = torch.tensor(levels)
    for first in range(0, total, rows):
        index = torch.arange(first, min(first + rows, total))[:, None]
        yield ((index // place) % sizes).to(like)
