"""DP-SGD: clipped, noised and accounted as opacus accounts; nothing private is logged; what cannot be protected is refused."""

import math
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from opacus.accountants import RDPAccountant
from torch import nn

from genus import GAN, VAE, Transformer
from genus.errors import MissingExtra, UsageError
from genus.train.descend import descend
from genus.train.private import ALPHAS, Private
from genus.train.recipe import Recipe
from genus.train.run import Run


class Open(Recipe):
    """A recipe that sees its data through descend alone."""

    private = True
    space_ = None


def regression(n=400):
    torch.manual_seed(0)
    x = torch.randn(n, 3)
    return x, x @ torch.tensor([[1.0], [-2.0], [0.5]])


def fit(**fields):
    x, y = regression()
    net = nn.Linear(3, 1)
    recipe = Open(**({"steps": 150, "batch": 80, "lr": 0.05, "delta": 1e-4, "ema": 0.0, "warmup": 0} | fields))
    descend(net, lambda x, y: (net(x) - y).square()[:, 0], x, y, recipe=recipe, run=Run(progress=False))
    return net, recipe


def engine(epsilon=1.0, clip=1.0):
    net = nn.Linear(3, 1)
    return net, Private(Open(epsilon=epsilon, delta=1e-4, clip=clip), {"net": net}, 400, 80, 100, 1)


def test_what_was_spent_is_what_opacus_counts_and_within_the_promise():
    _, recipe = fit(epsilon=2.0)
    kept = recipe.privacy_
    accountant = RDPAccountant()
    accountant.history = [(kept["noise multiplier"], kept["sample rate"], kept["steps"])]
    assert kept["epsilon"] == pytest.approx(accountant.get_epsilon(1e-4, alphas=ALPHAS))
    assert 1.8 < kept["epsilon"] <= 2.02


def test_one_item_moves_the_gradient_by_no_more_than_the_clip():
    """The same batch with and without one huge item: the sums differ by at most C."""
    net, private = engine(clip=0.5)
    private.sigma, private.rate = 0.0, 1.0
    x, y = regression()
    y[7] = 1e6
    loss = lambda x, y: (net(x) - y).square()[:, 0]  # noqa: E731
    wanted = list(net.parameters())
    with_it = private.gradients(x, y, loss, wanted)
    keep = torch.arange(400) != 7
    private.n, scale = 399, 399 / 400
    without = private.gradients(x[keep], y[keep], loss, wanted)
    moved = math.sqrt(sum(float((400 * (a - b * scale)).square().sum()) for a, b in zip(with_it, without, strict=True)))
    assert moved == pytest.approx(0.5, rel=1e-3)


def test_without_noise_and_clipping_it_is_the_usual_gradient_together_and_one_by_one():
    net, private = engine(clip=1e9)
    private.sigma, private.rate = 0.0, 1.0
    x, y = regression()
    loss = lambda x, y: (net(x) - y).square()[:, 0]  # noqa: E731
    wanted = list(net.parameters())
    usual = torch.autograd.grad(loss(x, y).mean(), wanted)
    for way in (None, "one by one"):
        private.each = way
        found = private.gradients(x, y, loss, wanted)
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found, usual, strict=True))


def test_the_noise_has_the_deviation_that_was_accounted_for():
    net, private = engine(clip=2.0)
    x, y = regression()
    zero = lambda x, y: 0 * net(x)[:, 0]  # noqa: E731
    values = torch.cat(
        [torch.cat([g.flatten() for g in private.gradients(x, y, zero, list(net.parameters()))]) for _ in range(400)]
    )
    assert float(values.std()) == pytest.approx(2.0 * private.sigma / 80, rel=0.06)


def test_it_learns_with_a_large_epsilon_and_hardly_with_a_small_one():
    good, bad = (fit(epsilon=epsilon)[0] for epsilon in (50.0, 0.05))
    truth = torch.tensor([[1.0, -2.0, 0.5]])
    assert float((good.weight.detach() - truth).norm()) < 0.4 < float((bad.weight.detach() - truth).norm())


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame({"a": rng.normal(size=300), "b": rng.choice(list("xyz"), 300)})


def test_a_net_keeps_its_promise_in_its_file_and_logs_nothing_private(frame, tmp_path):
    model = VAE(steps=6, size="small", batch=20, epsilon=3.0, delta=1e-4).fit(frame, validation=frame[:50])
    model.save(tmp_path)
    kept = VAE.load(tmp_path)
    assert kept.privacy_["epsilon"] <= 3.03
    assert {name for row in kept.history_ for name in row} == {"step", "seconds", "epsilon"}
    assert len(model.sample(5, seed=0)) == 5


def test_an_interrupted_fit_counts_the_steps_before(frame, tmp_path):
    fields = {"size": "small", "batch": 20, "epsilon": 3.0, "delta": 1e-4}
    model = VAE(steps=6, **fields)
    whole = model.fit(frame, run=Run(folder=tmp_path, every_steps=2)).privacy_
    again = VAE(steps=6, **fields).fit(frame, run=Run(folder=tmp_path, every_steps=2))
    assert again.privacy_["epsilon"] == whole["epsilon"]
    assert again.history_[-1]["step"] == 6


@pytest.mark.parametrize(("model", "word"), [
    (GAN(steps=2, epsilon=1.0), "against each other"),
    (Transformer(steps=2, epsilon=1.0), "statistics"),
    (VAE(steps=2, epsilon=0.0), "positive"),
    (VAE(steps=2, epsilon=1.0, delta=0.5), "outright"),
    (VAE(minutes=1.0, epsilon=1.0, delta=1e-4), "steps or epochs"),
    (VAE(steps=2, epsilon=1.0, delta=1e-4, clip=0.0), "clip"),
], ids=["several nets", "statistics", "epsilon", "delta", "minutes", "clip"])  # fmt: skip
def test_what_cannot_be_promised_is_refused_in_one_sentence(model, word, frame):
    with pytest.raises(UsageError, match=word):
        model.set_params(**({"delta": 1e-4} if model.delta == 1e-5 else {})).fit(frame)


def test_without_opacus_the_command_that_installs_it_is_said(frame, monkeypatch):
    monkeypatch.setitem(sys.modules, "opacus.accountants.utils", None)
    with pytest.raises(MissingExtra, match=r"genus\[privacy\]"):
        VAE(steps=2, epsilon=1.0, delta=1e-4).fit(frame)
