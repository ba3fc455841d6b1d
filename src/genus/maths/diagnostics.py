"""Diagnostics of Markov chains: rank-normalised split R-hat, bulk and tail effective draws, Monte-Carlo errors, energies.

Draws are (draws, chains, d) in double precision.

Reference: A. Vehtari, A. Gelman, D. Simpson, B. Carpenter and P.-C. Bürkner 2021, Rank-normalization, folding, and
localization: an improved R-hat for assessing convergence of MCMC, https://arxiv.org/abs/1903.08008
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def split(draws: Tensor) -> Tensor:
    """Each chain's halves as two chains: (draws/2, 2 chains, d)."""
    half = len(draws) // 2
    return torch.cat([draws[:half], draws[len(draws) - half :]], 1)


def rank_normalise(draws: Tensor) -> Tensor:
    """Values replaced by normal scores of their ranks over all chains, Φ⁻¹((r − 3/8) / (S + 1/4)); ties share a rank."""
    flat = draws.flatten(0, 1).T.contiguous()
    ordered, order = flat.sort(1)
    place = torch.arange(1, flat.shape[1] + 1, dtype=torch.float64).expand_as(flat)
    if bool((ordered[:, 1:] == ordered[:, :-1]).any()):
        low = torch.searchsorted(ordered, ordered, right=False)
        high = torch.searchsorted(ordered, ordered, right=True)
        place = (low + high + 1).double() / 2
    ranks = torch.empty_like(flat).scatter_(1, order, place.contiguous())
    z = torch.special.ndtri((ranks - 0.375) / (flat.shape[1] + 0.25))
    return z.T.reshape(draws.shape)


def r_hat_plain(draws: Tensor) -> Tensor:
    """Gelman and Rubin's √(var⁺ / W), (d,); 1 where nothing moves and all chains agree, ∞ where they do not."""
    n = len(draws)
    within = draws.var(0).mean(0)
    between = draws.mean(0).var(0)
    ratio = torch.sqrt((n - 1) / n + between / within)
    return torch.where(within > 0, ratio, torch.where(between > 0, math.inf, 1.0))


def r_hat(draws: Tensor) -> Tensor:
    """Rank-normalised split R-hat (d,): the larger of that of places and that of distances from the median (folded)."""
    folded = (draws - draws.flatten(0, 1).median(0).values).abs()
    return torch.maximum(*(r_hat_plain(rank_normalise(split(part))) for part in (draws, folded)))


def ess_plain(draws: Tensor) -> Tensor:
    """Effective draws (d,) for the mean, by Geyer's initial monotone sequence over all chains."""
    n, chains, _ = draws.shape
    if n < 4:
        return torch.full(draws.shape[2:], float("nan"), dtype=torch.float64)
    centred = draws - draws.mean(0)
    size = 2 ** math.ceil(math.log2(2 * n))
    spectrum = torch.fft.rfft(centred, size, dim=0)
    covariance = torch.fft.irfft(spectrum.real.square() + spectrum.imag.square(), size, dim=0)[:n].mean(1) / n
    within = covariance[0] * n / (n - 1)
    plus = within * (n - 1) / n
    if chains > 1:
        plus = plus + draws.mean(0).var(0)
    rho = 1 - (within - covariance * n / (n - 1)) / plus
    rho[0] = 1
    even = rho[: n // 2 * 2].unflatten(0, (-1, 2))
    pairs = even.sum(1)
    alive = (pairs > 0).long().cumprod(0)
    summed = (torch.cummin(pairs, 0).values * alive).sum(0)
    last = even[:, 0].gather(0, alive.sum(0, keepdim=True).clamp(max=len(even) - 1))[0]
    tau = -1 + 2 * summed + last.clamp_min(0)
    total = n * chains
    found = total / tau.clamp_min(1 / math.log10(total))
    return torch.where(plus > 0, found, torch.full_like(found, float(total)))


def ess_bulk(draws: Tensor) -> Tensor:
    """Effective draws (d,) in the bulk: of the rank-normalised split chains."""
    return ess_plain(rank_normalise(split(draws)))


def ess_tail(draws: Tensor) -> Tensor:
    """Effective draws (d,) in the tails: the fewer of those for the 5 % and the 95 % quantile."""
    flat = draws.flatten(0, 1)
    ordered = flat.sort(0).values
    counts = []
    for share in (0.05, 0.95):
        edge = ordered[round(share * (len(flat) - 1))]
        counts.append(ess_plain(split((draws <= edge).double())))
    return torch.minimum(*counts)


def mcse_mean(draws: Tensor) -> Tensor:
    """Monte-Carlo standard error (d,) of the mean."""
    return draws.flatten(0, 1).std(0) / ess_plain(split(draws)).sqrt()


def mcse_sd(draws: Tensor) -> Tensor:
    """Monte-Carlo standard error (d,) of the standard deviation, by the delta method on squared distances from the mean."""
    squares = (draws - draws.flatten(0, 1).mean(0)).square()
    variance = squares.flatten(0, 1).mean(0)
    error = squares.flatten(0, 1).std(0) / ess_plain(split(squares)).sqrt()
    return error / (2 * variance.sqrt())


def bfmi(energy: Tensor) -> Tensor:
    """Bayesian fraction of missing information of energies (draws, chains), (chains,): low where energies change slowly.

    Reference: M. Betancourt 2016, Diagnosing suboptimal cotangent disintegrations in Hamiltonian Monte Carlo,
    https://arxiv.org/abs/1604.00695
    """
    return energy.diff(dim=0).square().mean(0) / energy.var(0)
