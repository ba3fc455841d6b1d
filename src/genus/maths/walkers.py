"""Kernels that need no gradient: slices along random directions, an ensemble that stretches, Gibbs's conditionals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from genus.maths.chain import Info, Metric, State, metropolis
from genus.maths.target import Target


def _calm(state: State, accept: Tensor) -> Info:
    return Info(accept, accept > 0, torch.zeros_like(accept, dtype=torch.bool), -state.log_p)


def slice_sample(state: State, target: Target, *, metric: Metric, width: float = 3.0, most: int = 50) -> tuple[State, Info]:
    """A uniform draw from the slice {p > u} along a random direction, by stepping out and shrinking, all chains at once.

    Directions are N(0, Σ) made of unit whitened length, so that one `width` suits every scale.

    Reference: R. Neal 2003, Slice sampling, https://doi.org/10.1214/aos/1056562461
    """
    noise = torch.randn_like(state.position)
    direction = metric.colour(noise / noise.norm(dim=1, keepdim=True))
    return slice_along(state, target, direction, width=width, most=most)


def slice_within_gibbs(state: State, target: Target, *, metric: Metric, width: float = 3.0, most: int = 50) -> tuple[State, Info]:
    """Each number in turn drawn given the others, by a slice along its axis whose `width` is in its standard deviations.

    Reference: R. Neal 2003, Slice sampling, section 4, https://doi.org/10.1214/aos/1056562461
    """
    d = state.position.shape[1]
    scale = (metric.covariance if metric.covariance.dim() == 1 else metric.covariance.diagonal()).sqrt()
    for axis in torch.diag(scale):
        state, info = slice_along(state, target, axis.expand(len(state.position), d), width=width, most=most)
    return state, info


def slice_along(state: State, target: Target, direction: Tensor, *, width: float, most: int) -> tuple[State, Info]:
    """A uniform draw from each chain's slice {p > u} along its `direction` (n, d), whose length is the unit of `width`."""
    x, n = state.position, len(state.position)
    height = state.log_p + torch.rand(n, dtype=x.dtype).log()
    low = -width * torch.rand(n, dtype=x.dtype)
    high = low + width
    # Neal's budget of steps, divided at random between both ends, keeps stepping out reversible.
    left = (torch.rand(n) * most).long()
    low = _step_out(target, x, direction, height, low, -width, left)
    high = _step_out(target, x, direction, height, high, width, most - 1 - left)
    place, log_p = torch.zeros(n, dtype=x.dtype), state.log_p.clone()
    todo = torch.arange(n)
    for _ in range(200):
        tried = low[todo] + (high[todo] - low[todo]) * torch.rand(len(todo), dtype=x.dtype)
        value = target.value(x[todo] + tried[:, None] * direction[todo])
        inside = value > height[todo]
        place[todo[inside]], log_p[todo[inside]] = tried[inside], value[inside]
        todo, tried = todo[~inside], tried[~inside]
        if not len(todo):
            break
        below = tried < 0
        low[todo[below]], high[todo[~below]] = tried[below], tried[~below]
    new = State(x + place[:, None] * direction, log_p)
    return new, _calm(new, torch.ones(n, dtype=x.dtype))


def _step_out(target: Target, x: Tensor, direction: Tensor, height: Tensor, end: Tensor, by: float, budget: Tensor) -> Tensor:
    """One end of each chain's interval, moved outwards until it leaves the slice or its budget is spent."""
    todo, budget = torch.arange(len(end)), budget.clone()
    while True:
        todo = todo[budget[todo] > 0]
        if not len(todo):
            return end
        todo = todo[target.value(x[todo] + end[todo, None] * direction[todo]) > height[todo]]
        end[todo] += by
        budget[todo] -= 1


def stretch(state: State, target: Target, *, scale: float = 2.0) -> tuple[State, Info]:
    """The affine-invariant ensemble: each walker of one half moves along its line to a random walker of the other half.

    x′ = xⱼ + z (x − xⱼ), g(z) ∝ 1/√z on [1/a, a], accepted with chance min(1, z^(d−1) p(x′) / p(x)). Needs more than
    2 d walkers, which start apart; nothing is tuned.

    Reference: J. Goodman and J. Weare 2010, Ensemble samplers with affine invariance,
    https://doi.org/10.2140/camcos.2010.5.65
    """
    n, d = state.position.shape
    shuffled = torch.randperm(n)
    accept = torch.empty(n, dtype=state.log_p.dtype)
    for movers, others in ((shuffled[: n // 2], shuffled[n // 2 :]), (shuffled[n // 2 :], shuffled[: n // 2])):
        partner = state.position[others[torch.randint(len(others), (len(movers),))]]
        z = ((scale - 1) * torch.rand(len(movers), dtype=state.log_p.dtype) + 1).square() / scale
        mine = State(state.position[movers], state.log_p[movers])
        position = partner + z[:, None] * (mine.position - partner)
        new = State(position, target.value(position))
        moved, info = metropolis(mine, new, (d - 1) * z.log() + new.log_p - mine.log_p)
        state = State(state.position.index_copy(0, movers, moved.position), state.log_p.index_copy(0, movers, moved.log_p))
        accept[movers] = info.accept
    return state, _calm(state, accept)


def gibbs(state: State, target: Target | None, *, conditionals: Sequence[Callable[[Tensor], Tensor]]) -> tuple[State, Info]:
    """Each part in turn drawn from its full conditional: x ← conditional(x), (n, d) → (n, d).

    Reference: S. Geman and D. Geman 1984, Stochastic relaxation, Gibbs distributions, and the Bayesian restoration of
    images, https://doi.org/10.1109/TPAMI.1984.4767596
    """
    x = state.position
    for conditional in conditionals:
        x = conditional(x)
    log_p = state.log_p if target is None else target.value(x)
    new = State(x, log_p)
    return new, _calm(new, torch.ones(len(x), dtype=x.dtype))
