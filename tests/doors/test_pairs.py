"""Pairs of texts on the command line: which column is read as what, and a run that is asked about a few rows."""

import contextlib
import io
import sys

import numpy as np
import pandas as pd
import pytest

from genus.cli import main
from genus.data.condition import Condition
from genus.data.divide import divide
from genus.data.load import Dataset
from genus.errors import UsageError

WORDS = np.random.default_rng(0).choice(list("abcd"), (300, 5))
SOURCES = ["".join(row) for row in WORDS]


def pairs() -> Dataset:
    frame = pd.DataFrame({"source": SOURCES, "target": [s[::-1] + str(i) for i, s in enumerate(SOURCES)]})
    return Dataset(frame, name="pairs", kind="table")


def test_the_one_text_that_is_left_is_a_list_of_texts():
    X, y = divide(pairs(), "source")
    assert list(pairs().X["target"]) == X
    assert list(y.columns) == ["source"]


def test_a_few_rows_are_read_as_the_model_was():
    few = pairs()
    few.X = few.X[:2]
    assert isinstance(divide(few, "source")[0], pd.DataFrame)
    assert divide(few, "source", "text")[0] == list(few.X["target"])


def test_what_a_column_is_can_be_said():
    data = pairs()
    data.X["source"] = ["one", "two"] * 150
    assert Condition(reads=True).fit(divide(data, "source")[1]).sequences == ()
    assert Condition(reads=True).fit(divide(data, "source:text")[1]).sequences == ((0, 3, 6),)
    data.X["code"] = np.arange(300) % 90
    assert Condition().fit(divide(data, "source, code:label")[1]).width == 92
    with pytest.raises(UsageError, match="no column 'sauce'"):
        divide(data, "sauce:text")


def test_commands_translate_a_table_of_one_row_and_score_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pairs().X.to_csv("pairs.tsv", sep="\t", index=False)
    pairs().X[:1].to_csv("one.tsv", sep="\t", index=False)
    pairs().X[:2].to_csv("two.tsv", sep="\t", index=False)
    tiny = ["--width", "16", "--depth", "1", "--steps", "3", "--batch", "32", "--top-k", "1", "--quiet"]
    genus("fit", "pairs.tsv", "--family", "transformer", "--condition", "source", "-o", "run", *tiny)
    genus("sample", "run", "--conditions", "one.tsv", "-o", "out.txt")
    assert len((tmp_path / "out.txt").read_text().split("\n")) == 2
    genus("score", "run", "two.tsv", "-o", "scores.csv")
    assert len(pd.read_csv("scores.csv")) == 2
    assert "model reads 5" in genus("sample", "run", "--given", "source=abcdabcd", code=3)


def genus(*words: str, code: int = 0) -> str:
    """Run the command in this process; returns what it said."""
    told = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(told), contextlib.redirect_stdout(told):
        patch.setattr(sys, "argv", ["genus", *words])
        done = 0
        try:
            main()
        except SystemExit as end:
            done = int(end.code or 0)
    assert done == code, told.getvalue()
    return told.getvalue()
