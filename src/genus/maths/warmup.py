"""Warm-up: step sizes by dual averaging and a metric pooled over all chains, fixed before draws are kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from genus.maths.chain import Info, Metric, State, hmc, leaps_for, mala, random_walk
from genus.maths.nuts import nuts
from genus.maths.target import Target

Step = Callable[[State], tuple[State, Info]]
DENSE = 1000  # entries above which only the diagonal is learnt
GRADIENT = ("hmc", "mala", "nuts")


@dataclass(frozen=True)
class DualAverage:
    """Nesterov's dual averaging of log step, so that the mean chance of acceptance comes to a wanted one.

    Reference: M. Hoffman and A. Gelman 2014, The No-U-Turn Sampler, section 3.2, https://arxiv.org/abs/1111.4246
    """

    centre: float
    log_step: float
    log_mean: float = 0.0
    error: float = 0.0
    count: int = 0

    @classmethod
    def at(cls, step: float) -> DualAverage:
        """Begin from `step`, leaning towards longer ones."""
        return cls(math.log(2 * step), math.log(step))

    def update(self, accept: float, wanted: float) -> DualAverage:
        """After a step whose mean chance of acceptance was `accept`."""
        count = self.count + 1
        share = 1 / (count + 10)
        error = (1 - share) * self.error + share * (wanted - accept)
        log_step = self.centre - math.sqrt(count) / 0.05 * error
        weight = count**-0.75
        mean = weight * log_step + (1 - weight) * self.log_mean
        return replace(self, error=error, count=count, log_step=log_step, log_mean=mean)

    @property
    def step(self) -> float:
        """To be tried next."""
        return math.exp(self.log_step)

    @property
    def settled(self) -> float:
        """The averaged step."""
        return math.exp(self.log_mean)


def pooled_metric(draws: Tensor) -> Metric:
    """The covariance of draws (n, d) of all chains together, slightly shrunk to small variances; its diagonal where n is small.

    The shrinkage is Stan's: n/(n + 5) S + 10⁻³ · 5/(n + 5) I.
    """
    n, d = draws.shape
    share = n / (n + 5)
    if d > DENSE or n < 5 * d:
        return Metric.of(share * draws.var(0) + 1e-3 * (1 - share))
    centred = draws - draws.mean(0)
    covariance = share * (centred.T @ centred) / (n - 1)
    covariance.diagonal().add_(1e-3 * (1 - share))
    _, bad = torch.linalg.cholesky_ex(covariance)
    return Metric.of(covariance.diagonal().clone() if bool(bad) else covariance)


def windows(steps: int) -> list[int]:
    """Lengths of the windows of a warm-up, each about twice the one before; the last only settles the step.

    >>> windows(100)
    [8, 12, 24, 36, 20]
    """
    shares = (0.08, 0.12, 0.24, 0.36)
    lengths = [max(2, round(steps * share)) for share in shares]
    return [*lengths, max(2, steps - sum(lengths))]


def typical(accept: Tensor) -> float:
    """The chains' chance of acceptance as the step is tuned by it: their harmonic mean, or twice their mean less one if larger.

    The harmonic mean counts a few chains that are stuck, which a plain mean would hide; the other keeps edges where every
    step fails from driving the step to nothing.

    Reference: M. Hoffman, A. Radul and P. Sountsov 2021, An adaptive-MCMC scheme for setting trajectory lengths in
    Hamiltonian Monte Carlo, https://proceedings.mlr.press/v130/hoffman21a.html
    """
    return max(float(1 / (1 / (accept + 0.02)).mean()), 2 * float(accept.mean()) - 1)


Tunable = Callable[[State, float, Metric, int], tuple[State, Info]]


def tunable(kernel: str, target: Target, most: int = 1024) -> tuple[Tunable, float]:
    """(state, step, metric, index) → (state, info) of a kernel with those settings, and the acceptance to aim for."""
    if kernel == "random_walk":
        return (lambda s, step, metric, i: random_walk(s, target, step=step, metric=metric)), 0.25
    if kernel == "mala":
        return (lambda s, step, metric, i: mala(s, target, step=step, metric=metric)), 0.57
    if kernel == "nuts" and most > 1:
        return (lambda s, step, metric, i: nuts(s, target, step=step, metric=metric, most=int(math.log2(most)))), 0.8
    return (lambda s, step, metric, i: hmc(s, target, step=step, metric=metric, leaps=leaps_for(i, step, most=most))), 0.8


def first_step(state: State, move: Tunable, metric: Metric, step: float, wanted: float) -> float:
    """`step` doubled or halved until a single short move crosses the wanted acceptance."""
    up = None
    for _ in range(50):
        accept = float(move(state, step, metric, 0)[1].accept.mean())
        if up is None:
            up = accept > wanted
        if (accept > wanted) != up:
            return step
        step *= 2.0 if up else 0.5
    return step


def tune(
    state: State, target: Target, kernel: str, steps: int, accept: float | None = None
) -> tuple[State, Step, dict[str, float]]:
    """Warm a kernel up: (state, the kernel with fixed settings, what they are).

    After each window the metric becomes the covariance of all that window's draws, over all chains, so that a
    few dozen steps of many chains teach what one chain needs thousands for.
    """
    d = state.position.shape[1]
    cautious, wanted = tunable(kernel, target, most=32)
    single, _ = tunable(kernel, target, most=1)
    move, _ = tunable(kernel, target)
    wanted = accept or wanted
    metric = Metric.of(torch.ones(d, dtype=torch.float64))
    step = first_step(state, single, metric, 1.0 / d**0.25, wanted)
    index = 0
    lengths = windows(steps)
    for number, length in enumerate(lengths):
        average, seen = DualAverage.at(step), []
        for _ in range(length):
            index += 1
            state, info = (cautious if number < 2 else move)(state, average.step, metric, index)
            average = average.update(typical(info.accept) if kernel in ("hmc", "nuts") else float(info.accept.mean()), wanted)
            seen.append(state.position)
        step = average.settled
        if number < len(lengths) - 1:
            metric = pooled_metric(torch.cat(seen[len(seen) // 4 :]))
            step = first_step(state, single, metric, min(step, 1.0) if number else 1.0, wanted)
    return state, _fixed(move, step, metric, index), {"step": step} | ({"leaps": leaps_for(1, step)} if kernel == "hmc" else {})


def _fixed(move: Tunable, step: float, metric: Metric, index: int) -> Step:
    """The kernel whose settings no longer change, orbits' lengths going on along their sequence."""
    place = index

    def go(state: State) -> tuple[State, Info]:
        nonlocal place
        place += 1
        return move(state, step, metric, place)

    return go
