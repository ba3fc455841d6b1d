"""Ladder: chains of a harmonium at several temperatures that exchange states, so that the cold ones cross between modes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from genus.maths.harmonium import Harmonium


class Tempered(Protocol):
    """Densities f_β of a harmonium and their draws at β = 0: what `annealing.Path` is."""

    machine: Harmonium
    start: Tensor

    def first(self, n: int) -> Tensor: ...

    def pre(self, v: Tensor) -> Tensor: ...


@dataclass
class Ladder:
    """R temperatures × n chains, all in one matrix: row r·n + i is chain i at temperature `betas[r]`, the last the coldest.

    Attributes
    ----------
    v: (R·n, D). betas: (R,) from 0 to 1.

    Reference: G. Desjardins, A. Courville, Y. Bengio, P. Vincent and O. Delalleau 2010, Parallel tempering for training
    of restricted Boltzmann machines, https://proceedings.mlr.press/v9/desjardins10a.html
    """

    path: Tempered
    betas: Tensor
    v: Tensor

    @classmethod
    def spread(cls, path: Tempered, rungs: int, n: int) -> Ladder:
        """Even temperatures, every chain begun at the base distribution."""
        return cls(path, torch.linspace(0, 1, rungs), path.first(rungs * n))

    @property
    def n(self) -> int:
        """Chains at each temperature."""
        return len(self.v) // len(self.betas)

    @property
    def cold(self) -> Tensor:
        """The states at β = 1, (n, D)."""
        return self.v[-self.n :]

    def sweep(self) -> None:
        """One Gibbs sweep of every chain, then exchanges between neighbours."""
        machine, beta = self.path.machine, self.betas.repeat_interleave(self.n)[:, None].to(self.v)
        pre = self.path.pre(self.v)
        h = torch.rand_like(pre).lt_(pre.mul_(beta).sigmoid_())
        field = (h @ machine.weight.T).mul_(beta).add_(torch.lerp(self.path.start, machine.visible, beta))
        self.v = machine.units.draw(field)
        self.exchange()

    def exchange(self) -> None:
        """Swap neighbours with chance min(1, f_r(v') f_{r+1}(v) / f_r(v) f_{r+1}(v')): even pairs, then odd ones."""
        rungs = len(self.betas)
        pre, tilt = self.path.pre(self.v), self.v @ (self.path.machine.visible - self.path.start)
        place = torch.arange(len(self.v)).view(rungs, self.n)
        for low in (torch.arange(0, rungs - 1, 2), torch.arange(1, rungs - 1, 2)):
            mine, other = place[low], place[low + 1]
            beta, next_beta = self.betas[low, None], self.betas[low + 1, None]

            def rise(rows: Tensor, beta: Tensor = beta, next_beta: Tensor = next_beta) -> Tensor:
                """log f_{r+1}(v) − log f_r(v) of the states in `rows`."""
                z = pre[rows]
                gain = F.softplus(z * next_beta[..., None]).sub_(F.softplus(z * beta[..., None])).sum(-1)
                return gain + tilt[rows] * (next_beta - beta)

            gain = rise(mine) - rise(other)
            swap = torch.rand_like(gain).log() < gain
            place[low], place[low + 1] = torch.where(swap, other, mine), torch.where(swap, mine, other)
        self.v = self.v[place.flatten()]
