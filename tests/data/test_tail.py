"""Free text: frequent ones are tokens, the rest is drawn letter by letter, with an exact probability and nothing told back."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch

from genus import store
from genus.data.ngram import Ngram
from genus.data.table import TableCodec
from genus.families.baseline import Marginals
from genus.maths.quantise import drawn

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
WORDS = [
    w.split() for w in ("the a every some", "broken red late lost heavy", "parcel box order cable", "arrived vanished failed")
]


def sentences(n, seed=0):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(w) for w in WORDS) + f" #{rng.integers(1000, 9999)}" for _ in range(n)]


def comments(n=2000):
    rng = np.random.default_rng(1)
    X = pd.DataFrame({"comment": sentences(n), "v": rng.normal(size=n)})
    X.loc[::4, "comment"] = "none"
    X.loc[::9, "comment"] = None
    X["v"] += 3 * (X["comment"] == "none")
    return X


def test_the_probabilities_of_all_texts_sum_to_one():
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ab"), rng.integers(0, 4))) for _ in range(300)]
    model = Ngram.fit(texts)
    every = ["".join(t) for k in range(13) for t in itertools.product("ab", repeat=k)]
    total = float(np.exp(model.log_prob(every)).sum())
    assert 0.98 < total < 1
    assert np.isfinite(model.log_prob(["", "zebra", "日本", "a" * 99])).all()


def test_draws_have_the_probabilities_they_are_given():
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abc"), rng.integers(1, 4), p=[0.6, 0.3, 0.1])) for _ in range(400)]
    model = Ngram.fit(texts)
    torch.manual_seed(0)
    shares = pd.Series(model.draw(40000)).value_counts(normalize=True)[:12]
    p = np.exp(model.log_prob(list(shares.index)))
    assert (np.abs(shares.to_numpy() - p) < 4 * np.sqrt(p / 40000)).all()


def test_texts_are_learnt_and_not_told_back():
    texts = sentences(3000)
    model = Ngram.fit(texts)
    torch.manual_seed(0)
    drawn = model.draw(2000)
    seen = set(texts)
    copied = sum(text in seen for text in drawn)
    chance = sum(text in seen for text in sentences(2000, seed=9))
    assert copied <= chance + 3
    whole = pd.Series(drawn).str.fullmatch(" ".join(f"({'|'.join(w)})" for w in WORDS) + r" #\d+")
    assert whole.mean() > 0.9
    assert model.log_prob(sentences(500, seed=5)).mean() > -21  # the truth is 15.3 nats; even letters 76


def test_a_secret_held_by_one_text_is_forgotten():
    secret = "my password is xQ7kkPz2w"
    model = Ngram.fit([*sentences(2000), secret])
    torch.manual_seed(0)
    assert not any("xQ7" in text for text in model.draw(4000))
    assert model.log_prob([secret])[0] < -60


def test_a_column_of_comments_is_text_and_comes_back_with_its_frequent_values():
    X = comments()
    codec = TableCodec().fit(X)
    assert codec.kinds_["comment"] == "text"
    kept = str(codec.columns_["comment"]["levels"])
    assert "none" in kept
    assert not any(text in kept for text in X["comment"].dropna() if text != "none")
    for view in codec.views():
        torch.manual_seed(0)
        out = codec.unpack(drawn(codec.pack(X, view)), view)
        assert ((out["comment"] == "none") == (X["comment"] == "none")).all()
        assert (out["comment"].isna() == X["comment"].isna()).all()
        assert out["comment"].dtype == X["comment"].dtype
        rest = out["comment"][X["comment"].notna() & (X["comment"] != "none")]
        assert len(set(rest) & set(X["comment"])) < 6  # chance: there are two million


def test_likelihoods_of_rows_contain_that_of_the_text_and_survive_saving(tmp_path):
    X = comments(900)
    model = Marginals().fit(X)
    value = model.log_prob(X)
    tails = model.codec_.log_tails(X, model.space_)
    assert tails is not None
    rest = (X["comment"].notna() & (X["comment"] != "none")).to_numpy()
    assert (tails[:, 0].numpy()[rest] < -10).all()
    assert (tails[:, 0].numpy()[~rest] == 0).all()
    x = model.codec_.pack(X, model.space_)
    packed = model._log_prob(x, None).double() - model.codec_.log_volume(x, model.space_)
    assert np.allclose(value, (packed + tails.sum(1)).numpy())
    model.save(tmp_path)
    assert np.allclose(type(model).load(tmp_path).log_prob(X), value)
    assert not any(text.encode() in (tmp_path / "model.json").read_bytes() for text in X["comment"][rest][:50])
    assert store.from_json((tmp_path / "model.json").read_bytes(), "x")
    given = model.sample(20, given={"comment": "something else"}, seed=0)
    assert (given["comment"] == "something else").all()
    assert math.isfinite(model.score(given))


def test_codes_with_structure_are_text_and_short_labels_are_not():
    rng = np.random.default_rng(2)
    ticket = [f"{rng.choice(['A/5', 'PC', 'STON/O2'])} {rng.integers(1000, 2500)}" for _ in range(1000)]
    X = pd.DataFrame({"ticket": ticket, "town": rng.choice([f"T{i}" for i in range(300)], 1000)})
    codec = TableCodec().fit(X)
    assert codec.kinds_ == {"ticket": "text", "town": "category"}
    torch.manual_seed(0)
    record = codec.views()[0]
    out = codec.unpack(drawn(codec.pack(X, record)), record)["ticket"]
    assert out.str.fullmatch(r"(A/5|PC|STON/O2) \d+").mean() > 0.8
