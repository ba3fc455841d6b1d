"""Tempering: chains at many temperatures that swap places, and a population cooled step by step."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from genus.maths.chain import Info, Metric, State, init, random_walk
from genus.maths.target import LogDensity, Target
from genus.maths.warmup import GRADIENT, Step, pooled_metric, tune


def ladder(count: int, hottest: float = 0.02) -> list[float]:
    """Inverse temperatures from 1 down to `hottest`, each the same share of the one before."""
    return [hottest ** (k / (count - 1)) for k in range(count)] if count > 1 else [1.0]


def powered(log_density: LogDensity, beta: float) -> LogDensity:
    """log p made flat: β log p."""
    return lambda x: beta * log_density(x)


class Tempered:
    """Parallel tempering: chains of p^β for several β, each with its own kernel, neighbours swapping places.

    A swap of states x at β and x′ at β′ is accepted with chance min(1, e^{(β − β′)(log p(x′) − log p(x))}); even and odd
    pairs take turns. The state that is returned is that of β = 1.

    Reference: C. Geyer 1991, Markov chain Monte Carlo maximum likelihood; R. Swendsen and J.-S. Wang 1986, Replica Monte
    Carlo simulation of spin glasses, https://doi.org/10.1103/PhysRevLett.57.2607

    Parameters
    ----------
    log_density: (n, d) → (n,). betas: inverse temperatures, the first 1. kernel: of each temperature, as in `tune`.
    """

    def __init__(self, log_density: LogDensity, betas: Sequence[float], kernel: str = "hmc") -> None:
        self.betas, self.kernel = list(betas), kernel
        self.targets = [Target(powered(log_density, beta)) for beta in self.betas]
        self.states: list[State] = []
        self.steps: list[Step] = []
        self.turn = 0

    def start(self, position: Tensor, warmup: int) -> State:
        """All temperatures, warmed up one by one from the hottest at `position` (n, d), each from where the last one got."""
        self.states, self.steps = [], []
        for target in reversed(self.targets):
            state = init(position, target, gradient=self.kernel in GRADIENT)
            state, step, _ = tune(state, target, self.kernel, warmup)
            position = state.position
            self.states.insert(0, state)
            self.steps.insert(0, step)
        return self.states[0]

    def step(self, state: State) -> tuple[State, Info]:
        """Every temperature moves, then neighbours swap; `state` is that of β = 1."""
        self.states[0] = state
        moves = [step(s) for step, s in zip(self.steps, self.states, strict=True)]
        self.states, info = [s for s, _ in moves], moves[0][1]
        for k in range(self.turn % 2, len(self.betas) - 1, 2):
            self.states[k], self.states[k + 1] = swap(self.states[k], self.states[k + 1], self.betas[k], self.betas[k + 1])
        self.turn += 1
        return self.states[0], info


def swap(cold: State, hot: State, beta: float, other: float) -> tuple[State, State]:
    """The two temperatures' states, exchanged chain by chain where the draw allows it."""
    log_cold, log_hot = cold.log_p / beta, hot.log_p / other
    goes = torch.rand_like(log_cold).log() < (beta - other) * (log_hot - log_cold)

    def merge(mine: State, theirs: State, scale: float) -> State:
        column = goes[:, None]
        gradient = None
        if mine.gradient is not None and theirs.gradient is not None:
            gradient = torch.where(column, theirs.gradient * scale, mine.gradient)
        position = torch.where(column, theirs.position, mine.position)
        return State(position, torch.where(goes, theirs.log_p * scale, mine.log_p), gradient)

    return merge(cold, hot, beta / other), merge(hot, cold, other / beta)


def anneal(
    log_density: LogDensity, draw: Tensor, log_reference: LogDensity, *, keep: float = 0.5, moves: int = 5
) -> tuple[Tensor, float]:
    """Tempered sequential Monte Carlo: (particles of p (n, d), estimate of log ∫ p).

    Particles begin as exact draws of a normalised reference and follow r^{1−β} p^β; each β is the one that leaves a
    share `keep` of effective particles, then they are resampled and moved by Metropolis's walk.

    Parameters
    ----------
    log_density: (n, d) → (n,), unnormalised. draw: (n, d) of the reference. log_reference: its log density.

    Reference: P. Del Moral, A. Doucet and A. Jasra 2006, Sequential Monte Carlo samplers,
    https://doi.org/10.1111/j.1467-9868.2006.00553.x
    """
    x, beta, log_z, step = draw, 0.0, 0.0, 2.38 / math.sqrt(draw.shape[1])
    whole, reference = Target(log_density), Target(log_reference)
    while beta < 1:
        gain = (whole.value(x) - reference.value(x)).nan_to_num(nan=-torch.inf)
        change = next_change(gain, 1 - beta, keep)
        beta = 1.0 if change >= 1 - beta else beta + change
        weight = change * gain
        log_z += float(torch.logsumexp(weight, 0)) - math.log(len(x))
        x = x[resample(torch.softmax(weight, 0))]
        metric = pooled_metric(x)
        x, step = _mutate(x, beta, whole, reference, metric, step, moves)
    return x, log_z


def next_change(gain: Tensor, most: float, keep: float) -> float:
    """The increase of β that leaves a share `keep` of the particles effective, by bisection; at most `most`."""

    def share(change: float) -> float:
        w = torch.softmax(change * gain, 0)
        return float(1 / (w.square().sum() * len(w)))

    if share(most) >= keep:
        return most
    low, high = 0.0, most
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if share(middle) >= keep else (low, middle)
    return max(low, 1e-9)


def resample(weight: Tensor) -> Tensor:
    """Indices (n,) drawn with these weights, systematically: one uniform number, n even steps."""
    n = len(weight)
    places = (torch.arange(n, dtype=weight.dtype) + torch.rand((), dtype=weight.dtype)) / n
    return torch.searchsorted(weight.cumsum(0), places).clamp_max(n - 1)


def _mutate(
    x: Tensor, beta: float, whole: Target, reference: Target, metric: Metric, step: float, moves: int
) -> tuple[Tensor, float]:
    """Particles moved by walks that leave r^{1−β} p^β invariant, and the step for next time."""

    def bridge(z: Tensor) -> Tensor:
        return (1 - beta) * reference.log_density(z) + beta * whole.log_density(z)

    target = Target(bridge)
    state = init(x, target, gradient=False)
    for _ in range(moves):
        state, info = random_walk(state, target, step=step, metric=metric)
        step *= math.exp(float(info.accept.mean()) - 0.25)
    return state.position, step
