"""Restricted: the weights of a restricted Boltzmann machine and one in-place step of its learning rule."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from genus.maths.annealing import Path
from genus.maths.harmonium import Harmonium
from genus.maths.ladder import Ladder
from genus.maths.units import Normal, Units

SLOW = 0.01  # share of a batch in the running mean of the hidden units
FIRST_WEIGHT = 0.8  # over √D
COLD = 2.0  # items added to those that show a unit, so that the first few do not throw it
FIRST_RATE = 2.0  # of real items: three quarters of their variance are left to the hidden units

Method = Literal["persistent", "contrastive", "tempering"]


class Restricted(nn.Module):
    """Weights, biases and chains; `learn` follows the gradient ⟨∂ log f⟩data − ⟨∂ log f⟩model.

    Real items are multiplied by exp(log_rate) first, so that units of unit variance fit data of any; see `rate`.

    Parameters
    ----------
    units: of the visible layer. latent: hidden units. chains: that stand for the model. method: where they come from.
    rungs: temperatures of "tempering". sweeps: Gibbs sweeps a step. centred: use the centred gradient.
    momentum: of the weights' velocity. decay: of the weights.

    Reference: T. Tieleman 2008, Training restricted Boltzmann machines using approximations to the likelihood gradient,
    https://doi.org/10.1145/1390156.1390290; J. Melchior, A. Fischer and L. Wiskott 2016, How to center deep Boltzmann
    machines, https://jmlr.org/papers/v17/14-237.html; G. Hinton 2002, Training products of experts by minimizing
    contrastive divergence, https://doi.org/10.1162/089976602760128018
    """

    mean: Tensor
    typical: Tensor
    chain: Tensor
    velocity: Tensor
    bias_velocity: Tensor

    def __init__(
        self, units: Units, latent: int, chains: int, *, method: Method = "persistent", rungs: int = 10, sweeps: int = 1,
        centred: bool = True, momentum: float = 0.0, decay: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.units, self.method, self.rungs, self.sweeps = units, method, rungs, sweeps
        self.centred, self.momentum, self.decay = centred, momentum, decay
        self.weight = nn.Parameter(min(0.1, FIRST_WEIGHT * units.count**-0.5) * torch.randn(units.count, latent))
        self.visible = nn.Parameter(torch.zeros(units.count))
        self.hidden = nn.Parameter(torch.zeros(latent))
        self.log_rate = nn.Parameter(torch.zeros(units.count if isinstance(units, Normal) else 0))
        rows, wide = (rungs * chains, units.count) if method == "tempering" else (chains, latent)
        self.register_buffer("mean", torch.zeros(units.count))
        self.register_buffer("typical", torch.full((latent,), 0.5))
        self.register_buffer("chain", torch.zeros(rows, wide))
        self.register_buffer("velocity", torch.zeros(units.count if momentum else 0, latent))
        self.register_buffer("bias_velocity", torch.zeros(units.count + latent if momentum else 0))

    def begin(self, mean: Tensor) -> None:
        """Start as independent units of the data's means, every chain drawn from them."""
        with torch.no_grad():
            self.mean.copy_(mean)
            self.visible.copy_(self.units.field(mean))
            if len(self.log_rate):
                self._begin_real()
            if self.method == "tempering":
                self.chain.copy_(self.path.first(len(self.chain)))
            else:
                self.chain.copy_(torch.rand_like(self.chain) < 0.5)

    def _begin_real(self) -> None:
        """Random weights whose hidden units spread the items as far as unit variance is from the data's.

        log p(v) then has the curvature 1 − Σ W²/4 = 1 / rate² near its middle. From weights near zero the rates would stay
        at 1, a saddle where the hidden units explain nothing.
        """
        self.log_rate.fill_(math.log(FIRST_RATE))
        self.weight.normal_(0, 2 * math.sqrt((1 - FIRST_RATE**-2) / len(self.hidden)))
        self.visible.copy_(FIRST_RATE * self.mean - 0.5 * self.weight.sum(1))
        self.hidden.copy_(-self.visible @ self.weight - 0.5 * self.weight.square().sum(0))

    @property
    def machine(self) -> Harmonium:
        """The weights as a harmonium over scaled items."""
        return Harmonium(self.units, self.weight.detach(), self.visible.detach(), self.hidden.detach())

    @property
    def path(self) -> Path:
        """From independent units of the data's means to the machine."""
        mean = self.mean * self.rate if len(self.log_rate) else self.mean
        return Path(self.machine, self.units.field(mean))

    @property
    def rate(self) -> Tensor | float:
        """What real items are multiplied by, 1 for others."""
        return self.log_rate.detach().exp() if len(self.log_rate) else 1.0

    def learn(self, v: Tensor, lr: float) -> Tensor:
        """One step on the batch v (n, D); returns the squared distance between data's and model's mean states."""
        model = self._model(v)
        both, n = torch.cat([v, model]), len(v)
        p = torch.addmm(self.hidden, both, self.weight).sigmoid_()
        if self.method != "tempering":
            torch.lt(torch.rand_like(p[n:]), p[n:], out=self.chain[: len(model)])
        if len(self.log_rate):
            self._learn_rate(v, p[:n], lr)
        return self.follow(both, p, n, lr)

    def learn_seen(self, v: Tensor, seen: Tensor, lr: float) -> Tensor:
        """One step on the batch v (n, D) of which only the units in the mask `seen` count, by contrastive divergence.

        Each item is a machine of its own over what it shows, all with the same weights (R. Salakhutdinov, A. Mnih and
        G. Hinton 2007, https://doi.org/10.1145/1273496.1273596); a unit's gradient is the mean over the items that show it.
        """
        p = torch.addmm(self.hidden, v, self.weight).sigmoid_()
        model, q = v, p
        for _ in range(self.sweeps):
            h = torch.rand_like(q).lt_(q)
            model = self.units.draw(torch.addmm(self.visible, h, self.weight.t())) * seen
            q = torch.addmm(self.hidden, model, self.weight).sigmoid_()
        count = seen.sum(0).clamp_min(1.0)
        per_unit = lr / (count + COLD)
        gap = (v.sum(0) - model.sum(0)).mul_(per_unit)
        push = (v.t() @ p - model.t() @ q).mul_(per_unit[:, None])
        if self.momentum:
            push = self.velocity.mul_(self.momentum).add_(push)
        self.weight.mul_(1 - lr * self.decay).add_(push)
        self.visible.add_(gap)
        self.hidden.add_((p - q).mean(0), alpha=lr)
        return gap.dot(gap)

    def _model(self, v: Tensor) -> Tensor:
        """Visible states that stand for the model, after the sweeps of this step."""
        if self.method == "tempering":
            ladder = Ladder(self.path, torch.linspace(0, 1, self.rungs, device=v.device), self.chain)
            for _ in range(self.sweeps):
                ladder.sweep()
            self.chain.copy_(ladder.v)
            return ladder.cold
        h = self._hidden(v) if self.method == "contrastive" else self.chain
        model = self._visible(h)
        for _ in range(self.sweeps - 1):
            model = self._visible(self._hidden(model))
        return model

    def _visible(self, h: Tensor) -> Tensor:
        return self.units.draw(torch.addmm(self.visible, h, self.weight.t()))

    def _hidden(self, v: Tensor) -> Tensor:
        p = torch.addmm(self.hidden, v, self.weight).sigmoid_()
        return torch.rand_like(p).lt_(p)

    def follow(self, both: Tensor, p: Tensor, n: int, lr: float) -> Tensor:
        """Add lr times the (centred) gradient; the data are the first n rows, the model the rest; overwrites both and p.

        dW = ⟨(v − μ)(h − λ)⟩data − ⟨…⟩model, db = Δ⟨v⟩ − dW λ, dc = Δ⟨h⟩ − μ dW.
        """
        m, data = len(both) - n, p[:n].mean(0)
        dv = both[:n].mean(0).sub_(both[n:].mean(0))
        dh = data - p[n:].mean(0)
        gap = dv.dot(dv) + dh.dot(dh)
        if self.centred:
            self.typical.lerp_(data, SLOW)
            mean = self.mean * self.rate if len(self.log_rate) else self.mean
            both.sub_(mean)
            p.sub_(self.typical)
        p[:n].mul_(1 / n)
        p[n:].mul_(-1 / m)
        if self.centred:
            dv.sub_(both.t() @ (p @ self.typical))
            dh.sub_((both @ mean) @ p)
        keep = 1 - lr * self.decay
        if self.momentum:
            self.velocity.mul_(self.momentum).addmm_(both.t(), p, alpha=lr)
            self.weight.mul_(keep).add_(self.velocity)
            self.bias_velocity.mul_(self.momentum).add_(torch.cat([dv, dh]), alpha=lr)
            dv, dh = self.bias_velocity.split([len(dv), len(dh)])
            lr = 1.0
        else:
            self.weight.addmm_(both.t(), p, beta=keep, alpha=lr)
        self.visible.add_(dv, alpha=lr)
        self.hidden.add_(dh, alpha=lr)
        return gap

    def _learn_rate(self, v: Tensor, p: Tensor, lr: float) -> None:
        """∂ log p / ∂ log_rate = 1 − ⟨v (v − b − W⟨h⟩)⟩data: Z does not depend on the rate of units of unit variance."""
        field = torch.addmm(self.visible, p, self.weight.t())
        self.log_rate.add_(1 - (v * (v - field)).mean(0).clamp(-10, 10), alpha=lr)
