"""The metrics give known answers, and what chance gives when both samples come from one law."""

import numpy as np
import pytest

from genus.judgement.frechet import frechet_distance
from genus.judgement.interval import share
from genus.judgement.mmd import mmd
from genus.judgement.modes import mode_scores
from genus.judgement.neighbours import closeness, likeness, nearest
from genus.judgement.twosample import area, chosen, detect, linear, p_value, trees


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize(("n", "d"), [(60, 200), (400, 20)])
def test_the_frechet_distance_of_a_scaled_copy_is_known(n, d):
    x = normal(0, n, d) + 1
    known = 0.3**2 * (np.sum(x.mean(0) ** 2) + x.var(0, ddof=1).sum())
    assert frechet_distance(x, 1.3 * x) == pytest.approx(known, rel=1e-12)
    assert abs(frechet_distance(x, x)) < 1e-8 * x.var(0).sum()


def test_the_frechet_distance_of_a_singular_covariance_is_known():
    x = normal(0, 300, 3) @ normal(1, 3, 8)
    known = 0.25 * (np.sum(x.mean(0) ** 2) + x.var(0, ddof=1).sum())
    assert frechet_distance(x, 1.5 * x) == pytest.approx(known, rel=1e-6)


def test_mmd_is_unbiased_and_its_p_values_are_even():
    found = [mmd(normal(2 * i, 80, 4), normal(2 * i + 1, 80, 4), permutations=99) for i in range(120)]
    value, p = np.array([f[0] for f in found]), np.array([f[3] for f in found])
    assert abs(value.mean()) < 3 * value.std() / np.sqrt(len(value))
    assert (value < 0).any()
    assert abs(np.mean(p <= 0.1) - 0.1) < 0.09
    assert mmd(normal(0, 80, 4), normal(1, 80, 4) + 1, permutations=99)[3] == pytest.approx(0.01)


def test_a_fair_two_sample_test_errs_one_time_in_twenty():
    def towards(x, label, held):
        return held @ (x[label == 1].mean(0) - x[label == 0].mean(0))

    found = [detect("means", towards, normal(2 * i, 60, 3), normal(2 * i + 1, 60, 3)) for i in range(300)]
    assert 0.005 < np.mean([p_value(v) < 0.05 for v in found]) < 0.1
    assert np.mean([v.auc[1] <= 0.5 <= v.auc[2] for v in found]) > 0.9


def test_trees_see_dependence_that_logistic_regression_cannot():
    z = normal(0, 800)
    real, fake = np.stack([z, z + 0.3 * normal(1, 800)], 1), normal(2, 800, 2)
    assert detect("trees", trees(), fake, real).auc[1] > 0.75
    assert detect("linear", linear(), fake, real).auc[0] < 0.6


def test_the_area_counts_pairs_in_order():
    fake, real = normal(0, 30).round(1) + 0.5, normal(1, 40).round(1)
    pairs = (fake[:, None] > real).mean() + 0.5 * (fake[:, None] == real).mean()
    assert area(fake, real)[0] == pytest.approx(pairs)


@pytest.mark.parametrize("d", [4, 16])
def test_coverage_of_one_law_is_one_minus_two_to_the_minus_k(d):
    found = {k: v.mean() for k, v in likeness(normal(0, 2000, d), normal(1, 2000, d), k=5).items()}
    assert found["coverage"] == pytest.approx(1 - 2**-5, abs=0.015)
    assert found["density"] == pytest.approx(1, abs=0.08)


def test_a_collapsed_sampler_keeps_its_precision_and_loses_recall_and_coverage():
    real = normal(0, 600, 4)
    found = {k: v.mean() for k, v in likeness(0.2 * normal(1, 600, 4), real).items()}
    assert found["precision"] > 0.95
    assert found["recall"] < 0.3
    assert found["coverage"] < 0.5


def test_the_nearest_of_an_equal_item_is_exactly_zero_away():
    x = 1e3 + normal(0, 500, 30)
    distance, index = nearest(x[:50], x)
    assert (distance == 0).all()
    assert (index[:, 0] == np.arange(50)).all()


def test_copies_show_and_fresh_draws_do_not():
    train, held, fresh = normal(0, 2000, 8), normal(1, 1000, 8), normal(2, 1000, 8)
    fair = closeness(fresh, held, train)
    assert abs(fair["z"][0]) < 3
    assert fair["ratio"][1] < 1 < fair["ratio"][2]
    some = closeness(np.concatenate([fresh[:800], train[:200]]), held, train)
    assert some["z"][0] < -6
    assert some["near"][0] == pytest.approx(0.2, abs=0.03)
    assert closeness(train[:1000], held, train)["ratio"][0] == 0


def test_modes_that_are_missed_are_counted():
    turn = 2 * np.pi * np.arange(8) / 8
    centres = np.stack([np.cos(turn), np.sin(turn)], 1)
    draw = lambda seed, k: centres[np.random.default_rng(seed).integers(k, size=1000)] + 0.01 * normal(seed, 1000, 2)  # noqa: E731
    good, poor = mode_scores(draw(0, 8), draw(1, 8), centres), mode_scores(draw(2, 5), draw(1, 8), (centres, 0.01))
    assert good["modes"][0] == 8
    assert good["good"][0] == pytest.approx(0.989, abs=0.012)
    assert good["kl"][0] < 0.02
    assert poor["modes"][0] == 5
    assert poor["kl"][0] > 0.3


def test_the_interval_of_a_share_covers_it():
    hits = [low <= 0.1 <= high for low, high in (share(np.random.default_rng(i).random(80) < 0.1)[1:] for i in range(300))]
    assert 0.9 < np.mean(hits) < 0.99


def test_the_best_of_many_blind_detectors_still_guesses():
    def blind(seed):
        return lambda x, label, held: np.random.default_rng([seed, int(1e6 * abs(held.sum()))]).normal(size=len(held))

    found = []
    for i in range(40):
        fake, real = normal(2 * i, 50, 2), normal(2 * i + 1, 50, 2)
        found.append([detect(str(k), blind(100 * i + k), fake, real) for k in range(8)])
    honest = np.array([chosen(each).auc[0] for each in found])
    lucky = np.array([max(v.auc[0] for v in each) for each in found])
    assert abs(honest.mean() - 0.5) < 0.03
    assert lucky.mean() > 0.54
