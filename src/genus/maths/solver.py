"""Solvers of ordinary differential equations dx/dt = f(x, t), as pure functions that yield each state."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from genus.errors import UsageError, nearest

Field = Callable[[Tensor, Tensor], Tensor]  # f(x (n, …), t ()) → (n, …)

# Dormand and Prince 1980: nodes, stages, and the difference of the fifth- and fourth-order weights.
NODES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)


def euler(f: Field, x: Tensor, start: float, stop: float, evaluations: int) -> Iterator[Tensor]:
    """Euler's method: x ← x + h f(x, t), `evaluations` equal steps, first order."""
    times = torch.linspace(start, stop, evaluations + 1, dtype=torch.float64)
    for now, then in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        x = x + (then - now) * f(x, x.new_tensor(now))
        yield x


def heun(f: Field, x: Tensor, start: float, stop: float, evaluations: int) -> Iterator[Tensor]:
    """Heun's method: the mean of the slopes at both ends of each step, second order, two evaluations a step."""
    times = torch.linspace(start, stop, max(1, evaluations // 2) + 1, dtype=torch.float64)
    for now, then in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        h, slope = then - now, f(x, x.new_tensor(now))
        x = x + h / 2 * (slope + f(x + h * slope, x.new_tensor(then)))
        yield x


def rk4(f: Field, x: Tensor, start: float, stop: float, evaluations: int) -> Iterator[Tensor]:
    """The classical Runge–Kutta method: fourth order, four evaluations a step, equal steps."""
    times = torch.linspace(start, stop, max(1, evaluations // 4) + 1, dtype=torch.float64)
    for now, then in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        h, middle = then - now, x.new_tensor((now + then) / 2)
        one = f(x, x.new_tensor(now))
        two = f(x + h / 2 * one, middle)
        three = f(x + h / 2 * two, middle)
        four = f(x + h * three, x.new_tensor(then))
        x = x + h / 6 * (one + 2 * (two + three) + four)
        yield x


def dopri5(
    f: Field, x: Tensor, start: float, stop: float, evaluations: int, *, rtol: float = 1e-4, atol: float = 1e-4
) -> Iterator[Tensor]:
    """Dormand and Prince's fifth-order method with steps chosen so that the estimated error of each is within tolerance.

    The worst item of the batch decides. About `evaluations` are spent at most: what is left is divided into equal
    steps once the tolerance would cost more.

    Reference: J. Dormand and P. Prince 1980, https://doi.org/10.1016/0771-050X(80)90013-3
    """
    now, h, slope, used = start, (stop - start) / 10, f(x, x.new_tensor(start)), 1
    while abs(stop - now) > 1e-9:
        floor = abs(stop - now) / max(1, (evaluations - used) // 6)
        h = max(abs(h), floor) if abs(h) < abs(stop - now) else abs(stop - now)
        signed = h if stop > start else -h
        new, last, error = _step(f, x, now, signed, slope)
        used += 6
        size = (error.abs() / (atol + rtol * torch.maximum(x.abs(), new.abs()))).flatten(1)
        worst = float(size.square().mean(1).sqrt().max()) if size.numel() else 0.0
        factor = min(5.0, max(0.2, 0.9 * max(worst, 1e-10) ** -0.2)) if worst == worst else 0.2
        if worst <= 1 or h <= floor * (1 + 1e-9):
            x, slope, now = new, last, now + signed
            yield x
        h *= factor


def _step(f: Field, x: Tensor, now: float, h: float, slope: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One step: (the new state, the slope there, the estimated error)."""
    slopes, new = [slope], x
    for node, weights in zip(NODES[1:], STAGES, strict=True):
        new = x + h * sum((w * k for w, k in zip(weights, slopes, strict=True) if w), torch.zeros_like(x))
        slopes.append(f(new, x.new_tensor(now + node * h)))
    error = h * sum((w * k for w, k in zip(ERROR, slopes, strict=True) if w), torch.zeros_like(x))
    return new, slopes[-1], error


SOLVERS: dict[str, Callable[[Field, Tensor, float, float, int], Iterator[Tensor]]] = {
    "euler": euler,
    "heun": heun,
    "rk4": rk4,
    "dopri5": dopri5,
}


def states(f: Field, x: Tensor, start: float, stop: float, *, solver: str, evaluations: int) -> Iterator[Tensor]:
    """The states on the way of x from time `start` to `stop`, by the solver of that name."""
    if solver not in SOLVERS:
        raise UsageError(f"No solver is called {solver!r}; there are {', '.join(SOLVERS)}.{nearest(solver, SOLVERS)}")
    return SOLVERS[solver](f, x, start, stop, evaluations)


def integrate(f: Field, x: Tensor, start: float, stop: float, *, solver: str, evaluations: int) -> Tensor:
    """The last of `states`.

    >>> grow = lambda x, t: x
    >>> round(integrate(grow, torch.ones(1, 1), 0, 1, solver="dopri5", evaluations=100).item(), 3)
    2.718
    """
    for state in states(f, x, start, stop, solver=solver, evaluations=evaluations):
        x = state
    return x


def with_trace(field: Field, probes: Tensor | None) -> Field:
    """The field of the state (x, log-density change): dx/dt = f, dℓ/dt = −tr ∂f/∂x.

    The state is (n, d + p). With `probes` (p, n, d) of mean 0 and unit covariance the trace is Hutchinson's estimate
    εᵀ (∂f/∂x) ε, one column a probe; with None it is exact, by d products, in one column.

    Reference: W. Grathwohl et al. 2019, FFJORD, https://arxiv.org/abs/1810.01367
    """

    def joint(state: Tensor, t: Tensor) -> Tensor:
        columns = 1 if probes is None else len(probes)
        with torch.enable_grad():
            x = state[:, :-columns].detach().requires_grad_()
            slope = field(x, t)
            directions = torch.eye(x.shape[1]).to(x)[:, None].expand(-1, *x.shape) if probes is None else probes
            parts = [(torch.autograd.grad(slope, x, e, retain_graph=True)[0] * e).sum(1) for e in directions]
        traces = torch.stack(parts, 1)
        return torch.cat([slope.detach(), -(traces.sum(1, keepdim=True) if probes is None else traces)], 1)

    return joint
