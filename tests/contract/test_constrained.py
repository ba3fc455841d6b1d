"""Every family that is Constrained keeps what is given and the rules of a table."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genus.capability import Constrained
from genus.catalogue import FAMILIES, family
from genus.errors import UsageError
from genus.families.baseline import Marginals

RULES = [
    {"rule": "determines", "if": ["zip"], "then": "city"},
    {"rule": "order", "low": "low", "high": "high"},
    {"rule": "sum", "terms": ["net", "tax"], "total": "gross"},
]
NAMES = [name for name in FAMILIES if issubclass(family(name), Constrained) and "record" in family(name).accepts]


def table(n: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    zips, net, tax = rng.integers(0, 9, n), rng.integers(1, 30, n), rng.integers(0, 9, n)
    low = rng.gamma(2.0, 3.0, n).round(2)
    high = (low + rng.exponential(1.0, n)).round(2)
    X = pd.DataFrame({
        "zip": [f"z{i}" for i in zips], "city": [f"c{i // 3}" for i in zips], "net": net, "tax": tax, "gross": net + tax,
        "low": low, "high": high,
    })  # fmt: skip
    X.attrs["schema"] = {"columns": {}, "rules": RULES}
    return X


def small(name: str) -> Any:
    cls = family(name)
    few = {"steps": 10, "batch": 64, "width": 16, "depth": 1, "particles": 4}
    fields = {key: value for key, value in few.items() if key in {field.name for field in dataclasses.fields(cls)}}
    return cls(**fields)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_given_and_the_rules_are_kept(name):
    model = small(name).fit(table())
    X = model.sample(150, given={"low": (2.5, 6.31), "city": {"c0", "c2"}, "tax": 4}, seed=0)
    assert X["low"].between(2.5, 6.31).all()
    assert set(X["city"]) == {"c0", "c2"}
    assert (X["tax"] == 4).all()
    for rows in (X, model.sample(150, seed=1)):
        assert (rows["low"] <= rows["high"]).all()
        assert (rows["net"] + rows["tax"] == rows["gross"]).all()
        assert (rows["city"] == "c" + (rows["zip"].str[1:].astype(int) // 3).astype(str)).all()
    assert 0 < X.attrs["support"]["probability"] < 1


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_rows(name):
    model = small(name).fit(table())
    a, b = (model.sample(40, given={"low": (2.0, None)}, seed=3) for _ in range(2))
    assert a.attrs["support"]["probability"] > 0.1  # among the rows that keep the rules, which few draws of these models do
    pd.testing.assert_frame_equal(a, b)


def test_a_family_that_masks_nothing_says_so():
    model = Marginals().fit(table())
    with pytest.warns(UserWarning, match="does not enforce the table's 3 rules"):
        model.sample(5, seed=0)
    with pytest.warns(UserWarning, match="does not enforce"), pytest.raises(UsageError, match="not a set or a range"):
        model.sample(5, given={"low": (1, 2)})
