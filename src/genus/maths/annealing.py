"""Annealing: log Z of a harmonium by annealed importance sampling, with everything that says whether to believe it.

The path leads from independent units with the data's means (β = 0), whose log Z is known, to the machine (β = 1):
log f_β(v) = ((1 − β) b₀ + β b)·v − base(v) + Σ log(1 + exp β(c + vW)).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from genus.maths.harmonium import Harmonium, enumerate_log_z
from genus.maths.ladder import Ladder

FEW_WEIGHTS = 0.1  # share of effective weights below which an estimate is not believed
GAP = 1.0  # nats between forward and reverse runs above which it is not
PILOT = 64  # temperatures and chains of the run that places the temperatures
MODES = 64  # modes whose neighbours the floor counts


@dataclass
class LogZ:
    """What is known of log Z.

    Attributes
    ----------
    value: the estimate, nats. error: its standard error, widened where it is not to be trusted; 0 by enumeration.
    ess: effective weights, of `chains`. forward, reverse: annealed from the base distribution (too low on average) and
    from the machine's own draws (too high). floor: a sum over some hidden states, which log Z certainly exceeds.
    method: "enumeration" or "annealing". doubt: why not to trust it, "" where nothing speaks against it.
    """

    value: float
    error: float = 0.0
    ess: float = math.inf
    chains: int = 0
    forward: float = math.nan
    reverse: float = math.nan
    floor: float = -math.inf
    method: str = "enumeration"
    doubt: str = ""

    def warn(self, name: str) -> None:
        """Say it where the estimate is not to be trusted."""
        if self.doubt:
            warnings.warn(
                f"log Z of this {name} is not to be trusted ({self.doubt}): log_prob_estimate may be too high by more than "
                f"{self.error:.1f} nats; try partition(steps=20000), or compare by samples.",
                UserWarning,
                stacklevel=5,
            )

    def to_json(self) -> dict[str, float | str]:
        """All of it as a plain dict."""
        return asdict(self)


@dataclass
class Path:
    """The tempered densities f_β between independent units of field `start` (D,) and `machine`."""

    machine: Harmonium
    start: Tensor

    @property
    def log_z_start(self) -> float:
        """log Z at β = 0."""
        units, hidden = self.machine.units, self.machine.hidden
        return float(units.log_partition(self.start[None])[0]) + len(hidden) * math.log(2)

    def field(self, beta: float | Tensor) -> Tensor:
        """The visible field at β without the hidden units' part."""
        return torch.lerp(self.start, self.machine.visible, beta)

    def first(self, n: int) -> Tensor:
        """n draws at β = 0."""
        return self.machine.units.draw(self.start.repeat(n, 1))

    def move(self, pre: Tensor, beta: float) -> Tensor:
        """One Gibbs sweep that leaves f_β as it is, v → h → v, from pre = c + vW, which it overwrites."""
        h = torch.rand_like(pre).lt_(pre.mul_(beta).sigmoid_())
        return self.machine.units.draw(torch.addmm(self.field(beta), h, self.machine.weight.T, alpha=beta))

    def pre(self, v: Tensor) -> Tensor:
        """c + vW."""
        return torch.addmm(self.machine.hidden, v, self.machine.weight)


def anneal(path: Path, betas: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """(log weights (n,), last v) of annealing v along `betas`, upwards or downwards.

    One matrix product gives the pre-activations of both the weight and the next sweep. At each step the weight gains
    log f_new(v) − log f_old(v), then v moves under f_new.

    Reference: R. Neal 2001, Annealed importance sampling, https://arxiv.org/abs/physics/9803008; R. Salakhutdinov and
    I. Murray 2008, On the quantitative analysis of deep belief networks, https://doi.org/10.1145/1390156.1390266
    """
    slope = path.machine.visible - path.start
    weight = torch.zeros(len(v), dtype=torch.float64, device=v.device)
    steps = betas.tolist()
    for old, new in pairwise(steps):
        pre = path.pre(v)
        gain = F.softplus(pre * new).sub_(F.softplus(pre * old)).sum(1, dtype=torch.float64)
        weight += gain + (v @ slope).double() * (new - old)
        if new > 0.0:
            v = path.move(pre, new)
    return weight, v


def temperatures(path: Path, count: int) -> Tensor:
    """`count` values of β from 0 to 1, dense where the weights of a short pilot run vary most.

    The variance of one step's weight is var[d log f / dβ] δ², so that equal steps of ∫ sd dβ make the total least
    (Gelman and Meng 1998, https://doi.org/10.1214/ss/1028905934).
    """
    slope, grid = path.machine.visible - path.start, torch.linspace(0, 1, PILOT)
    v, spread = path.first(PILOT), []
    for beta in grid.tolist():
        pre = path.pre(v)
        spread.append(float(((pre * (pre * beta).sigmoid()).sum(1) + v @ slope).std()))
        v = path.move(pre, beta)
    density = torch.tensor(spread, dtype=torch.float64).clamp_min(1e-12)
    density = density + 0.1 * density.mean()
    length = torch.cat([torch.zeros(1, dtype=torch.float64), ((density[1:] + density[:-1]) / 2).cumsum(0)])
    wanted = torch.linspace(0, float(length[-1]), count, dtype=torch.float64)
    right = torch.searchsorted(length, wanted).clamp(1, PILOT - 1)
    part = (wanted - length[right - 1]) / (length[right] - length[right - 1])
    betas = (right - 1 + part) / (PILOT - 1)
    betas[0], betas[-1] = 0.0, 1.0
    return betas


def log_mean(weight: Tensor) -> tuple[float, float, float]:
    """(log of the mean of exp(weight), its standard error by the delta method, effective number of weights)."""
    ratio = (weight - weight.max()).exp()
    mean = ratio.mean()
    error = ratio.std() / mean / math.sqrt(len(weight))
    return float(weight.max() + mean.log()), float(error), float(ratio.sum() ** 2 / ratio.square().sum())


def floor(machine: Harmonium, v: Tensor) -> float:
    """A certain lower bound of log Z: Σ over distinct hidden states of Σ_v exp(−E(v, h)).

    The states are the modes near each row of v and near what each hidden unit alone asks for, and their neighbours by
    one flip. Where a few modes hold the mass, the bound is close, whether or not a chain ever finds them.
    """
    alone = machine.units.mode(machine.visible + machine.weight.T)
    h = torch.unique(machine.climb(torch.cat([v, alone]))[1], dim=0)
    best = h[machine.hidden_mass(h).topk(min(MODES, len(h))).indices]
    flips = torch.eye(h.shape[1], dtype=h.dtype, device=h.device)
    near = (best[:, None] - flips).abs().flatten(0, 1)
    every = torch.unique(torch.cat([h, near]), dim=0)
    mass = torch.cat([machine.hidden_mass(part) for part in every.split(1024)])
    return float(torch.logsumexp(mass, 0))


def estimate_log_z(
    machine: Harmonium, start: Tensor, *, chains: int = 200, steps: int = 2000, near: Tensor | None = None
) -> LogZ:
    """log Z by annealing, bracketed, with a floor and the reasons to doubt it.

    Forward runs begin at the base distribution, reverse runs at draws of parallel tempering; with exact draws the two
    bracket log Z in expectation. A chain that never meets a mode cannot miss it in its weights, so that the spread
    alone proves nothing: modes near `near` (data, or chains of a training) and near all that was drawn bound log Z from below.

    Parameters
    ----------
    start: the base distribution's field (D,), best of the data's means. chains: annealed side by side. steps: values of β.
    near: rows v where modes may lie.

    Reference: R. Grosse, S. Ancha and D. Roy 2016, Measuring the reliability of MCMC inference with bidirectional Monte
    Carlo, https://arxiv.org/abs/1606.02275
    """
    path = Path(machine, start)
    betas = temperatures(path, steps)
    weight, last = anneal(path, betas, path.first(chains))
    forward, error, ess = log_mean(weight)
    ladder = Ladder.spread(path, max(8, min(24, steps // 50)), max(8, chains // 10))
    for _ in range(max(20, steps // 5)):
        ladder.sweep()
    draws = ladder.cold.repeat(-(-chains // len(ladder.cold)), 1)[:chains]
    backward, _ = anneal(path, betas.flip(0), draws)
    reverse = path.log_z_start - log_mean(backward)[0]
    found = LogZ(forward + path.log_z_start, error, ess, chains, forward + path.log_z_start, reverse, method="annealing")
    found.floor = floor(machine, torch.cat([last, ladder.cold] + ([] if near is None else [near])))
    return _judged(found)


def _judged(found: LogZ) -> LogZ:
    """`found` with its doubts, the value lifted to the floor and the error widened to what is in doubt."""
    doubts, wide = [], found.error
    if found.ess < FEW_WEIGHTS * found.chains:
        doubts.append(f"only {found.ess:.1f} of {found.chains} annealed weights count")
        wide = max(wide, 1.0)
    gap = abs(found.reverse - found.forward)
    if gap > GAP + 3 * found.error:
        doubts.append(f"forward and reverse annealing differ by {gap:.1f} nats")
        wide = max(wide, gap)
    if found.floor > found.forward + 3 * found.error + 1e-3 * abs(found.floor) ** 0.5:
        doubts.append(f"modes that annealing missed alone hold {found.floor - found.forward:.1f} nats more")
        wide = max(wide, found.floor - found.forward)
        found.value = max(found.value, found.floor)
    found.error, found.doubt = wide, "; ".join(doubts)
    return found


def log_z(machine: Harmonium, start: Tensor, *, chains: int = 200, steps: int = 2000, near: Tensor | None = None) -> LogZ:
    """log Z exactly where the smaller layer has at most 20 bits, else by `estimate_log_z`."""
    if machine.enumerable:
        exact = enumerate_log_z(machine)
        return LogZ(exact, forward=exact, reverse=exact, floor=exact)
    return estimate_log_z(machine, start, chains=chains, steps=steps, near=near)
