"""GaussianMixture: equal to scikit-learn's from an equal start, exact conditionals, and sensible when in trouble."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.mixture import BayesianGaussianMixture
from sklearn.mixture import GaussianMixture as Peer

from genus import GaussianMixture
from genus.errors import DataError, UsageError
from genus.maths import mixing


def blobs(n: int = 600, d: int = 3, k: int = 3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(k, d)) * 4)[rng.integers(0, k, n)] + rng.normal(size=(n, d)) * np.linspace(0.5, 2, d)


def peer(X: np.ndarray, means: np.ndarray, covariance: str, steps: int) -> Peer:
    """scikit-learn's fit from the same start: every row to its nearest mean in standardised units."""
    near = (((X[:, None] - means) / X.std(0)) ** 2).sum(2).argmin(1)
    groups = [X[near == j] for j in range(len(means))]
    full = np.stack([np.cov(g.T, bias=True) for g in groups])
    share = np.array([len(g) for g in groups]) / len(X)
    precisions = {
        "full": lambda: np.linalg.inv(full),
        "tied": lambda: np.linalg.inv((share[:, None, None] * full).sum(0)),
        "diag": lambda: 1 / np.diagonal(full, axis1=1, axis2=2),
    }[covariance]()
    start = {"weights_init": share, "means_init": np.stack([g.mean(0) for g in groups]), "precisions_init": precisions}
    return Peer(len(means), covariance_type=covariance, max_iter=steps, tol=0, reg_covar=0, **start).fit(X)


@pytest.mark.parametrize("covariance", ["full", "tied", "diag"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_it_equals_scikit_learn_from_the_same_start(covariance):
    X = blobs()
    means = X[:3]
    ours = GaussianMixture(means=means, covariance=covariance, steps=7, tol=0, regularise=0).fit(X)
    theirs = peer(X, means, covariance, 7)
    assert ours.log_prob(X) == pytest.approx(theirs.score_samples(X), abs=1e-4)


@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
def test_the_likelihood_never_falls(covariance):
    model = GaussianMixture(components=4, covariance=covariance, init="random", steps=30, tol=0, regularise=0, dtype="float64")
    climb = [row["log_prob"] for row in model.fit(blobs()).history_]
    assert (np.diff(climb) > -1e-9).all()


def test_the_density_integrates_to_one_in_the_users_units():
    X = blobs(300, 2, 2) * [1, 50]
    model = GaussianMixture(components=2).fit(X)
    a, b = np.linspace(X[:, 0].min() - 5, X[:, 0].max() + 5, 300), np.linspace(X[:, 1].min() - 300, X[:, 1].max() + 300, 300)
    grid = np.stack(np.meshgrid(a, b), -1).reshape(-1, 2)
    assert np.exp(model.log_prob(grid)).sum() * (a[1] - a[0]) * (b[1] - b[0]) == pytest.approx(1, abs=0.01)


def test_the_number_of_components_is_found():
    angles = np.random.default_rng(0).integers(0, 8, 2000) * np.pi / 4
    X = np.c_[np.cos(angles), np.sin(angles)] * 2 + 0.1 * np.random.default_rng(1).normal(size=(2000, 2))
    assert GaussianMixture().fit(X).mean_.shape[1] == 8


def test_completion_picks_the_component_the_known_part_points_to():
    rng = np.random.default_rng(0)
    side = rng.integers(0, 2, 4000)
    X = np.c_[side * 10.0, np.where(side == 1, 3.0, -3.0)] + rng.normal(size=(4000, 2)) * 0.5
    filled = GaussianMixture(components=2).fit(X).complete(np.array([[10.0, np.nan]] * 500 + [[0.0, np.nan]] * 500), seed=0)
    assert filled[:500, 1].mean() == pytest.approx(3, abs=0.1)
    assert filled[500:, 1].mean() == pytest.approx(-3, abs=0.1)
    assert filled[:500, 1].std() == pytest.approx(0.5, abs=0.1)


def test_wide_and_narrow_arithmetic_agree(monkeypatch):
    x = torch.from_numpy(blobs(400, 5, 3)).float()
    x = (x - x.mean(0)) / x.std(0)
    index = torch.arange(400) % 3
    mixture = mixing.maximisation(mixing.hard_moments(x, index, 3, True), "full", 0.1)
    narrow, sums = mixing.expectation(x, mixture)
    monkeypatch.setattr(mixing, "WIDE", 0)
    wide, others = mixing.expectation(x, mixture)
    assert narrow == pytest.approx(wide, abs=1e-5)
    assert torch.allclose(sums.second, others.second, atol=1e-2)


def test_trouble_is_told_in_one_sentence():
    X = blobs(20)
    with pytest.raises(DataError, match="30 components but only 20"):
        GaussianMixture(components=30).fit(X)
    with pytest.raises(DataError, match="collapsed"):
        GaussianMixture(components=15, regularise=0, steps=50).fit(X)
    with pytest.raises(UsageError, match="covariance='ful'"):
        GaussianMixture(covariance="ful").fit(X)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="leave one out"):
        GaussianMixture(means=X[:2], components=3).fit(X)


def test_variational_components_fade_as_scikit_learns_do():
    X = blobs(900, seed=1)
    model = GaussianMixture(components=8, weights="dirichlet", steps=500, tol=1e-8, seed=2).fit(X)
    theirs = BayesianGaussianMixture(
        n_components=8, weight_concentration_prior=1e-2, weight_concentration_prior_type="dirichlet_distribution",
        mean_precision_prior=1.0, max_iter=2000, tol=1e-8, random_state=0,
    ).fit(X)  # fmt: skip
    kept = np.sort(theirs.weights_[theirs.weights_ > 0.01])
    assert np.sort(np.exp(model.log_weight_[0].numpy())) == pytest.approx(kept, abs=2e-3)
    assert GaussianMixture(components=8, steps=50, seed=2).fit(X).log_weight_.shape[1] == 8


def test_clusters_are_those_of_scikit_learn():
    X = blobs()
    ours = GaussianMixture(means=X[:3], steps=60, tol=1e-9, regularise=0).fit(X)
    theirs = peer(X, X[:3], "full", 60)
    assert ours.predict_proba(X) == pytest.approx(theirs.predict_proba(X), abs=1e-3)
    assert np.array_equal(ours.predict(X), theirs.predict(X))
    assert ours.bic(X) == pytest.approx(theirs.bic(X), rel=1e-5)
    assert ours.aic(X) == pytest.approx(theirs.aic(X), rel=1e-5)
