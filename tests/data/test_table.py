"""Whatever column a user brings comes back in its own type, through both views."""

import time
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from frames import MAKERS, frame
from sklearn.base import BaseEstimator

from genus import store
from genus.data import codec_of
from genus.data.table import TableCodec
from genus.errors import DataError, UsageError
from genus.maths.quantise import drawn

pytestmark = pytest.mark.filterwarnings("ignore:Left out", "ignore::UserWarning")
MADE_ANEW = {"uuid", "row"}


def fitted(X, **options):
    return TableCodec(**options).fit(X)


def same(a, b):
    """Equal cells, a missing one equal to a missing one."""
    a, b = a.reset_index(drop=True), b.reset_index(drop=True)
    return (a.isna() == b.isna()) & ((a.astype(object) == b.astype(object)) | a.isna())


@pytest.mark.parametrize("seed", range(30))
def test_types_columns_gaps_and_values_come_back(seed):
    X = frame(seed)
    codec = fitted(X)
    for view in codec.views():
        x = drawn(codec.pack(X, view))
        assert x.shape == (len(X), *view.shape)
        assert x.dtype == view.dtype
        assert torch.isfinite(x.double()).all()
        out = codec.unpack(x, view)
        assert list(out.columns) == list(X.columns)
        assert out.dtypes.equals(X.dtypes)
        assert out.index.equals(pd.RangeIndex(len(X)))
        for column in codec._columns:
            old, new = X[column.name], out[column.name]
            assert (old.isna() == new.isna()).all()
            exact = not len(column.edges) and (view.kind == "real" or column.size.max() == 1)
            if exact:
                assert same(old, new).all(), column.name


@pytest.mark.parametrize("seed", range(30))
def test_every_code_is_a_level_of_its_cell_and_packing_what_was_unpacked_gives_it_again(seed):
    X = frame(seed)
    codec = fitted(X)
    record = codec.views()[0]
    x = codec.pack(X, record)
    levels = torch.tensor([space.levels for _, space in record.fields])
    assert ((x >= 0) & (x < levels)).all()
    again = codec.pack(codec.unpack(x, record), record)
    assert (again == x).float().mean() > 0.999


@pytest.mark.parametrize("name", MAKERS)
def test_no_cell_is_a_value_the_column_cannot_hold(name):
    X = frame(1, 600, [name, "float32"])
    codec = fitted(X)
    if name not in codec.columns_:
        return
    old = X[name].dropna()
    for view in codec.views():
        x = torch.randn(300, 2) * 3 if view.kind == "real" else torch.stack(
            [torch.randint(s.levels, (300,)) if s.discrete else torch.randn(300) * 3 for _, s in view.fields], 1
        )  # fmt: skip
        new = codec.unpack(x, view)[name].dropna()
        assert new.dtype == old.dtype
        if codec.kinds_[name] in ("category", "boolean"):
            assert set(new) <= set(old)
        else:
            ordered = [pd.to_datetime(s, dayfirst=True) if name == "date text" else s for s in (old, new)]
            assert ordered[0].min() <= ordered[1].min()
            assert ordered[1].max() <= ordered[0].max()
        if name in ("price", "price32", "four decimals"):
            digits = {"price": 2, "price32": 1, "four decimals": 4}[name]
            assert np.allclose(new, np.round(new.astype(float), digits), rtol=1e-6)
        if name == "thousands":
            assert (new % 1000 == 0).all()


def test_reals_come_back_from_the_real_view_to_the_precision_of_floats():
    X = frame(3, 2000, ["float32", "float64 gaps", "datetime ms", "four decimals"])
    codec = fitted(X)
    view = codec.views()[1]
    out = codec.unpack(drawn(codec.pack(X, view)), view)
    for name in ("float32", "float64 gaps", "four decimals"):
        spread = np.subtract(*np.nanpercentile(X[name], [75, 25]))
        assert np.nanmedian(np.abs(out[name] - X[name])) < 1e-4 * spread
    assert (out["datetime ms"] - X["datetime ms"]).abs().median() < pd.Timedelta("2min")


def test_whole_rows_have_no_missing_cell():
    X = frame(5, 500, [name for name in MAKERS if name != "empty"])
    codec = fitted(X)
    for view in codec.views():
        assert X.isna().any().any()
        assert not codec.unpack(drawn(codec.pack(X, view)), view, whole=True).isna().any().any()


def test_a_codec_survives_json_and_safetensors():
    X = frame(6, 300, list(MAKERS))
    codec, tensors = fitted(X), {}
    text = store.to_json(store.freeze(vars(codec), tensors, "codec"))
    twin = TableCodec()
    vars(twin).update(store.thaw(store.from_json(text, "x"), store.unpack_tensors(store.pack_tensors(tensors), "x")))
    for view in codec.views():
        x = drawn(codec.pack(X, view))
        frames = []
        for each in (codec, twin):
            torch.manual_seed(0)
            frames.append(each.unpack(x, view))
            assert each.views() == codec.views()
        pd.testing.assert_frame_equal(*frames)


def test_columns_are_recognised():
    X = frame(7, 700, list(MAKERS))
    kinds = fitted(X).kinds_
    expected = {
        "int8": "integer", "Int64": "integer", "whole floats": "integer", "price": "numeric", "float32": "numeric",
        "bool": "boolean", "boolean": "boolean", "bool object": "boolean", "str": "category", "category": "category",
        "objects": "category", "category int": "category", "datetime tz": "datetime", "dates": "datetime",
        "date text": "datetime", "timedelta": "numeric", "uuid": "identifier", "row": "identifier",
        "constant": "constant", "constant text": "constant", "empty": "missing",
    }  # fmt: skip
    assert {name: kinds[name] for name in expected} == expected
    assert [row[0] for row in fitted(X).describe()] == list(X.columns)


def test_recognition_can_be_overruled():
    X = pd.DataFrame({"zip": np.arange(10000, 10100), "flag": ["0", "1"] * 50})
    codec = fitted(X, kinds={"zip": "category", "flag": "integer"})
    assert codec.kinds_ == {"zip": "category", "flag": "integer"}
    out = codec.unpack(codec.pack(X, codec.views()[0]), codec.views()[0])
    assert out["flag"].equals(X["flag"])
    with pytest.raises(UsageError, match="Did you mean 'category'"):
        fitted(X, kinds={"zip": "categori"})
    with pytest.raises(UsageError, match="Did you mean 'zip'"):
        fitted(X, kinds={"zipp": "category"})


def test_identifiers_are_made_anew_in_the_same_form_and_warned_of():
    X = pd.DataFrame(
        {"id": [f"C-{i:05d}x" for i in range(300)], "key": range(1, 301), "v": np.random.default_rng(0).normal(size=300)}
    )
    with pytest.warns(UserWarning, match="'id' names the rows; 'key' names the rows"):
        codec = fitted(X)
    out = codec.unpack(torch.zeros(200, 1), codec.views()[1])
    assert out["id"].str.fullmatch(r"C-00[012]\d\dx").all()
    assert not set(out["key"]) & set(X["key"])
    assert out["key"].is_unique


def test_ordered_categories_are_ordered_cells_and_missing_is_the_last_level():
    X = pd.DataFrame({"size": pd.Categorical(["s", "l", "m", None] * 20, ["s", "m", "l"], ordered=True), "v": np.arange(80) % 7})
    cell = dict(fitted(X).views()[0].fields)["size"]
    assert (cell.kind, cell.levels, cell.missing) == ("levels", 4, 3)
    assert fitted(X).pack(X, fitted(X).views()[0])[:4, 0].tolist() == [0, 2, 1, 3]


def test_levels_lie_along_the_numbers_they_go_with():
    rng = np.random.default_rng(0)
    place = rng.permutation(8)
    level = rng.integers(0, 8, 4000)
    X = pd.DataFrame({"c": np.array(list("abcdefgh"))[level], "v": place[level] + rng.normal(size=4000) / 4})
    order = ["abcdefgh".index(word) for word in fitted(X)._columns[0].levels]
    ranks = [int(place[i]) for i in order]
    assert ranks in (sorted(ranks), sorted(ranks)[::-1])


def test_known_cells_stay_and_unknown_ones_are_masked():
    X = frame(8, 400, ["Int64", "float64 gaps", "str", "datetime gaps", "price", "bool", "row"])
    holes = X.astype(object).mask(np.random.default_rng(0).random(X.shape) < 0.4)
    codec = fitted(X)
    for view in codec.views():
        x, known = codec.known(holes, view)
        assert known.shape == drawn(x).shape
        named = [name for name, _ in view.fields] if view.kind == "record" else list(codec.columns_)
        for i, name in enumerate(named):
            assert (known[:, i].numpy() == holes[name.removesuffix("/fine")].notna().to_numpy()).all()
        filled = codec.merge(holes, codec.unpack(drawn(x), view, whole=True), view)
        assert filled.dtypes.equals(X.dtypes)
        assert not filled.isna().any().any()
        for name in X.columns:
            kept = holes[name].notna()
            assert same(filled[name][kept], X[name][kept]).all()


def test_a_template_holds_what_is_given_in_the_columns_own_type():
    X = frame(9, 300, ["int8", "category", "bool", "datetime", "str", "price"])
    codec = fitted(X)
    T = codec.template(3, {"int8": "7", "category": "mid", "bool": "true", "datetime": "2020-01-05", "str": ["x", "y y", "x"]})
    assert T["int8"].tolist() == [7, 7, 7]
    assert T["bool"].tolist() == [True] * 3
    assert T["price"].isna().all()
    x, _ = codec.known(T, codec.views()[0])
    out = codec.merge(T, codec.unpack(x, codec.views()[0], whole=True), codec.views()[0])
    assert out.dtypes.equals(X.dtypes)
    assert (out["category"] == "mid").all()
    assert out["str"].tolist() == ["x", "y y", "x"]
    assert (out["datetime"] == pd.Timestamp("2020-01-05")).all()
    with pytest.raises(UsageError, match="Did you mean 'price'"):
        codec.template(1, {"pricee": 1})
    with pytest.raises(DataError, match=r"'hgi' is not a value of 'category'.*Did you mean 'hi'"):
        codec.template(1, {"category": "hgi"})
    with pytest.raises(DataError, match=r"'abc'.*number"):
        codec.template(1, {"int8": "abc"})
    with pytest.raises(UsageError, match="2 values"):
        codec.template(3, {"int8": [1, 2]})


def test_what_training_never_held_is_read_as_the_nearest_with_a_warning():
    X = pd.DataFrame({"c": list("aab") * 40, "v": np.random.default_rng(0).normal(size=120)})
    codec = fitted(X)
    record = codec.views()[0]
    odd = pd.DataFrame({"c": ["z", None], "v": [1e9, 0.0]})
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        x = codec.pack(odd, record)
    said = " ".join(str(w.message) for w in told)
    for words in ("'z'", "outside the range", "are missing"):
        assert words in said
    out = codec.unpack(x, record)
    assert out["c"].tolist() == ["b", "a"]
    assert out["v"][0] <= X["v"].max()


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (pd.DataFrame({"a": []}), "empty"),
        (pd.DataFrame({"a": [1.0]}), "1 row"),
        (pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]), "'a'"),
        (pd.DataFrame({"a": [1.0, np.inf, 2.0]}), "infinity at row 1"),
        (pd.DataFrame({"a": [1, 1, 1]}), "no distribution"),
        (pd.DataFrame({"a": [[1], [2]]}), "list"),
        (pd.DataFrame({"a": [1j, 2j]}), "complex"),
    ],
)
def test_impossible_tables_are_one_sentence(X, words):
    with pytest.raises(DataError, match=words):
        fitted(X)


def test_a_table_lacking_a_column_is_told_the_nearest():
    X = frame(1, 50, ["price", "bool"])
    with pytest.raises(DataError, match=r"'price'.*Did you mean 'prices'"):
        fitted(X).pack(X.rename(columns={"price": "prices"}), fitted(X).views()[0])


def test_scikit_learn_learns_number_and_names_of_columns():
    box = type("Box", (BaseEstimator,), {})()
    X = frame(1, 50, ["price", "bool", "str"])
    codec_of(X, estimator=box)
    assert box.n_features_in_ == 3
    assert list(box.feature_names_in_) == ["price", "bool", "str"]
    with pytest.raises(DataError, match="feature names should match"):
        codec_of(X[["price", "str", "bool"]], estimator=box, reset=False)


def test_a_hundred_thousand_rows_pack_in_under_a_second():
    rng = np.random.default_rng(0)
    n = 100_000
    X = pd.DataFrame(
        {f"c{i}": rng.choice(list("abcdefgh"), n) for i in range(5)}
        | {f"f{i}": rng.lognormal(size=n) for i in range(5)}
        | {f"i{i}": rng.poisson(100, n) for i in range(5)}
    )
    codec = fitted(X)
    for view in codec.views():
        start = time.process_time()
        x = drawn(codec.pack(X, view))
        packed = time.process_time()
        codec.unpack(x, view)
        assert packed - start < 1
        assert time.process_time() - packed < 1


@pytest.mark.parametrize(
    "X",
    [
        pd.DataFrame(
            {
                "a": pd.array([1, 2, None, 4] * 10, dtype="int64[pyarrow]"),
                "b": pd.array(["x", None] * 20, dtype="string[pyarrow]"),
            }
        ),
        pd.DataFrame({"t": pd.array(pd.date_range("2020", periods=40), dtype="timestamp[us][pyarrow]"), "v": np.arange(40) % 3}),
        pd.DataFrame({"u": np.array([2**64 - 1, 1, 5, 2**63] * 10, dtype="uint64"), "h": np.linspace(0, 1, 40, dtype="float16")}),
        pd.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"]}),
        pd.DataFrame({"a": [1.0, 2.0, 3.0], 3: [1, 2, 1]}),
        pd.DataFrame({"a": pd.arrays.SparseArray([0, 0, 1] * 20), "b": range(60)}),
        pd.DataFrame({"a": [1.0, 2.0, 2.5] * 20}, index=[0] * 60),
    ],
)
def test_unusual_dtypes_names_and_indexes_come_back(X):
    codec = fitted(X)
    for view in codec.views():
        out = codec.unpack(drawn(codec.pack(X, view)), view)
        filled = codec.merge(X, codec.unpack(drawn(codec.known(X, view)[0]), view, whole=True), view)
        for each in (out, filled):
            assert each.dtypes.equals(X.dtypes)
            assert list(each.columns) == list(X.columns)
        assert filled.index.equals(X.index)


def test_kinds_can_travel_with_the_frame():
    X = pd.DataFrame({"zip": np.arange(10000, 10040).repeat(3), "v": np.linspace(0, 1, 120)})
    X.attrs["kinds"] = {"zip": "category"}
    assert codec_of(X).fit(X).kinds_["zip"] == "category"
