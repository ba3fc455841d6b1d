"""Known laws are found again by restricted Boltzmann machines, and an untrained twin fails the same check."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from genus import RBM, Gaussian, Marginals


def test_digits_are_learnt_far_better_than_independent_pixels():
    X = np.asarray(load_digits(return_X_y=True)[0]).reshape(-1, 8, 8) > 8
    order = np.random.default_rng(0).permutation(len(X))
    train, test = X[order[:1400]], X[order[1400:]]
    twin, model = (RBM(latent=12, steps=steps, lr=0.2).fit(train) for steps in (1, 1500))
    independent = Marginals().fit(train).score(test)
    assert abs(twin.log_prob_estimate(test)[0].mean() - independent) < 1.5
    assert model.log_prob_estimate(test)[0].mean() > independent + 4


def test_a_ring_of_real_numbers_is_learnt():
    rng = np.random.default_rng(0)
    angle = 2 * np.pi * rng.random(2500)
    X = np.c_[np.cos(angle), np.sin(angle)] + 0.1 * rng.normal(size=(2500, 2))
    twin, model = (RBM(latent=16, steps=steps, lr=0.3).fit(X[:2000]) for steps in (1, 1500))
    normal = Gaussian().fit(X[:2000]).score(X[2000:])
    assert model.log_prob_estimate(X[2000:])[0].mean() > normal + 0.8
    assert twin.log_prob_estimate(X[2000:])[0].mean() < normal + 0.1
    radius = np.linalg.norm(model.sample(1000, seed=0), axis=1)
    assert 0.9 < radius.mean() < 1.1
    assert radius.std() < 0.25
