"""Every flow learns a density whose truth is known, integrates to one, and inverts in single precision after training."""

import math

import numpy as np
import pytest
import torch

from genus.families.cnf import CNF
from genus.families.flow import IAF, MAF, NICE, NSF, Glow
from genus.nets.velocity import Velocity

FLOWS = {
    "nice": lambda **more: NICE(size="small", base="normal", **more),
    "glow": lambda **more: Glow(size="small", **more),
    "maf": lambda **more: MAF(size="small", **more),
    "iaf": lambda **more: IAF(size="small", **more),
    "nsf": lambda **more: NSF(size="small", **more),
    "nsf by coupling": lambda **more: NSF(size="small", autoregressive=False, **more),
    "maf on logistic noise": lambda **more: MAF(size="small", base="logistic", **more),
}


def bent(n, seed):
    """x₂ = x₁² + noise, and log p."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(n)
    e = rng.standard_normal(n)
    log_p = -0.5 * (x**2 + e**2) - math.log(2 * math.pi) - math.log(0.5)
    return np.stack([x, x**2 + 0.5 * e], 1), log_p


@pytest.mark.parametrize("name", FLOWS)
def test_it_learns_inverts_and_integrates_to_one(name):
    X, T = bent(2000, 0)[0], bent(2000, 1)
    model = FLOWS[name](steps=120, lr=5e-3, warmup=10).fit(X)
    gap = (T[1] - model.log_prob(T[0])).mean()
    untrained = FLOWS[name](steps=1, lr=1e-9).fit(X)
    assert gap < 0.25
    assert gap < 0.6 * (T[1] - untrained.log_prob(T[0])).mean()
    assert np.abs(model.decode(model.encode(T[0][:300])) - T[0][:300]).max() < 1e-4
    edge = np.linspace(-6, 6, 121), np.linspace(-6, 22, 281)
    grid = np.stack(np.meshgrid(*edge), -1).reshape(-1, 2)
    assert np.exp(model.log_prob(grid)).sum() * 0.01 == pytest.approx(1, abs=0.02)


def test_a_continuous_flow_learns_and_knows_its_solvers_error():
    X, T = bent(2000, 0)[0], bent(1000, 1)
    model = CNF(size="small", steps=60, evaluations=24, lr=1e-2, warmup=10).fit(X)
    value, error = model.log_prob_estimate(T[0])
    assert (T[1] - value).mean() < 0.25
    assert np.median(error) < 3e-3
    assert np.abs(model.decode(model.encode(T[0][:200])) - T[0][:200]).max() < 1e-2


def test_the_divergence_of_a_velocity_is_autograds():
    torch.manual_seed(0)
    net = Velocity(3, width=8, condition=2).double()
    torch.nn.init.normal_(net.third.weight)
    x, y = torch.randn(3, dtype=torch.float64), torch.randn(1, 2, dtype=torch.float64)
    t = torch.tensor(0.3, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda v: net(v[None], t, y)[0][0], x)
    assert float(jacobian.trace() - net(x[None], t, y)[1][0].detach()) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", ["nice", "maf", "nsf", "nsf by coupling"])
def test_a_constant_column_is_no_trouble(name):
    X = np.random.default_rng(0).standard_normal((100, 3))
    X[:, 1] = 7.0
    model = FLOWS[name](steps=5).fit(X)
    assert np.isfinite(model.log_prob(X)).all()
    assert np.allclose(model.sample(5, seed=0)[:, 1], 7.0, atol=0.1)


def test_images_with_an_empty_margin_are_learnt_and_glow_inverts_them():
    images = np.zeros((40, 12, 12), np.uint8)
    images[:, 4:8, 4:8] = np.random.default_rng(0).integers(0, 256, (40, 4, 4))
    model = Glow(size="small", steps=3, layers=1, width=8).fit(images)
    assert np.isfinite(model.log_prob_bound(images, draws=1)).all()
    x = torch.rand(4, 1, 12, 12) * 2 - 1
    with torch.no_grad():
        assert (model._decode(model._encode(x, None), None) - x).abs().max() < 1e-3
