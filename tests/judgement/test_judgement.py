"""A judgement finds what is wrong with a model, keeps unlike numbers apart, and writes a page that fetches nothing."""

import json
import re
import warnings

import numpy as np
import pandas as pd
import pytest

from genus import Gaussian, Marginals, Resample, compare, evaluate
from genus.errors import DataError, UsageError
from genus.judgement.score import Score
from genus.train.interrupt import Interrupted


def table(seed, n=900):
    """Age decides the job, the job decides the pay."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 80, n)
    job = np.where(rng.random(n) < (age - 18) / 62, "boss", "clerk")
    pay = np.where(job == "boss", 60.0, 30.0) + rng.normal(0, 3, n)
    return pd.DataFrame({"age": age, "pay": pay.round(1), "job": job})


def images(seed, n=160):
    """Bright bars, lying (label 0) or standing (label 1)."""
    rng = np.random.default_rng(seed)
    y, place = rng.integers(2, size=n), rng.integers(1, 7, n)
    X = rng.integers(0, 60, (n, 8, 8)).astype(np.uint8)
    for image, way, at in zip(X, y, place, strict=True):
        image[(at, slice(None)) if way == 0 else (slice(None), at)] = 250
    return X, y


def words(seed, n=200):
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(["ba", "du", "ki"], rng.integers(2, 6))) for _ in range(n)]


def score(row, metric, kind=None):
    """The score, which must be there."""
    found = row.get(metric, kind)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def independent():
    train = table(0)
    return evaluate(Marginals().fit(train), table(1, 600), train=train)


def test_independent_columns_agree_one_by_one_and_are_still_told_apart(independent):
    assert independent["marginals"].value > 0.93
    assert independent["auc"].low > 0.75
    assert independent["pairs"].value < 0.85
    assert independent["utility"].value < 0.65
    assert independent.findings[0].word == "bad"
    assert "No test tells" not in independent.headline


def test_real_data_pass_beside_it(independent):
    real = next(row for row in independent.others if row.role == "real")
    assert score(real, "auc").low < 0.53
    assert real.value("utility") > 0.9
    assert real.value("pairs") > 0.85


def test_a_copier_is_named_first():
    train, test = (np.random.default_rng(s).normal(size=(500, 3)) for s in (0, 1))
    report = evaluate(Resample().fit(train), test, train=train, quick=True)
    assert report["copies"].value == 1
    assert report["closeness"].value < 1e-5
    assert "repeats its training items" in report.findings[0].says
    assert "copies its training items" in report.headline


def test_a_right_model_is_not_accused():
    train, test = (np.random.default_rng(s).normal(size=(800, 3)) for s in (0, 1))
    report = evaluate(Gaussian().fit(train), test, train=train)
    assert "No test tells Gaussian's samples" in report.headline
    assert report["copies"].value == 0
    assert abs(report["copying_z"].value) < 4
    exact = score(report.row, "log_likelihood", "exact")
    assert exact.low < -3 * 0.5 * np.log(2 * np.pi * np.e) < exact.high


def test_images_are_judged_in_a_named_and_hashed_space_the_same_each_time():
    (X, y), (T, t) = images(0), images(1, 80)
    model = Marginals().fit(X)
    first, again = (evaluate(model, T, t, train=(X, y), name="bars") for _ in range(2))
    assert re.fullmatch(r"barsnet-64 sha256:[0-9a-f]{12}", first["frechet"].space)
    assert [s.value for s in first.scores] == [s.value for s in again.scores]
    assert first["auc"].value > 0.9
    assert score(first.row, "bits_per_dim", "exact").value < 8


def test_texts_are_judged_by_what_they_are_made_of():
    train = words(0)
    report = evaluate(Marginals().fit(train), words(1, 120), train=train)
    assert report["auc"].value > 0.8
    assert report["ngrams"].value < 0.6
    copied = evaluate(Resample().fit(train), words(1, 120), train=train)
    assert copied["ngrams"].value > 0.8


def test_what_is_missing_is_said():
    train, test = table(0), table(1, 200)
    report = evaluate(Marginals().fit(train), test, quick=True)
    assert any("copying was not looked for" in text for text in report.missing)
    assert not report.others
    with pytest.raises(UsageError, match="not fitted"):
        evaluate(Marginals(), test)
    with pytest.raises(DataError, match="at least 10"):
        evaluate(Marginals().fit(train), test[:5])


@pytest.mark.parametrize(
    "change", [{"kind": "bound"}, {"space": "other"}, {"n": 99}, {"reference": "train"}, {"unit": "bits"}, {"n_reference": 7}]
)
def test_unlike_scores_cannot_be_compared(change):
    common = {"metric": "log_likelihood", "kind": "exact", "space": "units", "n": 100, "n_reference": 100, "reference": "test"}
    one, two, other = Score(value=-1.0, **common), Score(value=-2.0, **common), Score(value=-2.0, **(common | change))
    assert one - two == 1
    assert two < one
    for compared in (lambda: one - other, lambda: one < other, lambda: one.better(other)):
        with pytest.raises(UsageError, match="cannot be compared"):
            compared()


def test_the_page_fetches_nothing_and_tells_the_worst_first(independent, tmp_path):
    html = independent.html(tmp_path / "report.html", command="genus evaluate <x>").read_text()
    assert not re.search(r"(src|href)\s*=\s*[\"']?(?!data:)|url\(|@import|<script", html)
    assert "http" not in html
    assert "genus evaluate &lt;x&gt;" in html
    assert html.index('class="bad"') < html.index('class="good"')
    assert html.count("<svg") >= 4
    assert json.loads(json.dumps(independent.to_json()))["rows"]
    assert "two-sample AUC" in str(independent)


def test_a_comparison_ranks_goes_on_after_a_failure_and_keeps_kinds_apart(tmp_path):
    rng = np.random.default_rng(0)
    data = np.concatenate([rng.normal(-3, 1, (400, 2)), rng.normal(3, 1, (400, 2))])

    class Broken(Marginals):
        def _fit(self, x, y, run):
            raise UsageError("This family breaks.")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = compare(data, families=["mixture", Broken], seed=1, progress=False)
    board = found.leaderboard.set_index("name").to_dict("index")
    assert board["broken"]["failed"] == "This family breaks."
    assert board["mixture"]["auc"] < board["gaussian"]["auc"]
    assert board["resample"]["copies"] == 1
    assert "nearest of 1" in found.headline
    html = found.html(tmp_path / "compare.html").read_text()
    assert "This family breaks." in html
    assert "http" not in html


def test_a_copier_of_a_table_is_seen_although_numbers_are_drawn_afresh():
    train = table(0)
    report = evaluate(Resample().fit(train), table(1, 300), train=train, quick=True)
    assert report["copies"].value == 1
    assert report["copies"].detail["held-out"] < 0.5


def test_a_request_to_stop_ends_a_comparison():
    class Stopped(Marginals):
        def _fit(self, x, y, run):
            raise Interrupted("Stopped.", 15)

    with pytest.raises(Interrupted):
        compare(np.random.default_rng(0).normal(size=(100, 2)), families=[Stopped], progress=False)


def test_progress_is_told_and_the_terminal_is_kept_to_a_hundred_columns():
    told = []
    data = np.random.default_rng(0).normal(size=(600, 3))
    found = compare(data, families=["gaussian"], progress=told.append)
    assert any("gaussian (3 of 3), about 0:04 left" in line for line in told)
    assert max(map(len, str(found).splitlines())) <= 100
