"""NUTS: Hamiltonian orbits that double until they turn back, for all chains side by side.

Of the kernels it asks least of its user and most of the machine: chains wait for the one with the longest orbit, and half
of each last doubling is often thrown away. With many chains, `chain.hmc` gives more effective draws a second.

References: M. Hoffman and A. Gelman 2014, The No-U-Turn Sampler, https://arxiv.org/abs/1111.4246;
M. Betancourt 2017, A conceptual introduction to Hamiltonian Monte Carlo, appendix A.3 (multinomial draws),
https://arxiv.org/abs/1701.02434
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genus.maths.chain import DIVERGED, Info, Metric, State
from genus.maths.target import Target


class Point(NamedTuple):
    """A place on an orbit: position (n, d), momentum (n, d) in whitened coordinates, log_p (n,), gradient (n, d)."""

    position: Tensor
    momentum: Tensor
    log_p: Tensor
    gradient: Tensor


class Orbit(NamedTuple):
    """A stretch of orbit, in the order it was walked.

    Parameters
    ----------
    first, last: its ends. drawn: one of its points, chosen ∝ e^−energy. log_weight (n,): log Σ e^(first energy − energy).
    push (n, d): sum of momenta. alive (n,): neither turned back nor diverged. diverged (n,). accept (n,): sum over points of
    min(1, e^(first energy − energy)). points (n,): how many were walked.
    """

    first: Point
    last: Point
    drawn: Point
    log_weight: Tensor
    push: Tensor
    alive: Tensor
    diverged: Tensor
    accept: Tensor
    points: Tensor


Leap = Callable[[Point], Point]


def nuts(state: State, target: Target, *, step: float, metric: Metric, most: int = 10) -> tuple[State, Info]:
    """Orbits that double, forwards or backwards in time at random, until their ends approach each other.

    The new state is one of the orbit's points, drawn ∝ e^−energy with a leaning to the later half. `most`: doublings at
    most, 2^most − 1 leapfrogs. `Info.depth` says how many there were.
    """
    assert state.gradient is not None
    begin = Point(state.position, torch.randn_like(state.position), state.log_p, state.gradient)
    energy = _energy(begin)
    orbit = _single(begin, energy)
    going, depth = torch.arange(len(energy)), torch.zeros(len(energy), dtype=torch.long)
    accept, points = torch.zeros_like(energy), torch.zeros_like(energy)
    diverged = torch.zeros(len(energy), dtype=torch.bool)
    for doubling in range(most):
        part = _map(lambda t, keep=going: t[keep], orbit)
        forward = torch.rand(len(going)) < 0.5
        part = _choose(forward, part, _reversed(part))
        leap = _leapfrog(target, metric, torch.where(forward, step, -step).to(energy.dtype)[:, None])
        more = _grow(part.last, doubling, leap, energy[going])
        accept[going] += more.accept
        points[going] += more.points
        diverged[going] |= more.diverged
        depth[going] += 1
        joined = _join(part, more, more.log_weight - part.log_weight)
        part = joined._replace(drawn=_choose(more.alive, joined.drawn, part.drawn))
        part = _choose(forward, part, _reversed(part))
        orbit = _put(orbit, going, part)
        going = going[part.alive]
        if not len(going):
            break
    drawn = orbit.drawn
    moved = (drawn.position != state.position).any(1)
    new = State(drawn.position, drawn.log_p, drawn.gradient)
    return new, Info(accept / points, moved, diverged, energy, depth)


def _energy(point: Point) -> Tensor:
    return 0.5 * point.momentum.square().sum(1) - point.log_p


def _leapfrog(target: Target, metric: Metric, step: Tensor) -> Leap:
    """One leapfrog of length `step` (n, 1), negative for backwards."""

    def leap(point: Point) -> Point:
        momentum = point.momentum + step / 2 * metric.press(point.gradient)
        position = point.position + step * metric.colour(momentum)
        log_p, gradient = target.slope(position)
        return Point(position, momentum + step / 2 * metric.press(gradient), log_p, gradient)

    return leap


def _single(point: Point, energy: Tensor) -> Orbit:
    """The stretch of one point; `energy` is that of where the whole orbit began."""
    gain = (energy - _energy(point)).nan_to_num(nan=-torch.inf)
    sound = gain > -DIVERGED
    ones = torch.ones_like(gain)
    return Orbit(point, point, point, gain, point.momentum, sound, ~sound, gain.clamp(max=0).exp(), ones)


def _grow(edge: Point, doubling: int, leap: Leap, energy: Tensor) -> Orbit:
    """2^doubling leapfrogs on from `edge`, as two halves of which the second is in vain where the first has ended."""
    if doubling == 0:
        return _single(leap(edge), energy)
    half = _grow(edge, doubling - 1, leap, energy)
    if not bool(half.alive.any()):
        return half
    more = _grow(half.last, doubling - 1, leap, energy)
    return _choose(half.alive, _join(half, more, more.log_weight - torch.logaddexp(half.log_weight, more.log_weight)), half)


def _join(a: Orbit, b: Orbit, log_chance: Tensor) -> Orbit:
    """Both stretches as one; its point is b's with chance min(1, e^log_chance), else a's.

    It has turned back when the momenta's sum points against either end, within it or across the seam between both.
    """
    goes = torch.rand_like(log_chance).log() < log_chance
    push = a.push + b.push
    straight = _onward(push, a.first, b.last)
    straight &= _onward(a.push + b.first.momentum, a.first, b.first) & _onward(b.push + a.last.momentum, a.last, b.last)
    return Orbit(
        a.first, b.last, _choose(goes, b.drawn, a.drawn), torch.logaddexp(a.log_weight, b.log_weight), push,
        a.alive & b.alive & straight, a.diverged | b.diverged, a.accept + b.accept, a.points + b.points,
    )  # fmt: skip


def _onward(push: Tensor, first: Point, last: Point) -> Tensor:
    return ((push * first.momentum).sum(1) > 0) & ((push * last.momentum).sum(1) > 0)


def _reversed(orbit: Orbit) -> Orbit:
    """The same stretch, walked from its other end; momenta keep their direction in time."""
    return orbit._replace(first=orbit.last, last=orbit.first)


def _map(change: Callable[[Tensor], Tensor], value: Any) -> Any:
    """`change` of every tensor inside."""
    return change(value) if isinstance(value, Tensor) else type(value)(*(_map(change, each) for each in value))


def _choose(where: Tensor, yes: Any, no: Any) -> Any:
    """Chain by chain, `yes` where it holds and `no` elsewhere."""
    if isinstance(yes, Tensor):
        return torch.where(where if yes.dim() == 1 else where[:, None], yes, no)
    return type(yes)(*(_choose(where, a, b) for a, b in zip(yes, no, strict=True)))


def _put(whole: Any, rows: Tensor, part: Any) -> Any:
    """`whole` with `part` at these rows."""
    if isinstance(whole, Tensor):
        return whole.index_copy(0, rows, part)
    return type(whole)(*(_put(a, rows, b) for a, b in zip(whole, part, strict=True)))
