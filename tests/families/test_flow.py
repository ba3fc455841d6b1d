"""RealNVP: an exact density that integrates to one, inverts, and learns; its untrained twin does not."""

import math

import numpy as np
import pytest
import torch

from genus.families.flow import RealNVP


def mixture(n, seed):
    """Two normals of deviation 0.3 at (−1, 0) and (1, 0), with their log-density."""
    rng = np.random.default_rng(seed)
    x = 0.3 * rng.standard_normal((n, 2)) + np.where(rng.random((n, 1)) < 0.5, 1, -1) * [[1.0, 0.0]]
    return x, truth(x)


def truth(x):
    each = [-((x - [[m, 0.0]]) ** 2).sum(1) / 0.18 - math.log(2 * math.pi * 0.09) for m in (-1, 1)]
    return np.logaddexp(*each) - math.log(2)


@pytest.fixture(scope="module")
def model():
    return RealNVP(steps=300, size="small", seed=1).fit(mixture(3000, 0)[0])


def divergence(model):
    x, log_p = mixture(2000, 1)
    return float((log_p - model.log_prob(x)).mean())


def test_it_learns_a_known_density_and_an_untrained_twin_does_not(model):
    assert divergence(model) < 0.08
    assert divergence(RealNVP(steps=1, size="small", lr=1e-9).fit(mixture(3000, 0)[0])) > 0.3


def test_its_density_integrates_to_one(model):
    edge = np.linspace(-4, 4, 161)
    grid = np.stack(np.meshgrid(edge, edge), -1).reshape(-1, 2)
    assert np.exp(model.log_prob(grid)).sum() * 0.05**2 == pytest.approx(1, abs=0.01)


def test_it_inverts_after_training(model):
    x = np.vstack([mixture(500, 2)[0], [[9.0, -9.0]]])
    assert np.abs(model.decode(model.encode(x)) - x).max() < 1e-4


def test_codes_of_the_data_are_normal(model):
    z = model.encode(mixture(3000, 3)[0])
    assert np.abs(z.mean(0)).max() < 0.1
    assert np.abs(z.std(0) - 1).max() < 0.1


@pytest.mark.parametrize("transform", ["affine", "spline"])
def test_one_dimension_is_learnt_whatever_the_transform(transform):
    x = np.random.default_rng(0).exponential(size=(2000, 1))
    model = RealNVP(steps=200, size="small", mapping=transform).fit(x)
    assert -1.3 < model.log_prob(np.random.default_rng(1).exponential(size=(2000, 1))).mean() < -0.95


def test_images_cost_the_bits_their_noise_holds_and_invert():
    images = np.random.default_rng(0).integers(0, 256, size=(64, 8, 8), dtype=np.uint8)
    model = RealNVP(steps=3, size="small").fit(images)
    sample = model.sample(20, seed=0)
    assert sample.dtype == np.uint8
    assert sample.shape == (20, 8, 8)
    fresh = np.random.default_rng(1).integers(0, 256, size=(500, 8, 8), dtype=np.uint8)
    bits = -model.log_prob_bound(fresh).mean() / 64 / math.log(2)
    assert 8 < bits < 10  # uniform noise holds 8 bits a pixel: fewer would be a lie
    x = torch.rand(5, 1, 8, 8) * 2 - 1
    with torch.no_grad():
        assert (model._decode(model._encode(x, None), None) - x).abs().max() < 1e-4


def test_a_condition_moves_the_density():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 2000)
    x = rng.standard_normal((2000, 2)) * 0.3 + 2.0 * y[:, None]
    model = RealNVP(steps=150, size="small").fit(x, y)
    assert model.sample(200, y=1, seed=0).mean() - model.sample(200, y=0, seed=0).mean() == pytest.approx(2, abs=0.2)
    assert (model.log_prob(x, y) - model.log_prob(x, 1 - y)).mean() > 2


@pytest.mark.parametrize("shape", [(3, 5, 7), (1, 12, 16), (2, 3)])
def test_any_shape_is_taken(shape):
    x = np.random.default_rng(0).standard_normal((40, *shape))
    model = RealNVP(steps=2, size="small").fit(x)
    assert model.sample(3, seed=0).shape == (3, *shape)
    assert np.isfinite(model.log_prob(x)).all()
