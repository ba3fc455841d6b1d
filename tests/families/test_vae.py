"""What is peculiar to the VAE: its bound, its codes, its temperature and its alarm."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from genus.capability import capabilities
from genus.errors import UsageError
from genus.families.vae import VAE, Coder, _kl
from genus.nets.heads import head_for
from genus.space import Space

QUICK = {"size": "small", "batch": 64}
pytestmark = pytest.mark.filterwarnings("ignore:Posterior collapse")


def ring(n, seed=0):
    rng = np.random.default_rng(seed)
    t = rng.uniform(0, 2 * np.pi, n)
    return np.c_[np.cos(t), np.sin(t)] + rng.normal(0, 0.05, (n, 2))


def stripes(n, seed=0):
    """Boolean images 8 × 8 that are rows or columns lit at random: 2 · 2⁸ − 2 images, all as likely but two."""
    rng = np.random.default_rng(seed)
    lit = rng.random((n, 8)) < 0.5
    images = np.repeat(lit[:, :, None], 8, 2)
    turn = rng.random(n) < 0.5
    images[turn] = images[turn].transpose(0, 2, 1)
    return images


@pytest.fixture(scope="module")
def fitted():
    return VAE(steps=800, lr=3e-3, latent=2, kl_warmup=200, **QUICK).fit(ring(2000))


def test_it_claims_what_it_can():
    assert capabilities(VAE) == ("Bound", "Latent", "Conditional")


def test_more_draws_tighten_the_bound(fitted):
    x = ring(500, 1)
    one, many = fitted.log_prob_bound(x, draws=1).mean(), fitted.log_prob_bound(x, draws=64).mean()
    assert one < many


def test_the_bound_stays_below_the_truth_on_images_of_known_entropy():
    truth = -9 * np.log(2)
    model = VAE(steps=300, latent=8, lr=3e-3, kl_warmup=100, **QUICK).fit(stripes(2000))
    test = stripes(400, 1)
    bound, tight = model.log_prob_bound(test).mean(), model.log_prob_bound(test, draws=64).mean()
    assert bound <= tight <= truth + 0.3
    assert tight > -30 > VAE(steps=1, **QUICK).fit(stripes(200)).log_prob_bound(test).mean()


def test_the_one_draw_bound_agrees_with_its_monte_carlo_form(fitted):
    x = fitted._packed(ring(300, 2))[0]
    with torch.no_grad():
        torch.manual_seed(0)
        closed = torch.stack([fitted._bound(x, None, 1) for _ in range(30)]).mean()
        mean, log_scale = fitted.net_.posterior(x, None)
        eps = torch.randn(4000, *mean.shape)
        z = mean + log_scale.exp() * eps
        monte_carlo = 0.5 * (z.square() - eps.square()) - log_scale
    torch.testing.assert_close(monte_carlo.mean(0), _kl(mean, log_scale), atol=0.2, rtol=0.05)
    assert torch.isfinite(closed)


def test_it_learns_a_ring_where_an_untrained_twin_does_not(fitted):
    untrained, x = VAE(steps=1, **QUICK).fit(ring(2000)), ring(500, 5)

    def off(model):
        return np.abs(np.linalg.norm(model.sample(1000, seed=1), axis=1) - 1).mean()

    assert off(fitted) < 0.75 * off(untrained)
    assert fitted.log_prob_bound(x).mean() > untrained.log_prob_bound(x).mean() + 0.5


def test_codes_lead_back_to_their_items(fitted):
    x = ring(200, 3)
    z = fitted.encode(x)
    assert z.shape == (200, 2)
    assert np.abs(fitted.decode(z) - x).mean() < 0.15
    with pytest.raises(UsageError, match="2 numbers"):
        fitted.decode(np.zeros((3, 5)))


def test_a_lower_temperature_draws_less_noise_and_leaves_the_bound_alone(fitted):
    x = ring(50, 4)
    before = fitted.log_prob_bound(x)
    warm = fitted.sample(200, seed=3)
    fitted.temperature = 0.0
    cold = fitted.sample(200, seed=3)
    after = fitted.log_prob_bound(x)
    fitted.temperature = 1.0
    assert not np.allclose(warm, cold)
    assert np.array_equal(before, after)


def test_a_condition_chooses_the_part_of_the_data():
    x = np.r_[ring(500), ring(500) + 5]
    y = np.repeat(["left", "right"], 500)
    model = VAE(steps=200, **QUICK).fit(x, y)
    assert model.sample(200, y="left", seed=0).mean() < 1.5 < 3.5 < model.sample(200, y="right", seed=0).mean()
    assert (model.log_prob_bound(x[:100], y[:100]) > model.log_prob_bound(x[:100], ["right"] * 100)).mean() > 0.95


def test_history_tells_the_kl_and_the_active_units(fitted):
    curve = [row["kl"] for row in fitted.history_ if "kl" in row]
    assert len(curve) > 2
    assert curve[-1] == fitted.history_[-1]["kl"] > 1
    assert 1 <= fitted.history_[-1]["active_units"] == fitted.active_ <= 2


def test_a_collapsed_posterior_is_announced():
    with pytest.warns(UserWarning, match="Posterior collapse"):
        VAE(steps=150, beta=1000.0, kl_warmup=0, lr=3e-3, **QUICK).fit(ring(500))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        VAE(steps=150, **QUICK).fit(ring(500))


def test_the_kl_warms_up_by_a_counter_that_is_saved():
    net = Coder(2, head_for(Space("real", (2,))), nn.Linear(2, 4), nn.Linear(2, 4)).train()
    weights = [net.warm(4) for _ in range(6)]
    assert weights == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert int(net.state_dict()["steps"]) == 6
    net.eval()
    net.warm(4)
    assert int(net.steps) == 6


def test_images_of_many_levels_come_back_as_they_were(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (40, 9, 6, 3)).astype(np.uint8)
    model = VAE(steps=3, latent=3, **QUICK).fit(x)
    model.save(tmp_path / "m")
    twin = VAE.load(tmp_path / "m")
    assert model.sample(4, seed=1).dtype == np.uint8
    assert np.array_equal(model.sample(4, seed=1), twin.sample(4, seed=1))
    assert np.allclose(model.log_prob_bound(x), twin.log_prob_bound(x))


def test_impossible_fields_are_named():
    for fields, word in (({"latent": 0}, "latent"), ({"beta": -1.0}, "beta"), ({"floor": 0.0}, "floor")):
        with pytest.raises(UsageError, match=word):
            VAE(**fields).fit(ring(50))
