"""The report of a table names what is wrong: the copied rows, the broken dependence, the spoiled column, the bad split."""

import numpy as np
import pandas as pd
import pytest

from genus import Marginals, Resample, compare, evaluate
from genus.errors import UsageError
from genus.judgement.differs import difference
from genus.judgement.evaluate import floor_row
from genus.judgement.judge import Judge
from genus.judgement.sameness import contaminated, overlap, rare
from genus.judgement.suspicion import suspicions


def table(seed, n=1500):
    """Age decides the job, the job decides the grade exactly; gain is mostly nothing; the note is close to one of a kind."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 80, n)
    job = np.where(rng.random(n) < (age - 18) / 62, "boss", "clerk")
    gain = np.where(rng.random(n) < 0.8, 0, rng.choice([1000, 2500, 7000], n))
    return pd.DataFrame({
        "age": age, "job": job, "grade": np.where(job == "boss", 9, 3), "gain": gain, "note": rng.normal(0, 1, n).round(3),
    })  # fmt: skip


TRAIN, TEST = table(0), table(1, 700)


@pytest.fixture(scope="module")
def judge():
    return Judge(TEST, train=TRAIN, target="job")


@pytest.fixture(scope="module")
def independent():
    return evaluate(Marginals(seed=0).fit(TRAIN), TEST, train=TRAIN, target="job")


def test_real_rows_are_not_told_apart_and_stand_beside_everything(independent):
    real = next(row for row in independent.others if row.role == "real")
    assert abs(real.value("auc") - 0.5) < 0.06
    for metric in ("marginals", "pairs", "triples", "rules", "utility", "global_utility", "duplicates", "overlap"):
        assert real.get(metric) is not None
    assert {"resample", "marginals"} <= {row.name for row in independent.others}


def test_independent_columns_are_named_by_their_pairs(independent):
    auc = independent["auc"]
    assert auc.low > 0.7
    assert auc.detail["pairs"][0][0] in ("job × grade", "age × job", "age × grade")
    assert any("job × grade" in f.says and f.word != "good" for f in independent.findings)
    assert max(c["alone"] for c in auc.detail["columns"]) < 0.6
    assert independent["rules"].low > 0.3
    assert "job determines grade" in independent["rules"].detail
    assert independent["global_utility"].value < 0.1


def test_the_copy_is_caught_by_the_attacks_and_the_honest_control_is_not():
    report = evaluate(Resample(seed=0).fit(TRAIN), TEST, train=TRAIN)
    assert report["distance_attack"].detail["sound"]
    assert report["distance_attack"].detail["caught"]
    assert report.findings[0].word == "bad"
    assert "copies its training items" in report.headline
    assert any(f.says.startswith("Privacy") for f in report.findings)


def test_a_right_sample_passes_and_one_spoiled_column_is_the_giveaway(judge):
    honest = table(2, 1500)
    spoiled = honest.assign(gain=honest.gain + (honest.gain > 0) * np.random.default_rng(0).integers(0, 400, len(honest)))
    fine, bad = ({s.metric: s for s in judge.judge(rows)} for rows in (honest, spoiled))
    assert fine["auc"].low < 0.53
    assert not fine["auc"].detail["pairs"]
    assert bad["auc"].low > 0.53
    worst = bad["auc"].detail["columns"][0]
    assert worst["column"] == "gain"
    assert "real has 4 distinct values" in worst["says"]


def test_a_page_puts_every_score_beside_floor_copy_and_independence(independent, tmp_path):
    html = independent.html(tmp_path / "report.html").read_text()
    for word in (
        "<th>floor</th><th>copy</th><th>independence</th>",
        "What gave Marginals away",
        "Attacks on the people",
        "Footnote",
    ):
        assert word in html
    assert html.index("gave Marginals away") < html.index("Every score beside") < html.index("Attacks on")
    assert "quality" not in html.lower()


def test_a_contaminated_split_is_the_first_finding():
    spoiled = pd.concat([TEST[:500], TRAIN[:200]], ignore_index=True)
    value, detail = overlap(TRAIN, spoiled)
    assert value[0] > 0.25
    assert contaminated(value, detail["expected"])
    assert not contaminated(*(lambda found: (found[0], found[1]["expected"]))(overlap(TRAIN, TEST)))
    real = floor_row(Judge(spoiled, train=TRAIN))[0]
    assert "contaminated" in suspicions(real, real)[0].says


def test_few_values_meet_by_chance_and_are_not_a_contamination():
    rng = np.random.default_rng(0)
    a, b = (pd.DataFrame(rng.integers(0, 3, (400, 3)), columns=list("abc")) for _ in range(2))
    value, detail = overlap(a, b)
    assert value[0] > 0.9
    assert not contaminated(value, detail["expected"])


def test_rare_levels_that_are_never_drawn_are_named():
    train = pd.DataFrame({"job": ["clerk"] * 990 + ["pope"] * 10, "x": range(1000)})
    judged = Judge(train, train=train)
    assert judged.columns is not None
    value, lost = rare(train, train[:500], judged.columns)
    assert value[0] == 0
    assert lost == ["job = pope"]


@pytest.mark.parametrize(
    ("real", "fake", "says"),
    [
        ([1.0, 2.0, 3.0, 4.0] * 50, [1.5, 2.0, 3.0, 4.0] * 50, "whole numbers"),
        ([1.0, None] * 100, [1.0, 1.0] * 100, "empty"),
        (["a", "b"] * 100, ["a", "a", "a", "b"] * 50, "a is 50 %"),
        (list(range(200)), [v + 60 for v in range(200)], "are at most"),
        ([1, 2] * 100, [2, 1] * 100, ""),
    ],
)
def test_the_plainest_difference_is_told(real, fake, says):
    found = difference(pd.Series(real), pd.Series(fake))
    assert says in found
    assert bool(found) == bool(says)


def test_compare_tells_every_model_the_condition_and_splits_as_fit_does():
    data = table(3, 400)
    found = compare(data, families=["marginals"], condition="job", progress=False)
    assert "job" not in found.models["marginals"].sample(3, seed=0)
    assert found.about["test items"] == 40
    assert found.about["training items"] == 320
    with pytest.raises(UsageError, match="no column 'jop'"):
        compare(data, condition="jop", progress=False)


def test_a_target_and_a_level_may_be_missing():
    spoiled = [part.assign(job=part.job.where(part.age > 25)) for part in (table(4, 300), table(5, 200))]
    found = {s.metric: s for s in Judge(spoiled[1], train=spoiled[0], target="job", quick=True).judge(spoiled[0])}
    assert found["utility"].value > 0.9
    assert found["marginals"].detail["job"] > 0.9
