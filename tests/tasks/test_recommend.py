"""Ratings: read and refused in one sentence; machines over what each user shows; recommendations beside the baselines."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from genus import RBM, Marginals, load
from genus.data.ratings import Ratings, ratings_of
from genus.errors import DataError, UsageError
from genus.tasks.recommend import Biases, expected_ratings, recommend


def two_tastes(users: int = 300, items: int = 20, each: int = 10, seed: int = 0) -> pd.DataFrame:
    """Half the users love even items and hate odd ones, half the other way round."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        for item in rng.choice(items, each, replace=False):
            loved = (item % 2 == 0) == (user % 2 == 0)
            rows.append((f"u{user}", f"i{item}", 5 - rng.integers(0, 2) if loved else 1 + rng.integers(0, 2)))
    return pd.DataFrame(rows, columns=["user", "item", "rating"])


@pytest.fixture(scope="module")
def fitted() -> tuple[RBM, Ratings]:
    X = Ratings(two_tastes())
    return RBM(latent=8, steps=800, seed=0).fit(X), X


def test_a_table_is_read_by_its_names_and_comes_back(tmp_path):
    frame = two_tastes(20)
    frame.rename(columns={"user": "userId", "item": "movieId"}).assign(time=1).to_csv(tmp_path / "r.csv", index=False)
    X = load(str(tmp_path / "r.csv"), kind="ratings").X
    assert len(X) == 20
    assert X.scale == [1, 2, 4, 5]
    model = Marginals().fit(X)
    back = model.codec_.unpack(model.codec_.pack(X, model.space_), model.space_)
    assert len(back.frame) == len(frame)
    assert X.iloc[np.array([3, 5])].users == ["u3", "u5"]


def test_bad_ratings_are_refused_in_one_sentence():
    frame = two_tastes(5)
    with pytest.raises(DataError, match=r"rates item 'i.*' a second time in row"):
        ratings_of(pd.concat([frame, frame.head(1)]))
    with pytest.raises(DataError, match="outside the scale"):
        Ratings(frame, scale=[1, 2, 4])
    with pytest.raises(DataError, match="no number"):
        Ratings(frame.assign(rating="good"))
    with pytest.raises(UsageError, match="no user 'nobody'"):
        Ratings(frame).of("nobody")
    with pytest.raises(DataError, match="outside the scale of training"):
        Marginals().fit(Ratings(frame)).log_prob(Ratings(frame.assign(rating=3.0)))


def test_a_machine_over_what_is_shown_beats_the_biases(fitted):
    model, X = fitted
    held = two_tastes(seed=1)
    known = Ratings(held.groupby("user").head(7))
    rest = held.drop(known.frame.index)
    row = pd.Index(known.users).get_indexer(rest["user"])
    column = pd.Index(model.codec_.items_).get_indexer(rest["item"])
    truth = rest["rating"].to_numpy()

    def error(value: np.ndarray) -> float:
        return float(np.sqrt(np.mean((value[row, column] - truth) ** 2)))

    ours, biases = error(expected_ratings(model, known)), error(Biases().fit(X).predict(known, model.codec_.items_))
    assert ours < 0.6
    assert biases > 1.2
    assert error(expected_ratings(RBM(latent=8, steps=1).fit(X), known)) > 1.0


def test_a_new_user_is_understood_without_retraining(fitted):
    model, X = fitted
    known = model.codec_.template(1, {"i0": 5, "i2": 5, "i1": 1})
    found = recommend(model, known, n=5, train=X)
    assert len(found) == 5
    assert all(int(item[1:]) % 2 == 0 for item in found["item"])
    assert not set(found["item"]) & {"i0", "i2"}
    assert (found["expected"] > found["bias"]).all()


def test_completion_keeps_what_is_known_and_samples_are_as_sparse_as_the_data(fitted):
    model, X = fitted
    filled = model.complete(X.iloc[np.arange(5)], seed=0)
    assert len(filled.frame) == 5 * 20
    both = X.iloc[np.arange(5)].frame.merge(filled.frame, on=["user", "item"])
    assert (both["rating_x"] == both["rating_y"]).all()
    assert len(model.sample(50, seed=0).frame) / 50 == pytest.approx(10, abs=1.5)
    with pytest.raises(UsageError, match="no likelihoods"):
        model.energy(X)


def test_the_shown_units_gradient_leaves_unseen_items_alone(fitted):
    model, _ = fitted
    from genus.nets.restricted import Restricted
    from genus.nets.visible import seen_rows

    torch.manual_seed(0)
    net = Restricted(model.net_.units, 4, 10)
    x = torch.full((10, 20), 4)
    x[:, :3] = torch.randint(4, (10, 3))
    before = net.weight.detach().clone()
    with torch.no_grad():
        net.learn_seen(*seen_rows(net.units, x), 0.1)
    changed = (net.weight - before).abs().sum(1) > 0
    assert changed[:12].any()
    assert not changed[12:].any()


def test_it_is_saved_and_loaded(fitted, tmp_path):
    model, X = fitted
    model.save(tmp_path)
    again = RBM.load(tmp_path)
    few = X.iloc[np.arange(3)]
    assert np.allclose(expected_ratings(model, few), expected_ratings(again, few))
