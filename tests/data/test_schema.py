"""A table's schema is written, edited by hand and given back, and what it says is heeded; what it gets wrong is one sentence."""

import json

import numpy as np
import pandas as pd
import pytest
from frames import MAKERS, frame

from genus.data import codec_of
from genus.data.load import load
from genus.data.schema import Schema
from genus.data.table import TableCodec
from genus.errors import DataError, UsageError
from genus.maths.quantise import drawn

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def test_what_was_written_and_given_back_changes_nothing(tmp_path):
    X = frame(6, 300, list(MAKERS))
    told = TableCodec().fit(X).schema_
    (tmp_path / "s.json").write_text(told.text())
    read = Schema.read(tmp_path / "s.json")
    assert read == told
    codec = TableCodec(schema=read).fit(X)
    assert codec.schema_ == told
    assert codec.views() == TableCodec().fit(X).views()


def test_an_edited_kind_is_heeded_wherever_the_schema_comes_from(tmp_path):
    X = pd.DataFrame({"zip": np.arange(10000, 10040).repeat(3), 7: np.linspace(0, 1, 120)})
    told = json.loads(TableCodec().fit(X).schema_.text())
    told["columns"]["zip"] = "category"
    told["rules"] = [{"rule": "range", "column": "7", "low": 0}]
    (tmp_path / "s.json").write_text(json.dumps(told))
    attached = load(X.copy(), schema=tmp_path / "s.json").X
    for codec in (TableCodec(schema=told), codec_of(attached), codec_of(attached.iloc[5:90])):
        assert isinstance(codec, TableCodec)
        codec.fit(X)
        assert codec.kinds_["zip"] == "category"
        assert codec.schema_.rules == [{"rule": "range", "column": "7", "low": 0}]


def test_volumes_by_column_add_up_and_cells_know_their_column():
    X = frame(6, 300, list(MAKERS))
    codec = TableCodec().fit(X)
    for view in codec.views():
        x = drawn(codec.pack(X, view))
        parts = codec.log_volumes(x, view)
        assert parts.shape == X.shape
        assert (parts.sum(1) - codec.log_volume(x, view)).abs().max() < 1e-9
        owners = codec.owners(view)
        assert len(owners) == x.shape[1]
        assert {codec.names_[i] for i in owners} == set(codec.names_) - set(codec.left_out_)
        names = [name for name, _ in view.fields] if view.kind == "record" else []
        assert all(name.startswith(str(codec.names_[i])) for name, i in zip(names, owners, strict=False))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[]", 'holds no "columns"'),
        ('{"columns": {"agee": "integer"}}', r"column 'agee', which the table lacks.*Did you mean 'age'"),
        ('{"columns": {"age": "integr"}}', r"'integr' is no kind.*Did you mean 'integer'"),
        ('{"columns": {"age": {"kinds": "integer"}}}', r"'kinds'.*Did you mean 'kind'"),
        ('{"columns": {"age": {"bounds": 3}}}', "smallest, largest"),
        ('{"columns": {"age": {"levels": 3}}}', "levels are a list"),
        ('{"columns": {"age": {"decimals": -1}}}', "decimals are a whole number"),
        ('{"columns": {}, "rules": 3}', "list of objects"),
        ('{"columns": {}, "rule": []}', r"'rule'.*Did you mean 'rules'"),
        ('{"columns": {}, "schema": 9}', "format 9"),
    ],
)
def test_a_bad_schema_is_one_sentence(tmp_path, text, words):
    (tmp_path / "s.json").write_text(text)
    X = pd.DataFrame({"age": range(90), "c": list("abc") * 30})
    with pytest.raises(UsageError, match=words) as caught:
        load(X, schema=tmp_path / "s.json")
    assert "\n" not in str(caught.value)


def test_rows_that_break_what_is_declared_are_named():
    X = pd.DataFrame({"age": [30, 40, 150] * 20, "job": list("abc") * 20})
    for part, words in (({"age": {"bounds": [0, 120]}}, "holds 150 at row 2"), ({"job": {"levels": ["a", "b"]}}, "'c' at row 2")):
        with pytest.raises(DataError, match=words):
            TableCodec(schema={"columns": part}).fit(X)
    with pytest.raises(UsageError, match="bounds column 'age' by 'x'"):
        TableCodec(schema={"columns": {"age": {"bounds": ["x", 1]}}}).fit(X)


def test_a_column_can_be_put_aside():
    X = pd.DataFrame({"code": np.arange(1000, 1300), "v": np.linspace(0, 1, 300)})
    codec = TableCodec(schema={"columns": {"code": {"role": "aside"}}}).fit(X)
    assert codec.kinds_ == {"code": "identifier", "v": "numeric"}


def test_a_date_that_is_none_and_a_word_among_numbers_are_told_with_their_rows():
    days = pd.Series(pd.date_range("2020", periods=300).strftime("%Y-%m-%d").to_list())
    days[17] = "2020-13-45"
    mixed = pd.Series([*np.arange(299) / 7, "oops"], dtype=object)
    X = pd.DataFrame({"day": days, "mixed": mixed, "v": np.linspace(0, 1, 300)})
    with pytest.warns(UserWarning, match="at row") as told:
        TableCodec().fit(X)
    said = " ".join(str(w.message) for w in told)
    assert "'2020-13-45' at row 17" in said
    assert "'oops' at row 299" in said
    with pytest.raises(DataError, match="'2020-13-45' at row 17"):
        TableCodec(kinds={"day": "datetime"}).fit(X)
    with pytest.raises(DataError, match="'oops' at row 299"):
        TableCodec(kinds={"mixed": "numeric"}).fit(X)
