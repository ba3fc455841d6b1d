"""Densities over packed rows are probabilities of user rows: they sum and integrate to one, and give the marginals back."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch
from frames import MAKERS, frame

from genus.data.table import TableCodec
from genus.maths.quantise import Fuzzy, drawn

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
RNG = np.random.default_rng(0)


def every_value(X, codec):
    """All values a discrete column can take."""
    column = codec._columns[0]
    name = column.name
    if column.levels:
        out = pd.Series(list(column.levels), dtype=object)
    else:
        ends = np.concatenate([column.atoms, column.values_at_ends()])
        c = np.arange(ends.min(), ends.max() + 1)
        c = c if len(column.edges) else column.atoms
        if len(column.edges):
            low, high = column.values_at_ends()
            c = np.concatenate([column.atoms, c[(c >= low) & (c <= high) & ~np.isin(c, column.atoms)]])
        unit = column.values(c)
        out = pd.to_datetime(unit, unit=column.form["unit"]).to_series() if column.kind == "datetime" else pd.Series(unit)
    whole = pd.DataFrame({name: out.astype(object)}).reset_index(drop=True)
    return pd.concat([whole, pd.DataFrame({name: [None]})], ignore_index=True) if column.missing >= 0 else whole


def random_mass(x):
    """log-probabilities over the distinct packed rows of x, the same for equal rows."""
    _, where = torch.unique(x, dim=0, return_inverse=True)
    return torch.log_softmax(torch.randn(int(where.max()) + 1, dtype=torch.float64), 0)[where]


@pytest.mark.parametrize(
    "name",
    [
        "int8",
        "Int64",
        "price32",
        "bool",
        "boolean",
        "str",
        "objects",
        "category",
        "many levels",
        "datetime",
        "thousands",
    ],
)
def test_any_probability_over_the_codes_of_a_column_sums_to_one_over_its_values(name):
    X = frame(2, 700, [name])
    codec = TableCodec().fit(X)
    record = codec.views()[0]
    values = every_value(X, codec)
    x = codec.pack(values, record)
    log_p = random_mass(x) - codec.log_volume(x, record)
    assert math.isclose(float(log_p.exp().sum()), 1.0, rel_tol=1e-9)


@pytest.mark.parametrize("name", ["float32", "price", "four decimals", "skewed"])
def test_any_probability_over_the_codes_of_a_continuous_column_is_a_density(name):
    X = pd.DataFrame({"skewed": RNG.lognormal(size=3000)}) if name == "skewed" else frame(2, 2000, [name])
    codec = TableCodec().fit(X)
    record = codec.views()[0]
    assert len(record.fields) == 2
    column = codec._columns[0]
    inside = [np.linspace(a, b, 9)[:-1] + (b - a) / 16 for a, b in itertools.pairwise(column.edges)]
    step = np.repeat(np.diff(column.edges) / 8, 8)
    x = codec.pack(pd.DataFrame({name: np.concatenate(inside)}), record)
    log_p = random_mass(x) - codec.log_volume(x, record)
    assert math.isclose(float((log_p.exp() * torch.from_numpy(step)).sum()), 1.0, rel_tol=1e-6)


def standard(z):
    return -0.5 * (z.double() ** 2 + math.log(2 * math.pi)).sum(1)


@pytest.mark.parametrize("name", ["int8", "Int64", "price32", "boolean", "objects", "category", "many levels", "datetime"])
def test_standard_normals_give_each_value_of_a_discrete_column_a_probability(name):
    X = frame(2, 700, [name])
    codec = TableCodec().fit(X)
    real = codec.views()[-1]
    values = every_value(X, codec)
    x = codec.pack(values, real)
    assert isinstance(x, Fuzzy)
    assert not codec.exact(real)
    z = drawn(x)
    total = (standard(z) - codec.log_volume(z, real)).exp().sum()
    assert math.isclose(float(total), 1.0, rel_tol=0.003)


def test_a_continuous_table_is_exact_and_its_density_integrates_to_one():
    X = pd.DataFrame({"a": RNG.lognormal(size=2000)})
    codec = TableCodec().fit(X)
    real = codec.views()[-1]
    assert codec.exact(real)
    edges = codec._columns[0].edges
    grid = np.unique(np.concatenate([np.linspace(a, b, 33) for a, b in itertools.pairwise(edges)]))
    middle = (grid[1:] + grid[:-1]) / 2
    z = codec.pack(pd.DataFrame({"a": middle}), real)
    density = (standard(z) - codec.log_volume(z, real)).exp().numpy()
    assert math.isclose(float((density * np.diff(grid)).sum()), 1.0, rel_tol=1e-3)
    mean = float((density * middle * np.diff(grid)).sum())
    assert math.isclose(mean, float(X["a"].mean()), rel_tol=0.03)


def test_the_change_of_volume_is_the_derivative():
    X = pd.DataFrame({"a": RNG.normal(5, 3, size=5000), "b": RNG.lognormal(size=5000)})
    codec = TableCodec().fit(X)
    real = codec.views()[-1]
    z = torch.randn(200, 2)
    h = 2e-3
    up, down = (codec.unpack(z + s * h, real).to_numpy() for s in (0.5, -0.5))
    slope = np.log(np.abs(up - down) / h).sum(1)
    assert np.median(np.abs(slope - codec.log_volume(z, real).numpy())) < 0.02


def test_one_spike_or_gap_makes_a_continuous_table_inexact():
    a = RNG.normal(size=500)
    spiked = np.where(RNG.random(500) < 0.2, 0.0, a)
    gapped = np.where(RNG.random(500) < 0.2, np.nan, a)
    exact = [TableCodec().fit(pd.DataFrame({"a": v})) for v in (a, spiked, gapped)]
    assert [codec.exact(codec.views()[-1]) for codec in exact] == [True, False, False]
    assert all(codec.exact(codec.views()[0]) for codec in exact)


@pytest.mark.parametrize("name", sorted(set(MAKERS) - {"constant", "constant text", "empty", "uuid", "row", "float64 tiny"}))
def test_standard_normals_through_unpack_reproduce_the_marginal(name):
    X = frame(4, 2000, [name])
    codec = TableCodec().fit(X)
    torch.manual_seed(0)
    n = 20000
    out = codec.unpack(torch.randn(n, 1), codec.views()[-1])
    assert abs(out[name].isna().mean() - X[name].isna().mean()) < 4 * 0.5 / math.sqrt(n)
    old, new = X[name].dropna(), out[name].dropna()
    if codec.kinds_[name] in ("category", "boolean"):
        shares = [s.astype(str).value_counts(normalize=True) for s in (old, new)]
        assert (shares[0].sub(shares[1], fill_value=0)).abs().sum() / 2 < 0.03
        return
    if name in ("date text", "dates"):
        old, new = (pd.to_datetime(s, dayfirst=name == "date text") for s in (old, new))
    if old.dtype.kind in "mM":
        old, new = ((s - old.min()) / (old.max() - old.min()) for s in (old, new))
    old, new = (np.sort(s.to_numpy(dtype="float64")) for s in (old, new))
    grid = np.unique(old)
    gap = np.abs(np.searchsorted(old, grid, "right") / len(old) - np.searchsorted(new, grid, "right") / len(new))
    assert gap.max() < 1.63 / math.sqrt(len(new)) + 0.006
    assert abs(np.mean(new == 0) - np.mean(old == 0)) < 0.015


def test_heavy_tails_and_spikes_survive():
    n = 20000
    gain = np.where(RNG.random(n) < 0.9, 0, np.where(RNG.random(n) < 0.05, 99999, np.exp(RNG.normal(8, 1, n)).astype(int)))
    X = pd.DataFrame({"gain": gain, "tail": RNG.standard_t(2.5, n)})
    codec = TableCodec().fit(X)
    torch.manual_seed(0)
    record = codec.views()[0]
    bootstrap = X.sample(n, replace=True, random_state=0)
    for view, x in ((codec.views()[-1], torch.randn(n, 2)), (record, codec.pack(bootstrap, record))):
        out = codec.unpack(x, view)
        for value in (0, 99999):
            assert abs((out["gain"] == value).mean() - (gain == value).mean()) < 0.01
        assert abs(out["tail"].std() / X["tail"].std() - 1) < 0.2
        for q in (0.01, 0.1, 0.5, 0.9, 0.99):
            assert abs(out["tail"].quantile(q) - X["tail"].quantile(q)) < 0.12 * max(1, abs(X["tail"].quantile(q)))


def test_a_gaussian_over_the_real_view_gives_back_the_types_and_the_correlation():
    rng = np.random.default_rng(1)
    a = rng.normal(size=3000)
    X = pd.DataFrame(
        {"a": np.exp(a), "b": pd.array(np.rint(40 + 10 * a + 3 * rng.normal(size=3000)), dtype="Int64"), "c": a > 0.5}
    )
    codec = TableCodec().fit(X)
    real = codec.views()[-1]
    z = drawn(codec.pack(X, real))
    torch.manual_seed(0)
    normal = torch.distributions.MultivariateNormal(z.mean(0), torch.cov(z.T) + 1e-4 * torch.eye(3))
    out = codec.unpack(normal.sample((3000,)), real)
    assert out.dtypes.equals(X.dtypes)
    assert abs(out["a"].corr(out["b"].astype(float), "spearman") - X["a"].corr(X["b"].astype(float), "spearman")) < 0.05
    assert abs(out["c"].mean() - X["c"].mean()) < 0.03
    x = codec.pack(X, real)
    bound = torch.stack([normal.log_prob(drawn(x)).double() - codec.log_volume(drawn(x), real) for _ in range(2)])
    independent = torch.stack([standard(drawn(x)) - codec.log_volume(drawn(x), real) for _ in range(2)])
    assert bound.mean() > independent.mean() + 0.5
