"""Muon: the steps of matrices are orthogonal, everything else is AdamW's, and a kept state goes on as if nothing had been."""

from __future__ import annotations

import torch
from torch import nn

from genus.train.muon import Muon, hidden_matrices, orthogonal
from genus.train.optimiser import make_optimiser
from genus.train.recipe import Recipe


def test_newton_schulz_brings_every_singular_value_near_one():
    torch.manual_seed(0)
    for shape in ((2, 24, 24), (3, 40, 16), (1, 16, 40)):
        g = torch.randn(shape) * torch.tensor([100.0, 1.0, 0.01])[: shape[0], None, None]
        values = torch.linalg.svdvals(orthogonal(g))
        assert float(values.max()) < 1.35
        assert float(values.median()) > 0.6
        u, _, vt = torch.linalg.svd(g, full_matrices=False)
        assert float((orthogonal(g) - u @ vt).norm() / (u @ vt).norm()) < 0.35


def test_only_the_weights_of_layers_are_turned():
    net = nn.Sequential(nn.Embedding(9, 16), nn.Linear(16, 16), nn.Conv2d(8, 8, 3), nn.LayerNorm(16), nn.Linear(16, 1))
    held = hidden_matrices(net)
    assert {name for name, p in net.named_parameters() if id(p) in held} == {"1.weight", "2.weight"}
    flags = {id(p): g["orthogonal"] for g in make_optimiser(net, Recipe(optimizer="muon")).param_groups for p in g["params"]}
    assert {i for i, flag in flags.items() if flag} == held
    assert len(flags) == len(list(net.parameters()))


def test_what_is_not_turned_steps_as_adamw():
    torch.manual_seed(0)
    a, b = nn.Parameter(torch.randn(5, 4)), nn.Parameter(torch.zeros(5, 4))
    with torch.no_grad():
        b.copy_(a)
    ours = Muon([{"params": [a], "weight_decay": 0.1}], 0.01, (0.9, 0.99))
    theirs = torch.optim.AdamW([b], 0.01, (0.9, 0.99), weight_decay=0.1)
    for _ in range(5):
        a.grad = torch.randn(5, 4)
        b.grad = a.grad.clone()
        ours.step()
        theirs.step()
    assert torch.allclose(a, b, atol=1e-6)


def test_a_step_has_one_size_whatever_the_gradients_is():
    for scale in (1e-4, 1e4):
        w = nn.Parameter(torch.zeros(64, 32))
        w.grad = scale * torch.randn(64, 32)
        Muon([{"params": [w], "orthogonal": True}], 0.01, (0.9, 0.99)).step()
        assert 0.5 * 0.02 < float(w.detach().square().mean().sqrt()) < 1.5 * 0.02


def test_it_solves_an_ill_conditioned_map_that_plain_descent_does_not():
    torch.manual_seed(0)
    x = torch.randn(256, 16) * torch.logspace(0, -2, 16)
    target = torch.randn(16, 16)

    def left(name: str, lr: float) -> float:
        net = nn.Linear(16, 16, bias=False)
        optimiser = make_optimiser(net, Recipe(optimizer=name, lr=lr, weight_decay=0.0, momentum=0.9))
        for step in range(200):
            for group in optimiser.param_groups:
                group["lr"] = lr * (1 - step / 200)
            loss = (net(x) - x @ target.T).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return float((net.weight.detach() - target).square().mean())

    assert left("muon", 0.03) < 0.05
    assert left("sgd", 0.3) > 0.1
