"""Ising: zeros and ones of which every pair may interact; energies, sweeps, annealing and enumeration."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from genus.maths.annealing import LogZ, log_mean

ENUMERABLE = 20  # units up to which log Z is a sum
BLOCK = 2**16


@dataclass
class Ising:
    """f(s) = exp(a·s + ½ sᵀ J s) over s in {0, 1}ᴺ.

    Attributes
    ----------
    bias: a (N,). coupling: J (N, N), symmetric with zeros on the diagonal.

    Reference: D. Ackley, G. Hinton and T. Sejnowski 1985, A learning algorithm for Boltzmann machines,
    https://doi.org/10.1207/s15516709cog0901_7
    """

    bias: Tensor
    coupling: Tensor

    def log_f(self, s: Tensor) -> Tensor:
        """log f of each row of s (n, N), (n,), in double precision."""
        return (s @ self.bias + 0.5 * ((s @ self.coupling) * s).sum(1)).double()

    def sweep(self, s: Tensor, free: Tensor, beta: float = 1.0, start: Tensor | None = None) -> Tensor:
        """s after each unit in `free`, in a random order, was drawn given all others, in place, for all rows at once.

        At β < 1 the field is (1 − β) start + β (a + J s).
        """
        base = self.bias if start is None else torch.lerp(start, self.bias, beta)
        luck = torch.rand(len(s), len(free), dtype=s.dtype, device=s.device).logit_()
        for k, i in enumerate(free[torch.randperm(len(free))].tolist()):
            s[:, i] = (base[i] + beta * (s @ self.coupling[i]) > luck[:, k]).to(s)
        return s

    def enumerate(self) -> float:
        """log Z by the sum over all states."""
        n, parts = len(self.bias), []
        place = torch.arange(n)
        for first in range(0, 2**n, BLOCK):
            index = torch.arange(first, min(first + BLOCK, 2**n))[:, None]
            parts.append(Ising(self.bias.double(), self.coupling.double()).log_f(((index >> place) & 1).double()))
        return float(torch.logsumexp(torch.cat(parts), 0))

    def log_z(self, start: Tensor, *, chains: int, steps: int, draws: Tensor) -> LogZ:
        """log Z by enumeration where small, else annealed from independent units of field `start` (N,), with a reverse run.

        Parameters
        ----------
        chains: annealed side by side. steps: temperatures. draws: the machine's own draws, where reverse runs begin.
        """
        if len(self.bias) <= ENUMERABLE:
            exact = self.enumerate()
            return LogZ(exact, forward=exact, reverse=exact, floor=exact)
        betas = torch.linspace(0, 1, steps)
        first = torch.rand(chains, len(start)).lt(torch.sigmoid(start)).float()
        base = float(F.softplus(start.double()).sum())
        forward, error, ess = log_mean(self._anneal(first, betas, start))
        backward = self._anneal(draws[torch.arange(chains) % len(draws)].clone(), betas.flip(0), start)
        reverse = base - log_mean(backward)[0]
        found = LogZ(base + forward, error, ess, chains, base + forward, reverse, method="annealing")
        gap = abs(found.reverse - found.forward)
        if ess < 0.1 * chains or gap > 1 + 3 * error:
            found.doubt = f"forward and reverse annealing differ by {gap:.1f} nats, {ess:.1f} of {chains} weights count"
            found.error = max(error, gap, 1.0)
        return found

    def _anneal(self, s: Tensor, betas: Tensor, start: Tensor) -> Tensor:
        """Log weights of annealing s along `betas`."""
        every, slope = torch.arange(len(start)), self.bias - start
        weight = torch.zeros(len(s), dtype=torch.float64)
        for old, new in zip(betas[:-1].tolist(), betas[1:].tolist(), strict=True):
            weight += (new - old) * (s @ slope + 0.5 * ((s @ self.coupling) * s).sum(1)).double()
            s = self.sweep(s, every, new, start)
        return weight
