"""KernelDensity: equal to scikit-learn's, integrates to one, exact conditionals, bandwidths that beat the rules."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.neighbors import KernelDensity as Peer

from genus import KernelDensity
from genus.errors import DataError, UsageError
from genus.maths.kernel import NormalKernel, likeliest


def crescent(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 3, n)
    return np.c_[np.cos(angle), np.sin(angle) * 3] + 0.1 * rng.normal(size=(n, 2))


def test_it_equals_scikit_learn():
    X = np.random.default_rng(0).normal(size=(3000, 5))  # more centres than a block holds
    X = (X - X.mean(0)) / X.std(0)
    far = np.r_[X[:50] * 1.1, np.full((1, 5), 30.0)]
    ours = KernelDensity(bandwidth=0.4).fit(X).log_prob(far)
    assert ours == pytest.approx(Peer(bandwidth=0.4).fit(X).score_samples(far), abs=1e-3, rel=1e-6)
    assert ours[:50] == pytest.approx(Peer(bandwidth=0.4).fit(X).score_samples(far[:50]), abs=2e-5)


@pytest.mark.parametrize("bandwidth", ["likelihood", "scott", "silverman", 0.3])
def test_the_density_integrates_to_one_in_the_users_units(bandwidth):
    X = crescent(200, 0) * [1, 40]
    a, b = np.linspace(-3, 3, 300), np.linspace(-250, 350, 300)
    grid = np.stack(np.meshgrid(a, b), -1).reshape(-1, 2)
    mass = np.exp(KernelDensity(bandwidth=bandwidth).fit(X).log_prob(grid)).sum() * (a[1] - a[0]) * (b[1] - b[0])
    assert mass == pytest.approx(1, abs=0.01)


def test_the_likeliest_bandwidth_beats_the_rules_on_a_bent_shape():
    X, held = crescent(800, 0), crescent(800, 1)
    scores = {rule: KernelDensity(bandwidth=rule).fit(X).score(held) for rule in ("likelihood", "scott", "silverman")}
    assert scores["likelihood"] > max(scores["scott"], scores["silverman"]) + 0.1
    widths = [KernelDensity(bandwidth=h).fit(X).score(held) for h in np.linspace(0.02, 0.6, 30)]
    assert scores["likelihood"] > max(widths) - 0.03


def test_leaving_out_climbs_the_likelihood():
    x = torch.from_numpy(crescent(300, 0))
    kernel, values = NormalKernel(torch.ones(2, dtype=torch.float64)), []
    for _ in range(15):
        value, kernel = kernel.refit(x, x, torch.arange(300))
        values.append(value)
    assert (np.diff(values) > -1e-5).all()
    apart = (x[:, None] - x) / kernel.bandwidth
    log_k = -0.5 * (apart.square().sum(2) + 2 * np.log(2 * np.pi)) - kernel.bandwidth.log().sum()
    plain = torch.logsumexp(log_k.fill_diagonal_(-torch.inf), 1) - np.log(299)
    assert kernel.refit(x, x, torch.arange(300))[0] == pytest.approx(float(plain.mean()), abs=1e-4)
    assert likeliest(kernel, x, rows=300, centres=300).refit(x, x, torch.arange(300))[0] >= values[-1] - 1e-5


def test_repeated_values_do_not_drive_the_bandwidth_to_nothing():
    X = np.random.default_rng(0).integers(0, 3, (300, 2)).astype(float)
    model = KernelDensity().fit(X)
    assert float(model.bandwidth_.min()) > 0.01
    assert np.isfinite(model.log_prob(X)).all()


def test_completion_follows_the_known_part():
    X = crescent(2000, 0)
    model = KernelDensity().fit(X)
    filled = model.complete(np.array([[1.0, np.nan]] * 1000), seed=0)[:, 1]
    high = np.linspace(-2, 5, 2000)
    density = np.exp(model.log_prob(np.c_[np.ones(2000), high]))
    density /= density.sum()
    mean = (density * high).sum()
    deviation = np.sqrt((density * (high - mean) ** 2).sum())
    assert filled.mean() == pytest.approx(mean, abs=4 * deviation / np.sqrt(1000))
    assert filled.std() == pytest.approx(deviation, rel=0.15)


def table(n: int = 150) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    job = rng.choice(["cook", "pilot", None], n, p=[0.5, 0.3, 0.2])
    rank = np.where(job == "cook", rng.integers(0, 2, n), rng.integers(1, 4, n))
    return pd.DataFrame({"job": job, "rank": pd.Categorical(rank, categories=range(4), ordered=True)})


def test_a_tables_probabilities_sum_to_one_and_conditionals_are_exact():
    frame = table()
    model = KernelDensity().fit(frame)
    every = pd.DataFrame(list(itertools.product(["cook", "pilot", None], range(4))), columns=["job", "rank"])
    every["rank"] = pd.Categorical(every["rank"], categories=range(4), ordered=True)
    p = np.exp(model.log_prob(every)).reshape(3, 4)
    assert p.sum() == pytest.approx(1, abs=1e-5)
    holed = pd.DataFrame({"job": [None] * 4000, "rank": pd.Categorical([1] * 4000, categories=range(4), ordered=True)})
    filled = model.complete(holed, seed=0)["job"]
    assert not filled.isna().any()
    assert (filled == "cook").mean() == pytest.approx(p[0, 1] / p[:2, 1].sum(), abs=0.03)  # given that it is not missing
    drawn = model.sample(8000, seed=0)
    often = [((drawn["job"] == "cook") & (drawn["rank"] == r)).mean() for r in range(4)]
    assert often == pytest.approx(p[0], abs=0.02)


def test_trouble_is_told_in_one_sentence():
    X = crescent(30, 0)
    with pytest.raises(UsageError, match="Did you mean 'scott'"):
        KernelDensity(bandwidth="scot").fit(X)
    with pytest.raises(UsageError, match="must be positive"):
        KernelDensity(bandwidth=0).fit(X)
    with pytest.raises(UsageError, match="3 numbers for 2 entries"):
        KernelDensity(bandwidth=[1, 2, 3]).fit(X)
    with pytest.raises(UsageError, match="at most 1"):
        KernelDensity(bandwidth=2).fit(table())
    with pytest.raises(DataError, match="NaN"):
        KernelDensity().fit(np.array([[1.0, np.nan]] * 5))
