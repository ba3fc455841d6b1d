"""Continuous flows: noise carried to data by a differential equation, trained by its likelihood."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from genus.capability import Conditional, Estimate, Latent
from genus.errors import UsageError
from genus.maths.bijection import Bijection, Chain
from genus.maths.quantise import Packed
from genus.maths.solver import integrate
from genus.nets.flows import scaled, settle
from genus.nets.velocity import Velocity
from genus.train.descend import descend
from genus.train.recipe import Recipe
from genus.train.run import Run

WIDTH = {"small": 48, "base": 96, "large": 192}


class Carried(Bijection):
    """The flow map of dx/dt = v(x, t, y), data at t = 0 and noise at t = 1, by Runge–Kutta in equal steps.

    log |det ∂z/∂x| = ∫ div v dt. The inverse runs the equation backwards: it inverts as well as the steps are fine.
    """

    def __init__(self, velocity: nn.Module, evaluations: int) -> None:
        super().__init__()
        self.velocity, self.evaluations = velocity, evaluations

    def _run(self, x: Tensor, y: Tensor | None, start: float, stop: float, evaluations: int) -> tuple[Tensor, Tensor]:
        def joint(state: Tensor, t: Tensor) -> Tensor:
            v, divergence = self.velocity(state[:, :-1], t, y)
            return torch.cat([v, divergence[:, None]], 1)

        end = integrate(joint, nn.functional.pad(x, (0, 1)), start, stop, solver="rk4", evaluations=evaluations)
        return end[:, :-1], end[:, -1]

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._run(x, y, 0, 1, self.evaluations)

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._run(z, y, 1, 0, self.evaluations)


@dataclass(kw_only=True, eq=False, repr=False)
class CNF(Recipe, Estimate, Latent, Conditional):
    """The continuous normalizing flow: dx/dt = v(x, t, y) carries data to z ~ N(0, I), log p(x) = log N(z) + ∫ div v dt.

    Trained by that likelihood, through the steps of the solver. The net is one whose divergence is exact in any dimension
    (`nets.velocity`), so that no random probes are needed; what is left is the solver's error, which `log_prob_estimate` tells:
    the change of its value when the steps are halved.

    Parameters
    ----------
    width: hidden units of the velocity, None for that of `size`. evaluations: of the velocity a pass, four a step.
    temperature: of sampling, a factor of z; 1 is the model itself.

    Attributes
    ----------
    net_: the Chain that scales the data and carries them. A net of your own is the velocity: net(x, t, y) → (v (n, d),
    divergence (n,)).

    Reference: R. Chen et al. 2018, Neural ordinary differential equations, https://arxiv.org/abs/1806.07366;
    W. Grathwohl et al. 2019, FFJORD, https://arxiv.org/abs/1810.01367
    """

    accepts: ClassVar[tuple[str, ...]] = ("real",)
    default_steps: ClassVar[int] = 800

    lr: float = 5e-3
    width: int | None = None
    evaluations: int = 32
    temperature: float = 1.0

    def _check(self) -> None:
        if self.width is not None and self.width < 1:
            raise UsageError(f"width={self.width} must be 1 or more.")
        if self.evaluations < 4:
            raise UsageError(f"evaluations={self.evaluations} must be 4 or more: a step of the solver takes four.")
        if self.temperature <= 0:
            raise UsageError(f"temperature={self.temperature} must be positive.")

    def _build(self) -> None:
        size, bounds = self.space_.size, getattr(self.space_, "bounds", None)
        own = self._own_net(self.space_, self.width_y)
        velocity = own or Velocity(size, width=self.width or WIDTH[self.size], condition=self.width_y)
        self.net_: Chain = Chain([*scaled(self.space_.shape, bounds), Carried(velocity, self.evaluations)])

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        settle(self.net_, x, y)
        self.history_ = descend(self.net_, lambda x, y: -self._scored(x, y), x, y, recipe=self, run=run)

    def _scored(self, x: Tensor, y: Tensor | None) -> Tensor:
        z, log_det = self.net_(x, y)
        return log_det - 0.5 * z.square().sum(1) - 0.5 * math.log(2 * math.pi) * z.shape[1]

    def _estimate(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """(log p by steps of half the length, how far that is from the whole steps' value)."""
        carried = self.net_.links[-1]
        assert isinstance(carried, Carried)
        coarse = self._scored(x, y)
        carried.evaluations = 2 * self.evaluations
        try:
            fine = self._scored(x, y)
        finally:
            carried.evaluations = self.evaluations
        return fine, (fine - coarse).abs()

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        return self._decode(self.temperature * torch.randn(n, self.space_.size), y)

    def _encode(self, x: Tensor, y: Tensor | None) -> Tensor:
        return self.net_(x, y)[0]

    def _decode(self, z: Tensor, y: Tensor | None) -> Tensor:
        x = self.net_.inverse(z, y)[0]
        bounds = getattr(self.space_, "bounds", None)
        return x.clamp(*bounds) if bounds else x
