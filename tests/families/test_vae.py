"""What is peculiar to the VAE: its bound, its codes, its temperature and its alarm."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from genus import GAN, GaussianMixture
from genus.capability import capabilities
from genus.errors import UsageError
from genus.families.vae import VAE
from genus.nets.coder import Coder, normal_kl
from genus.nets.heads import head_for
from genus.space import Space

QUICK: Any = {"size": "small", "batch": 64}
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
    assert capabilities(VAE) == ("Bound", "Estimate", "Latent", "Conditional")


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
    torch.testing.assert_close(monte_carlo.mean(0), normal_kl(mean, log_scale), atol=0.2, rtol=0.05)
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


FLAT: Any = {"size": "small", "batch": 64, "steps": 150, "latent": 8, "lr": 4e-3, "kl_warmup": 50, "body": "mlp"}
VARIANTS: dict[str, Any] = {
    "importance": {"importance": 5},
    "mixture": {"prior": "mixture", "components": 8},
    "vamp": {"prior": "vamp", "components": 20},
    "flow prior": {"prior": "flow"},
    "flow posterior": {"posterior": "flow"},
    "autoregressive prior": {"prior": "autoregressive"},
    "inverse autoregressive posterior": {"posterior": "autoregressive"},
    "ladder": {"levels": 2},
    "convolutions": {"body": "auto"},
    "fitted prior": {"prior": GaussianMixture(components=4)},
}


@pytest.mark.parametrize("fields", VARIANTS.values(), ids=list(VARIANTS))
def test_every_variant_learns_and_bounds_stay_below_the_truth(fields):
    truth, test = -9 * np.log(2), stripes(200, 1)
    model: Any = VAE(**(FLAT | fields)).fit(stripes(1000))
    one, many = model.log_prob_bound(test).mean(), model.log_prob_bound(test, draws=100).mean()
    assert one - 0.5 <= many <= truth + 0.5
    assert many > -41, "an untrained one gives -44.4"
    value, error = model.log_prob_estimate(test[:50])
    assert (error > 0).all()
    assert abs(value.mean() - model.log_prob_bound(test[:50], draws=100, seed=9).mean()) < 1.0
    assert model.sample(3, seed=0).shape == (3, 8, 8)


def test_a_fitted_prior_beats_the_normal_it_replaces_and_survives_its_file(tmp_path):
    x, test = ring(2000), ring(500, 3)
    given: Any = {"steps": 400, "latent": 2, "beta": 0.3, "kl_warmup": 0, "body": "mlp", **QUICK}
    plain: Any = VAE(**given).fit(x)
    refined: Any = VAE(steps=400, latent=2, beta=0.3, kl_warmup=0, prior=GaussianMixture(components=12), **QUICK, body="mlp").fit(
        x
    )
    assert refined.log_prob_bound(test, draws=50).mean() > plain.log_prob_bound(test, draws=50).mean() + 0.1
    refined.save(tmp_path)
    again: Any = VAE.load(tmp_path)
    np.testing.assert_array_equal(again.sample(5, seed=0), refined.sample(5, seed=0))


def test_the_gradient_of_the_decoder_is_that_of_the_importance_weighted_bound():
    """The doubly reparameterised surrogate changes the encoder's gradient alone."""
    model: Any = VAE(steps=1, latent=2, importance=4, size="small").fit(stripes(50))
    net, x = model.net_, model._packed(stripes(20, 2))[0]
    net.steps.fill_(10_000)
    found = []
    for sharp in (True, False):
        torch.manual_seed(0)
        net.zero_grad()
        loss = model._loss(x, None) if sharp else -(model._log_weights(x, None, 4).logsumexp(0) - np.log(4))
        loss.mean().backward()
        found.append([p.grad.clone() for p in net.decoder.parameters()])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=0.05, atol=2e-2)


def test_what_cannot_go_together_is_said():
    with pytest.raises(UsageError, match="levels above 1"):
        VAE(levels=2, prior="vamp").fit(ring(50))
    with pytest.raises(UsageError, match="no exact density"):
        VAE(prior=GAN()).fit(ring(50))
    with pytest.raises(UsageError, match="importance counts"):
        VAE(importance=0).fit(ring(50))
