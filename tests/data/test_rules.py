"""Planted rules are found and chance ones are not; what is asked of rows is kept to the last digit."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genus.cli.flags import parse_given
from genus.data.conditions import conditions
from genus.data.rules import mine, rule_from
from genus.data.table import TableCodec
from genus.errors import DataError, UsageError
from genus.maths.particles import fill

ROWS = 900


def planted(seed: int = 0) -> pd.DataFrame:
    """A table that keeps six rules, with two columns that keep none."""
    rng = np.random.default_rng(seed)
    zips = rng.integers(0, 12, ROWS)
    net = rng.integers(1, 400, ROWS)
    tax = rng.integers(0, 90, ROWS)
    low = rng.gamma(2.0, 3.0, ROWS)
    high = low + np.abs(rng.normal(0.0, 2.0, ROWS))
    job = rng.choice(["cook", "pilot", "smith"], ROWS)
    seat = np.where(job == "pilot", "cockpit", rng.choice(["kitchen", "forge", "cockpit"], ROWS))
    start = pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 900, ROWS), unit="D")
    return pd.DataFrame({
        "zip": np.array([f"z{i}" for i in zips]), "city": np.array([f"c{i // 3}" for i in zips]), "net": net, "tax": tax,
        "gross": net + tax, "low": low.round(2), "high": high.round(2), "job": job, "seat": seat, "start": start,
        "noise": rng.choice(list("abc"), ROWS), "other": rng.normal(size=ROWS),
    })  # fmt: skip


RULES = [
    {"rule": "determines", "if": ["zip"], "then": "city"},
    {"rule": "implies", "if": {"job": ["pilot"]}, "then": {"seat": ["cockpit"]}},
    {"rule": "order", "low": "low", "high": "high"},
    {"rule": "sum", "terms": ["net", "tax"], "total": "gross"},
    {"rule": "range", "column": "net", "low": 5, "high": 350},
]


class Independent:
    """Cells drawn each by itself, which keeps no rule of its own accord."""

    def __init__(self, marginals, n):
        self.marginals, self.x = marginals, torch.zeros(n, len(marginals), dtype=torch.int64)

    def logits(self, step):
        return self.marginals[step].expand(len(self.x), -1)

    def put(self, step, symbol):
        self.x[:, step] = symbol

    def keep(self, index):
        self.x = self.x[index]


def drawer(codec: Any, X: Any) -> Any:
    """A family's `_sample_within` of independent cells, as often as in X."""
    view = codec.views()[0]
    x = codec.pack(X, view)
    wide = max(cell.levels for _, cell in view.fields)
    counts = [torch.bincount(x[:, i], minlength=wide).float() for i in range(view.size)]
    marginals = [
        torch.where(torch.arange(wide) < cell.levels, (c + 0.01).log(), -torch.inf)
        for c, (_, cell) in zip(counts, view.fields, strict=True)
    ]
    order = range(view.size)
    return view, lambda n, within, y: fill(Independent(marginals, n), order, within=within, particles=8)


def draw(codec: Any, X: Any, n: int, asked: Any = None, seed: int = 0) -> Any:
    view, hook = drawer(codec, X)
    torch.manual_seed(seed)
    wanted = conditions(codec, n, asked, view)
    return wanted.draw(hook, None, asked, 512)


def ruled(X: pd.DataFrame) -> TableCodec:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return TableCodec(schema={"columns": {}, "rules": RULES}).fit(X)


# -- mining -----------------------------------------------------------------------------------------------


def test_planted_rules_are_found():
    found = {str(rule) for rule in mine(planted())}
    wanted = {"zip determines city", "job = pilot ⇒ seat = cockpit", "low ≤ high", "net + tax = gross"}
    assert wanted <= found, wanted - found


def test_sums_of_rounded_numbers_are_found():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=400).round(2), rng.normal(size=400).round(2)
    assert "a + b = c" in {str(rule) for rule in mine(pd.DataFrame({"a": a, "b": b, "c": (a + b).round(2)}))}


@pytest.mark.parametrize("seed", range(4))
def test_no_rule_is_found_where_columns_are_independent(seed):
    rng = np.random.default_rng(seed)
    X = planted(seed)
    free = pd.DataFrame({name: rng.permutation(X[name]) for name in X.columns})
    found = [rule for rule in mine(free) if rule.kind not in ("range", "unique")]
    assert [str(rule) for rule in found] == []


def test_a_rule_tells_its_support_and_exceptions():
    X = pd.concat([planted(seed) for seed in range(4)], ignore_index=True)
    X.loc[7, "city"] = "elsewhere"
    rule = next(rule for rule in mine(X) if str(rule) == "zip determines city")
    assert (rule.support, rule.exceptions) == (len(X), 1)
    assert rule.violations(X).nonzero()[0].tolist() == [7]


def test_rules_survive_json():
    for data in RULES:
        assert rule_from(rule_from(data).to_json()).to_json() == rule_from(data).to_json()


# -- declaring --------------------------------------------------------------------------------------------


def test_a_rule_the_data_break_says_how_often_and_where():
    X = planted()
    X.loc[[4, 9], "city"] = "elsewhere"
    with pytest.warns(
        UserWarning, match=r"2 of 900 rows \(0\.22 %\) break the rule zip determines city, such as row 4 .*elsewhere"
    ):
        TableCodec(schema={"columns": {}, "rules": RULES[:1]}).fit(X)


@pytest.mark.parametrize(("rule", "words"), [
    ({"rule": "determine", "if": ["zip"], "then": "city"}, "Did you mean 'determines'"),
    ({"rule": "order", "low": "lo", "high": "high"}, "'lo', which the table lacks. Did you mean 'low'"),
    ({"rule": "order", "low": "low"}, '"high": "end"'),
    ({"rule": "order", "low": "zip", "high": "high"}, "row 0: no number"),
    ({"rule": "implies", "if": ["job"], "then": {"seat": ["x"]}}, "written|write"),
])  # fmt: skip
def test_a_wrong_rule_is_told_in_one_sentence(rule, words):
    with pytest.raises(UsageError, match=words):
        TableCodec(schema={"columns": {}, "rules": [rule]}).fit(planted())


# -- keeping ----------------------------------------------------------------------------------------------


def test_rules_are_broken_without_and_kept_with_them():
    X = planted()
    codec = ruled(X)
    view, hook = drawer(codec, X)
    torch.manual_seed(0)
    free = codec.unpack(hook(600, None, None)[0], view)
    kept, _ = draw(codec, X, 600)
    for data in RULES:
        rule = rule_from(data)
        rule.learn(X)
        assert rule.violations(free).mean() > 0.01, str(rule)
        assert not rule.violations(kept).any(), str(rule)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.sets(st.sampled_from(range(len(RULES))), min_size=1), st.booleans())
def test_no_row_breaks_a_rule_whatever_else_is_asked(seed, chosen, narrow):
    X = planted(seed % 3)
    rules = [RULES[i] for i in chosen]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        codec = TableCodec(schema={"columns": {}, "rules": rules}).fit(X)
    asked = {"low": (3.17, 4.9), "job": {"pilot", "cook"}, "zip": ["z1", "z5", "z7"]} if narrow else None
    drawn, _ = draw(codec, X, 200, asked, seed)
    for data in rules:
        rule = rule_from(data)
        rule.learn(X)
        assert not rule.violations(drawn).any(), str(rule)
    if narrow:
        assert drawn["low"].between(3.17, 4.9).all()
        assert set(drawn["job"]) <= {"pilot", "cook"}
        assert set(drawn["zip"]) <= {"z1", "z5", "z7"}


@settings(max_examples=25, deadline=None)
@given(st.floats(-3, 3), st.floats(0.001, 2), st.integers(0, 300), st.integers(0, 100), st.integers(0, 700))
def test_ranges_are_kept_to_the_last_digit(a, width, b, span, day):
    X = planted()
    codec = _plain(X)
    first = pd.Timestamp("2021-02-01") + pd.Timedelta(day, "D")
    asked = {
        "other": (a, a + width),
        "net": (b, b + span),
        "start": (str(first.date()), str((first + pd.Timedelta(9, "D")).date())),
    }
    held = X["other"].between(a, a + width).any() and X["net"].between(b, b + span).any()
    if not held or a > X["other"].max() or a + width < X["other"].min():
        return
    drawn, _ = draw(codec, X, 60, asked)
    assert drawn["other"].between(a, a + width).all()
    assert drawn["net"].between(b, b + span).all()
    assert drawn["start"].between(first, first + pd.Timedelta(9, "D")).all()


CODECS: dict[int, TableCodec] = {}


def _plain(X: pd.DataFrame) -> TableCodec:
    return CODECS.setdefault(0, TableCodec().fit(X))


def test_the_weight_of_a_range_is_its_probability():
    X = planted()
    codec = _plain(X)
    for name, low, high in (("gross", 100, 300), ("net", 17, 203), ("low", 2.0, 7.0)):
        _, log_weight = draw(codec, X, 200, {name: (low, high)})
        assert float(log_weight.exp().mean()) == pytest.approx(X[name].between(low, high).mean(), abs=0.03)


def test_places_in_a_bin_are_drawn_in_proportion():
    """A range over parts of two bins: each gives as many rows as the data have there."""
    X: Any = pd.DataFrame({"v": np.random.default_rng(0).exponential(size=4000)})
    drawn, _ = draw(TableCodec().fit(X), X, 4000, {"v": (0.5, 1.7)})
    held = X["v"][X["v"].between(0.5, 1.7)]
    for q in (0.2, 0.5, 0.8):
        assert (drawn["v"] < held.quantile(q)).mean() == pytest.approx(q, abs=0.03)


def test_missing_cells_can_be_asked_for():
    X = planted().assign(note=lambda X: X["noise"].where(X["other"] > 0))
    drawn, _ = draw(TableCodec().fit(X), X, 50, {"note": None, "job": "cook"})
    assert drawn["note"].isna().all()
    assert set(drawn["job"]) == {"cook"}


@pytest.mark.parametrize(("asked", "words"), [
    ({"job": "pilto"}, "Did you mean 'pilot'"),
    ({"job": ["cook", "king"]}, "'king' is not a value"),
    ({"net": 10_000}, "outside what training held"),
    ({"net": (1000, 2000)}, "was seen in training"),
    ({"net": (9, 3)}, "9 is above 3"),
    ({"nett": 4}, "Did you mean 'net'"),
    ({"job": None}, "never missing"),
    ({"job": (1, 2)}, "no order"),
    ({"net": "many"}, "holds numbers"),
    ({"zip": "z1", "city": "c3"}, "probability of 0"),
    ({"job": "pilot", "seat": ["kitchen", "forge"]}, "probability of 0"),
])  # fmt: skip
def test_what_cannot_be_is_told_in_one_sentence(asked, words):
    X = planted()
    with pytest.raises((DataError, UsageError), match=words):
        draw(ruled(X), X, 20, asked)


def test_little_support_is_said():
    X = planted()
    codec = ruled(X)
    view, hook = drawer(codec, X)
    wanted = conditions(codec, 40, {"zip": "z1", "noise": "a", "seat": "forge", "net": (20, 21)}, view)
    _, log_weight = wanted.draw(hook, None, None, 512)
    with pytest.warns(UserWarning, match="less than one of 900 training rows: what is drawn is extrapolation"):
        support = wanted.support(log_weight, {"zip": "z1"})
    assert support["rows"] == pytest.approx(900 * support["probability"])


# -- the command line -------------------------------------------------------------------------------------


def test_given_on_the_command_line():
    words = ["age=30..40", "old=65..", "young=..18", "school=HS-grad|Bachelors", "job=", "income=>50K", 'genre="a|b..c"']
    told = {"age": ("30", "40"), "old": ("65", None), "young": (None, "18"), "school": ["HS-grad", "Bachelors"], "job": None}
    assert parse_given(words) == told | {"income": ">50K", "genre": "a|b..c"}


@pytest.mark.parametrize("word", ["age", "=3", "age=..", "age=a||b"])
def test_a_malformed_given_is_told(word):
    with pytest.raises(UsageError):
        parse_given([word])


def test_the_same_column_twice_is_told():
    with pytest.raises(UsageError, match="twice"):
        parse_given(["age=3", "age=4"])
