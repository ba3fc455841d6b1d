"""DBM, DBN and BoltzmannMachine: bounds below the truth, learning what independent units cannot, clamped completion."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from genus import DBM, DBN, BoltzmannMachine
from genus.errors import UsageError
from genus.maths.harmonium import enumerate_log_z
from genus.maths.ising import Ising
from genus.nets.deep import Deep


def stripes(n: int = 600, seed: int = 0) -> np.ndarray:
    """Images (n, 3, 3) whose rows, or columns, are all black or all white, with some noise."""
    rng = np.random.default_rng(seed)
    lines = np.repeat(rng.random((n, 3, 1)) < 0.5, 3, 2)
    images = np.where(rng.random((n, 1, 1)) < 0.5, lines, lines.transpose(0, 2, 1))
    return images ^ (rng.random(images.shape) < 0.02)


def independent(X: np.ndarray) -> float:
    p = X.reshape(len(X), -1).mean(0)
    return float((p * np.log(p) + (1 - p) * np.log(1 - p)).sum())


MAKERS = {
    "dbm": lambda **k: DBM(latent=(16, 8), steps=2500, sweeps=2, lr=0.3, **k),
    "dbn": lambda **k: DBN(latent=(12, 8), steps=1500, **k),
    "visible": lambda **k: BoltzmannMachine(steps=1200, **k),
    "hidden": lambda **k: BoltzmannMachine(latent=6, steps=2500, lr=0.1, **k),
}


@pytest.mark.parametrize("name", MAKERS)
def test_it_learns_more_than_independent_units(name):
    X, held = stripes(), stripes(seed=1)
    model = MAKERS[name]().fit(X)
    value, _ = model.log_prob_estimate(held)
    assert value.mean() > independent(X) + (0.1 if name == "visible" else 0.6)
    assert model.sample(5, seed=0).shape == (5, 3, 3)


def test_the_deep_bound_lies_below_the_truth_and_a_deep_machine_is_a_harmonium():
    torch.manual_seed(0)
    from genus.maths.units import Binary

    net = Deep(Binary(4), (3, 2), 5)
    with torch.no_grad():
        net.pair.weight.copy_(torch.randn_like(net.pair.weight) * net.mask)
        net.pair.visible.normal_()
    machine = net.machine
    total = 0.0
    truth = {}
    for v in itertools.product([0.0, 1.0], repeat=4):
        rest = torch.tensor(list(itertools.product([0.0, 1.0], repeat=2)))
        both = torch.cat([torch.tensor(v).expand(4, 4), rest], 1)
        truth[v] = float(torch.logsumexp(-machine.free_energy(both), 0))
        total += math.exp(truth[v])
    assert math.log(total) == pytest.approx(enumerate_log_z(machine), abs=1e-5)
    items = torch.tensor(list(truth))
    below = torch.tensor(list(truth.values())) - net.bound(items)
    assert float(below.min()) > -1e-5
    assert float(below.mean()) < 0.3


def test_three_layers_keep_to_their_neighbours():
    model = DBM(latent=(6, 5, 4), steps=50).fit(stripes(100))
    net = model.net_
    assert float((net.pair.weight * (1 - net.mask)).abs().max()) == 0.0
    assert model.encode(stripes(7)).shape == (7, 15)


def test_an_ising_machine_is_what_enumeration_says():
    torch.manual_seed(0)
    coupling = torch.randn(5, 5)
    machine = Ising(torch.randn(5), (coupling + coupling.T) * (1 - torch.eye(5)))
    states = torch.tensor(list(itertools.product([0.0, 1.0], repeat=5)))
    p = (machine.log_f(states) - machine.enumerate()).exp()
    assert float(p.sum()) == pytest.approx(1, abs=1e-6)
    s = (torch.rand(4000, 5) < 0.5).float()
    for _ in range(30):
        machine.sweep(s, torch.arange(5))
    pair = float((s[:, 0] * s[:, 1]).mean())
    assert pair == pytest.approx(float((p * states[:, 0].double() * states[:, 1].double()).sum()), abs=0.03)


def test_annealing_agrees_with_enumeration():
    torch.manual_seed(0)
    coupling = 0.5 * torch.randn(12, 12)
    machine = Ising(torch.randn(12), (coupling + coupling.T) * (1 - torch.eye(12)))
    first = torch.zeros(12)
    weight = machine._anneal((torch.rand(200, 12) < 0.5).float(), torch.linspace(0, 1, 200), first)
    value = float(torch.logsumexp(weight, 0)) - math.log(200) + 12 * math.log(2)
    assert value == pytest.approx(machine.enumerate(), abs=0.15)


@pytest.mark.parametrize("name", ["dbm", "hidden"])
def test_known_parts_stay_and_the_rest_fits_them(name):
    X = stripes()
    model = MAKERS[name]().fit(X)
    gaps = X.astype(float)
    gaps[:, 0, 2] = np.nan
    filled = model.complete(gaps, seed=0)
    assert np.array_equal(filled[:, 1:], X[:, 1:])
    assert (filled[:, 0, 2] == X[:, 0, 2]).mean() > 0.75


def test_what_cannot_work_is_said_in_one_sentence():
    with pytest.raises(UsageError, match="two hidden layers"):
        DBM(latent=(5,)).fit(stripes(50))
    with pytest.raises(UsageError, match="two hidden layers"):
        DBN(latent=(5,)).fit(stripes(50))
    with pytest.raises(UsageError, match="latent=-1"):
        BoltzmannMachine(latent=-1).fit(stripes(50))
