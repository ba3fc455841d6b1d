"""What is peculiar to the autoencoder: it reconstructs, its penalties do what they say, and any density of codes samples."""

from typing import Any

import numpy as np
import pytest
import torch

from genus import GAN, Autoencoder, GaussianMixture, RealNVP
from genus.errors import UsageError

QUICK: Any = {"size": "small", "batch": 64, "steps": 300, "lr": 4e-3, "body": "mlp", "ema": 0.9}


def curve(n: int, seed: int = 0) -> np.ndarray:
    """Points in five dimensions that one number decides."""
    t = np.random.default_rng(seed).uniform(-1, 1, n)
    return np.stack([t, t**2, np.sin(2 * t), np.exp(t) / 2, t**3], 1)


@pytest.fixture(scope="module")
def fitted() -> Any:
    return Autoencoder(latent=1, **QUICK).fit(curve(1500))


def error(model: Any, x: np.ndarray) -> float:
    return float(np.abs(model.decode(model.encode(x)) - x).mean())


def test_one_number_is_enough_for_a_curve_and_an_untrained_twin_cannot(fitted):
    test = curve(300, 1)
    untrained = Autoencoder(latent=1, **QUICK | {"steps": 1}).fit(curve(1500))
    assert error(fitted, test) < 0.08 < error(untrained, test)


def test_samples_lie_near_the_curve_and_the_bound_tells_curves_from_noise(fitted):
    drawn, dense = fitted.sample(500, seed=0), curve(4000, 2)
    off = np.sqrt(((drawn[:, None] - dense[None]) ** 2).sum(2)).min(1)
    assert np.median(off) < 0.3
    noise = np.random.default_rng(0).uniform(-1, 1, (300, 5))
    assert np.median(fitted.log_prob_bound(curve(300, 3))) > np.median(fitted.log_prob_bound(noise)) + 5


@pytest.mark.parametrize("density", [GaussianMixture(components=3), RealNVP(steps=60, size="small")], ids=["mixture", "flow"])
def test_any_density_of_codes_will_do(density, tmp_path):
    model: Any = Autoencoder(latent=2, density=density, **QUICK | {"steps": 60}).fit(curve(500))
    assert np.isfinite(model.log_prob_bound(curve(20))).all()
    model.save(tmp_path)
    again: Any = Autoencoder.load(tmp_path)
    np.testing.assert_array_equal(again.sample(5, seed=0), model.sample(5, seed=0))


def test_the_bound_is_below_the_truth_of_bits_whose_law_is_known():
    coins = np.random.default_rng(0).random((1500, 4, 4)) < 0.5
    coins[:, 1:] = coins[:, :1]  # 16 images, all as likely
    model: Any = Autoencoder(latent=4, **QUICK).fit(coins)
    bound = model.log_prob_bound(coins[:300], draws=20).mean()
    assert -9 < bound < -4 * np.log(2) + 0.1


def test_a_contractive_penalty_flattens_the_encoder_and_a_sparse_one_shrinks_codes():
    x = curve(600)
    slopes = {}
    for weight in (0.0, 1.0):
        model: Any = Autoencoder(latent=2, contractive=weight, **QUICK).fit(x)
        packed = torch.as_tensor(model._packed(x[:200])[0])
        slopes[weight] = float(torch.stack([model._slopes(packed, None).detach() for _ in range(20)]).mean())
    assert slopes[1.0] < 0.7 * slopes[0.0]
    size = [float(np.abs(Autoencoder(latent=2, sparse=w, **QUICK).fit(x).encode(x)).mean()) for w in (0.0, 1.0)]
    assert size[1] < 0.7 * size[0]


def test_denoising_takes_noise_away():
    x, rng = curve(1500), np.random.default_rng(5)
    clean = curve(300, 4)
    noisy = clean + rng.normal(0, 0.2, clean.shape)
    model: Any = Autoencoder(latent=1, noise=0.3, **QUICK).fit(x)
    assert np.abs(model.decode(model.encode(noisy)) - clean).mean() < 0.85 * np.abs(noisy - clean).mean()


def test_a_family_without_a_density_is_refused():
    with pytest.raises(UsageError, match="no exact density"):
        Autoencoder(density=GAN()).fit(curve(50))
