"""MixedNetwork: the graph of known data, densities that integrate, completion by enumeration, interventions, exact counts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from genus import BayesianNetwork, GaussianNetwork, MixedNetwork
from genus.errors import UsageError
from genus.maths.conditionalgaussian import ConditionalGaussian, Regression
from genus.maths.mixedscores import MixedScores
from genus.maths.network import Network
from genus.space import Items, Mixed, Space

VIEW = Mixed((("s", Space("category", (), 2)), ("t", Space("category", (), 3)), ("u", Space("real")), ("v", Space("real"))))
ARCS = [("s", "t"), ("s", "u"), ("t", "v"), ("u", "v")]
f64 = torch.float64


def truth() -> ConditionalGaussian:
    """s → t, s → u, (t, u) → v."""
    tables = [torch.tensor([0.3, 0.7], dtype=f64), torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.3, 0.6]], dtype=f64)]
    net = Network(["s", "t"], [["a", "b"], ["x", "y", "z"]], [(), (0,)], tables)
    u = Regression(
        (0,), (), torch.tensor([-1.0, 1.0], dtype=f64), torch.zeros(2, 0, dtype=f64), torch.tensor([0.5, 1.0], dtype=f64)
    )
    slopes = torch.tensor([[1.0], [-1.0], [0.5]], dtype=f64)
    v = Regression((1,), (0,), torch.tensor([0.0, 2.0, -2.0], dtype=f64), slopes, torch.tensor([0.3, 0.2, 0.4], dtype=f64))
    return ConditionalGaussian(net, ["u", "v"], [u, v])


def rows(n: int, seed: int = 0) -> torch.Tensor:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        codes, reals = truth().sample(n)
    return torch.cat([codes.float(), reals.float()], 1)


@pytest.fixture(scope="module")
def model() -> MixedNetwork:
    return MixedNetwork().fit(Items(rows(6000), VIEW))


def test_the_graph_and_the_law_are_found(model):
    place = {name: str(i) for i, name in enumerate("stuv")}
    assert {frozenset(e) for e in model.network().edges} == {frozenset((place[a], place[b])) for a, b in ARCS}
    fresh = rows(20_000, 5)
    exact = truth().log_prob(fresh[:, :2].long(), fresh[:, 2:].double()).mean()
    assert float(exact) - 0.01 < model.score(Items(fresh, VIEW)) < float(exact) + 0.01
    drawn = model.sample(20_000, seed=0).x
    for t in range(3):
        mine, theirs = drawn[drawn[:, 1] == t], fresh[fresh[:, 1] == t]
        np.testing.assert_allclose(mine.mean(0), theirs.mean(0), atol=0.12)
        np.testing.assert_allclose(np.cov(mine[:, 2:].T), np.cov(theirs[:, 2:].T), atol=0.2)


def test_scores_are_those_of_regressions_in_each_state():
    x = rows(800).double().numpy()
    codes, reals = x[:, :2].astype(int), x[:, 2:]
    scores = MixedScores(codes, [2, 3], reals, np.zeros(800, int), prior=1e-9)
    scores.pairs()
    for switches, above in (([], []), ([], [0]), ([1], []), ([0, 1], []), ([1], [0]), ([0, 1], [0])):
        truth = 0.0
        for state in {tuple(c) for c in codes[:, switches]}:
            mine = (codes[:, switches] == state).all(1)
            design = np.column_stack([np.ones(mine.sum()), reals[mine][:, above]])
            rest = reals[mine, 1] - design @ np.linalg.lstsq(design, reals[mine, 1])[0]
            truth -= mine.sum() / 2 * (np.log(2 * np.pi * rest.var()) + 1)
        truth -= 0.5 * np.log(800) * np.prod([(2, 3)[s] for s in switches]) * (len(above) + 2)
        parents = [*switches, *(2 + p for p in above)]
        mask = sum(1 << p for p in parents)
        assert scores.family(3, mask) == pytest.approx(truth, abs=1e-4)
        for p in parents:
            assert scores.sweep(3, mask & ~(1 << p))[p] == pytest.approx(truth, abs=1e-4)


def test_the_density_is_one_in_all():
    net = truth()
    grid = torch.linspace(-9, 9, 181, dtype=f64)
    u, v = torch.meshgrid(grid, grid, indexing="ij")
    reals = torch.stack([u.flatten(), v.flatten()], 1)
    total = sum(
        net.log_prob(torch.tensor([[s, t]]).expand(len(reals), 2), reals).exp().sum() * 0.01 for s in range(2) for t in range(3)
    )
    assert float(total) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("grid", [4096, 1])
def test_discrete_cells_are_completed_by_what_the_real_ones_say(grid, monkeypatch):
    """p(s, t | v = 1) against quadrature over u; exactly, and by importance sampling where the states are too many."""
    monkeypatch.setattr("genus.maths.conditionalgaussian.GRID", grid)
    net, n = truth(), 10_000 if grid > 1 else 400
    u = torch.linspace(-8, 8, 801, dtype=f64)
    reals = torch.stack([u, torch.ones_like(u)], 1)
    p = torch.stack([net.log_prob(torch.tensor([[s, t]]).expand(801, 2), reals).exp().sum() for s in range(2) for t in range(3)])
    p = p / p.sum()
    torch.manual_seed(0)
    seen = torch.zeros(n, 2, dtype=torch.bool), torch.tensor([[False, True]]).expand(n, 2)
    codes, found = net.complete(torch.zeros(n, 2, dtype=torch.long), torch.ones(n, 2, dtype=f64), seen)
    share = torch.bincount(codes[:, 0] * 3 + codes[:, 1], minlength=6) / n
    assert float((share - p).abs().max()) < (0.012 if grid > 1 else 0.06)
    mine = found[(codes[:, 0] == 1) & (codes[:, 1] == 1), 0]
    gain = -1 / (1 + 0.2)
    assert float(mine.mean()) == pytest.approx(1 + gain * (1 - (2 - 1)), abs=0.12)
    assert float(mine.var()) == pytest.approx(1 - 1 / 1.2, rel=0.35)


def test_the_prior_of_what_was_asked_is_not_forgotten():
    """No known real cell: discrete cells as the tables say, reals forward."""
    net = truth()
    torch.manual_seed(1)
    seen = torch.tensor([[False, True]]).expand(9000, 2), torch.zeros(9000, 2, dtype=torch.bool)
    codes, found = net.complete(torch.full((9000, 2), 2), torch.zeros(9000, 2, dtype=f64), seen)
    assert float((codes[:, 0] == 1).double().mean()) == pytest.approx(0.42 / 0.48, abs=0.015)
    assert float(found[codes[:, 0] == 0, 0].mean()) == pytest.approx(-1, abs=0.06)


def frame(n: int = 3000, seed: int = 0) -> pd.DataFrame:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        codes, reals = truth().sample(n)
    words = {"s": np.array(["a", "b"])[codes[:, 0]], "t": np.array(["x", "y", "z"])[codes[:, 1]]}
    return pd.DataFrame(words | {"u": reals[:, 0].numpy(), "v": reals[:, 1].numpy()})


def test_a_table_beats_bins_where_the_law_is_linear_and_normal():
    """Continuous columns: an exact density in user units, better than groups of levels, close to the truth's."""
    train, test = frame(), frame(2000, 9)
    model = MixedNetwork().fit(train)
    assert model.exact
    found = model.score(test)
    assert found > BayesianNetwork().fit(train).score(test) + 0.05
    codes = [["ab".index(s), "xyz".index(t)] for s, t in zip(test["s"], test["t"], strict=True)]
    exact = float(truth().log_prob(torch.tensor(codes), torch.from_numpy(test[["u", "v"]].to_numpy())).mean())
    assert exact - 0.03 < found < exact


def test_an_intervention_differs_from_an_observation():
    model = MixedNetwork(structure="given", edges=ARCS).fit(frame())
    seen, done = model.sample(4000, given={"u": 2.0}, seed=0), model.do({"u": 2.0}).sample(4000, seed=0)
    np.testing.assert_allclose(done["u"], 2.0, atol=1e-3)
    assert (done["s"] == "b").mean() == pytest.approx(0.7, abs=0.03)
    assert (seen["s"] == "b").mean() > 0.95
    fixed = model.do({"t": "y"}).sample(4000, seed=0)
    assert set(fixed["t"]) == {"y"}
    assert (fixed["s"] == "b").mean() == pytest.approx(0.7, abs=0.03)
    with pytest.raises(UsageError, match="no density"):
        model.do({"u": 2.0}).log_prob(frame(10))


def test_reals_alone_are_a_gaussian_network():
    x = rows(500)[:, 2:].numpy()
    both = [cls(structure="given", edges=[("0", "1")], prior=1e-6).fit(x) for cls in (MixedNetwork, GaussianNetwork)]
    np.testing.assert_allclose(both[0].log_prob(x), both[1].log_prob(x), atol=1e-3)


def test_halves_of_the_data_add_up(model):
    x = rows(6000)
    sums = model.summarize(Items(x[:1000], VIEW)) + model.summarize(Items(x[1000:], VIEW))
    again = MixedNetwork().fit(Items(x, VIEW)).update(sums)
    np.testing.assert_allclose(again.log_prob(Items(x[:20], VIEW)), model.log_prob(Items(x[:20], VIEW)), atol=1e-8)


def test_wrong_arguments_are_told():
    wrong = (
        ("form a cycle, s → t → s", {"edges": [("s", "t"), ("t", "s")]}),
        ("leads from a real cell to a discrete one", {"edges": [("u", "s")]}),
        ("needs edges", {"structure": "given"}),
        ("no column of the network", {"edges": [("s", "w")]}),
    )
    for message, fields in wrong:
        with pytest.raises(UsageError, match=message):
            MixedNetwork(**fields).fit(frame(200))
