"""Columns coded together or in pieces (many levels, times, places): probabilities stay exact and values come back."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch

from genus.data.place import curve, uncurve
from genus.data.table import TableCodec
from genus.maths.quantise import drawn

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
START = pd.Timestamp("2022-03-02")


def again(codec, X, seed=0):
    """X packed as a record and unpacked."""
    torch.manual_seed(seed)
    record = codec.views()[0]
    return codec.unpack(drawn(codec.pack(X, record)), record)


def random_mass(x):
    """log-probabilities over the distinct packed rows of x, the same for equal rows."""
    _, where = torch.unique(x, dim=0, return_inverse=True)
    return torch.log_softmax(torch.randn(int(where.max()) + 1, dtype=torch.float64), 0)[where]


def sums_to_one(codec, X):
    record = codec.views()[0]
    x = drawn(codec.pack(X, record))
    return math.isclose(float((random_mass(x) - codec.log_volumes(x, record)[:, 0]).exp().sum()), 1.0, rel_tol=1e-9)


# -- many levels ------------------------------------------------------------------------------------------


def many(n=20000, k=2000):
    rng = np.random.default_rng(0)
    level = np.minimum(rng.zipf(1.2, n) - 1, k - 1)
    worth = rng.permutation(k) / k
    return pd.DataFrame({"c": np.array([f"L{i}" for i in range(k)])[level], "v": worth[level] + rng.normal(size=n) / 20}), worth


def test_many_levels_are_two_narrow_cells_and_come_back():
    X, _ = many()
    codec = TableCodec().fit(X)
    cells = dict(codec.views()[0].fields)
    assert cells["c"].levels <= 140
    assert cells["c/fine"].levels <= 129
    counts = X["c"].map(X["c"].value_counts())
    back = again(codec, X)["c"]
    assert (back == X["c"])[counts >= 3].all()
    assert set(back) <= set(X["c"])
    assert sums_to_one(codec, pd.DataFrame({"c": codec._columns[0].levels}).assign(v=0.5))


def test_levels_that_share_a_token_are_alike():
    X, worth = many()
    codec = TableCodec().fit(X)
    token = drawn(codec.pack(X, codec.views()[0]))[:, 0].numpy()
    w = worth[X["c"].str[1:].astype(int)]
    shared = pd.Series(token).map(pd.DataFrame({"t": token, "c": X["c"]}).groupby("t")["c"].nunique()) > 5
    within = pd.Series(w)[shared].groupby(token[shared]).std().mean()
    assert within < 0.5 * w[shared].std()


# -- times ------------------------------------------------------------------------------------------------


def shop(n=4000):
    """Orders in office hours, few on Sundays; shipped some hours later."""
    rng = np.random.default_rng(1)
    day = rng.integers(0, 400, 3 * n)
    day = day[(day + START.weekday()) % 7 != 6][:n]
    hour = rng.normal(13, 2, n).clip(0, 23.9)
    ordered = START + pd.to_timedelta(day, unit="D") + pd.to_timedelta((hour * 3600).astype(int), unit="s")
    shipped = ordered + pd.to_timedelta(rng.exponential(20, n).round(1), unit="h")
    return pd.DataFrame({"shipped": shipped, "ordered": ordered, "v": rng.normal(size=n)})


def test_weekday_and_hour_are_cells_where_they_show_structure_and_gaps_stand_for_later_times():
    X = shop()
    codec = TableCodec().fit(X)
    names = [name for name, _ in codec.views()[0].fields if not name.endswith("/fine")]
    assert names == ["shipped/gap", "ordered/week", "ordered/weekday", "ordered/time", "v"]
    even = START + pd.to_timedelta(np.random.default_rng(0).integers(0, 10**8, 4000), unit="s")
    plain = TableCodec().fit(pd.DataFrame({"t": even}))
    assert [name for name, _ in plain.views()[0].fields] == ["t", "t/fine"]


def test_independent_parts_keep_weekdays_hours_and_the_order_of_times():
    X = shop()
    codec = TableCodec().fit(X)
    record = codec.views()[0]
    x = drawn(codec.pack(X, record))
    owner = torch.tensor(codec.owners(record))
    order = [torch.randperm(len(x), generator=torch.Generator().manual_seed(i)) for i in range(3)]
    mixed = torch.stack([x[order[int(o)], i] for i, o in enumerate(owner)], 1)
    out = codec.unpack(mixed, record)
    assert (out["shipped"] >= out["ordered"]).all()
    assert (out["ordered"].dt.day_of_week == 6).mean() < 0.02
    assert abs((out["ordered"].dt.hour + 0.5).std() - 2.05) < 0.3
    assert X["ordered"].min() <= out["ordered"].min()
    assert out["ordered"].max() <= X["ordered"].max()
    assert out["ordered"].dtype == X["ordered"].dtype


@pytest.mark.parametrize("unit", ["date", "hour", "month", "zone"])
def test_probabilities_of_the_parts_of_a_time_sum_to_one_over_all_times(unit):
    rng = np.random.default_rng(2)
    day = rng.integers(0, 280, 4000)
    if unit == "month":
        t = pd.Series(pd.period_range("1990", periods=300, freq="M").to_timestamp()[rng.integers(0, 300, 4000)])
        every = pd.Series(pd.period_range(t.min(), t.max(), freq="M").to_timestamp())
    elif unit == "date":
        day = day[day % 7 > 1]
        t = pd.Series(START + pd.to_timedelta(day, unit="D"))
        every = pd.Series(pd.date_range(START, START + pd.Timedelta(days=279)))
    else:
        hour = rng.binomial(23, 0.5, len(day))
        zone = "Asia/Tokyo" if unit == "zone" else None
        t = pd.Series(START.tz_localize(zone) + pd.to_timedelta(24 * day + hour, unit="h"))
        every = pd.Series(pd.date_range(START.tz_localize(zone), periods=280 * 24, freq="h"))
    X = pd.DataFrame({"t": t})
    codec = TableCodec().fit(X)
    assert len(codec.parts_) == 1
    record = codec.views()[0]
    if unit in ("hour", "zone"):
        every = every[every.dt.hour.isin(t.dt.hour.unique())]
        assert [name.removesuffix("/fine") for name, _ in record.fields][-1] == "t/time"
    values = pd.DataFrame({"t": every[every.between(t.min(), t.max())]})
    out = again(codec, values)["t"]
    assert out.dtype == t.dtype
    assert out.between(t.min(), t.max()).all()
    if unit == "month":
        assert out.dt.day.eq(1).all()
    assert sums_to_one(codec, values)


def test_a_known_later_time_stays_and_the_earlier_one_is_filled_in_before_it():
    X = shop(600)
    X.loc[::7, ["ordered", "shipped"]] = pd.NaT
    codec = TableCodec().fit(X)
    holes = X.dropna().reset_index(drop=True)
    holes.loc[::2, "ordered"] = pd.NaT
    record = codec.views()[0]
    x, known = codec.known(holes, record)
    out = codec.merge(holes, codec.unpack(x, record, whole=True), record)
    assert (out["shipped"] == holes["shipped"]).all()
    assert (out["ordered"] <= out["shipped"]).all()
    assert not known[0, 0]


# -- places -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "columns"), [(1, 5), (4, 4), (7, 3), (13, 29), (64, 50)])
def test_the_curve_visits_every_cell_once_and_keeps_near_places_near(rows, columns):
    i, j = (a.ravel() for a in np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"))
    index = curve(i, j, rows, columns)
    assert sorted(index) == list(range(rows * columns))
    a, b = uncurve(index, rows, columns)
    assert (a == i).all()
    assert (b == j).all()
    i, j = uncurve(np.arange(rows * columns), rows, columns)
    assert (np.abs(np.diff(i)) + np.abs(np.diff(j))).mean() < 1.8


def towns(n=6000, decimals=2):
    rng = np.random.default_rng(3)
    centre = np.array([[52.5, 13.4], [48.1, 11.6], [53.6, 10.0]])[rng.integers(0, 3, n)]
    at = centre + rng.normal(size=(n, 2)) * 0.15
    return pd.DataFrame({"lat": at[:, 0].round(decimals), "long": at[:, 1].round(decimals), "v": rng.normal(size=n)})


@pytest.mark.parametrize("decimals", [2, 5, 15])
def test_pairs_of_coordinates_stay_near_their_places_even_from_independent_cells(decimals):
    X = towns(decimals=decimals)
    codec = TableCodec().fit(X)
    record = codec.views()[0]
    assert [name for name, _ in record.fields][:2] == ["lat+long", "lat+long/fine"]
    out = again(codec, X)
    assert np.hypot(out["lat"] - X["lat"], out["long"] - X["long"]).median() < 0.05
    assert np.allclose(out["lat"], out["lat"].round(decimals), atol=1e-9)
    for name in ("lat", "long"):
        assert X[name].min() - 1e-6 <= out[name].min()
        assert out[name].max() <= X[name].max() + 1e-6
    assert codec.views()[1].shape == (3,)


def test_the_density_of_a_pair_integrates_to_one():
    X = towns(1500, 15)[["lat", "long"]]
    codec = TableCodec().fit(X)
    record = codec.views()[0]
    box = [np.linspace(X[name].min(), X[name].max(), 513) for name in X]
    middle = [(a[1:] + a[:-1]) / 2 for a in box]
    grid = pd.DataFrame(list(itertools.product(*middle)), columns=X.columns)
    x = drawn(codec.pack(grid, record))
    area = (box[0][1] - box[0][0]) * (box[1][1] - box[1][0])
    counts = drawn(codec.pack(X, record))
    keys = counts[:, 0] * 100 + counts[:, 1]
    p = torch.bincount(keys, minlength=100 * 200).double() / len(X)
    density = p[x[:, 0] * 100 + x[:, 1]] * (-codec.log_volume(x, record)).exp()
    assert math.isclose(float(density.sum()) * area, 1.0, rel_tol=0.05)


def test_a_lone_latitude_or_one_missing_without_the_other_stays_by_itself():
    X = towns(500)
    assert not TableCodec().fit(X[["lat", "v"]]).parts_
    X.loc[::9, "lat"] = np.nan
    assert not TableCodec().fit(X).parts_


# -- bounds -----------------------------------------------------------------------------------------------


def test_declared_bounds_are_used_and_the_new_room_has_next_to_no_mass():
    rng = np.random.default_rng(4)
    X = pd.DataFrame({"age": rng.integers(18, 91, 3000), "x": rng.random(3000), "few": rng.integers(2, 4, 3000)})
    schema = {"columns": {"age": {"bounds": [0, 120]}, "x": {"bounds": [0, 2]}, "few": {"bounds": [1, None]}}}
    codec = TableCodec(schema=schema).fit(X)
    record = codec.views()[0]
    wide = pd.DataFrame({"age": [0, 120, 50], "x": [1.9, 0.0, 2.0], "few": [1, 2, 3]})
    x = drawn(codec.pack(wide, record))
    assert codec.unpack(x, record)["few"].tolist() == [1, 2, 3]
    assert [tuple(codec.schema_.of(name)["bounds"]) for name in X] == [(0, 120), (0, 2), (1, 3)]
    torch.manual_seed(0)
    real = codec.views()[1]
    out = codec.unpack(torch.randn(4000, 3), real)
    assert (out["age"].between(18, 90)).mean() > 0.995
    ages = pd.DataFrame({"age": np.arange(121), "x": 0.5, "few": 2})
    assert sums_to_one(codec, ages)
