"""FlowMatching: samples resemble, likelihoods agree with a known density, codes decode, guidance guides."""

import math

import numpy as np
import pytest
import torch

from genus.errors import UsageError
from genus.families.diffusion import FlowMatching
from genus.nets.unet import UNet


def normal(n, seed, d=2):
    """A correlated normal, with its log-density."""
    rng = np.random.default_rng(seed)
    factor = np.eye(d) + 0.8 * np.eye(d, k=-1)
    eps = rng.standard_normal((n, d))
    return eps @ factor.T + 1, -0.5 * (eps**2).sum(1) - d / 2 * math.log(2 * math.pi)


@pytest.fixture(scope="module")
def model():
    return FlowMatching(steps=500, size="small", seed=1).fit(normal(4000, 0)[0])


def test_samples_have_the_datas_moments_and_an_untrained_twins_have_not(model):
    x = normal(4000, 0)[0]
    twin = FlowMatching(steps=1, size="small", lr=1e-9).fit(x)

    def gap(m):
        return np.abs(np.cov(m.sample(4000, seed=0).T) - np.cov(x.T)).max()

    assert gap(model) < 0.2
    assert gap(twin) > 0.3


def test_the_likelihood_estimate_is_the_known_density(model):
    x, log_p = normal(500, 1)
    value, error = model.log_prob_estimate(x)
    assert (error == 0).all()
    assert abs((value - log_p).mean()) < 0.1


def test_the_likelihoods_trace_has_the_right_sign_and_scale():
    """With the net replaced by a normal's exact velocity the estimate is exact: a flipped trace would miss by 2 d log s."""
    d, s = 20, 0.3
    model = FlowMatching(steps=1, size="small", probes=8).fit(np.random.default_rng(0).standard_normal((50, d)))

    def velocity(x, t, y=None):
        t = t[:, None]
        return x * (t * s * s - (1 - t)) / ((1 - t) ** 2 + (t * s) ** 2)

    model.net_.forward = velocity
    x = s * torch.randn(40, d)
    value, error = model._estimate(x, None)
    truth = -0.5 * (x / s).square().sum(1) - d * math.log(s) - d / 2 * math.log(2 * math.pi)
    assert (value - truth).abs().max() < 0.05 + 5 * float(error.max())


def test_codes_decode_to_their_items(model):
    x = normal(200, 2)[0]
    assert np.abs(model.decode(model.encode(x)) - x).max() < 0.02


def test_the_last_frame_is_the_sample(model):
    frames = model.trace(50, seed=3)
    assert len(frames) > 10
    assert np.allclose(frames[-1], model.sample(50, seed=3), atol=1e-5)


@pytest.mark.parametrize("solver", ["euler", "heun", "dopri5"])
def test_solvers_agree(model, solver):
    sample = FlowMatching(solver=solver, evaluations=100)
    vars(sample).update({k: v for k, v in vars(model).items() if k.endswith("_")})
    assert np.abs(sample.sample(100, seed=0) - model.sample(100, seed=0)).mean() < 0.05


def test_guidance_exaggerates_the_condition():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 2000)
    x = rng.standard_normal((2000, 2)) + 2.0 * y[:, None]
    model = FlowMatching(steps=300, size="small", forget=0.2).fit(x, y)
    gap = model.sample(500, y=1, seed=0).mean() - model.sample(500, y=0, seed=0).mean()
    assert gap == pytest.approx(2, abs=0.3)
    model.set_params(guidance=3.0)
    assert model.sample(500, y=1, seed=0).mean() - model.sample(500, y=0, seed=0).mean() > gap + 0.3


@pytest.mark.parametrize("shape", [(8, 8), (16, 13, 3), (28, 28), (33, 64, 4)])
def test_images_of_any_size_are_taken_and_stay_in_bounds(shape):
    images = np.random.default_rng(0).integers(0, 256, size=(10, *shape), dtype=np.uint8)
    sample = FlowMatching(steps=1, size="small", evaluations=2).fit(images).sample(2, seed=0)
    assert sample.dtype == np.uint8
    assert sample.shape == (2, *shape)


def test_the_unet_sees_time_and_condition():
    torch.manual_seed(0)
    net = UNet(1, width=8, condition=2)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn_like(p))
    x = torch.randn(2, 1, 9, 7)
    first = net(x, torch.full((2,), 0.2), torch.zeros(2, 2))
    assert first.shape == x.shape
    assert (first - net(x, torch.full((2,), 0.8), torch.zeros(2, 2))).abs().max() > 1e-3
    assert (first - net(x, torch.full((2,), 0.2), torch.ones(2, 2))).abs().max() > 1e-3


def test_optimal_coupling_and_other_times_train_too():
    model = FlowMatching(steps=30, size="small", coupling="optimal", law="logit-normal").fit(normal(300, 0)[0])
    assert np.isfinite(model.sample(10, seed=0)).all()
    with pytest.raises(UsageError, match="logit-normal"):
        FlowMatching(law="logit").fit(normal(20, 0)[0])
