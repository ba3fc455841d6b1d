"""Two processes with batches of B do what one with batches of 2B does."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from genus import dice
from genus.errors import RunError
from genus.train.descend import descend
from genus.train.recipe import Recipe
from genus.train.run import Run

pytest.importorskip("lightning_fabric")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are forked")


def fit(devices: int, batch: int, blow: bool = False) -> list[torch.Tensor]:
    x = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    with dice.private(3):
        net = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 6))

        def loss(x, y):
            return (net(x) - x).square().sum(1) * (float("nan") if blow else 1.0)

        descend(net, loss, x, None, recipe=Recipe(steps=40, batch=batch), run=Run(devices=devices, validation=(x, None)))
    return [p.detach() for p in net.parameters()]


def test_two_processes_equal_one_with_the_doubled_batch():
    one, two, half = fit(1, 32), fit(2, 16), fit(1, 16)
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(one[0], half[0], atol=1e-3)


def test_what_goes_wrong_in_a_process_is_said_in_one_sentence():
    with pytest.raises(RunError, match="nan at step 0"):
        fit(2, 16, blow=True)
