"""BayesianNetwork: exact probabilities, completion by the exact conditional, explanations, interventions, and its refusals."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from genus import BayesianNetwork, Model
from genus.data.bif import parse_bif, write_bif
from genus.errors import MissingExtra, UsageError


def weather(n: int = 3000, seed: int = 0, missing: float = 0.0) -> pd.DataFrame:
    """season → rain → wet, and a temperature that follows the season."""
    rng = np.random.default_rng(seed)
    season = rng.choice(["summer", "winter", "spring"], n, p=[0.3, 0.3, 0.4])
    rain = rng.random(n) < np.select([season == "summer", season == "winter"], [0.1, 0.7], 0.4)
    wet = np.where(rng.random(n) < 0.9, rain, rng.random(n) < 0.2)
    warmth = np.round(rng.normal(np.select([season == "summer", season == "winter"], [25.0, 2.0], 12.0), 4), 1)
    frame = pd.DataFrame({"season": season, "rain": rain, "wet": wet, "warmth": warmth})
    frame["wet"] = frame["wet"].map({True: "yes", False: "no"})
    frame.loc[rng.random(n) < missing, "wet"] = None
    return frame


@pytest.fixture(scope="module")
def model() -> BayesianNetwork:
    return BayesianNetwork().fit(weather())


def test_the_probabilities_of_all_rows_sum_to_one():
    frame = weather().drop(columns="warmth")
    model = BayesianNetwork().fit(frame)
    every = pd.DataFrame(
        list(itertools.product(["summer", "winter", "spring"], [True, False], ["yes", "no"])), columns=frame.columns
    )
    p = np.exp(model.log_prob(every))
    assert p.sum() == pytest.approx(1, abs=1e-9)
    drawn = model.sample(60_000, seed=0).value_counts(normalize=True)
    assert np.abs([drawn[tuple(row)] - q for row, q in zip(every.values, p, strict=True)]).max() < 0.008


def test_a_numbers_probabilities_sum_to_one_though_it_enters_in_groups(model):
    inside = weather()["warmth"]
    grid = np.round(np.arange(inside.min(), inside.max() + 0.05, 0.1), 1)
    rows = pd.DataFrame(list(itertools.product(["summer", "winter", "spring"], [True, False], ["yes", "no"], grid)))
    rows.columns = weather(2).columns
    assert np.exp(model.log_prob(rows)).sum() == pytest.approx(1, abs=1e-6)


def test_it_learns_what_depends_on_what(model):
    found = {frozenset(edge) for edge in model.network().edges}
    assert found == {frozenset(edge) for edge in (("season", "rain"), ("rain", "wet"), ("season", "warmth"))}


def test_a_tree_and_independence_are_beaten():
    frame, held = weather(), weather(seed=1)
    scores = [
        BayesianNetwork(structure=s, edges=e).fit(frame).score(held) for s, e in (("climb", None), ("tree", None), ("given", []))
    ]
    assert scores[0] >= scores[1] - 0.01
    assert scores[1] > scores[2] + 0.3


def test_completion_follows_the_posterior(model):
    holed = weather(6000, seed=2)
    holed["rain"] = None
    drawn = model.complete(holed, seed=0)
    pd.testing.assert_frame_equal(drawn.drop(columns="rain"), holed.drop(columns="rain"))
    net = model.network()
    for season, wet in itertools.product(["summer", "winter"], ["yes", "no"]):
        mine = (holed["season"] == season) & (holed["wet"] == wet)
        truth = net.posterior("rain", {"season": season, "wet": wet})["True"]
        assert drawn.loc[mine, "rain"].astype(bool).mean() == pytest.approx(truth, abs=0.06)


def test_given_parts_change_the_rest(model):
    cold = model.sample(2000, given={"warmth": 1.0}, seed=0)
    assert (cold["warmth"] == 1.0).all()
    assert (cold["season"] == "winter").mean() > 0.9
    assert cold["rain"].astype(bool).mean() > 0.55


def test_missing_is_learnt_and_never_filled_in():
    frame = weather(missing=0.3)
    model = BayesianNetwork().fit(frame)
    assert model.sample(2000, seed=0)["wet"].isna().mean() == pytest.approx(0.3, abs=0.04)
    assert model.complete(frame, seed=0)["wet"].notna().all()
    assert model.most_probable(frame[:200])["wet"].notna().all()


def test_the_most_probable_explanation_has_the_greatest_probability(model):
    row = model.most_probable({"wet": "yes", "warmth": 2.0})
    every = pd.DataFrame(
        list(itertools.product(["summer", "winter", "spring"], [True, False], ["yes"], [2.0])), columns=row.columns
    )
    assert float(model.log_prob(row)[0]) == pytest.approx(model.log_prob(every).max())
    assert row.iloc[0].tolist() == ["winter", True, "yes", 2.0]


def test_an_intervention_differs_from_an_observation():
    frame = weather()
    chain = BayesianNetwork(structure="given", edges=[("season", "rain"), ("rain", "wet"), ("season", "warmth")]).fit(frame)
    seen = chain.sample(6000, given={"rain": True}, seed=0)
    done = chain.do({"rain": True}).sample(6000, seed=0)
    assert done["rain"].astype(bool).all()
    assert done["wet"].eq("yes").mean() == pytest.approx(seen["wet"].eq("yes").mean(), abs=0.03)
    assert (seen["season"] == "winter").mean() > (frame["season"] == "winter").mean() + 0.15
    assert (done["season"] == "winter").mean() == pytest.approx((frame["season"] == "winter").mean(), abs=0.03)
    assert (chain.do({"warmth": 7.3}).sample(20, seed=0)["warmth"] - 7.3).abs().max() < 0.6
    assert chain.sample(200, seed=0)["rain"].nunique() == 2


def test_labels_have_tables_of_their_own():
    frame = weather()
    model = BayesianNetwork().fit(frame.drop(columns="season"), frame["season"])
    rain = [model.sample(3000, y=s, seed=0)["rain"].astype(bool).mean() for s in ("summer", "winter")]
    assert rain == pytest.approx([0.1, 0.7], abs=0.04)
    assert model.network("winter").posterior("rain")["True"] == pytest.approx(0.7, abs=0.04)


def test_required_and_forbidden_arcs():
    frame = weather().drop(columns="warmth")
    model = BayesianNetwork(edges=[("wet", "season")], forbidden=[("season", "rain"), ("rain", "season")]).fit(frame)
    assert ("wet", "season") in model.network().edges
    assert frozenset(("season", "rain")) not in {frozenset(edge) for edge in model.network().edges}
    given = BayesianNetwork(structure="given", edges=[("wet", "rain")]).fit(frame)
    assert given.network().edges == [("wet", "rain")]


def test_counts_are_the_tables():
    frame = weather().drop(columns="warmth")
    net = BayesianNetwork(structure="given", edges=[("season", "rain")], smoothing=0).fit(frame).network()
    for season in ("summer", "winter"):
        truth = frame.loc[frame["season"] == season, "rain"].mean()
        assert net.posterior("rain", {"season": season})["True"] == pytest.approx(truth, abs=1e-12)


def test_a_fitted_network_can_be_written_as_bif(model, tmp_path):
    again = parse_bif(write_bif(model.network(), tmp_path / "weather.bif").read_text())
    assert again.posterior("season", {"wet": "yes"}) == pytest.approx(model.network().posterior("season", {"wet": "yes"}))


def test_an_intervened_model_is_saved_as_it_is(model, tmp_path):
    done = model.do({"season": "winter"})
    done.save(tmp_path)
    again = Model.load(tmp_path)
    pd.testing.assert_frame_equal(again.sample(20, seed=3), done.sample(20, seed=3))
    assert (again.sample(20, seed=3)["season"] == "winter").all()


def test_images_of_bits_are_a_tree_of_pixels():
    rng = np.random.default_rng(0)
    top = rng.random((400, 1, 12)) < 0.5
    X = np.repeat(top, 12, axis=1)
    flipped = X ^ (rng.random(X.shape) < 0.05)
    model = BayesianNetwork().fit(flipped)
    assert len(model.network().edges) == 143
    assert model.score(flipped) > BayesianNetwork(structure="given", edges=[]).fit(flipped).score(flipped) + 30


def test_wrong_arguments_are_told_in_one_sentence():
    frame = weather(100)
    wrong = (
        ("cycle", {"edges": [("rain", "wet"), ("wet", "rain")]}),
        ("names 'rian', which is no column.*'rain'", {"edges": [("rian", "wet")]}),
        ("holds pairs", {"forbidden": ["rain"]}),
        ("two different columns", {"edges": [("rain", "rain")]}),
        ("both among edges and forbidden", {"edges": [("rain", "wet")], "forbidden": [("rain", "wet")]}),
        ("structure='three' is not one of", {"structure": "three"}),
        ("needs edges", {"structure": "given"}),
        ("tree takes no edges", {"structure": "tree", "edges": [("rain", "wet")]}),
        ("parents=0 must be 1 or more", {"parents": 0}),
        ("prior=0 must be positive", {"criterion": "bdeu", "prior": 0}),
    )
    for message, fields in wrong:
        with pytest.raises(UsageError, match=message) as caught:
            BayesianNetwork(**fields).fit(frame)
        assert "\n" not in str(caught.value)


def test_many_rows_by_elimination_agree_with_particles(monkeypatch):
    frame = weather()
    model = BayesianNetwork().fit(frame)
    holed = frame[:300].copy()
    holed[["rain", "season"]] = None
    exact = pd.concat([model.complete(holed, seed=s) for s in range(8)])
    monkeypatch.setattr("genus.maths.network.LARGEST", 0)
    weighted = pd.concat([model.complete(holed, seed=s) for s in range(8)])
    assert exact["rain"].astype(bool).mean() == pytest.approx(weighted["rain"].astype(bool).mean(), abs=0.05)
    assert torch.isfinite(torch.from_numpy(model.log_prob(weighted))).all()


def holed(frame: pd.DataFrame, share: float, seed: int = 0) -> pd.DataFrame:
    """Cells left out at random."""
    return frame.mask(np.random.default_rng(seed).random(frame.shape) < share)


def chain(n: int, seed: int) -> pd.DataFrame:
    """a → b → c, a → d: each agrees with its parent in 85 of 100 rows."""
    rng = np.random.default_rng(seed)
    a = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    b, d = (np.where(rng.random(n) < 0.85, a, rng.choice(3, n)) for _ in range(2))
    c = np.where(rng.random(n) < 0.85, b, rng.choice(3, n))
    return pd.DataFrame({"a": a, "b": b, "c": c, "d": d}).astype(str).replace({"0": "low", "1": "mid", "2": "top"})


def test_gaps_summed_over_teach_more_than_a_level_or_than_whole_rows():
    """Held-out likelihood of whole rows: the tables of each treatment against the truth's own."""
    arcs, held = [("a", "b"), ("b", "c"), ("a", "d")], chain(20_000, 100)
    truth = BayesianNetwork(structure="given", edges=arcs).fit(held)

    def off(model: BayesianNetwork) -> float:
        """Mean total variation of the children's tables."""
        total = 0.0
        for p, c in arcs:
            for value in ("low", "mid", "top"):
                mine, true = (m.network().posterior(c, {p: value}) for m in (model, truth))
                mass = sum(mine[k] for k in true)
                total += sum(abs(mine[k] / mass - true[k]) for k in true) / 2 / 9
        return total

    errors = {"level": 0.0, "em": 0.0, "whole": 0.0}
    for seed in range(6):
        rows = holed(chain(500, seed), 0.2, seed)
        for how, missing in (("level", "level"), ("em", "em"), ("whole", "level")):
            data = rows.dropna() if how == "whole" else rows
            errors[how] += off(BayesianNetwork(structure="given", edges=arcs, missing=missing).fit(data))  # type: ignore[arg-type]
    assert errors["em"] < 0.97 * errors["level"]
    assert errors["em"] < 0.8 * errors["whole"]
    assert not BayesianNetwork(missing="em").fit(holed(chain(500, 0), 0.2)).sample(2000, seed=0).isna().any(axis=None)


def test_the_graph_is_found_behind_gaps_and_a_rows_probability_is_that_of_what_is_known():
    rows = holed(chain(1500, 0), 0.2)
    model = BayesianNetwork(missing="em").fit(rows)
    assert {frozenset(e) for e in model.network().edges} == {frozenset(e) for e in (("a", "b"), ("b", "c"), ("a", "d"))}
    every = pd.DataFrame(itertools.product(*[["low", "mid", "top"]] * 4), columns=list("abcd"))
    p = np.exp(model.log_prob(every))
    assert p.sum() == pytest.approx(1, abs=1e-9)
    part = pd.DataFrame({"a": ["low"], "b": [None], "c": ["mid"], "d": [None]})
    truth = p[(every["a"] == "low") & (every["c"] == "mid")].sum()
    assert np.exp(model.log_prob(part)[0]) == pytest.approx(truth, abs=1e-9)
    rising = [h["log_prob"] for h in model.history_]
    assert all(b >= a - 1e-3 for a, b in itertools.pairwise(rising))


@pytest.mark.parametrize("kind", ["pc", "miic"])
def test_tests_of_independence_find_the_graph(kind):
    pytest.importorskip("pyagrum")
    frame = chain(3000, 0)
    model = BayesianNetwork(structure=kind, forbidden=[("a", "d")]).fit(frame)
    found = model.network().edges
    assert {frozenset(e) for e in found} >= {frozenset(e) for e in (("a", "b"), ("b", "c"))}
    assert ("a", "d") not in found
    assert model.score(frame) > BayesianNetwork(structure="given", edges=[]).fit(frame).score(frame) + 0.5


def test_a_junction_tree_answers_as_elimination_does_and_where_that_cannot(monkeypatch):
    pytest.importorskip("pyagrum")
    net = BayesianNetwork().fit(chain(3000, 0)).network()
    for query, given in (("a", {"c": "mid"}), (["d", "a"], {"b": net.states[1][0]}), (["c", "b", "d"], {})):
        found, expected = (net.posterior(query, given, engine=engine) for engine in ("agrum", "elimination"))
        if isinstance(found, dict):
            assert found == pytest.approx(expected, abs=1e-12)
        else:
            assert np.allclose(found, expected, atol=1e-12, rtol=0)
    expected = net.posterior("a", {"c": "mid"})
    monkeypatch.setattr("genus.maths.network.HUGE", 1)
    assert net.posterior("a", {"c": "mid"}) == pytest.approx(expected, abs=1e-12)
    monkeypatch.setattr("genus.maths.agrum.installed", lambda: False)
    with pytest.raises(UsageError, match=r"genus\[networks\]"):
        net.posterior("a", {"c": "mid"})


def test_without_pyagrum_the_command_that_installs_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyagrum", None)
    with pytest.raises(MissingExtra, match=r"pip install 'genus\[networks\]'"):
        BayesianNetwork(structure="pc").fit(chain(100, 0))
