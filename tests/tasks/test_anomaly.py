"""Typicality: uniform for usual items, small on either side of them."""

import numpy as np

from genus.tasks.anomaly import typicality


def test_the_p_value_of_usual_items_is_uniform_and_valid():
    rng = np.random.default_rng(0)
    chance = typicality(rng.normal(size=4000), rng.normal(size=999))["typicality"]
    assert abs(chance.mean() - 0.5) < 0.04
    for level in (0.02, 0.05, 0.2):
        assert (chance <= level).mean() < level + 0.02


def test_what_is_too_likely_is_as_strange_as_what_is_too_unlikely():
    found = typicality(np.array([-9.0, 9.0, 0.0]), np.random.default_rng(0).normal(size=499))
    assert np.allclose(found["typicality"][:2], 2 / 500)
    assert found["typicality"][2] > 0.8
    assert found["distance"].argmin() == 2
    assert abs(found["distance"][0] - found["distance"][1]) < 0.5
