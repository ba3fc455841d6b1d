"""Answers: chrF of known texts, and a model that reads its condition is told from one that does not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from genus import Transformer, evaluate
from genus.judgement.answers import chrf


def test_chrf_of_known_texts():
    assert chrf("abcdef ghi", "abc defghi") == 1.0
    assert chrf("", "") == 1.0
    assert chrf("", "a") == 0.0
    # one string of each: letters a b shared of a b / a b c, "ab" of "ab" / "ab" "bc", none of "abc"
    p, r = (1 + 1 + 0) / 3, (2 / 3 + 1 / 2 + 0) / 3
    assert chrf("ab", "abc") == pytest.approx(5 * p * r / (4 * p + r))
    assert chrf("abc", "ab") > chrf("ab", "abc")  # recall counts more


def pairs(n: int) -> tuple[list[str], pd.Series]:
    rng = np.random.default_rng(0)
    source = ["".join(rng.choice(list("abcd"), rng.integers(2, 5))) for _ in range(n)]
    y = pd.Series(source, name="source")
    y.attrs["kinds"] = {"source": "text"}
    return [text[::-1] for text in source], y


def test_a_model_that_reads_its_condition_answers_and_an_untrained_twin_does_not():
    X, y = pairs(1300)
    train, test = (X[:1200], y[:1200]), (X[1200:], y[1200:])
    for part in (train[1], test[1]):
        part.attrs["kinds"] = {"source": "text"}
    tiny = {"width": 32, "depth": 1, "heads": 2, "batch": 64, "lr": 6e-3, "top_k": 1}
    model, twin = (Transformer(steps=steps, **tiny).fit(*train) for steps in (250, 1))
    good, bad = (evaluate(one, *test, train=train, quick=True) for one in (model, twin))
    assert good["exact_answers"].value > 0.85 > 0.2 > bad["exact_answers"].value
    assert good["chrf"].value > 0.9 > bad["chrf"].value
    assert good["exact_answers"].low < good["exact_answers"].value <= good["exact_answers"].high <= 1
