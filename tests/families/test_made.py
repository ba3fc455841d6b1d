"""MADE and AnyOrder: normalised, drawn as they are scored, blind to what comes later, exact about what is known."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch

from genus import MADE, AnyOrder, Marginals
from genus.errors import UsageError
from genus.maths.particles import fill
from genus.nets.masked import CellNet, Several, Unfolding, average
from genus.nets.unseen import Unseen

LEVELS = [2, 5, 3, 4]


def table(n: int = 800, seed: int = 0) -> pd.DataFrame:
    """Two kinds of people: job and city follow the kind, pay follows the job."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 2, n)
    job = np.where(rng.random(n) < 0.9, kind, rng.integers(0, 3, n))
    pay = rng.normal(20 + 10 * job, 2).round(1)
    pay[rng.random(n) < 0.1] = np.nan
    city = np.array(["x", "y", "z"])[np.where(rng.random(n) < 0.8, kind, 2)]
    return pd.DataFrame({"job": np.array(["cook", "pilot", "nurse"])[job], "city": city, "pay": pay})


def net(masked: bool = True, condition: int = 0) -> CellNet:
    torch.manual_seed(0)
    made = CellNet(
        LEVELS, ordered=[False, True, False, True], missing=[None, 4, None, None], width=32, condition=condition, masked=masked
    )
    with torch.no_grad():
        for part in made.parameters():
            part.add_(0.3 * torch.randn_like(part))
    return made.eval()


def every() -> torch.Tensor:
    return torch.tensor(list(itertools.product(*map(range, LEVELS))))


def test_all_records_sum_to_one_and_no_cell_sees_a_later_one():
    made, x = net(), every()
    each = made.log_probs(made(x), x)
    assert float(each.sum(1).exp().sum()) == pytest.approx(1, abs=1e-5)
    other = x.clone()
    other[:, 2:] = torch.randint(3, (len(x), 2))
    same = made.log_probs(made(other), x)[:, :3] - each[:, :3]
    assert float(same.abs().max()) < 1e-5
    assert float((made.log_probs(made(other), x)[:, 3] - each[:, 3]).abs().max()) > 0.01


@pytest.mark.parametrize("condition", [0, 2])
def test_unfolding_gives_the_logits_of_the_whole_pass(condition):
    made, x = net(condition=condition), every()
    y = torch.randn(len(x), condition) if condition else None
    whole = made(x, y).split(LEVELS, 1)
    rows = Unfolding(made, x.clone(), y)
    for step, part in enumerate(whole):
        torch.testing.assert_close(rows.logits(step), part, atol=1e-4, rtol=1e-4)
        rows.put(step, x[:, step])


def test_masks_drawn_anew_are_nets_of_their_own_and_their_average_is_a_density():
    torch.manual_seed(0)
    x, y = every(), torch.randn(1, 2)
    made = CellNet(LEVELS, ordered=[False] * 4, missing=[None] * 4, width=24, condition=2, masks=3).eval()
    with torch.no_grad():
        for part in made.parameters():
            part.add_(0.3 * torch.randn_like(part))
        y, found, parts = y.expand(len(x), 2), [], [Unfolding(made.turned(k), x.clone(), y) for k in range(3)]
        for k in range(3):
            made.chosen = k
            torch.testing.assert_close(made(x, y), made.turned(k)(x, y), atol=1e-4, rtol=1e-4)
            found.append(made.log_probs(made(x, y), x))
        assert float((found[0] - found[1]).abs().max()) > 0.05
        mean, items = average(found), Several(parts)
        assert float(mean.sum(1).exp().sum()) == pytest.approx(1, abs=1e-5)
        for step in range(4):
            one = items.logits(step).gather(1, x[:, step, None])[:, 0]
            torch.testing.assert_close(one, mean[:, step], atol=1e-4, rtol=1e-4)
            items.put(step, x[:, step])


def test_a_fit_with_masks_draws_what_it_scores():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 3, 900)
    frame = pd.DataFrame({"a": a.astype(str), "b": ((a + rng.integers(0, 2, 900)) % 3).astype(str)})
    model = MADE(masks=4, width=32, steps=150, batch=64, seed=0).fit(frame)
    assert model.score(frame) == pytest.approx(-np.log(6), abs=0.05)
    drawn = model.sample(3000, seed=1)
    assert float(((drawn["b"].astype(int) - drawn["a"].astype(int)) % 3 == 2).mean()) < 0.02
    assert -model.score(drawn) == pytest.approx(np.log(6), abs=0.08)
    with pytest.raises(UsageError):
        MADE(masks=4, epsilon=3.0).fit(frame)


def test_draws_have_the_law_of_log_prob():
    made, x = net(), every()
    torch.manual_seed(1)
    drawn, _ = fill(Unfolding(made, torch.zeros(40_000, 4, dtype=torch.int64), None), range(4))
    code = (drawn * torch.tensor([60, 12, 4, 1])).sum(1)
    share = torch.bincount(code, minlength=120).double() / len(drawn)
    truth = made.log_probs(made(x), x).sum(1).exp().double()
    assert float((share - truth).abs().sum()) < 0.06


def test_pairs_never_seen_are_taken_off_and_a_determined_cell_begins_at_its_table():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 3, 4000)
    b = np.where(a == 0, 0, rng.integers(0, 2, 4000))
    x = torch.from_numpy(np.stack([a, b, (a * 2) % 3], 1))
    unseen = Unseen([3, 2, 3])
    unseen.count(x)
    off = unseen(x)
    assert float(off[torch.from_numpy(a == 0), 4].max()) < -5
    assert float(off[torch.from_numpy(a == 1), 3:5].abs().max()) == 0
    assert (off[:, 5:].argmax(1) == x[:, 2]).all()
    again = Unseen([3, 2, 3])
    again.load_state_dict(unseen.state_dict())
    torch.testing.assert_close(again(x), off)


@pytest.mark.parametrize("family", [MADE, AnyOrder])
def test_it_learns_what_independent_columns_miss(family):
    train, test = table(), table(seed=1)
    model = family(steps=300, seed=0).fit(train)
    assert model.score(test) > Marginals().fit(train).score(test) + 0.5
    assert family(steps=1, seed=0).fit(train).score(test) < model.score(test) - 0.3


@pytest.mark.parametrize("family", [MADE, AnyOrder])
def test_columns_sum_to_the_row_and_say_what_is_odd(family):
    model = family(steps=300, seed=0).fit(table())
    test = table(50, seed=1)
    by = model.log_prob_by(test)
    assert by.sum(axis=1).to_numpy() == pytest.approx(model.log_prob(test), abs=1e-4)
    odd = pd.DataFrame({"job": ["cook"], "city": ["x"], "pay": [40.0]})
    usual = pd.DataFrame({"job": ["cook"], "city": ["x"], "pay": [20.0]})
    gap = (model.log_prob_by(usual) - model.log_prob_by(odd)).iloc[0]
    assert gap["pay"] > 1
    assert gap["pay"] > gap["city"]


@pytest.mark.parametrize("family", [MADE, AnyOrder])
def test_gaps_are_filled_given_what_is_known(family):
    model = family(steps=400, seed=0).fit(table())
    rows = pd.DataFrame({"job": [None] * 400, "city": ["x"] * 400, "pay": [20.0] * 400})
    filled = model.complete(rows, seed=0)
    assert (filled["pay"] == 20.0).all()
    assert (filled["job"] == "cook").mean() > 0.9
    assert (
        not model.complete(pd.DataFrame({"job": ["cook"] * 99, "city": ["x"] * 99, "pay": [np.nan] * 99}), seed=0)["pay"]
        .isna()
        .any()
    )


def test_orders_mix_to_a_normalised_density():
    X = np.random.default_rng(0).random((200, 4, 1)) < [[0.2], [0.5], [0.8], [0.5]]
    model = AnyOrder(steps=50, orders=3, width=32).fit(X)
    items = np.array(list(itertools.product([False, True], repeat=4))).reshape(-1, 4, 1)
    assert np.exp(model.log_prob(items)).sum() == pytest.approx(1, abs=1e-5)


def test_a_random_order_survives_saving(tmp_path):
    model = MADE(order="random", steps=50, seed=3).fit(table())
    model.save(tmp_path)
    again = MADE.load(tmp_path)
    assert torch.equal(again.order_, model.order_)
    assert again.log_prob(table(20)) == pytest.approx(model.log_prob(table(20)), abs=1e-6)
