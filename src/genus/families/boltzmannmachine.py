"""The general Boltzmann machine: every unit may pull on every other, some of them hidden."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from genus import dice
from genus.capability import Estimate, Partial
from genus.errors import DataError, UsageError
from genus.maths.annealing import LogZ
from genus.maths.ising import Ising
from genus.maths.quantise import Packed, drawn
from genus.train.ascend import ascend
from genus.train.recipe import Recipe
from genus.train.run import Run

WIDEST = 2048  # units, whose couplings are square


class Couplings(nn.Module):
    """Biases, symmetric couplings and the chains of a general Boltzmann machine.

    Parameters
    ----------
    visible, latent: units. chains: that stand for the model.
    """

    chain: Tensor
    start: Tensor

    def __init__(self, visible: int, latent: int, chains: int) -> None:
        super().__init__()
        count = visible + latent
        couple = 0.01 * torch.randn(count, count)
        couple[:visible, :visible] = 0.0
        self.bias = nn.Parameter(torch.zeros(count))
        self.coupling = nn.Parameter((couple + couple.T) * (1 - torch.eye(count)))
        self.register_buffer("start", torch.zeros(count))
        self.register_buffer("chain", (torch.rand(chains, count) < 0.5).float())

    @property
    def ising(self) -> Ising:
        """The machine these parameters are."""
        return Ising(self.bias.detach(), self.coupling.detach())


@dataclass(kw_only=True, eq=False, repr=False)
class BoltzmannMachine(Recipe, Estimate, Partial):
    """A Boltzmann machine: p(s) = exp(a·s + ½ sᵀ J s) / Z over all zeros and ones s = (v, h), any pair coupled.

    With `latent` = 0 it is fully visible: the distribution of greatest entropy with the data's means and pair
    frequencies (an Ising model, a stochastic Hopfield net). Training compares data, completed by mean field, with
    persistent chains, unit by unit. `log_prob_estimate` is exact up to log Z without hidden units, a variational
    bound else; log Z is a sum up to 20 units, annealed beyond, with a warning where that is not to be trusted.

    Parameters
    ----------
    latent: hidden units. sweeps: over all units a step. chains: that stand for the model. fields: rounds of mean field.
    burn: sweeps of a sample or a completion.

    Attributes
    ----------
    net_: the Couplings. log_z_: what `partition` found, once it was asked for.

    Reference: D. Ackley, G. Hinton and T. Sejnowski 1985, https://doi.org/10.1207/s15516709cog0901_7
    """

    accepts: ClassVar[tuple[str, ...]] = ("binary",)
    default_steps: ClassVar[int] = 2000

    latent: int = 0
    sweeps: int = 1
    chains: int = 100
    fields: int = 10
    burn: int = 100
    batch: int = 100
    lr: float = 0.05
    weight_decay: float = 1e-4
    warmup: int = 0
    clip: float = 0.0
    ema: float = 0.0
    momentum: float = 0.0

    def _check(self) -> None:
        if self.latent < 0:
            raise UsageError(f"latent={self.latent} must be 0 (fully visible) or more.")
        for name in ("sweeps", "chains", "fields", "burn", "batch"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}={getattr(self, name)} must be 1 or more.")
        self._by_hand("momentum")

    def _build(self) -> None:
        count = self.space_.size + self.latent
        if count > WIDEST:
            raise DataError(f"An item has {count} units with the hidden ones (at most {WIDEST}): use RBM, which is restricted.")
        self.net_ = Couplings(self.space_.size, self.latent, self.chains)

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        net, data = self.net_, drawn(x)
        every = torch.arange(len(net.bias))
        with torch.no_grad():
            mean = torch.cat([data.flatten(1).float().mean(0), torch.full((self.latent,), 0.5)])
            net.bias.copy_(torch.logit(mean.clamp(1e-2, 1 - 1e-2)))
            net.start.copy_(net.bias)

        def step(x: Tensor, rate: float) -> Tensor:
            seen = self._inferred(x.flatten(1).float())
            machine = net.ising
            for _ in range(self.sweeps):
                machine.sweep(net.chain, every)
            gap = seen.mean(0) - net.chain.mean(0)
            pairs = seen.T @ seen / len(seen) - net.chain.T @ net.chain / len(net.chain)
            net.bias.add_(gap, alpha=rate)
            net.coupling.mul_(1 - rate * self.weight_decay).add_(pairs.fill_diagonal_(0), alpha=rate)
            return gap.dot(gap)

        self.history_ = ascend(net, step, data, recipe=self, run=run)
        net.requires_grad_(False)

    def _inferred(self, v: Tensor) -> Tensor:
        """(v, means of the hidden units by mean field), (n, units)."""
        if not self.latent:
            return v
        machine, d = self.net_.ising, v.shape[1]
        below = machine.bias[d:] + v @ machine.coupling[:d, d:]
        h = below.sigmoid()
        for _ in range(self.fields):
            h = 0.5 * h + 0.5 * torch.addmm(below, h, machine.coupling[d:, d:]).sigmoid()
        return torch.cat([v, h], 1)

    # -- the verbs' hooks ---------------------------------------------------------------------------------

    def partition(self, *, chains: int = 200, steps: int = 1000, seed: int | None = None) -> LogZ:
        """log Z with its standard error, bracket and doubts; kept in `log_z_`.

        Parameters
        ----------
        chains: annealed side by side. steps: temperatures. seed: the model's own when None.
        """
        net = self.net_
        with dice.private(dice.derive(self.seed, "log_z") if seed is None else seed), torch.no_grad():
            found = net.ising.log_z(net.start, chains=chains, steps=steps, draws=net.chain)
        self.log_z_: dict[str, Any] = found.to_json()
        return found

    def _estimate(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        found = LogZ(**self.log_z_) if hasattr(self, "log_z_") else self.partition()
        found.warn(type(self).__name__)
        s = self._inferred(x.flatten(1).float())
        h = s[:, x.flatten(1).shape[1] :].double().clamp(1e-12, 1 - 1e-12)
        entropy = -(h * h.log() + (1 - h) * torch.log1p(-h)).sum(1)
        value = self.net_.ising.log_f(s) + entropy - found.value
        return value, torch.full_like(value, found.error)

    def _wander(self, s: Tensor, free: Tensor) -> Tensor:
        """Sweeps over the units `free`, the first half heated."""
        machine, half = self.net_.ising, max(1, self.burn // 2)
        for beta in torch.cat([torch.linspace(0, 1, half), torch.ones(self.burn - half)]).tolist():
            machine.sweep(s, free, beta, self.net_.start)
        return s

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        start = torch.rand(n, len(self.net_.start)).lt(self.net_.start.sigmoid()).float()
        s = self._wander(start, torch.arange(start.shape[1]))
        return s[:, : self.space_.size].reshape(n, *self.space_.shape).to(self.space_.dtype)

    def _complete(self, x: Tensor, known: Tensor, y: Tensor | None) -> Tensor:
        flat, mask = x.flatten(1).float(), known.flatten(1)
        out = flat.clone()
        patterns, index = torch.unique(mask, dim=0, return_inverse=True)
        for i, pattern in enumerate(patterns):
            rows = index == i
            free = torch.cat([(~pattern).nonzero()[:, 0], torch.arange(self.latent) + flat.shape[1]])
            s = torch.cat([flat[rows], torch.full((int(rows.sum()), self.latent), 0.0)], 1)
            s[:, free] = torch.rand(len(s), len(free)).lt(0.5).float()
            out[rows] = self._wander(s, free)[:, : flat.shape[1]]
        return torch.where(known, x, out.reshape(x.shape).to(x.dtype))
