"""Write: what is written reads back, whole or not at all."""

import numpy as np
import pandas as pd
import pytest

from genus.data.load import load
from genus.data.write import write
from genus.errors import UsageError

rng = np.random.default_rng(0)
FRAME = pd.DataFrame({"a": [1, -2, 3], "b": [0.5, np.nan, -2.5], "c": ["x", "-y", "z, w"], "d": [True, False, True]})


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".tsv", ".parquet"])
def test_tables_read_back(tmp_path, ending):
    frame = FRAME.assign(c=["x", "y", "z, w"])
    write(frame, tmp_path / f"a{ending}")
    pd.testing.assert_frame_equal(load(tmp_path / f"a{ending}").X, frame, check_dtype=False)


def test_text_cells_that_are_formulas_are_disarmed_and_numbers_are_not(tmp_path):
    write(pd.DataFrame({"a": ["=1+1", "@x", "-3", "ok"], "b": [-1, 2, -3, 4]}), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().split() == ["a,b", "'=1+1,-1", "'@x,2", "-3,-3", "ok,4"]


@pytest.mark.parametrize("ending", [".npz", ".npy"])
@pytest.mark.parametrize("X", [rng.normal(size=(4, 3, 2)), rng.integers(0, 256, (4, 5, 5), dtype=np.uint8), ["ab", "cde"]])
def test_arrays_read_back(tmp_path, ending, X):
    write(X, tmp_path / f"a{ending}")
    np.testing.assert_array_equal(load(tmp_path / f"a{ending}").X, X)


@pytest.mark.parametrize("shape", [(12, 6, 5), (3, 6, 5, 3), (3, 6, 5, 4)])
def test_a_folder_of_images_reads_back(tmp_path, shape):
    X = rng.integers(0, 256, shape, dtype=np.uint8)
    write(X, f"{tmp_path / 'out'}/")
    np.testing.assert_array_equal(load(tmp_path / "out").X, X)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    with pytest.raises(UsageError, match="not an empty folder"):
        write(X, tmp_path / "out")


@pytest.mark.parametrize("items", [["anna", "bob"], ["a\nb", "c\n\nd"]])
@pytest.mark.parametrize("ending", [".txt", ".txt.gz"])
def test_texts_read_back(tmp_path, items, ending):
    write(items, tmp_path / f"a{ending}")
    back = load(tmp_path / f"a{ending}", kind="lines").X
    assert back == items


def test_what_an_ending_cannot_hold_is_refused_and_nothing_is_left(tmp_path):
    for X, name in ((["a"], "a.png"), (FRAME, "a.png"), (FRAME, "a.txt"), (FRAME, "a.npz"), (FRAME, "out/"), (FRAME, "a.cvs")):
        with pytest.raises(UsageError):
            write(X, f"{tmp_path}/{name}")
    assert not list(tmp_path.iterdir())
    with pytest.raises(UsageError, match=r"Did you mean '\.csv'"):
        write(FRAME, tmp_path / "a.cvs")
