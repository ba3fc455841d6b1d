"""Diagnostics against AR(1) chains, whose answers are known, and against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from genus.maths.diagnostics import bfmi, ess_bulk, ess_plain, ess_tail, mcse_mean, mcse_sd, r_hat, rank_normalise, split


def ar1(phi: float, n: int = 4000, chains: int = 8, d: int = 3, seed: int = 0) -> Tensor:
    """Stationary chains with variance one and correlation φ^lag."""
    rng = np.random.default_rng(seed)
    x = np.empty((n, chains, d))
    x[0] = rng.normal(size=(chains, d))
    for t in range(1, n):
        x[t] = phi * x[t - 1] + np.sqrt(1 - phi**2) * rng.normal(size=(chains, d))
    return torch.from_numpy(x)


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9, -0.5])
def test_effective_draws_and_errors_of_ar1_are_as_known(phi):
    draws = ar1(phi)
    known = draws[..., 0].numel() * (1 - phi) / (1 + phi)
    for found in (ess_plain(draws), ess_bulk(draws)):
        assert found.numpy() == pytest.approx(known, rel=0.12)
    assert mcse_mean(draws).numpy() == pytest.approx(known**-0.5, rel=0.1)
    squares = draws[..., 0].numel() * (1 - phi**2) / (1 + phi**2)
    assert mcse_sd(draws).numpy() == pytest.approx((2 * squares) ** -0.5, rel=0.12)
    assert (r_hat(draws) < 1.01).all()


def loop_ess(x: np.ndarray) -> float:
    """Geyer's initial monotone sequence, one number, written out."""
    n, chains = x.shape
    centred = x - x.mean(0)
    covariance = [np.mean([(centred[: n - t, c] * centred[t:, c]).sum() / n for c in range(chains)]) for t in range(n)]
    within = covariance[0] * n / (n - 1)
    plus = within * (n - 1) / n + x.mean(0).var(ddof=1)
    rho = [1.0] + [1 - (within - covariance[t] * n / (n - 1)) / plus for t in range(1, n)]
    total, least, k = 0.0, np.inf, 0
    while 2 * k + 1 < n and rho[2 * k] + rho[2 * k + 1] > 0:
        least = min(least, rho[2 * k] + rho[2 * k + 1])
        total, k = total + least, k + 1
    tau = -1 + 2 * total + max(rho[2 * k], 0)
    return n * chains / max(tau, 1 / np.log10(n * chains))


@pytest.mark.parametrize("phi", [0.3, 0.95, -0.6])
def test_the_transform_equals_the_loop(phi):
    draws = ar1(phi, 120, 4, 2)
    assert ess_plain(draws).numpy() == pytest.approx([loop_ess(draws[..., i].numpy()) for i in range(2)], rel=1e-9)


def test_ranks_are_scipys_with_ties():
    values = torch.from_numpy(np.random.default_rng(0).integers(0, 9, (20, 3, 2)).astype(float))
    ranks = stats.rankdata(values[..., 1].numpy()).reshape(20, 3)
    assert rank_normalise(values)[..., 1].numpy() == pytest.approx(stats.norm.ppf((ranks - 0.375) / 60.25))


def test_the_tails_are_those_of_the_indicators():
    draws = ar1(0.8)
    below = (draws <= torch.quantile(draws.flatten(0, 1), 0.05, dim=0)).double()
    above = (draws <= torch.quantile(draws.flatten(0, 1), 0.95, dim=0)).double()
    expected = torch.minimum(ess_plain(split(below)), ess_plain(split(above)))
    assert ess_tail(draws).numpy() == pytest.approx(expected.numpy(), rel=0.02)


def test_disagreement_of_place_scale_and_time_is_seen():
    shifted, wide, drifting = ar1(0.3), ar1(0.3), ar1(0.3)
    shifted[:, 0] += 1
    wide[:, 0] *= 3
    drifting += torch.linspace(0, 1.5, len(drifting), dtype=torch.float64)[:, None, None]
    assert (r_hat(ar1(0.3)) < 1.005).all()
    for bad in (shifted, wide, drifting):
        assert (r_hat(bad) > 1.01).all()
    heavy = torch.from_numpy(np.random.default_rng(0).standard_cauchy((1000, 4, 1)))
    assert float(r_hat(heavy)) < 1.01
    assert torch.isinf(r_hat(torch.arange(4.0).double().expand(100, 4)[..., None]))


def test_energies_that_walk_are_seen():
    assert float(bfmi(ar1(0.0)[..., 0]).mean()) == pytest.approx(2, abs=0.1)
    assert float(bfmi(ar1(0.95)[..., 0]).mean()) < 0.2
