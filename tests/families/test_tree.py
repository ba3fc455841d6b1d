"""Trees: normalised, walked as a row would walk, better than no splits, exact about what is known, blind to what comes later."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch

from genus import Model, Tree
from genus.errors import UsageError
from genus.maths.trees import Forest, grow

pytestmark = pytest.mark.filterwarnings("ignore:Tree")


def table(n: int = 1500, seed: int = 0) -> pd.DataFrame:
    """Two kinds of people: job and city follow the kind, pay follows the job."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 2, n)
    job = np.where(rng.random(n) < 0.9, kind, rng.integers(0, 3, n))
    pay = rng.normal(20 + 10 * job, 2).round(1)
    pay[rng.random(n) < 0.1] = np.nan
    city = np.array(["x", "y", "z"])[np.where(rng.random(n) < 0.8, kind, 2)]
    return pd.DataFrame({"job": np.array(["cook", "pilot", "nurse"])[job], "city": city, "pay": pay})


def data(n: int = 900) -> tuple[torch.Tensor, torch.Tensor]:
    """Predictors (a number, a category of 6) and an ordered target of 5 levels that follows both."""
    rng = np.random.default_rng(0)
    number, kind = rng.normal(size=n), rng.integers(0, 6, n)
    target = np.clip(number + (kind % 3) + 1.5 + rng.normal(size=n) / 2, 0, 4).astype(int)
    return torch.tensor(np.stack([number, kind], 1), dtype=torch.float32), torch.from_numpy(target)


def walk(forest: Forest, row: torch.Tensor, node: int) -> int:
    """One row's way through one tree, step by step."""
    row = row.clone()
    for column, code in zip(forest.coded.tolist(), forest.codes, strict=True):
        row[column] = code[int(row[column])]
    while int(forest.feature[node]) >= 0:
        below = float(row[forest.feature[node]]) <= float(forest.threshold[node])
        node = int((forest.left if below else forest.right)[node])
    return int(forest.leaf[node])


@pytest.mark.parametrize("ordered", [True, False])
def test_all_rows_at_once_reach_the_leaves_that_each_walks_to(ordered):
    values, target = data()
    forest = grow(values, target, 5, ordered=ordered, categories={1: 6}, leaf=10, trees=2)
    leaves = forest.leaves(values)
    for i in range(0, len(values), 9):
        assert leaves[i].tolist() == [walk(forest, values[i], int(root)) for root in forest.root]
    assert len(set(leaves[:, 0].tolist())) > 5
    assert forest.share.sum(1).numpy() == pytest.approx(1)
    assert float(forest.share.min()) > 0
    assert forest.log_prob(values, target).numpy() == pytest.approx(forest.log_probs(values)[range(900), target].numpy())


def test_a_leaf_holds_no_fewer_rows_than_asked():
    values, target = data()
    forest = grow(values, target, 5, ordered=True, categories={1: 6}, leaf=30)
    assert int(torch.bincount(forest.leaves(values)[:, 0]).min()) >= 30


def test_draws_have_the_law_of_the_leaf():
    values, target = data()
    forest = grow(values, target, 5, ordered=True, categories={1: 6}, trees=3)
    torch.manual_seed(0)
    drawn = forest.draw(values[:1].expand(40_000, 2))
    share = torch.bincount(drawn, minlength=5) / 40_000
    assert float((share - forest.log_probs(values[:1])[0].exp()).abs().sum()) < 0.03


@pytest.mark.parametrize("trees", [1, 3])
def test_the_probabilities_of_all_records_sum_to_one(trees):
    rng = np.random.default_rng(0)
    a = rng.random((500, 1)) < 0.5
    X = np.where(rng.random((500, 4)) < 0.8, a, ~a)[..., None]
    model = Tree(trees=trees).fit(X)
    items = np.array(list(itertools.product([False, True], repeat=4))).reshape(-1, 4, 1)
    chance = np.exp(model.log_prob(items))
    assert chance.sum() == pytest.approx(1, abs=1e-6)
    drawn = model.sample(30_000, seed=0).reshape(-1, 4) @ [8, 4, 2, 1]
    assert np.abs(np.bincount(drawn, minlength=16) / 30_000 - chance).sum() < 0.05


def test_it_learns_what_a_tree_without_splits_misses():
    train, test = table(), table(seed=1)
    assert Tree().fit(train).score(test) > Tree(leaf=len(train)).fit(train).score(test) + 0.5


def test_columns_sum_to_the_row_and_a_gap_is_filled_by_its_conditional():
    model = Tree().fit(table())
    test = table(50, seed=1)
    assert model.log_prob_by(test).sum(axis=1).to_numpy() == pytest.approx(model.log_prob(test), abs=1e-4)
    filled = model.complete(pd.DataFrame({"job": [None] * 400, "city": ["x"] * 400, "pay": [20.0] * 400}), seed=0)
    assert (filled["pay"] == 20.0).all()
    assert (filled["job"] == "cook").mean() > 0.9
    gaps = pd.DataFrame({"job": ["pilot"] * 300, "city": ["x"] * 300, "pay": [np.nan] * 300})
    assert model.complete(gaps, seed=0)["pay"].between(25, 35).mean() > 0.9


def test_draws_keep_a_range():
    drawn = Tree().fit(table()).sample(200, given={"pay": (28, 32)}, seed=0)
    assert drawn["pay"].between(28, 32).all()
    assert (drawn["job"] == "pilot").mean() > 0.9


def test_a_condition_steers():
    frame = table()
    model = Tree().fit(frame.drop(columns="job"), frame["job"])
    assert model.sample(300, y="pilot", seed=0)["pay"].mean() > model.sample(300, y="cook", seed=0)["pay"].mean() + 7


def test_no_cell_sees_a_later_one_and_a_second_cell_follows_its_first():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"long": rng.normal(size=3000), "short": rng.integers(0, 2, 3000)})
    model = Tree().fit(frame)
    names = [model.space_.fields[i][0] for i in model.order_.tolist()]
    assert names[0] == "short"
    assert all(names[i - 1] == name.rpartition("/")[0] for i, name in enumerate(names) if "/" in name)
    assert all(int(forest["feature"].max()) < i for i, forest in enumerate(model.forests_))


def test_saving_keeps_every_probability(tmp_path):
    model = Tree(trees=2, seed=3).fit(table())
    model.save(tmp_path)
    again = Model.load(tmp_path)
    assert again.log_prob(table(40, seed=1)) == pytest.approx(model.log_prob(table(40, seed=1)), abs=1e-9)
    pd.testing.assert_frame_equal(again.sample(20, seed=1), model.sample(20, seed=1))


def test_small_leaves_are_warned_of_and_nonsense_refused():
    with pytest.warns(UserWarning, match="leaf=50"):
        Tree().fit(table(200))
    for wrong in ({"leaf": 0}, {"smoothing": 0}, {"trees": 0}):
        with pytest.raises(UsageError):
            Tree(**wrong).fit(table(50))
