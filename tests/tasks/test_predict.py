"""Predict and balance: Bayes' rule by enumeration, sound intervals, groups as frequent as asked and else as they were."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from genus import MADE, BayesianNetwork, GaussianMixture, Marginals, Tree, balance, predict
from genus.errors import UsageError


def table(n: int = 1500, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    sex = rng.integers(0, 2, n)
    rich = rng.random(n) < np.where(sex == 1, 0.5, 0.1)
    age = rng.normal(40 + 10 * rich, 5).round().astype(int)
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.where(rich, 200, 0) + rng.integers(0, 100, n), "D")
    return pd.DataFrame(
        {"sex": np.array(["F", "M"])[sex], "rich": np.array(["no", "yes"])[rich.astype(int)], "age": age, "day": day}
    )


@pytest.fixture(scope="module")
def made() -> MADE:
    return MADE(steps=400, seed=0).fit(table())


def test_probabilities_are_those_of_bayes_rule(made):
    rows = table(20, seed=1)
    found = predict(made, rows.drop(columns="rich"), "rich")
    both = np.stack([made.log_prob(rows.assign(rich=level)) for level in ("no", "yes")], 1)
    share = np.exp(both) / np.exp(both).sum(1, keepdims=True)
    assert found[["no", "yes"]].to_numpy() == pytest.approx(share, abs=1e-6)
    assert found.sum(axis=1).to_numpy() == pytest.approx(1)


def test_it_predicts_what_can_be_known_and_never_looks_at_the_answer(made):
    test = table(400, seed=2)
    found = predict(made, test, "rich")
    assert np.mean((found["yes"] > 0.5) == (test["rich"] == "yes")) > 0.95
    blind = predict(made, test.assign(rich="no"), "rich")
    assert found.to_numpy() == pytest.approx(blind.to_numpy())
    alone = predict(Marginals().fit(table()), test, "rich")["yes"]
    assert alone.std() == pytest.approx(0, abs=1e-9)


def test_intervals_of_numbers_and_times_cover(made):
    test = table(300, seed=3)
    age = predict(made, test, "age", seed=0)
    inside = (test["age"] >= age["q5"]) & (test["age"] <= age["q95"])
    assert 0.82 < inside.mean() < 0.99
    assert np.corrcoef(age["mean"], test["age"])[0, 1] > 0.5
    day = predict(made, test, "day", draws=40, seed=0)
    assert day["q50"].dtype.kind == "M"
    assert ((day["q5"] <= test["day"]) & (test["day"] <= day["q95"])).mean() > 0.75


def test_families_without_a_record_complete(made):
    test = table(60, seed=4).drop(columns="day")
    model = GaussianMixture(components=4, seed=0).fit(table().drop(columns="day"))
    found = predict(model, test, "rich", draws=30)
    assert np.mean((found["yes"] > 0.5) == (test["rich"] == "yes")) > 0.8
    with pytest.raises(UsageError, match="Did you mean 'rich'"):
        predict(made, test, "ricj")


def labels(n: int = 3000) -> pd.DataFrame:
    """p(rich) is .5 among men and .1 among women; three jobs in four are what riches make them."""
    rng = np.random.default_rng(0)
    frame = table(n)[["sex", "rich"]]
    own = np.where(frame["rich"] == "yes", "pilot", "cook")
    return frame.assign(job=np.where(rng.random(n) < 0.25, "nurse", own))


@pytest.mark.filterwarnings("ignore:Tree")
def test_an_unknown_cell_is_summed_over_and_a_missing_one_is_a_value_where_training_had_it(monkeypatch):
    frame = labels()
    model = Tree().fit(frame)
    rows = pd.DataFrame({"sex": ["F", "M"] * 100, "job": [None] * 200})
    found = predict(model, rows, "rich")["yes"].to_numpy().reshape(-1, 2).mean(0)
    every = pd.DataFrame(list(itertools.product("FM", ("no", "yes"), ("cook", "nurse", "pilot"))), columns=list(frame))
    chance = np.exp(model.log_prob(every)).reshape(2, 2, 3).sum(2)
    assert found == pytest.approx(chance[:, 1] / chance.sum(1), abs=1e-6)
    with monkeypatch.context() as patch:
        patch.setattr("genus.tasks.predict.FILLINGS", 8)
        patch.setattr("genus.tasks.predict._ways", lambda *_: None)
        drawn = predict(model, rows, "rich")["yes"].to_numpy().reshape(-1, 2).mean(0)
    assert drawn == pytest.approx(found, abs=0.05)
    told = frame.assign(job=frame["job"].where(frame["rich"] == "yes"))
    assert predict(Tree().fit(told), rows, "rich")["yes"].max() < 0.01
    with pytest.raises(UsageError, match="fitted with y"):
        predict(Tree().fit(frame[["sex", "job"]], frame["rich"]), rows, "sex")


@pytest.mark.filterwarnings("ignore:Tree")
def test_a_combination_without_support_is_said():
    frame = labels()
    model = Tree().fit(frame[(frame["sex"] == "M") | (frame["rich"] == "no")])
    with pytest.warns(UserWarning, match="1 of 4 combinations are extrapolation.*sex F, rich yes"):
        drawn = balance(model, 40, ["sex", "rich"], seed=0)
    assert (drawn.groupby(["sex", "rich"]).size() == 10).all()
    poor = [each["given"] for each in drawn.attrs["support"] if each["rows"] < 1]
    assert poor == [{"sex": "F", "rich": "yes"}]
    again = balance(model, 40, {"sex": {"M": 1.0}}, seed=0)
    assert again.attrs["support"][0]["probability"] == pytest.approx(0.5 / 0.95, abs=0.06)


@pytest.mark.parametrize("family", [MADE, BayesianNetwork])
def test_groups_are_balanced_and_else_as_they_were(family, made):
    model = made if family is MADE else BayesianNetwork().fit(table())
    drawn = balance(model, 2000, ["sex", "rich"], seed=0)
    assert (drawn.groupby(["sex", "rich"]).size() == 500).all()
    rich = drawn[drawn["rich"] == "yes"]
    assert rich["age"].mean() == pytest.approx(50, abs=1.5)
    assert drawn[drawn["rich"] == "no"]["age"].mean() == pytest.approx(40, abs=1.5)
    some = balance(model, 1000, {"rich": {"yes": 0.3}}, seed=0)
    assert (some["rich"] == "yes").sum() == 300
    share = (some[some["rich"] == "yes"]["sex"] == "M").mean()
    assert share == pytest.approx(5 / 6, abs=0.08)


def test_what_cannot_be_balanced_is_said(made):
    for columns, words in (
        (["nothing"], "no column"),
        ({"rich": {"maybe": 0.5}}, "no level"),
        ({"rich": {"yes": 0.7, "no": 0.7}}, "sum to 1.4"),
        (["day"], "no levels to balance"),
    ):
        with pytest.raises(UsageError, match=words):
            balance(made, 10, columns)
