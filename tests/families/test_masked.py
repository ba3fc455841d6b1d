"""MaskedTransformer: what is shown stays, ends stay at the end, the bound is one, and what is known tells what is not."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch

from genus import Marginals, MaskedTransformer
from genus.errors import UsageError
from genus.maths.masking import masked

FAST = {"width": 32, "depth": 2, "heads": 2, "batch": 64, "warmup": 5, "seed": 0}
WORDS = ["abc", "bca", "cab", "ab", "ca", "b"] * 40


@pytest.fixture(scope="module")
def words() -> MaskedTransformer:
    return MaskedTransformer(steps=250, **FAST).fit(WORDS)


def test_every_number_of_hidden_entries_comes_alike_often_and_weighs_length_over_hidden():
    torch.manual_seed(0)
    shown, weight = masked(6000, 5)
    hidden = (~shown).sum(1)
    assert torch.equal(weight * hidden, torch.full((6000,), 5.0))
    assert torch.bincount(hidden, minlength=6)[0] == 0
    assert torch.bincount(hidden, minlength=6)[1:].float().div(6000).sub(0.2).abs().max() < 0.03
    assert shown.float().mean(0).std() < 0.02
    exact, _ = masked(5, 5, share=torch.arange(5) / 5)
    assert exact.sum(1).tolist() == [0, 1, 2, 3, 4]


def test_a_later_entry_tells_an_earlier_one():
    """x₀ = x₁ xor x₂, each alone a fair coin: order of reading must not matter."""
    x = np.array([[a ^ b, a, b] for a, b in itertools.product([0, 1], repeat=2)] * 60).astype(bool).reshape(-1, 1, 3)
    model = MaskedTransformer(steps=300, **FAST).fit(x)
    for hole in range(3):
        holed = x[:4].astype(float).reshape(4, 1, 3)
        holed[:, :, hole] = np.nan
        assert np.array_equal(model.complete(holed, seed=1), x[:4])
    bound = model.log_prob_bound(x[:4], draws=64)
    assert np.all(bound < -np.log(4) + 0.15)
    assert bound.mean() > -np.log(4) - 0.35
    untrained = MaskedTransformer(steps=1, **FAST).fit(x).log_prob_bound(x[:4], draws=64)
    assert untrained.mean() < bound.mean() - 0.3


@pytest.mark.parametrize("order", ["random", "confident"])
def test_drawn_words_are_those_of_training(words, order):
    drawn = words.set_params(order=order).sample(60, seed=0)
    words.set_params(order="random")
    assert np.mean([word in WORDS for word in drawn]) > 0.85
    assert len(set(drawn)) > 2


def test_blanks_are_filled_and_what_is_shown_stays(words):
    assert list(words.complete(["a_c", "_ca", "c_b"], seed=0)) == ["abc", "bca", "cab"]
    assert list(words.complete(["a\N{REPLACEMENT CHARACTER}c"], seed=0)) == ["abc"]


def test_no_letter_stands_behind_an_end_however_little_is_learnt():
    raw = MaskedTransformer(steps=1, evaluations=2, **FAST).fit(WORDS)
    x = raw._sample(300, None)
    ended = (x == raw.space_.end).long().cummax(1).values.bool()
    assert torch.equal(x == raw.space_.end, ended)


def test_missing_cells_are_completed_from_the_others_better_than_from_their_column():
    rng = np.random.default_rng(0)
    job = rng.choice(["cook", "pilot", "nurse"], 600)
    table = pd.DataFrame({"job": job, "place": pd.Series(job).map({"cook": "kitchen", "pilot": "plane", "nurse": "ward"})})
    holed = table.copy()
    holed.loc[:200, "job"] = None
    found = MaskedTransformer(steps=250, **FAST).fit(table).complete(holed[:200], seed=0)
    base = Marginals(seed=0).fit(table).complete(holed[:200], seed=0)
    assert (found["job"] == table["job"][:200]).mean() > 0.95 > (base["job"] == table["job"][:200]).mean()


def test_bad_arguments_are_refused_in_a_sentence():
    for fields in ({"temperature": 0.0}, {"order": "surest"}, {"evaluations": 0}, {"width": 30, "heads": 4}):
        with pytest.raises(UsageError):
            MaskedTransformer(**fields).fit(WORDS)
