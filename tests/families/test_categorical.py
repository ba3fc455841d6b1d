"""CategoricalMixture: normalised, climbing, finding planted classes, completing exactly, pruning what explains nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from genus import CategoricalMixture
from genus.errors import DataError, UsageError
from genus.maths.products import BLOCK, Layout, Products


def planted(n: int = 1500, d: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Binary items (n, d, 1) of three classes, and the classes."""
    rng = np.random.default_rng(seed)
    p = np.where(rng.random((3, d)) < 0.5, 0.1, 0.9)
    labels = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    return (rng.random((n, d)) < p[labels]).reshape(n, d, 1), labels


def table(n: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    kind = rng.integers(0, 2, n)
    colour = np.where(rng.random(n) < 0.9, kind, 1 - kind)
    size = np.where(kind == 0, rng.integers(0, 2, n), rng.integers(1, 4, n)).astype(float)
    size[rng.random(n) < 0.1] = np.nan
    return pd.DataFrame({"colour": np.array(["red", "blue"])[colour], "size": size})


def test_probabilities_of_all_items_sum_to_one():
    model = CategoricalMixture(components=3, steps=5).fit(planted(d=6)[0])
    every = np.array(list(itertools.product([False, True], repeat=6))).reshape(-1, 6, 1)
    assert np.exp(model.log_prob(every)).sum() == pytest.approx(1, abs=1e-9)


def test_it_finds_planted_classes_and_says_which_item_is_of_which():
    X, labels = planted()
    model = CategoricalMixture(components=3, restarts=3, seed=1).fit(X)
    assert adjusted_rand_score(labels, model.predict(X)) > 0.9
    assert model.predict_proba(X).sum(1) == pytest.approx(np.ones(len(X)))
    untrained = CategoricalMixture(components=3, steps=1, init="random", seed=1).fit(X)
    assert untrained.score(X) < model.score(X) - 0.3


def test_the_likelihood_never_falls():
    model = CategoricalMixture(components=4, steps=40, tol=0, smoothing=1e-9).fit(planted()[0])
    climb = [row["log_prob"] for row in model.history_]
    assert min(np.diff(climb)) > -1e-5


def test_counts_of_two_halves_add_up_to_the_whole():
    x = torch.from_numpy(planted()[0].reshape(-1, 12)).long()
    layout = Layout(torch.full((12,), 2))
    torch.manual_seed(0)
    p = torch.rand(3, 12, dtype=torch.float64)
    mixture = Products(torch.full((3,), 1 / 3).double().log(), torch.stack([1 - p, p], 2).flatten(1).log())
    whole = layout.expectation(x, mixture)[1]
    halves = layout.expectation(x[:700], mixture)[1] + layout.expectation(x[700:], mixture)[1]
    torch.testing.assert_close(whole.level, halves.level, rtol=0, atol=2e-3)
    assert whole.level.sum() == pytest.approx(len(x) * 12, rel=1e-6)


@pytest.mark.parametrize("levels", [[2, 2, 2], [3, 1, 4]])
def test_the_matrix_product_equals_a_sum_over_entries(levels, monkeypatch):
    torch.manual_seed(0)
    layout = Layout(torch.tensor(levels))
    x = torch.stack([torch.randint(v, (BLOCK + 5,)) for v in levels], 1)
    rows = [torch.rand(4, v, dtype=torch.float64) for v in levels]
    mixture = Products(torch.full((4,), 0.25).double().log(), torch.cat([(r / r.sum(1, keepdim=True)).log() for r in rows], 1))
    naive = (
        torch.stack([mixture.log_p[:, s + x[:, i]].T for i, s in enumerate(layout.start.tolist())]).sum(0) + mixture.log_weight
    )
    torch.testing.assert_close(layout.log_joint(x, mixture), naive)
    value, counts = layout.expectation(x, mixture)
    layout.wide = True
    torch.testing.assert_close(layout.log_joint(x, mixture), naive)
    again, same = layout.expectation(x, mixture)
    assert value == pytest.approx(again, abs=1e-5)
    torch.testing.assert_close(counts.level, same.level, rtol=1e-4, atol=1e-2)


def test_missing_parts_are_drawn_from_their_exact_conditional():
    frame = table()
    model = CategoricalMixture(components=2, seed=0).fit(frame)
    gaps = pd.DataFrame({"colour": [None] * 4000, "size": [3.0] * 4000})
    filled = model.complete(gaps, seed=0)
    both = pd.DataFrame({"colour": ["red", "blue"], "size": [3.0, 3.0]})
    chance = np.exp(model.log_prob(both))
    assert (filled["colour"] == "red").mean() == pytest.approx(chance[0] / chance.sum(), abs=0.03)
    assert not model.complete(frame, seed=0)["size"].isna().any()


def test_components_that_explain_nothing_fade():
    X, _ = planted(3000)
    model = CategoricalMixture(components=12, weights="dirichlet", smoothing=10, steps=1000, tol=1e-9).fit(X)
    assert model.log_weight_.shape[1] == 3
    assert CategoricalMixture(components=12, smoothing=10, steps=50).fit(X).log_weight_.shape[1] == 12


def test_the_number_of_components_is_chosen_on_held_out_items():
    assert CategoricalMixture(seed=0).fit(planted()[0]).log_weight_.shape[1] in (2, 4)
    noise = np.random.default_rng(0).random((500, 5, 1)) < 0.5
    assert CategoricalMixture(seed=0).fit(noise).log_weight_.shape[1] <= 2


def test_labels_get_mixtures_of_their_own():
    X, labels = planted()
    model = CategoricalMixture(components=2).fit(X, labels)
    drawn = model.sample(500, 1, seed=0)
    assert np.abs(drawn.mean(0) - X[labels == 1].mean(0)).max() < 0.1


def test_what_cannot_work_is_said_in_one_sentence():
    X, _ = planted(20)
    with pytest.raises(DataError, match="21 components but only 20 items"):
        CategoricalMixture(components=21).fit(X)
    with pytest.raises(UsageError, match="smoothing"):
        CategoricalMixture(smoothing=0).fit(X)
