"""Tokens: learnt pieces give every text back, a density over them is a bound, bits a byte do not depend on how a text is cut."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

import genus
from genus import Transformer
from genus.data.split import split, split_off
from genus.data.text import TextCodec
from genus.data.tokens import Text, Texts, learn, tokenised, vocabulary
from genus.errors import DataError, UsageError
from genus.judgement.likelihood import likelihood

WORDS = ["the cat sat on the mat", "the dog sat on the log", "a cat and a dog", "that cat, this dog"] * 10
STRANGE = ["naïve ☃ 漢字\n\n  x", "", "\x00\x7f\xa0", "🙂" * 3, " lead", "trail "]
RUNNING = "the cat sat on the mat, and the dog sat on the log. " * 60
FIELDS = {"width": 16, "depth": 1, "heads": 1, "steps": 5, "batch": 8}


@pytest.mark.parametrize("tokens", ["byte", "bpe:300", "unigram:300"])
def test_every_text_comes_back_whole_also_in_characters_never_seen(tokens):
    words = vocabulary(tokens, learn(tokens, WORDS))
    for text in WORDS + STRANGE:
        codes = words.encode(text)
        assert words.decode(codes) == text
        assert int(words.bytes[codes].sum()) == len(text.encode())
        assert codes.min(initial=0) >= 0
        assert codes.max(initial=0) < words.size


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_learnt_pieces_are_fewer_than_characters_and_learning_twice_gives_the_same(kind):
    state = learn(f"{kind}:300", WORDS)
    assert state == learn(f"{kind}:300", WORDS)
    words = vocabulary(f"{kind}:300", state)
    assert sum(len(words.encode(t)) for t in WORDS) < (0.6 if kind == "bpe" else 0.9) * sum(map(len, WORDS))


def test_a_text_keeps_its_mark_through_slices_splits_and_copies():
    text, items = Text("to be or not", "byte"), Texts(["a", "b", "c", "d"] * 10, "bpe:300")
    assert text[3:].tokens == "byte"
    assert items[1:].tokens == "bpe:300"
    assert copy.deepcopy(items).tokens == "bpe:300"
    assert all(part[0].tokens == "bpe:300" for part in split(items, seed=0)[:3])
    assert split_off(items, None, seed=0)[0].tokens == "bpe:300"
    assert split_off(Text("x" * 2000, "byte"), None, seed=0)[0].tokens == "byte"


@pytest.mark.parametrize("tokens", ["byte", "bpe:300", "unigram:300"])
def test_what_was_packed_is_unpacked_and_its_bytes_are_counted(tokens):
    codec = TextCodec(tokens).fit(WORDS)
    view = codec.views()[0]
    x = codec.pack(WORDS, view)
    assert codec.unpack(x, view) == WORDS
    assert codec.size_bytes(x).tolist() == [len(t.encode()) + 1 for t in WORDS]
    running = TextCodec(tokens).fit(RUNNING)
    x = running.pack(RUNNING, running.views()[0])
    assert "".join(running.unpack(x, running.views()[0])) == RUNNING[: int(running.size_bytes(x).sum())]


def test_a_density_of_learnt_tokens_is_sold_as_a_bound_and_of_characters_as_exact():
    bound, exact = (Transformer(**FIELDS).fit(tokenised(WORDS, t)) for t in ("bpe:300", "character"))
    assert not bound.exact
    assert exact.exact
    with pytest.raises(UsageError, match=r"one of many ways to write a text in bpe tokens.*log_prob_bound"):
        bound.log_prob(WORDS[:2])
    assert np.array_equal(bound.log_prob_bound(WORDS[:4], seed=0), bound.log_prob_bound(WORDS[:4], seed=1))
    assert [s.kind for s in likelihood(bound, WORDS)] == ["bound", "bound"]


def test_the_probabilities_of_all_ways_to_write_a_text_exceed_that_of_the_canonical_one():
    m = Transformer(**FIELDS).fit(tokenised(WORDS, "bpe:300"))
    words, room = m.codec_.vocabulary, m.codec_.length_
    pieces = {p: i for i, p in enumerate(words.pieces)}

    def ways(rest: bytes) -> list[list[int]]:
        return (
            [[]] if not rest else [[i, *more] for p, i in pieces.items() if rest.startswith(p) for more in ways(rest[len(p) :])]
        )

    found = [way + [words.size] * (room - len(way)) for way in ways(b"cat") if len(way) < room]
    with torch.no_grad():
        each = m._log_prob(torch.tensor(found), None)
    assert len(found) > 2
    canonical = float(m.log_prob_bound(["cat"])[0])
    assert any(abs(canonical - float(e)) < 1e-4 for e in each)
    assert canonical < float(each.logsumexp(0))


@pytest.mark.parametrize("X", [WORDS, RUNNING], ids=["items", "running"])
def test_bits_per_byte_are_the_nats_over_the_bytes_in_history_and_evaluation(X):
    m = Transformer(**FIELDS).fit(tokenised(X, "bpe:280"), validation=X)
    row = next(r for r in m.history_ if "validation" in r)
    sizes = m.codec_.size_bytes(m.codec_.pack(X, m.space_))
    assert row["bits_per_byte"] == pytest.approx(row["validation"] / float(sizes.mean()) / math.log(2))
    value = next(s for s in likelihood(m, X) if s.metric == "bits_per_byte").value
    assert value == pytest.approx(-float(m.log_prob_bound(X).sum()) / float(sizes.sum()) / math.log(2), rel=1e-6)


def test_a_saved_model_has_its_tokens_and_continues_a_beginning(tmp_path):
    m = Transformer(**FIELDS).fit(tokenised(WORDS, "unigram:300"))
    m.save(tmp_path / "m")
    again = genus.Model.load(tmp_path / "m")
    assert again.sample(4, seed=0) == m.sample(4, seed=0)
    assert all(t.startswith("the c☃") for t in again.sample(3, given="the c☃", seed=0))


def test_what_cannot_be_is_refused_in_words(tmp_path):
    for tokens, words in (
        ("bpe:100", "above 256"),
        ("bpe", "above 256"),
        ("bite", "did you mean|byte"),
        ("byte:3", "takes no size"),
    ):
        with pytest.raises(UsageError, match=words):
            tokenised(WORDS, tokens)
    with pytest.raises(UsageError, match="digits is image"):
        genus.load("digits", tokens="byte")
    with pytest.raises(DataError, match="did not occur in training"):
        Transformer(**FIELDS).fit(WORDS).log_prob(["☃"])
    m = Transformer(**FIELDS).fit(tokenised(WORDS, "bpe:300"))
    with pytest.raises(UsageError, match="U\\+FFFD stands for one"):
        m.complete(["the \N{REPLACEMENT CHARACTER}at"])
    with pytest.raises(DataError, match="the model holds at most"):
        m.sample(1, given="☃" * 500)


def test_a_text_of_one_token_and_a_vocabulary_of_one_are_learnt():
    assert Transformer(**FIELDS).fit(["a"] * 20).score(["a"]) <= 0
    one = Transformer(**FIELDS).fit("a" * 400)
    assert one.score("a" * 400) == pytest.approx(0, abs=1e-6)
    assert set(one.sample(1, seed=0)[0]) == {"a"}
    with pytest.raises(DataError, match="1 token in all"):
        Transformer(**FIELDS).fit(tokenised("ab", "bpe:257"))
