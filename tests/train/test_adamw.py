"""AdamW: PyTorch's own steps, also where some parameters have no gradient at times and after a kept state is put back."""

from __future__ import annotations

import copy

import torch
from torch import nn

from genus.train.adamw import AdamW
from genus.train.optimiser import restore_optimiser

SHAPES = ((5, 4), (3,), (2, 3, 3, 3))


def pair():
    torch.manual_seed(0)
    ours = [nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    return ours, [nn.Parameter(p.detach().clone()) for p in ours]


def step(both, optimisers, silent=()):
    for i, (a, b) in enumerate(zip(*both, strict=True)):
        a.grad = None if i in silent else torch.randn(a.shape)
        b.grad = None if a.grad is None else a.grad.clone()
    for optimiser in optimisers:
        optimiser.step()


def optimisers_of(ours, theirs):
    groups = [[{"params": p[:1], "weight_decay": 0.1}, {"params": p[1:], "weight_decay": 0.0}] for p in (ours, theirs)]
    return AdamW(groups[0], 0.01, (0.9, 0.99)), torch.optim.AdamW(groups[1], 0.01, (0.9, 0.99))


def test_it_steps_as_pytorchs_does_whoever_has_a_gradient():
    both = pair()
    optimisers = optimisers_of(*both)
    for silent in ((2,), (), (1,), (), (0, 1), (), ()):
        step(both, optimisers, silent)
    for a, b in zip(*both, strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_a_state_put_back_goes_on_as_if_nothing_had_been():
    both = pair()
    first = AdamW([{"params": both[0]}], 0.01, (0.9, 0.99))
    second = AdamW([{"params": both[1]}], 0.01, (0.9, 0.99))
    for _ in range(3):
        step(both, (first, second))
    kept = copy.deepcopy(second.state_dict())
    again = AdamW([{"params": both[1]}], 0.01, (0.9, 0.99))
    restore_optimiser(again, kept)
    for _ in range(3):
        step(both, (first, again))
    for a, b in zip(*both, strict=True):
        assert torch.equal(a, b)
