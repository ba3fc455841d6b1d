"""GaussianNetwork: the graph and regressions of known data, an exact density, completion by the joint normal, interventions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from genus import GaussianNetwork
from genus.errors import UsageError
from genus.maths.lineargaussian import NormalScores

ARCS = [("0", "2"), ("1", "2"), ("2", "3")]


def rows(n: int = 4000, seed: int = 0) -> np.ndarray:
    """0 → 2 ← 1, 2 → 3; 4 alone."""
    e = np.random.default_rng(seed).normal(size=(n, 5))
    c = 1 + 0.8 * e[:, 0] - 1.5 * e[:, 1] + 0.5 * e[:, 2]
    return np.stack([e[:, 0], e[:, 1], c, 2 * c + 0.3 * e[:, 3], 5 + e[:, 4]], 1)


@pytest.fixture(scope="module")
def model() -> GaussianNetwork:
    return GaussianNetwork().fit(rows())


def test_the_graph_and_its_coefficients_are_found():
    x = rows()
    found = GaussianNetwork().fit(x).network()
    assert set(found.edges) >= {("0", "2"), ("1", "2")}
    assert {frozenset(e) for e in found.edges} == {frozenset(e) for e in ARCS}
    given = GaussianNetwork(structure="given", edges=ARCS).fit(x)
    a, b = given.sample(40_000, seed=1), rows(40_000, seed=3)
    np.testing.assert_allclose(np.cov(a.T), np.cov(b.T), atol=0.25)
    np.testing.assert_allclose(a.mean(0), b.mean(0), atol=0.1)


def test_scores_are_those_of_least_squares():
    x = rows(500)
    c = np.cov(x.T, bias=True)
    scores = NormalScores([500], [c])
    for parents in ([], [0], [0, 1], [0, 1, 4]):
        design = np.column_stack([np.ones(500), x[:, parents]])
        rest = x[:, 2] - design @ np.linalg.lstsq(design, x[:, 2])[0]
        truth = -250 * (np.log(2 * np.pi * rest.var()) + 1) - 0.5 * np.log(500) * (len(parents) + 2)
        mask = sum(1 << p for p in parents)
        assert scores.family(2, mask) == pytest.approx(truth)
        if parents:
            assert scores.sweep(2, mask & ~(1 << parents[-1]))[parents[-1]] == pytest.approx(truth)


def test_a_complete_graph_is_the_normal_distribution():
    x = rows(800)
    arcs = [(str(i), str(j)) for j in range(5) for i in range(j)]
    model = GaussianNetwork(structure="given", edges=arcs, prior=1e-6).fit(x)
    truth = torch.distributions.MultivariateNormal(
        torch.from_numpy(x.mean(0)), torch.from_numpy(np.cov(x.T, bias=True))
    ).log_prob(torch.from_numpy(x[:50]))
    np.testing.assert_allclose(model.log_prob(x[:50]), truth, atol=1e-3)
    lone = GaussianNetwork(structure="given", edges=[]).fit(x)
    assert model.score(rows(2000, 5)) > lone.score(rows(2000, 5)) + 1


def test_completion_is_the_conditional(model):
    """E[x₂ | x₀, x₁, x₃] by least squares on fresh rows; spread likewise."""
    x = rows(20_000, 7)
    design = np.column_stack([np.ones(len(x)), x[:, [0, 1, 3, 4]]])
    b, rest, *_ = np.linalg.lstsq(design, x[:, 2])
    holed = x[:6000].copy()
    holed[:, 2] = np.nan
    filled = model.complete(holed, seed=0)
    np.testing.assert_allclose(filled[:, [0, 1, 3, 4]], holed[:, [0, 1, 3, 4]], rtol=1e-6)
    off = filled[:, 2] - design[:6000] @ b
    assert abs(off.mean()) < 0.01
    assert off.std() == pytest.approx(np.sqrt(rest[0] / len(x)), rel=0.06)


def test_an_intervention_differs_from_an_observation():
    frame = pd.DataFrame(rows(), columns=list("abcde"))
    model = GaussianNetwork(structure="given", edges=[("a", "c"), ("b", "c"), ("c", "d")]).fit(frame)
    value = float(frame["c"].quantile(0.95))
    seen, done = model.sample(4000, given={"c": value}, seed=0), model.do({"c": value}).sample(4000, seed=0)
    np.testing.assert_allclose(done["c"].to_numpy(), value, atol=1e-3)
    assert abs(done["b"].mean() - frame["b"].mean()) < 0.06
    assert seen["b"].mean() < frame["b"].mean() - 0.8
    assert abs(done["d"].mean() - seen["d"].mean()) < 0.1
    with pytest.raises(UsageError, match="no density"):
        model.do({"c": value}).log_prob(frame)


def test_a_label_is_a_discrete_parent():
    x = rows(3000)
    label = np.where(np.random.default_rng(0).random(3000) < 0.5, "up", "down")
    x[:, 3] = np.where(label == "up", 1.0, -1.0) * x[:, 0] + 0.1 * x[:, 3]
    model = GaussianNetwork().fit(x, label)
    signs = [np.corrcoef(model.sample(2000, y=v, seed=0).T)[0, 3] for v in ("up", "down")]
    assert signs[0] > 0.5
    assert signs[1] < -0.5
    assert model.score(x, label) > GaussianNetwork().fit(x).score(x) + 0.2


def test_halves_of_the_data_add_up(model):
    x = rows()
    sums = model.summarize(x[:1000]) + model.summarize(x[1000:])
    again = GaussianNetwork().fit(x).update(sums)
    np.testing.assert_allclose(again.log_prob(x[:20]), model.log_prob(x[:20]), atol=1e-8)


def test_constant_and_repeated_columns_are_regular():
    x = rows(300)
    x[:, 4], x[:, 1] = 7.0, x[:, 0]
    model = GaussianNetwork().fit(x)
    assert np.isfinite(model.log_prob(x)).all()
    assert np.isfinite(model.sample(50, seed=0)).all()


def test_wrong_arguments_are_told():
    wrong = (
        ("form a cycle", {"edges": [("0", "2"), ("2", "0")]}),
        ("no column", {"edges": [("0", "9")]}),
        ("prior=0 must be positive", {"prior": 0}),
        ("needs edges", {"structure": "given"}),
    )
    for message, fields in wrong:
        with pytest.raises(UsageError, match=message):
            GaussianNetwork(**fields).fit(rows(50))
