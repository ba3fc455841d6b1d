"""A condition is read however it is typed, and what training never saw is refused with the nearest label."""

import datetime

import numpy as np
import pandas as pd
import pytest
import torch

from genus.data.condition import Condition
from genus.errors import DataError, UsageError


@pytest.mark.parametrize(
    ("y", "width"),
    [
        (np.arange(30) % 3, 3),
        (["a", "b", "c"] * 10, 3),
        (pd.Series([True, False, True] * 10, name="flag"), 2),
        (pd.Categorical(["lo", "hi", "lo"] * 10, ["lo", "hi", "never"]), 2),
        (np.linspace(0, 1, 30), 1),
        (np.arange(100), 1),
        (pd.date_range("2020", periods=30), 1),
        ([datetime.date(2020, 1, 1 + i) for i in range(30)], 1),
        (np.array([0.0, 1.0] * 15), 2),
        ({"a": [1, 2, 3] * 10, "b": ["x", "y", "x"] * 10}, 5),
        (np.stack([np.arange(30) % 2, np.linspace(0, 1, 30)], 1), 3),
    ],
)
def test_every_kind_of_condition_has_its_width_and_is_drawn_as_in_training(y, width):
    n = len(next(iter(y.values()))) if isinstance(y, dict) else len(y)
    condition = Condition().fit(y)
    packed = condition.pack(y, n)
    assert condition.width == width
    assert packed.shape == (n, width)
    assert torch.isfinite(packed).all()
    drawn = condition.draw(50)
    assert (drawn[:, None] == packed[None]).all(2).any(1).all()


@pytest.mark.parametrize(
    ("y", "typed", "plain"),
    [
        ([1, 2, 3] * 5, "3", 3),
        ([1, 2, 3] * 5, 3.0, 3),
        ([1, 2, 3] * 5, np.int8(3), 3),
        (["<=50K", ">50K"] * 5, " >50K ", ">50K"),
        ([True, False] * 5, "true", True),
        ([0.0, 1.0] * 5, "1", 1.0),
        (pd.Categorical([3, 5] * 5), "5", 5),
        (["1", "2"] * 5, 2, "2"),
        (np.linspace(0, 1, 9), "0.25", 0.25),
        (pd.date_range("2020", periods=9), "2020-01-03", pd.Timestamp("2020-01-03")),
    ],
)
def test_text_from_a_command_line_means_the_typed_value(y, typed, plain):
    condition = Condition().fit(y)
    assert torch.equal(condition.pack(typed, 4), condition.pack([plain] * 4, 4))
    assert torch.equal(condition.pack(typed, 4)[0], condition.pack(typed, 1)[0])


def test_several_columns_are_given_by_name_in_any_order_one_value_or_many():
    frame = pd.DataFrame({"sex": ["f", "m"] * 20, "age": np.linspace(20, 60, 40), "other": 1})
    condition = Condition().fit(frame[["sex", "age"]])
    by_name = condition.pack({"age": "20", "sex": ["m", "f"]}, 2)
    assert torch.equal(by_name, condition.pack(pd.DataFrame({"age": [20.0, 20.0], "more": 0, "sex": ["m", "f"]}), 2))
    with pytest.raises(UsageError, match="lacks 'age'"):
        condition.pack({"sex": "m"}, 1)
    with pytest.raises(UsageError, match="fitted on 2: sex, age"):
        condition.pack("m", 1)


@pytest.mark.parametrize(
    ("y", "given", "words"),
    [
        (["cat", "dog"] * 5, "catt", "'catt' is not a value of 'y' seen in training .*Did you mean 'cat'"),
        ([1, 2] * 5, 7, "7 is not a value"),
        ([1, 2] * 5, None, "missing"),
        (np.linspace(0, 1, 9), "much", "'much'.*number"),
        (np.linspace(0, 1, 9), np.inf, "infinity"),
    ],
)
def test_an_unseen_condition_is_one_sentence(y, given, words):
    with pytest.raises(DataError, match=words):
        Condition().fit(y).pack(given, 1)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (["a", None, "b"], "missing values .first at row 1"),
        (np.array([0.5, np.nan]), "missing values"),
        ([], "empty"),
        ([f"name {i}" for i in range(3000)], "identifier"),
    ],
)
def test_an_impossible_condition_is_one_sentence(y, words):
    with pytest.raises(DataError, match=words):
        Condition().fit(y)


def test_the_number_of_conditions_is_that_of_the_items():
    with pytest.raises(UsageError, match="3 conditions for 2 items"):
        Condition().fit([0, 1, 2]).pack([0, 1, 2], 2)
