"""A file of a table is read into the types its cells have, or refused in one sentence that names the place."""

import datetime
import decimal
import gzip

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genus.data.chunked_csv import CsvFile
from genus.data.read_table import read_table
from genus.errors import DataError

PLAIN = "age,job,rate,ok\n39, State-gov,1.5,true\n50, ?,2,False\n,Private,NaN,TRUE\n"


def put(folder, name, content):
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.tsv", "t.data"])
def test_cells_are_stripped_typed_and_missing_where_they_say_so(tmp_path, name):
    text = PLAIN.replace(",", "\t") if "tsv" in name else PLAIN
    X = read_table(put(tmp_path, name, gzip.compress(text.encode()) if name.endswith("gz") else text))
    assert X.columns.tolist() == ["age", "job", "rate", "ok"]
    assert [str(t) for t in X.dtypes.drop("job")] == ["Int64", "float64", "bool"]
    assert X["job"].fillna("-").tolist() == ["State-gov", "-", "Private"]
    assert X["age"].isna().tolist() == [False, False, True]
    assert X["ok"].tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("39, x, <=50K\n50, y, >50K\n38, x, <=50K\n", ["column_1", "column_2", "column_3"]),
        ("x,y\ny,x\nx,y\n", ["column_1", "column_2"]),
        ("name,town\nann,ulm\nbob,rom\n", ["name", "town"]),
        ("name,age\nann,3\nbob,4\n", ["name", "age"]),
        ("\ufeffa;b\n1;2,5\n3;4\n", ["a", "b"]),
        (",v\n0,1.5\n1,2.5\n", ["Unnamed: 0", "v"]),
    ],
)
def test_a_first_row_that_fits_the_columns_is_data(tmp_path, text, names):
    X = read_table(put(tmp_path, "t.csv", text))
    assert X.columns.tolist() == names
    assert len(X) == len(text.strip().splitlines()) - (names[0] != "column_1")


def test_leading_zeros_stay_text_and_quotes_hold_commas_and_lines(tmp_path):
    X = read_table(put(tmp_path, "t.csv", 'zip,note,big\n02139,"a, b",99999999999999999999\n90210,"c\nd",1\n'))
    assert X["zip"].tolist() == ["02139", "90210"]
    assert X["note"].tolist() == ["a, b", "c\nd"]
    assert X["big"].dtype == np.float64


def test_many_blocks_read_like_one(tmp_path):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"i": rng.integers(0, 1000, 120_000), "f": rng.normal(size=120_000), "c": rng.choice(["u", "vv"], 120_000)})
    X.to_csv(tmp_path / "t.csv", index=False)
    assert (tmp_path / "t.csv").stat().st_size > 2 * 2**20
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv"), X, check_dtype=False)


def test_parquet_keeps_its_types(tmp_path):
    X = pd.DataFrame(
        {"c": pd.Categorical(["a", "b", "a"]), "i": pd.array([1, None, 3], dtype="Int64"), "f": np.float32([1, 2, 3])}
    )
    X.to_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet"), X)
    money = pa.table({"m": [decimal.Decimal("1.50"), decimal.Decimal("2.25")], "d": [datetime.date(2020, 1, 1)] * 2})
    pq.write_table(money, tmp_path / "m.parquet")
    assert read_table(tmp_path / "m.parquet")["m"].tolist() == [1.5, 2.25]


LONG = "a,b\n" + "1,2\n" * 50_000


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.csv", "", "is empty"),
        ("blank.csv", "\n\n", "is empty"),
        ("head.csv", "a,b\n", "no rows"),
        ("ragged.csv", "a,b\n1,2\n3\n", "row 3 has 1 cells, the others 2"),
        ("late.csv", LONG + "1,2,3\n", "row 50002 has 3 cells, the others 2"),
        ("twice.csv", "a,b,a\n1,2,3\n", "two columns called 'a'"),
        ("latin.csv", b"a,b\n1,caf\xe9\n2,x\n", "byte 9"),
        ("latin_late.csv", LONG.encode() + b"1,\xff\n", "byte 200006"),
        ("cut.csv.gz", gzip.compress(LONG.encode())[:-100], "gzip.*cut short"),
        ("not.csv.gz", "a,b\n1,2\n", "gzip"),
        ("bad.parquet", b"PAR1....", "not a sound Parquet"),
        ("sheet.xlsx", "zz", "does not end in"),
    ],
)
def test_a_damaged_file_is_one_sentence(tmp_path, name, content, words):
    path = put(tmp_path, name, content)
    with pytest.raises(DataError, match=words) as caught:
        read_table(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_cut_parquet_and_a_missing_file_are_one_sentence(tmp_path):
    pd.DataFrame({"a": range(1000)}).to_parquet(tmp_path / "t.parquet")
    put(tmp_path, "cut.parquet", (tmp_path / "t.parquet").read_bytes()[:-50])
    with pytest.raises(DataError, match="not a sound Parquet"):
        read_table(tmp_path / "cut.parquet")
    with pytest.raises(DataError, match=r"no file.*Did you mean 't.parquet'"):
        read_table(tmp_path / "tt.parquet")


@pytest.mark.parametrize("ending", [".tsv", ".tsv.gz"])
def test_a_quote_in_tab_separated_text_is_a_character_unless_cells_are_quoted(tmp_path, ending):
    def read(text):
        path = tmp_path / f"t{ending}"
        path.write_bytes(gzip.compress(text.encode()) if ending.endswith("gz") else text.encode())
        file, whole = CsvFile(path), read_table(path)
        assert next(file.read(10, ["a", "b"], file.types())).equals(whole)
        return whole.to_numpy().tolist()

    assert read('a\tb\nx\t"y\n"z" w\tv\n') == [["x", '"y'], ['"z" w', "v"]]
    assert read('a\tb\n"x"\t"y ""q"""\nz\tw\n') == [["x", 'y "q"'], ["z", "w"]]
    assert read('a\tb\n"x\ty"\tz\nv\tw\n') == [["x\ty", "z"], ["v", "w"]]
