"""Posterior: known answers through every door, bounded parameters, and a verdict that refuses what has not converged."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torch import Tensor

from genus import Gaussian, GaussianMixture, Posterior
from genus.errors import DataError, UsageError

QUICK = {"chains": 64, "warmup": 60, "draws": 100}


def normal(x: Tensor) -> Tensor:
    return -0.5 * ((x - 3) / 2).square().sum(1)


def funnel(x: Tensor) -> Tensor:
    """Neal's: v ~ N(0, 3²), each other ~ N(0, e^v)."""
    v, rest = x[:, :1], x[:, 1:]
    return -0.5 * (v[:, 0] / 3).square() - 0.5 * (rest.square() * torch.exp(-v)).sum(1) - 0.5 * rest.shape[1] * v[:, 0]


def within(chains: Posterior, mean: list[float], sd: list[float]) -> None:
    """Means and deviations within four of their own Monte-Carlo errors, and a verdict in favour."""
    table = chains.summary()
    assert chains.converged_, chains.reasons_
    assert (np.abs(table["mean"] - mean) < 4 * table["mcse_mean"]).all(), table
    assert (np.abs(table["sd"] - sd) < 4 * table["mcse_sd"]).all(), table


@pytest.mark.parametrize(
    "kernel", ["hmc", "nuts", "mala", "random_walk", "independence", "slice", "slice_within_gibbs", "ensemble", "tempering"]
)
def test_every_kernel_finds_a_normal_and_says_it_did(kernel):
    more = {"ensemble": 250, "mala": 200, "random_walk": 200, "slice": 150}.get(kernel, 100)
    chains = Posterior(log_density=normal, parameters=2, kernel=kernel, temperatures=3, **(QUICK | {"draws": more})).fit()
    within(chains, [3, 3], [2, 2])


def test_bounded_parameters_have_the_laws_of_their_names():
    alpha = torch.tensor([2.0, 1.0, 3.0], dtype=torch.float64)

    def log_density(x: Tensor) -> Tensor:
        share, rate, where = x[:, 0], x[:, 1], x[:, 2:]
        beta = share.log() + 4 * torch.log1p(-share)
        return beta + 2 * rate.log() - 2 * rate + ((alpha - 1) * where.log()).sum(1)

    kinds = {"share": (0, 1), "rate": "positive", "where": "simplex 3"}
    chains = Posterior(log_density=log_density, parameters=kinds, **(QUICK | {"draws": 200})).fit()
    laws = [stats.beta(2, 5), stats.gamma(3, scale=0.5), stats.beta(2, 4), stats.beta(1, 5), stats.beta(3, 3)]
    within(chains, [law.mean() for law in laws], [law.std() for law in laws])
    assert list(chains.sample(3).columns) == ["share", "rate", "where[0]", "where[1]", "where[2]"]
    assert chains.draws_[..., 2:].sum(2) == pytest.approx(1)
    thin = chains.draws_[::20].reshape(-1, 5)
    assert min(stats.kstest(thin[:, i], law.cdf).pvalue for i, law in enumerate(laws)) > 1e-3


def test_a_prior_and_a_likelihood_meet_the_data():
    data = torch.from_numpy(np.random.default_rng(0).normal(2, 1, 20))

    def prior(x: Tensor) -> Tensor:
        return -0.5 * x[:, 0].square() / 4

    def likelihood(x: Tensor, data: Tensor) -> Tensor:
        return -0.5 * (data - x).square().sum(1)

    chains = Posterior(log_prior=prior, log_likelihood=likelihood, parameters={"mu": 1}, **QUICK).fit(data)
    precision = 20 + 1 / 4
    within(chains, [float(data.sum()) / precision], [precision**-0.5])


def test_functions_of_arrays_and_gradients_by_hand():
    def plain(x: np.ndarray) -> np.ndarray:
        return -0.5 * np.square((np.asarray(x) - 3) / 2).sum(axis=1)

    assert Posterior(log_density=plain, parameters=1, **QUICK).fit().kernel_ == "ensemble"
    by_hand = Posterior(log_density=plain, gradient=lambda x: -(x - 3) / 4, parameters=2, **QUICK).fit()
    assert by_hand.kernel_ == "hmc"
    within(by_hand, [3, 3], [2, 2])
    positive = {"a": "positive"}
    given, auto = (
        Posterior(log_density=lambda x: -x.square().sum(1) / 2, gradient=g, parameters=positive, **QUICK).fit()
        for g in (lambda x: -x, None)
    )
    assert given.draws_ == pytest.approx(auto.draws_, rel=1e-6)
    with pytest.raises(UsageError, match="needs a gradient"):
        Posterior(log_density=plain, parameters=1, kernel="hmc").fit()


def test_gibbs_with_full_conditionals():
    rho = 0.6

    def first(x: Tensor) -> Tensor:
        return torch.stack([rho * x[:, 1] + math.sqrt(1 - rho**2) * torch.randn(len(x), dtype=x.dtype), x[:, 1]], 1)

    def second(x: Tensor) -> Tensor:
        return first(x.flip(1)).flip(1)

    chains = Posterior(conditionals=[first, second], parameters=2, **(QUICK | {"draws": 300})).fit()
    within(chains, [0, 0], [1, 1])
    assert np.corrcoef(chains.draws_.reshape(-1, 2).T)[0, 1] == pytest.approx(rho, abs=0.02)


def test_chains_draw_from_a_fitted_model_in_the_type_of_its_data():
    X = np.random.default_rng(0).normal(size=(300, 2)) @ [[1, 2], [0, 1]] + 5
    for model in (Gaussian().fit(X), GaussianMixture(components=2).fit(X)):
        chains = Posterior(log_density=model, **QUICK).fit()
        drawn = chains.sample(5000, seed=0)
        assert drawn.shape == (5000, 2)
        assert drawn.mean(0) == pytest.approx(X.mean(0), abs=0.15)
        assert np.cov(drawn.T) == pytest.approx(np.cov(X.T), abs=0.4)


def test_the_centred_funnel_is_reported_as_not_converged_and_the_other_as_converged():
    centred = Posterior(log_density=funnel, parameters=10, **QUICK).fit()
    assert not centred.converged_
    assert any("R-hat" in reason or "diverged" in reason for reason in centred.reasons_)
    scale = torch.tensor([3.0] + [1] * 9)
    freed = Posterior(log_density=lambda x: -0.5 * (x / scale).square().sum(1), parameters=10, **QUICK).fit()
    within(freed, [0] * 10, [3] + [1] * 9)


def two_hills(x: Tensor) -> Tensor:
    return torch.logsumexp(torch.stack([-0.5 * (x - 8).square().sum(1) + math.log(0.3), -0.5 * (x + 8).square().sum(1)]), 0)


def test_hills_apart_are_refused_by_hmc_and_weighed_by_tempering_and_annealing():
    plain = Posterior(log_density=two_hills, parameters=1, start=np.linspace(-9, 9, 64)[:, None], **QUICK).fit()
    assert not plain.converged_
    share = 0.3 / 1.3
    for kernel, tolerance in (("tempering", 0.04), ("smc", 0.04)):
        chains = Posterior(log_density=two_hills, parameters=1, kernel=kernel, temperatures=5, **(QUICK | {"draws": 200})).fit()
        assert (chains.draws_ > 0).mean() == pytest.approx(share, abs=tolerance), kernel
    estimate, error = chains.log_evidence_
    assert estimate == pytest.approx(math.log(1.3 * math.sqrt(2 * math.pi)), abs=max(0.1, 4 * error))


def test_a_seed_decides_and_the_global_generator_stays():
    before = torch.get_rng_state()
    once, again, other = (Posterior(log_density=normal, parameters=2, seed=s, **QUICK).fit() for s in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert (once.draws_ == again.draws_).all()
    assert (once.draws_ != other.draws_).any()
    assert (once.sample(7, seed=0) == again.sample(7, seed=0)).all()
    assert len(once.sample(20_000)) == 20_000


def test_the_plots_are_pictures(tmp_path):
    chains = Posterior(log_density=normal, parameters={"a": 2}, **QUICK).fit()
    assert b"<svg" in chains.plot()
    chains.plot(tmp_path / "trace.png")
    assert (tmp_path / "trace.png").read_bytes().startswith(b"\x89PNG")
    assert isinstance(chains.sample(2), pd.DataFrame)


def test_trouble_is_told_in_one_sentence():
    def told(kind, match: str, **fields) -> None:
        with pytest.raises(kind, match=match):
            Posterior(**(QUICK | fields)).fit()

    told(UsageError, "return one number a row", log_density=lambda x: -x.square(), parameters=2)
    told(UsageError, "return one number a row", log_density=lambda x: -x.square().sum(), parameters=2)
    told(DataError, "not finite", log_density=lambda x: x.sum(1) * torch.nan, parameters=2)
    told(UsageError, "Did you mean 'slice'", log_density=normal, parameters=2, kernel="slize")
    told(UsageError, "describes no parameter", log_density=normal, parameters={"a": "positiv"})
    told(UsageError, "Say how many numbers", log_density=normal)
    told(UsageError, "log_likelihood", parameters=2)
    told(UsageError, r"start has shape \(3, 2\)", log_density=normal, parameters=2, start=np.zeros((3, 2)))
    told(UsageError, "not finite at start", log_density=lambda x: x[:, 0].log(), parameters=1, start=[-5.0])
    told(UsageError, "needs more than", log_density=normal, parameters=40, kernel="ensemble")
    told(UsageError, "conditionals", log_density=normal, parameters=2, kernel="gibbs")
    told(UsageError, "chains=0", log_density=normal, parameters=2, chains=0)
    table = pd.DataFrame({"a": [1, 2, 1], "b": list("xyx")})
    from genus import Marginals

    told(UsageError, "Chains need real items", log_density=Marginals().fit(table))


def test_a_density_that_cannot_be_normalised_or_breaks_on_the_way_is_not_believed():
    few = {"parameters": 1, "chains": 16, "warmup": 20, "draws": 30}
    flat = Posterior(log_density=lambda x: 0 * x.sum(1), **few).fit()
    assert not flat.converged_
    holes = Posterior(log_density=lambda x: torch.where(x[:, 0] > 6, torch.nan, normal(x)), **few).fit()
    assert any("diverged" in reason for reason in holes.reasons_)
    assert np.isfinite(holes.draws_).all()
