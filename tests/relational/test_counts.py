"""Counts: frequencies by kind of parent, a probability for every count, nothing split by chance."""

import numpy as np
import pytest

from genus.relational.counts import Counts
from genus.relational.encoder import Features

RNG = np.random.default_rng(0)
KIND = RNG.integers(0, 2, 4000)
GIVEN = Features({"noise": RNG.normal(size=4000)}, {"kind": KIND}, {"kind": 2})
COUNT = np.where(KIND == 1, RNG.poisson(6.0, 4000), 2 * RNG.integers(0, 2, 4000))


def test_each_kind_of_parent_keeps_its_law():
    drawn = Counts().fit(COUNT, GIVEN).sample(4000, GIVEN, seed=0)
    assert set(drawn[KIND == 0]) <= {0, 2, *range(3, 20)}
    assert (drawn[KIND == 0] == 2).mean() == pytest.approx(0.5, abs=0.03)
    assert drawn[KIND == 1].mean() == pytest.approx(6.0, rel=0.03)
    assert drawn[KIND == 1].var() == pytest.approx(6.0, rel=0.1)


def test_probabilities_of_all_counts_sum_to_one():
    law = Counts().fit(COUNT, GIVEN)
    one = Features({"noise": np.zeros(400)}, {"kind": np.ones(400, dtype=np.int64)}, {"kind": 2})
    assert np.exp(law.log_prob(np.arange(400), one)).sum() == pytest.approx(1.0, abs=1e-9)


def test_noise_is_not_split_on():
    law = Counts().fit(COUNT[KIND == 1], Features({"noise": GIVEN.scores["noise"][KIND == 1]}, {}, {}))
    assert len(law.tables_) == 1
