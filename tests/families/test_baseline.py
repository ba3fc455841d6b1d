"""Baselines: copies are copies, marginals integrate to one, a normal's formula and its conditional are exact."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from genus import Gaussian, Marginals, Resample
from genus.errors import DataError, UsageError


def test_resample_draws_training_items_of_the_label_asked_for():
    X = np.arange(60.0).reshape(30, 2)
    y = [("odd", "even")[i % 2] for i in range(30)]
    drawn = Resample().fit(X, y).sample(200, y="even", seed=0).round(4)
    assert np.isin(drawn, X[1::2]).all()
    assert len(np.unique(drawn[:, 0])) == 15


def test_marginals_of_pixels_sum_to_one():
    rng = np.random.default_rng(0)
    X = (rng.random((50, 2, 2)) < [[0.2, 0.5], [0.7, 0.9]]).astype(bool)
    model = Marginals().fit(X)
    every = np.array(list(itertools.product([False, True], repeat=4))).reshape(16, 2, 2)
    assert model.exact
    assert np.exp(model.log_prob(every)).sum() == pytest.approx(1)


def test_marginals_of_strings_sum_to_one_over_strings():
    model = Marginals().fit(["ab", "b", "aa", "ba", ""])
    every = ["".join(s) for n in range(3) for s in itertools.product("ab", repeat=n)]
    whole = np.exp(model.log_prob(every)).sum()
    assert 0.9 < whole <= 1 + 1e-6  # the rest is smoothing's share of strings too long to write down


def test_marginals_of_numbers_integrate_to_one_and_reach_everywhere():
    rng = np.random.default_rng(0)
    model = Marginals().fit(np.c_[rng.exponential(2, 500), rng.normal(size=500)])
    grid = np.linspace(-30, 50, 40001)
    column = np.c_[grid, np.zeros(len(grid))]
    density = np.exp(model.log_prob(column))
    other = np.exp(model.log_prob(np.c_[np.zeros(len(grid)), grid]))
    at_zero = np.exp(model.log_prob(np.zeros((1, 2))))[0]
    assert density.sum() * (grid[1] - grid[0]) * (other.sum() * (grid[1] - grid[0])) == pytest.approx(at_zero, rel=0.02)
    assert np.isfinite(model.log_prob([[1e3, -1e3]])).all()


def test_marginals_have_the_right_means_and_no_dependence():
    rng = np.random.default_rng(0)
    a = rng.gamma(2, size=4000)
    drawn = Marginals().fit(np.c_[a, a + 0.1 * rng.normal(size=4000)]).sample(20000, seed=0)
    assert drawn.mean(0) == pytest.approx([2, 2], abs=0.1)
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.03


def test_the_normal_density_is_scipys_in_the_users_units():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3)) @ rng.normal(size=(3, 3)) * [1, 10, 100] + [5, 0, -5]
    model = Gaussian(shrinkage=0).fit(X)
    truth = stats.multivariate_normal(X.mean(0), np.cov(X.T, bias=True)).logpdf(X)
    assert model.log_prob(X) == pytest.approx(truth, abs=1e-3)


def test_the_normal_completes_by_its_exact_conditional():
    rng = np.random.default_rng(0)
    S = np.array([[1, 0.8, 0.2], [0.8, 1, 0.5], [0.2, 0.5, 1]])
    model = Gaussian(shrinkage=0).fit(rng.multivariate_normal([0, 0, 0], S, 50_000))
    filled = model.complete(np.tile([1.0, np.nan, -1.0], (20_000, 1)), seed=0)
    gain = S[1, [0, 2]] @ np.linalg.inv(S[np.ix_([0, 2], [0, 2])])
    assert (filled[:, [0, 2]] == [1, -1]).all()
    assert filled[:, 1].mean() == pytest.approx(gain @ [1, -1], abs=0.03)
    assert filled[:, 1].var() == pytest.approx(1 - gain @ S[[0, 2], 1], abs=0.03)


def test_shrinkage_grows_as_items_become_few():
    rng = np.random.default_rng(0)
    X, fresh = rng.normal(size=(30, 25)), rng.normal(size=(500, 25))
    assert Gaussian().fit(X).score(fresh) > Gaussian(shrinkage=0.01).fit(X).score(fresh) + 1


def test_numbers_as_a_condition_are_refused_and_unseen_pairs_too():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 2))
    with pytest.raises(UsageError, match="numbers"):
        Gaussian().fit(X, rng.normal(size=100))
    pairs = {"a": ["x", "y"] * 50, "b": ["u", "v"] * 50}
    with pytest.raises(DataError, match="did not occur"):
        Gaussian().fit(X, pairs).sample(2, y={"a": "x", "b": "v"})
