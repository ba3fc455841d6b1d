"""Markov chains: kernels as pure functions (state, target, settings) → (state, info), a chain a row.

Every kernel leaves the target invariant for fixed settings; what tunes the settings is in `warmup` and stops before draws
are kept. Randomness comes from torch's current stream.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from genus.maths.target import Target

DIVERGED = 1000.0  # nats an orbit may lose before it counts as divergent


class State(NamedTuple):
    """Where the chains are: position (n, d), log_p (n,), gradient (n, d) or None for kernels that need none."""

    position: Tensor
    log_p: Tensor
    gradient: Tensor | None = None


class Info(NamedTuple):
    """What a step did: accept (n,) chance of acceptance, moved, diverged (n,) bool, energy (n,), and of NUTS depth (n,)."""

    accept: Tensor
    moved: Tensor
    diverged: Tensor
    energy: Tensor
    depth: Tensor | None = None


def init(position: Tensor, target: Target, *, gradient: bool = True) -> State:
    """The state at `position` (n, d)."""
    return State(position, *target.slope(position)) if gradient else State(position, target.value(position))


@dataclass
class Metric:
    """The shape steps are taken in: a covariance Σ, (d, d) or the diagonal (d,), with its factor Σ = L Lᵀ."""

    covariance: Tensor
    factor: Tensor
    inverse: Tensor

    @classmethod
    def of(cls, covariance: Tensor) -> Metric:
        """From Σ, positive definite, or its diagonal."""
        if covariance.dim() == 1:
            return cls(covariance, covariance.sqrt(), covariance.rsqrt())
        factor = torch.linalg.cholesky(covariance)
        eye = torch.eye(len(covariance), dtype=covariance.dtype)
        return cls(covariance, factor, torch.linalg.solve_triangular(factor, eye, upper=False))

    def colour(self, noise: Tensor) -> Tensor:
        """L applied to rows."""
        return noise * self.factor if self.factor.dim() == 1 else noise @ self.factor.T

    def press(self, gradient: Tensor) -> Tensor:
        """Lᵀ applied to rows: what a gradient is in whitened coordinates."""
        return gradient * self.factor if self.factor.dim() == 1 else gradient @ self.factor

    def whiten(self, rows: Tensor) -> Tensor:
        """L⁻¹ applied to rows."""
        return rows * self.inverse if self.inverse.dim() == 1 else rows @ self.inverse.T

    def kick(self, velocity: Tensor, gradient: Tensor, amount: float) -> Tensor:
        """velocity + amount · Σ gradient."""
        if self.covariance.dim() == 1:
            return torch.addcmul(velocity, gradient, self.covariance, value=amount)
        return torch.addmm(velocity, gradient, self.covariance, alpha=amount)


def metropolis(
    old: State, new: State, log_ratio: Tensor, diverged: Tensor | None = None, energy: Tensor | None = None
) -> tuple[State, Info]:
    """Each chain goes to `new` with chance min(1, e^log_ratio), NaN counting as never."""
    log_ratio = log_ratio.nan_to_num(nan=-torch.inf, posinf=-torch.inf)
    moved = torch.rand_like(log_ratio).log() < log_ratio
    column = moved[:, None]
    gradient = None if new.gradient is None or old.gradient is None else torch.where(column, new.gradient, old.gradient)
    state = State(torch.where(column, new.position, old.position), torch.where(moved, new.log_p, old.log_p), gradient)
    never = torch.zeros_like(moved) if diverged is None else diverged
    return state, Info(log_ratio.clamp(max=0).exp(), moved, never, -state.log_p if energy is None else energy)


def random_walk(state: State, target: Target, *, step: float, metric: Metric) -> tuple[State, Info]:
    """Metropolis's walk: x′ ~ N(x, step² Σ), accepted with chance min(1, p(x′) / p(x)).

    Reference: N. Metropolis et al. 1953, Equation of state calculations by fast computing machines,
    https://doi.org/10.1063/1.1699114
    """
    position = torch.add(state.position, metric.colour(torch.randn_like(state.position)), alpha=step)
    new = State(position, target.value(position))
    return metropolis(state, new, new.log_p - state.log_p)


def independence(state: State, target: Target, *, centre: Tensor, metric: Metric, freedom: float = 5.0) -> tuple[State, Info]:
    """Proposals that do not look at the present: x′ ~ Student's t around `centre` (d,) with scale Σ, weighed by p / q.

    Reference: L. Tierney 1994, Markov chains for exploring posterior distributions, https://doi.org/10.1214/aos/1176325750
    """
    n, d = state.position.shape
    scale = torch.distributions.Chi2(torch.tensor(freedom, dtype=torch.float64)).sample((n, 1)) / freedom
    position = centre + metric.colour(torch.randn_like(state.position)) / scale.sqrt()

    def log_q(x: Tensor) -> Tensor:
        return -0.5 * (freedom + d) * torch.log1p(metric.whiten(x - centre).square().sum(1) / freedom)

    new = State(position, target.value(position))
    return metropolis(state, new, new.log_p - state.log_p + log_q(state.position) - log_q(position))


def hmc(state: State, target: Target, *, step: float, metric: Metric, leaps: int) -> tuple[State, Info]:
    """Hamiltonian dynamics: a fresh velocity v ~ N(0, Σ), `leaps` leapfrogs of length `step`, then Metropolis's choice.

    With velocity Σ p for momentum p, a leapfrog is x ← x + step · v between half kicks v ← v + step/2 · Σ ∇ log p(x):
    two fused operations beside the gradient. All chains share step and leaps.

    Reference: R. Neal 2011, MCMC using Hamiltonian dynamics, https://arxiv.org/abs/1206.1901
    """
    x, log_p, gradient = state
    assert gradient is not None
    noise = torch.randn_like(x)
    v = metric.kick(metric.colour(noise), gradient, step / 2)
    for leap in range(leaps):
        x = torch.add(x, v, alpha=step)
        log_p, gradient = target.slope(x)
        v = metric.kick(v, gradient, step if leap < leaps - 1 else step / 2)
    before = 0.5 * noise.square().sum(1) - state.log_p
    change = before - 0.5 * metric.whiten(v).square().sum(1) + log_p
    diverged = ~(change > -DIVERGED)
    return metropolis(state, State(x, log_p, gradient), change, diverged, before)


def mala(state: State, target: Target, *, step: float, metric: Metric) -> tuple[State, Info]:
    """Langevin's walk with Metropolis's choice: x′ ~ N(x + step²/2 Σ ∇ log p, step² Σ), which is `hmc` with one leap.

    Reference: G. Roberts and R. Tweedie 1996, Exponential convergence of Langevin distributions and their discrete
    approximations, https://doi.org/10.2307/3318418
    """
    return hmc(state, target, step=step, metric=metric, leaps=1)


def halton(index: int, base: int = 2) -> float:
    """The index-th number of Halton's sequence on (0, 1): lengths drawn so leave no gaps.

    >>> [halton(i) for i in range(1, 5)]
    [0.5, 0.25, 0.75, 0.125]
    """
    value, share = 0.0, 1.0
    while index:
        share /= base
        index, digit = divmod(index, base)
        value += share * digit
    return value


def leaps_for(index: int, step: float, length: float = math.pi / 2, most: int = 1024) -> int:
    """Leapfrogs of the index-th orbit, whose length is spread over 0.6 to 1.4 of `length` so that no orbit is periodic.

    A quarter turn, π/2, makes draws of a normal target independent once the metric has made it round.
    """
    return max(1, min(most, round(length * (0.6 + 0.8 * halton(index)) / step)))
