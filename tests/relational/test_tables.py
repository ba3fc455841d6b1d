"""Tables: every key in place, the laws of counts, siblings and times kept; a twin without memory is found out."""

import numpy as np
import pandas as pd
import pytest

import genus
from genus.errors import UsageError
from genus.relational import siblings
from genus.relational.history import History

FAMILY, FIELDS = "tree", {}
N = 400
KEYS = {
    "tables": {
        "customers": {"key": "id"},
        "products": {"key": "code"},
        "orders": {"key": "no", "parents": {"customer": "customers"}, "time": "day"},
        "lines": {"key": ["no", "line"], "parents": {"no": "orders", "code": "products"}},
    }
}


def shop(seed=0):
    """Customers with a hidden trait, orders that share it, lines of orders that name products."""
    rng = np.random.default_rng(seed)
    vip, trait = rng.random(N) < 0.4, rng.normal(size=N)
    who = np.repeat(np.arange(N), rng.poisson(np.where(vip, 4, 1.5)))
    gaps = pd.Series(rng.geometric(np.where(vip[who], 0.2, 0.05))).groupby(who).cumsum().to_numpy()
    customers = pd.DataFrame({"id": np.arange(N) + 100, "vip": np.where(vip, "yes", "no"), "age": rng.integers(20, 80, N)})
    orders = pd.DataFrame({
        "no": [f"B{i:05d}" for i in range(len(who))], "customer": pd.array(who + 100, dtype="Int64"),
        "amount": np.round(100 + 20 * trait[who] + 10 * rng.normal(size=len(who)), 1),
        "currency": np.array(["EUR", "USD"])[(trait[who] > 0.5).astype(int)],
        "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(gaps, "D"),
    })  # fmt: skip
    orders.loc[rng.random(len(orders)) < 0.1, "customer"] = pd.NA
    of = np.repeat(np.arange(len(who)), rng.integers(1, 4, len(who)))
    dear = rng.random(40) < 0.5
    products = pd.DataFrame({"code": [f"p{i}" for i in range(40)], "dear": dear})
    line = pd.Series(of).groupby(of).cumcount() + 1
    choice = np.where(rng.random(len(of)) < 0.8, orders["amount"].to_numpy()[of] > 100, rng.random(len(of)) < 0.5)
    code = np.where(choice, rng.choice(np.flatnonzero(dear), len(of)), rng.choice(np.flatnonzero(~dear), len(of)))
    lines = pd.DataFrame({"no": orders["no"].to_numpy()[of], "line": line, "code": products["code"].to_numpy()[code],
                          "pieces": rng.integers(1, 9, len(of))})  # fmt: skip
    return {"customers": customers, "products": products, "orders": orders, "lines": lines}


@pytest.fixture(scope="module")
def real():
    return shop()


@pytest.fixture(scope="module")
def model(real):
    return genus.Tables(FAMILY, seed=0, fields=FIELDS).fit(real, KEYS)


@pytest.fixture(scope="module")
def drawn(model):
    return model.sample(seed=1)


def sibling_correlation(tables):
    """Of the amounts of orders two apart."""
    orders = tables["orders"].dropna(subset="customer").sort_values(["customer", "day"], kind="stable")
    two = orders.groupby("customer")["amount"].shift(2)
    return orders["amount"].corr(two)


def test_every_key_is_in_place_and_types_are_kept(real, drawn):
    orders, lines = drawn["orders"], drawn["lines"]
    assert drawn["customers"]["id"].is_unique
    assert orders["no"].is_unique
    assert not lines.duplicated(["no", "line"]).any()
    assert orders["customer"].dropna().isin(drawn["customers"]["id"]).all()
    assert lines["no"].isin(orders["no"]).all()
    assert lines["code"].isin(drawn["products"]["code"]).all()
    assert {n: list(t.dtypes) for n, t in drawn.items()} == {n: list(t.dtypes) for n, t in real.items()}


def test_the_share_of_empty_foreign_keys_is_kept(real, drawn):
    assert drawn["orders"]["customer"].isna().mean() == pytest.approx(real["orders"]["customer"].isna().mean(), abs=0.005)


def test_more_children_where_the_parent_has_more(real, drawn):
    for tables in (real, drawn):
        vip = tables["orders"].dropna(subset="customer").merge(tables["customers"], left_on="customer", right_on="id")["vip"]
        per = vip.value_counts() / tables["customers"]["vip"].value_counts()
        assert per["yes"] > 1.7 * per["no"]


def test_siblings_resemble_each_other_two_apart_and_a_twin_without_memory_is_found_out(real, model, drawn, monkeypatch):
    truth = sibling_correlation(real)
    assert truth > 0.7
    assert sibling_correlation(drawn) == pytest.approx(truth, abs=0.25)
    told = History.features

    def forgetful(self, active, same):
        features = told(self, active, same)
        features.scores = {k: np.random.default_rng(0).permutation(v) for k, v in features.scores.items()}
        return features

    monkeypatch.setattr(siblings.History, "features", forgetful)
    assert sibling_correlation(model.sample(seed=1)) != pytest.approx(truth, abs=0.25)


def test_what_never_differs_between_siblings_never_does(drawn):
    assert drawn["orders"].dropna(subset="customer").groupby("customer")["currency"].nunique().max() == 1


def test_times_rise_in_the_steps_of_training(drawn):
    gaps = drawn["orders"].dropna(subset="customer").groupby("customer")["day"].diff().dropna()
    assert (gaps > pd.Timedelta(0)).all()
    assert (drawn["orders"]["day"].dt.normalize() == drawn["orders"]["day"]).all()


def test_a_second_parent_fits_its_child(real, drawn):
    def gap(tables):
        joined = tables["lines"].merge(tables["orders"], on="no").merge(tables["products"], on="code")
        return joined[joined["dear"]]["amount"].mean() - joined[~joined["dear"]]["amount"].mean()

    assert gap(real) > 15
    assert gap(drawn) > 0.5 * gap(real)


def test_save_and_load_draw_the_same(model, drawn, tmp_path):
    model.save(tmp_path)
    again = genus.Tables.load(tmp_path).sample(seed=1)
    for name, frame in drawn.items():
        pd.testing.assert_frame_equal(again[name], frame)


def test_n_counts_parents_and_nothing_else(model):
    assert len(model.sample(n={"customers": 7, "products": 40}, seed=0)["customers"]) == 7
    assert {len(frame) for frame in model.sample(n=0, seed=0).values()} == {0}
    with pytest.raises(UsageError, match="has parents"):
        model.sample(n={"orders": 3})


def test_a_sequence_comes_back_flat():
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(150), rng.integers(2, 6, 150))
    visits = pd.DataFrame(
        {"patient": who, "sex": np.array(["f", "m"])[who % 2], "pulse": 60 + who % 9 + rng.normal(size=len(who))}
    )
    visits["month"] = visits.groupby("patient").cumcount() * 3
    model = genus.Tables(FAMILY, fields=FIELDS).fit(visits, key="patient", time="month")
    drawn = model.sample(seed=0)
    assert list(drawn.columns) == list(visits.columns)
    assert drawn.groupby("patient")["sex"].nunique().max() == 1
    assert set(drawn.groupby("patient")["month"].diff().dropna()) == {3}
