"""Every kernel leaves a known, bent target invariant, and a broken one is caught; adaptation finds scales; maps invert."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

import genus.maths.nuts as maths_nuts
from genus.maths.chain import Metric, halton, hmc, independence, init, leaps_for, mala, metropolis, random_walk
from genus.maths.nuts import nuts
from genus.maths.target import Free, Parameter, Target, parameter
from genus.maths.tempering import anneal, ladder, powered, swap
from genus.maths.walkers import gibbs, slice_sample, slice_within_gibbs, stretch
from genus.maths.warmup import pooled_metric, tune, windows

CHAINS = 4000


def bent(x: Tensor) -> Tensor:
    """log p of x₀ ~ N(0, 1), x₁ | x₀ ~ N(x₀² / 2, 0.5²)."""
    return -0.5 * x[:, 0].square() - 2 * (x[:, 1] - x[:, 0].square() / 2).square()


def straight(x: Tensor) -> Tensor:
    """The two independent standard normals behind draws of the bent target."""
    return torch.stack([x[:, 0], 2 * (x[:, 1] - x[:, 0].square() / 2)], 1)


def exact(n: int = CHAINS) -> Tensor:
    z = torch.randn(n, 2, dtype=torch.float64)
    return torch.stack([z[:, 0], z[:, 0].square() / 2 + z[:, 1] / 2], 1)


def p_invariant(step, steps: int = 25, gradient: bool = True) -> float:
    """The least p-value of the hypothesis that chains begun as exact draws still are exact draws after some steps.

    Each normal behind the draws is held against its law (Kolmogorov and Smirnov), and so are their squares'
    correlation and the share of chains that moved at all.
    """
    torch.manual_seed(0)
    target = Target(bent)
    state = init(exact(), target, gradient=gradient)
    begun = state.position.clone()
    for _ in range(steps):
        state, info = step(state, target)
        assert info.accept.shape == info.moved.shape == info.diverged.shape == (CHAINS,)
        assert torch.allclose(state.log_p, bent(state.position))
    assert float((state.position == begun).all(1).double().mean()) < 0.2, "the chains do not move"
    z = straight(state.position)
    ps = [stats.kstest(z[:, i].numpy(), "norm").pvalue for i in range(2)]
    ps.append(stats.pearsonr(z[:, 0].numpy(), z[:, 1].numpy()).pvalue)
    ps.append(stats.pearsonr(z[:, 0].square().numpy(), z[:, 1].square().numpy()).pvalue)
    return min(ps)


def metric() -> Metric:
    return Metric.of(torch.tensor([[0.8, 0.2], [0.2, 0.6]], dtype=torch.float64))


def centre() -> Tensor:
    return torch.tensor([0.2, 0.4], dtype=torch.float64)


def draw_second(x: Tensor) -> Tensor:
    return torch.stack([x[:, 0], x[:, 0].square() / 2 + torch.randn(len(x), dtype=x.dtype) / 2], 1)


def flip_first(x: Tensor) -> Tensor:
    """x₀ given x₁ is symmetric: a random sign leaves it invariant."""
    return torch.stack([x[:, 0] * (torch.randint(2, (len(x),)) * 2 - 1), x[:, 1]], 1)


KERNELS = {
    "random walk": lambda s, t: random_walk(s, t, step=1.0, metric=metric()),
    "independence": lambda s, t: independence(s, t, centre=centre(), metric=metric()),
    "mala": lambda s, t: mala(s, t, step=0.6, metric=metric()),
    "hmc": lambda s, t: hmc(s, t, step=0.4, metric=metric(), leaps=4),
    "hmc, diagonal": lambda s, t: hmc(s, t, step=0.4, metric=Metric.of(metric().covariance.diagonal()), leaps=4),
    "nuts": lambda s, t: nuts(s, t, step=0.5, metric=metric()),
    "nuts, diagonal, few doublings": lambda s, t: nuts(s, t, step=0.5, metric=Metric.of(metric().covariance.diagonal()), most=2),
    "slice": lambda s, t: slice_sample(s, t, metric=metric(), width=1.0),
    "slice, few steps out": lambda s, t: slice_sample(s, t, metric=metric(), width=0.3, most=3),
    "slice within gibbs": lambda s, t: slice_within_gibbs(s, t, metric=metric(), width=1.5),
    "ensemble": lambda s, t: stretch(s, t),
    "gibbs": lambda s, t: gibbs(s, t, conditionals=[draw_second, flip_first]),
}


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_leaves_its_target_invariant(name):
    steps = 8 if name.startswith(("slice", "nuts")) else 25
    assert p_invariant(KERNELS[name], steps, gradient=name.startswith(("hmc", "mala", "nuts"))) > 1e-3


def half_convinced(state, target):
    """Metropolis's walk with the square root of the ratio."""
    new = init(state.position + metric().colour(torch.randn_like(state.position)), target)
    return metropolis(state, new, 0.5 * (new.log_p - state.log_p))


def without_its_correction(state, target):
    """A lopsided proposal weighed as if it were symmetric."""
    new = init(state.position * torch.exp(0.5 * torch.randn(CHAINS, 1, dtype=torch.float64)), target)
    return metropolis(state, new, new.log_p - state.log_p)


@pytest.mark.parametrize("broken", [half_convinced, without_its_correction])
def test_a_broken_kernel_is_caught(broken):
    assert p_invariant(broken) < 1e-6


def test_nuts_that_draws_without_weights_is_caught(monkeypatch):
    join = maths_nuts._join
    monkeypatch.setattr(maths_nuts, "_join", lambda a, b, log_chance: join(a, b, torch.zeros_like(log_chance)))
    assert p_invariant(lambda s, t: nuts(s, t, step=1.0, metric=metric()), 8) < 1e-6


def test_nuts_doubles_more_on_longer_targets_and_says_where_it_diverges():
    torch.manual_seed(0)
    depths = []
    for scale in (1.0, 30.0):
        target = Target(lambda x, s=scale: -0.5 * (x / s).square().sum(1))
        state = init(scale * torch.randn(50, 2, dtype=torch.float64), target)
        state, info = nuts(state, target, step=0.5, metric=Metric.of(torch.ones(2, dtype=torch.float64)))
        assert not info.diverged.any()
        assert info.depth is not None
        depths.append(float(info.depth.double().mean()))
    assert depths[0] < 4 < 6 < depths[1]
    steep = Target(lambda x: -(x**4).sum(1) * 1e6)
    state = init(torch.ones(50, 1, dtype=torch.float64), steep)
    after, info = nuts(state, steep, step=1.0, metric=Metric.of(torch.ones(1, dtype=torch.float64)))
    assert info.diverged.all()
    assert torch.equal(after.position, state.position)


def test_swapping_temperatures_leaves_both_invariant():
    torch.manual_seed(0)
    beta = 0.3
    cold, hot = init(exact(), Target(bent)), init(exact(), Target(powered(bent, beta)))
    z = torch.randn(CHAINS, 2, dtype=torch.float64) / math.sqrt(beta)
    hot = init(torch.stack([z[:, 0], z[:, 0].square() / 2 + z[:, 1] / 2], 1), Target(powered(bent, beta)))
    new_cold, new_hot = swap(cold, hot, 1.0, beta)
    assert 0.2 < float((new_cold.position != cold.position).any(1).double().mean()) < 0.9
    assert torch.allclose(new_cold.log_p, bent(new_cold.position))
    assert torch.allclose(new_hot.log_p, beta * bent(new_hot.position))
    assert torch.allclose(new_hot.gradient, init(new_hot.position, Target(powered(bent, beta))).gradient)
    for state, scale in ((new_cold, 1.0), (new_hot, math.sqrt(beta))):
        z = straight(state.position) * scale
        assert min(stats.kstest(z[:, i].numpy(), "norm").pvalue for i in range(2)) > 1e-3


def test_annealing_gives_the_draws_and_the_evidence():
    torch.manual_seed(0)

    def reference(x: Tensor) -> Tensor:
        return -0.5 * (x / 3).square().sum(1) - 2 * math.log(3 * math.sqrt(2 * math.pi))

    x, log_z = anneal(bent, 3 * torch.randn(4000, 2, dtype=torch.float64), reference, moves=15)
    assert log_z == pytest.approx(math.log(2 * math.pi * 0.5), abs=0.1)
    z = straight(x)
    assert z.mean(0).tolist() == pytest.approx([0, 0], abs=0.1)
    assert z.std(0).tolist() == pytest.approx([1, 1], abs=0.1)


@pytest.mark.parametrize("kernel", ["hmc", "mala", "random_walk"])
def test_warming_up_finds_the_scales_and_the_acceptance(kernel):
    torch.manual_seed(0)
    scale = torch.tensor([0.01, 1.0, 100.0], dtype=torch.float64)
    target = Target(lambda x: -0.5 * (x / scale).square().sum(1))
    state = init(torch.rand(64, 3, dtype=torch.float64), target)
    state, step, _ = tune(state, target, kernel, 400 if kernel != "hmc" else 150)
    places, accept = [], []
    for _ in range(300):
        state, info = step(state)
        places.append(state.position)
        accept.append(float(info.accept.mean()))
    assert (torch.cat(places).std(0) / scale).tolist() == pytest.approx([1, 1, 1], abs=0.15)
    assert sum(accept) / 300 == pytest.approx({"hmc": 0.88, "mala": 0.6, "random_walk": 0.25}[kernel], abs=0.12)


def test_windows_and_lengths_use_the_whole_budget():
    assert all(sum(windows(n)) == n for n in (50, 100, 157, 1000))
    assert [leaps_for(i, 0.1) for i in (1, 2, 3)] == [round(math.pi / 2 * (0.6 + 0.8 * halton(i)) / 0.1) for i in (1, 2, 3)]
    assert ladder(5)[0] == 1
    assert pooled_metric(torch.randn(8, 3, dtype=torch.float64)).covariance.dim() == 1  # too few for a matrix


@pytest.mark.parametrize(
    "said", ["positive 3", "simplex 4", (0, 2), (-1.0, math.inf, 2), (-math.inf, 5), 3, Parameter(2, high=1.0)]
)
def test_freeing_inverts_and_knows_its_volume(said):
    torch.manual_seed(0)
    free = Free([parameter(said), Parameter()])
    z = torch.randn(6, free.size, dtype=torch.float64)
    x, log_det = free.inverse(z)
    back, log_back = free(x)
    assert torch.allclose(back, z)
    assert torch.allclose(log_back, -log_det)
    rows = free.size  # of a simplex the last share follows from the others
    keep = [i for i in range(x.shape[1]) if not (free.blocks[0].simplex and i == free.blocks[0].size - 1)]
    for i in range(6):
        jacobian = torch.autograd.functional.jacobian(lambda u: free.inverse(u[None])[0][0, keep], z[i])
        assert jacobian.shape == (rows, rows)
        assert float(torch.linalg.slogdet(jacobian)[1]) == pytest.approx(float(log_det[i]), abs=1e-8)
