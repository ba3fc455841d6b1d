"""Streaming: the pieces join to the text that is drawn, stop strings end it, and nobody else's randomness is touched."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genus import Marginals, Transformer
from genus.data.tokens import tokenised
from genus.errors import UsageError
from genus.tasks.streaming import _held, stream

WORDS = ["the cat sat. ☃", "the dog sat. no", "a cat and. a dog", "that cat. thïs dog"] * 10
RUNNING = "the cat sat on the mat. the dog sat on the log. " * 40
FIELDS = {"width": 16, "depth": 1, "heads": 1, "steps": 40, "batch": 16, "lr": 1e-2}


@pytest.fixture(scope="module")
def texts():
    return Transformer(**FIELDS).fit(tokenised(WORDS, "bpe:270"))


@pytest.fixture(scope="module")
def running():
    return Transformer(**FIELDS).fit(RUNNING)


def test_at_greedy_the_pieces_join_to_the_sample(texts, running):
    for model, prefix in ((texts, "the "), (running, "the dog"), (running, "")):
        model.set_params(top_k=1)
        (whole,) = model.sample(1, given=prefix, seed=0)
        pieces = list(stream(model, given=prefix, seed=5))
        assert "".join(pieces) == whole
        assert len(pieces) > 3
        model.set_params(top_k=None)


def test_one_seed_streams_one_text_and_the_global_generator_is_left_alone(texts):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    a, b, c = ("".join(stream(texts, seed=s)) for s in (3, 3, 4))
    assert a == b
    assert torch.equal(before, torch.get_rng_state())
    assert len({a, c, *("".join(stream(texts, seed=s)) for s in range(5))}) > 1


def test_streamed_texts_are_distributed_as_samples():
    m = Transformer(**FIELDS | {"steps": 150}).fit(["ab"] * 30 + ["b"] * 10)
    shares = [
        np.mean([t == "ab" for t in many]) for many in (m.sample(400, seed=0), ["".join(stream(m, seed=s)) for s in range(150)])
    ]
    assert abs(shares[0] - 0.75) < 0.12
    assert abs(shares[0] - shares[1]) < 0.15


def test_a_stop_string_ends_the_text_in_sample_and_in_the_stream(texts, running):
    for model in (texts, running):
        given = {"prefix": "the ", "stop": [". ", "no"]}
        streamed = ["".join(stream(model, given=given, seed=s)) for s in range(8)]
        for text in [*model.sample(20, given=given, seed=0), *streamed]:
            assert text.startswith("the ")
            assert ". " not in text
            assert "no" not in text
    assert any("sat" in t for t in model.sample(20, given={"stop": "."}, seed=0))


def test_what_may_become_a_stop_string_is_held_back_until_it_is_not():
    assert list(_held("", iter("a<b<e>c<en>d"), ("<en>",))) == ["a", "<b", "<e>", "c"]
    assert list(_held("p", iter(["x", "<e"]), ("<en>",))) == ["p", "x", "<e"]
    assert "".join(_held("no", iter("noon!"), ("on",))) == "nono"


def test_length_goes_beyond_the_window(running):
    running.set_params(length=300)
    assert len("".join(stream(running, seed=0))) == 300
    running.set_params(length=None)


def test_what_cannot_be_streamed_is_refused_in_words(texts, running):
    with pytest.raises(UsageError, match="does not draw text token by token"):
        stream(Marginals().fit(np.random.default_rng(0).normal(size=(20, 2))))
    with pytest.raises(UsageError, match="the model holds at most"):
        list(stream(running, given="the " * 500))
    with pytest.raises(UsageError, match="beams"):
        stream(Transformer(**FIELDS | {"steps": 2, "beams": 2}).fit(WORDS))
    with pytest.raises(UsageError, match="stop is a string"):
        running.sample(1, given={"stop": 3})


def test_nats_of_each_token_sum_to_the_texts(texts, running):
    for model, X in ((texts, WORDS[:4]), (running, RUNNING)):
        each = model.log_prob_by(X)
        assert [float(s.sum()) for s in each] == pytest.approx(list(model.log_prob_bound(X)), abs=1e-4)
        assert "".join(w for s in each for w in s.index if w != "␃").startswith("the cat sat")
    assert texts.log_prob_by(["the cat"])[0].index[-1] == "␃"
