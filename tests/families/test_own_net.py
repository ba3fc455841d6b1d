"""`net=` is never ignored: each family trains and keeps the module that the factory makes."""

import numpy as np
import pytest
import torch
from torch import nn

from genus.errors import RunError, UsageError
from genus.families.diffusion import FlowMatching
from genus.families.flow import RealNVP
from genus.families.gan import GAN
from genus.families.transformer import Transformer
from genus.families.vae import VAE
from genus.maths.bijection import ActNorm, Chain
from genus.model import Model
from genus.nets.autoregression import autoregression
from genus.nets.coder import Coder
from genus.nets.heads import head_for
from genus.nets.time import TimedMLP


class Told(nn.Module):
    """One linear layer of x and y."""

    def __init__(self, inputs, outputs, condition):
        super().__init__()
        self.layer = nn.Linear(inputs + condition, outputs)

    def forward(self, x, y=None):
        return self.layer(x if y is None else torch.cat([x, y], 1))


class Deep(nn.Module):
    """Raw output in the shape that a head asks for."""

    def __init__(self, inputs, raw, condition):
        super().__init__()
        self.raw, self.layer = raw, Told(inputs, int(np.prod(raw)), condition)

    def forward(self, z, y=None):
        return self.layer(z, y).unflatten(1, self.raw)


def velocity(space, condition):
    return TimedMLP(space.size, condition=condition, width=8, depth=1)


def bijection(space, condition):
    return Chain([ActNorm(space.size)])


def generator(space, condition):
    return Told(8, space.size, condition)


def coder(space, condition):
    head = head_for(space)
    return Coder(3, head, Told(space.size, 6, condition), Deep(3, head.raw, condition))


def causal(space, condition):
    return autoregression(space, condition, width=8, depth=1, heads=1)


FAMILIES = {FlowMatching: velocity, RealNVP: bijection, GAN: generator, VAE: coder, Transformer: causal}


def data(family):
    x = np.random.default_rng(0).normal(size=(60, 2))
    return (x > 0 if family is Transformer else x), np.repeat(["a", "b"], 30)


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_net_made_by_the_factory_is_the_one_that_is_trained_and_kept(family, labelled, tmp_path):
    made = []

    def net(space, condition):
        made.append(FAMILIES[family](space, condition))
        return made[-1]

    x, y = data(family)
    model = family(net=net, steps=3, batch=16).fit(x, y if labelled else None)
    assert model.net_ is made[-1]
    assert model.sample(5, seed=0).shape == (5, 2)
    model.save(tmp_path / "m")
    with pytest.raises(RunError, match=r"net of its own.*Model\.load\(.*net="):
        Model.load(tmp_path / "m")
    twin = Model.load(tmp_path / "m", net=net)
    assert np.array_equal(twin.sample(5, seed=1), model.sample(5, seed=1))
    with pytest.raises(RunError, match="do not fit"):
        Model.load(tmp_path / "m", net=lambda space, condition: _wider(family, space, condition))


def _wider(family, space, condition):
    net = FAMILIES[family](space, condition)
    net.more = nn.Linear(2, 2)
    return net


@pytest.mark.parametrize("family", FAMILIES)
def test_a_factory_that_makes_something_else_is_refused(family):
    x, _ = data(family)
    with pytest.raises(UsageError, match=r"must make a torch\.nn\.Module"):
        family(net=lambda space, condition: 3, steps=2).fit(x)
    if family not in (FlowMatching, GAN):
        with pytest.raises(UsageError, match="lacks"):
            family(net=lambda space, condition: nn.Linear(2, 2), steps=2).fit(x)
