"""Splits part the items: every one in exactly one part, by seed, by class, by position or by time."""

import numpy as np
import pandas as pd
import pytest

from genus.data.split import split, split_off
from genus.errors import DataError, UsageError


@pytest.mark.parametrize("n", [3, 4, 10, 37, 1000])
@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.1), (0.5, 0.25, 0.25)])
def test_every_item_is_in_exactly_one_part_and_no_part_is_empty(n, shares):
    train, validation, test, index = split(np.arange(n), -np.arange(n), seed=1, shares=shares)
    parts = (train, validation, test)
    assert sorted(np.concatenate([X for X, _ in parts])) == list(range(n))
    assert all(len(X) for X, _ in parts)
    for (X, y), i in zip(parts, index, strict=True):
        assert (i == X).all()
        assert (y == -i).all()
    if n == 1000:
        assert [len(i) for i in index] == [int(s * n) for s in shares]


def test_a_seed_gives_the_same_split_and_another_another():
    one, two, three = (split(np.arange(200), seed=s).index for s in (0, 0, 1))
    assert all((a == b).all() for a, b in zip(one, two, strict=True))
    assert not (one[2] == three[2]).all()


def test_classes_have_equal_shares_when_each_is_large_enough():
    y = pd.Series(np.repeat(["a", "b", "c"], [900, 60, 40]), index=np.arange(1000)[::-1])
    parts = split(pd.DataFrame({"v": range(1000)}), y, seed=3)
    counts = [part[1].value_counts().reindex(["a", "b", "c"]).tolist() for part in parts[:3]]
    assert counts == [[720, 48, 32], [90, 6, 4], [90, 6, 4]]
    rare = np.repeat([0, 1], [99, 1])
    assert sum(len(i) for i in split(np.arange(100), rare, seed=0).index) == 100


def test_a_running_text_is_cut_by_position():
    text = "".join(chr(97 + i % 26) for i in range(1000))
    parts = split(text, seed=0)
    assert "".join(X for X, _ in parts[:3]) == text
    assert [len(i) for i in parts.index] == [800, 100, 100]


@pytest.mark.parametrize("text", [False, True])
def test_time_splits_by_time_and_no_time_is_in_two_parts(text):
    days = pd.Timestamp("2020-01-30") + pd.to_timedelta(np.random.default_rng(0).integers(0, 60, 500), unit="D")
    X = pd.DataFrame({"day": days.strftime("%d.%m.%Y") if text else days, "v": range(500)})
    parts = split(X, seed=0, time="day")
    when = [days[i] for i in parts.index]
    assert when[0].max() < when[1].min()
    assert when[1].max() < when[2].min()
    assert sum(map(len, when)) == 500
    assert abs(len(when[0]) - 400) < 20


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: split([1, 2], seed=0), DataError, "at least 3"),
        (lambda: split([1, 2, 3], seed=0, shares=(0.5, 0.5, 0.5)), UsageError, "sum to 1"),
        (lambda: split(pd.DataFrame({"day": [1, 2, 3]}), seed=0, time="dai"), UsageError, "Did you mean 'day'"),
        (lambda: split([1, 2, 3], seed=0, time="day"), UsageError, "no table"),
        (lambda: split(pd.DataFrame({"day": [1.0, None, 3.0]}), seed=0, time="day"), DataError, "no time at row 1"),
        (lambda: split(pd.DataFrame({"day": [1, 1, 1]}), seed=0, time="day"), DataError, "too few different times"),
    ],
)
def test_an_impossible_split_is_one_sentence(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_rows_set_aside_keep_the_users_type_and_are_few():
    X = pd.DataFrame({"v": range(100)})
    kept, y, (out, y_out) = split_off(X, np.arange(100) % 2, seed=0)
    assert (len(kept), len(out)) == (90, 10)
    assert sorted([*kept["v"], *out["v"]]) == list(range(100))
    assert np.bincount(y_out).tolist() == [5, 5]
    assert len(y) == 90
    assert split_off(X[:20], None, seed=0)[2] is None
    assert len(split_off(np.zeros(200_000), None, seed=0)[2][0]) == 5000
    assert split_off(["a"] * 100, None, seed=0)[2][0] == ["a"] * 10
