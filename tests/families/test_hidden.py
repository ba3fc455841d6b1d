"""HiddenMarkov: exact by enumeration, climbing, finding planted chains; gaps and forecasts by their exact conditionals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from genus import HiddenMarkov
from genus.errors import DataError, UsageError
from genus.maths.hidden import Chain, best_path, draw_path, forward, scaled, smooth

STAY = 0.95


def series(n: int = 40, length: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Series (n, T, 2) of a chain of two states at (0, 0) and (4, −4), and the states."""
    rng = np.random.default_rng(seed)
    flips = rng.random((n, length)) > STAY
    states = (flips.cumsum(1) + rng.integers(0, 2, (n, 1))) % 2
    return states[..., None] * np.array([4.0, -4.0]) + rng.normal(size=(n, length, 2)), states


def small() -> tuple[Chain, torch.Tensor]:
    torch.manual_seed(0)
    start, step, log_b = torch.rand(3).double(), torch.rand(3, 3).double(), torch.randn(5, 2, 3).double()
    return Chain(start / start.sum(), step / step.sum(1, keepdim=True)), log_b


def paths(chain: Chain, log_b: torch.Tensor, i: int) -> dict[tuple[int, ...], float]:
    """The joint probability of each path of sequence i."""
    out = {}
    for path in itertools.product(range(3), repeat=len(log_b)):
        p = float(chain.start[path[0]] * log_b[0, i, path[0]].exp())
        for t in range(1, len(path)):
            p *= float(chain.transition[path[t - 1], path[t]] * log_b[t, i, path[t]].exp())
        out[path] = p
    return out


def test_the_passes_equal_a_sum_over_all_paths():
    chain, log_b = small()
    b, taken = scaled(log_b)
    found = forward(chain, b)
    gamma, pairs = smooth(chain, b, found)
    counts = torch.zeros(3, 3).double()
    for i in range(2):
        every = paths(chain, log_b, i)
        total = sum(every.values())
        assert float(found.log_prob[i] + taken[i]) == pytest.approx(np.log(total), abs=1e-12)
        share = [sum(p for path, p in every.items() if path[2] == k) / total for k in range(3)]
        assert gamma[2, i].numpy() == pytest.approx(np.array(share))
        for path, p in every.items():
            for one, two in itertools.pairwise(path):
                counts[one, two] += p / total
        assert tuple(best_path(chain, log_b)[i].tolist()) == max(every, key=lambda path: every[path])
    torch.testing.assert_close(pairs, counts)


def test_drawn_paths_have_the_posterior_as_their_law():
    chain, log_b = small()
    torch.manual_seed(1)
    n = 20_000
    b, _ = scaled(log_b[:3, :1].expand(3, n, 3))
    drawn = draw_path(chain, forward(chain, b))
    every = paths(chain, log_b[:3], 0)
    total = sum(every.values())
    for path, p in every.items():
        share = float((drawn == torch.tensor(path)).all(1).double().mean())
        assert share == pytest.approx(p / total, abs=5 * np.sqrt(p / total / n) + 1e-9)


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_it_finds_a_planted_chain(covariance):
    X, states = series()
    model = HiddenMarkov(components=2, covariance=covariance, seed=1).fit(X)
    stay = model.transition_.diagonal().numpy()
    assert stay == pytest.approx([STAY, STAY], abs=0.02)
    agree = (model.states(X) == states).mean()
    assert max(agree, 1 - agree) > 0.99
    climb = np.diff([row["log_prob"] for row in model.history_])
    assert climb.min() > -1e-2
    assert model.score(X) > HiddenMarkov(components=1).fit(X).score(X) + 20


def test_the_number_of_states_is_chosen():
    assert len(HiddenMarkov(seed=0).fit(series()[0]).start_) == 2


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_a_gap_is_filled_from_its_exact_conditional(covariance):
    X, _ = series(60, 12)
    model = HiddenMarkov(components=2, covariance=covariance, steps=30).fit(X)
    one = np.repeat(X[:1], 3000, 0)
    one[:, 5, 0] = np.nan
    filled = model.complete(one, seed=0)
    assert np.array_equal(filled[:, 6:], one[:, 6:])
    grid = np.linspace(-6, 10, 400)
    probe = np.repeat(X[:1], len(grid), 0)
    probe[:, 5, 0] = grid
    weight = np.exp(model.log_prob(probe) - model.log_prob(probe).max())
    mean = (weight * grid).sum() / weight.sum()
    assert filled[:, 5, 0].mean() == pytest.approx(mean, abs=0.1)


def test_a_forecast_begins_where_the_series_ends_and_forgets():
    X, states = series(200, 20)
    model = HiddenMarkov(components=2, seed=1).fit(X)
    ahead = model.forecast(X, 50, seed=0)
    assert ahead.shape == (200, 50, 2)
    near = (ahead[:, 0, 0] > 2) == states[:, -1]
    far = (ahead[:, -1, 0] > 2) == states[:, -1]
    assert near.mean() > 0.85 > 0.65 > far.mean()


def test_texts_have_categorical_steps_and_an_end():
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ab" if i % 2 else "xy"), rng.integers(2, 9))) for i in range(300)]
    model = HiddenMarkov(components=4, seed=0).fit(texts)
    drawn = model.sample(200, seed=0)
    mixed = np.mean([bool(set(text) & set("ab")) and bool(set(text) & set("xy")) for text in drawn])
    assert mixed < 0.15
    assert model.score(texts) > HiddenMarkov(components=1).fit(texts).score(texts) + 2


def test_what_cannot_work_is_said_in_one_sentence():
    with pytest.raises(DataError, match="states but only"):
        HiddenMarkov(components=500).fit(np.random.default_rng(0).normal(size=(4, 3, 1)))
    with pytest.raises(UsageError, match="forecast wants series"):
        HiddenMarkov(components=2).fit(["ab", "ba", "aa"]).forecast(["ab"], 3)
