"""Attacks catch what leaks, find nothing where nothing leaks, and say when they cannot tell."""

import numpy as np
import pandas as pd
import pytest

from genus import Marginals
from genus.judgement.attacks import attacks
from genus.judgement.judge import Judge
from genus.judgement.membership import auc, reach, true_rate


def people(n, seed):
    """Numbers with many values, a few categories, one following from another."""
    rng = np.random.default_rng(seed)
    job = rng.choice(["cook", "pilot", "nurse", "clerk"], n)
    age = rng.integers(18, 80, n)
    pay = (20 + age / 2 + 20 * (job == "pilot") + rng.normal(0, 8, n)).round(1)
    return pd.DataFrame(
        {"age": age, "job": job, "pay": pay, "weight": rng.normal(70, 12, n).round(1), "member": rng.random(n) < 0.4}
    )


TRAIN, TEST = people(1200, 0), people(900, 1)


class Memory:
    """A model whose likelihood is high at its training rows and nowhere else."""

    condition_, exact = None, True

    def log_prob(self, X):
        known = set(map(tuple, TRAIN.astype(str).to_numpy()))
        return np.array([0.0 if tuple(row) in known else -50.0 for row in X.astype(str).to_numpy()])


@pytest.fixture(scope="module")
def judge():
    return Judge(TEST, train=TRAIN)


@pytest.fixture(scope="module")
def copied(judge):
    rows = TRAIN.sample(1500, replace=True, random_state=3).reset_index(drop=True)
    return {s.metric: s for s in attacks(judge, rows, model=Memory())}


@pytest.fixture(scope="module")
def fresh(judge):
    model = Marginals().fit(people(1200, 5))
    return {s.metric: s for s in attacks(judge, people(1500, 2), model=model)}


LEAST = {"distance_attack": 0.75, "density_attack": 0.58, "likelihood_attack": 0.95, "singling_out": 0.6, "inference": 0.3,
         "exact_rows": 0.9}  # fmt: skip


@pytest.mark.parametrize("metric", LEAST)
def test_a_copy_is_caught_as_samples_and_as_control(copied, fresh, metric):
    assert copied[metric].value > LEAST[metric]
    assert copied[metric].detail["caught"]
    for found in (copied, fresh):
        assert found[metric].detail["sound"], found[metric].note
        assert found[metric].detail["copy"][0] > LEAST[metric]


@pytest.mark.parametrize("metric", LEAST)
def test_rows_of_other_people_are_not_accused(fresh, metric):
    score = fresh[metric]
    assert not score.detail["caught"], score.note
    assert score.low <= (score.detail["control"][2] if metric == "exact_rows" else 0.5 if metric.endswith("attack") else 0.0)


def test_a_copy_of_a_tenth_of_the_rows_is_caught_by_its_few_sure_hits(judge):
    rows = pd.concat([TRAIN.iloc[:120], people(1380, 7)], ignore_index=True)
    found = {s.metric: s for s in attacks(judge, rows)}["distance_attack"]
    assert found.detail["tpr"][1] > 0.03


def test_without_training_rows_there_is_nothing_to_attack():
    assert attacks(Judge(TEST), people(500, 3)) == []


def test_nearest_distances_are_those_of_brute_force_and_zero_for_equal_rows():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(300, 7)), rng.normal(size=(2005, 7))
    b[1999] = a[17]
    d = np.sort(np.sqrt(((a[:, None] - b) ** 2).sum(2)), 1)
    assert reach(a, b, 3) == pytest.approx(d[:, :3], abs=1e-9)
    assert reach(a, b, 3)[17, 0] == 0


def test_auc_and_the_rate_at_few_false_alarms_are_known_for_normals():
    """AUC of N(1, 1) against N(0, 1) is Φ(1/√2)."""
    rng = np.random.default_rng(0)
    members, outsiders = rng.normal(1, 1, 20_000), rng.normal(0, 1, 20_000)
    _, low, high = auc(members, outsiders)
    assert low < 0.7602 < high
    assert high - low < 0.01
    assert true_rate(members, outsiders)[0] == pytest.approx(0.0924, abs=0.012)
