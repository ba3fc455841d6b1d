"""NADE: normalised, its states shared by cells rightly, drawn as it is scored, exact about what is known."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch

from genus import NADE, Marginals
from genus.errors import UsageError
from genus.maths.particles import fill
from genus.nets.nade import Intake, NADENet, features

KINDS = {
    "a record": ([2, 5, 3, 4], [False, True, False, True], [None, 4, None, None]),
    "categories": ([3] * 4, [False] * 4, [None] * 4),
    "levels": ([20] * 2, [True] * 2, [None] * 2),
    "bits": ([2] * 9, [False] * 9, [None] * 9),
}


def net(kind: str, condition: int = 0, activation="relu") -> NADENet:
    torch.manual_seed(0)
    levels, ordered, missing = KINDS[kind]
    made = NADENet(levels, ordered=ordered, missing=missing, width=16, condition=condition, activation=activation)
    with torch.no_grad():
        for part in made.parameters():
            part.add_(0.3 * torch.randn_like(part))
    return made.eval()


def every(kind: str) -> torch.Tensor:
    return torch.tensor(list(itertools.product(*map(range, KINDS[kind][0]))))


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize("kind", KINDS)
def test_all_items_sum_to_one_and_blocks_agree_with_taking_in_cell_by_cell(kind, activation):
    made, x = net(kind, 2, activation), every(kind)
    y = torch.randn(1, 2).expand(len(x), 2)
    with torch.no_grad():
        each, items = made.log_probs(x, y), Intake(made, x.clone(), y)
        assert float(each.sum(1).exp().sum()) == pytest.approx(1, abs=1e-5)
        for step in range(x.shape[1]):
            one = items.logits(step).log_softmax(1).gather(1, x[:, step, None])[:, 0]
            torch.testing.assert_close(one, each[:, step], atol=1e-4, rtol=1e-4)
            items.put(step, x[:, step])


def test_the_gradient_through_shared_states_is_that_of_the_plain_sum():
    made, x = net("bits").double(), every("bits")[::7]
    weights = [made.enter, made.leave, made.start, made.bias]
    found = torch.autograd.grad(made.log_probs(x).sum(), weights)
    a = made.start + torch.einsum("nj,jh,ij->nih", x.double(), made.enter[:, 0], torch.ones(9, 9).tril(-1).double())
    z = torch.einsum("nih,ih->ni", a.relu(), made.leave[:, 0])
    logits = torch.stack([torch.zeros_like(z), z], 2) + made.bias
    plain = logits.log_softmax(2).gather(2, x[..., None]).sum()
    for mine, truth in zip(found, torch.autograd.grad(plain, weights), strict=True):
        torch.testing.assert_close(mine, truth)


def test_draws_have_the_law_of_log_prob():
    made, x = net("a record"), every("a record")
    torch.manual_seed(1)
    with torch.no_grad():
        drawn, _ = fill(Intake(made, torch.zeros(40_000, 4, dtype=torch.int64), None), range(4))
        truth = made.log_probs(x).sum(1).exp().double()
    share = torch.bincount((drawn * torch.tensor([60, 12, 4, 1])).sum(1), minlength=120).double() / len(drawn)
    assert float((share - truth).abs().sum()) < 0.06


def test_many_ordered_levels_are_smooth_and_the_first_means_nothing():
    table = features(100, True, 99, 12)
    assert table.shape == (100, 15)
    assert float(table[0].abs().sum()) == 0
    assert torch.equal(features(3, False, None, 12), torch.tensor([[0.0, 0], [1, 0], [0, 1]]))


def bits(n: int, seed: int) -> np.ndarray:
    """The last bit is the parity of the two before it; the others are coins."""
    x = np.random.default_rng(seed).random((n, 4, 1)) < 0.5
    x[:, 3] = x[:, 1] ^ x[:, 2]
    return x


def test_it_learns_what_no_sum_over_earlier_cells_shows():
    model = NADE(steps=400, width=32, lr=2e-2, seed=0).fit(bits(1000, 0))
    assert model.score(bits(500, 1)) == pytest.approx(-3 * np.log(2), abs=0.05)
    assert NADE(steps=1, width=32, seed=0).fit(bits(1000, 0)).score(bits(500, 1)) < -2.6


def test_gaps_before_what_is_known_are_filled_rightly():
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, 1500)
    frame = pd.DataFrame({"job": np.array(["cook", "pilot"])[kind], "pay": (20 + 10 * kind + rng.normal(0, 2, 1500)).round(1)})
    model = NADE(steps=400, lr=5e-3, seed=0).fit(frame)
    assert model.score(frame) > Marginals().fit(frame).score(frame) + 0.4
    filled = model.complete(pd.DataFrame({"job": [None] * 300, "pay": [20.0] * 300}), seed=0)
    assert (filled["pay"] == 20.0).all()
    assert (filled["job"] == "cook").mean() > 0.9


def test_constant_pixels_are_learnt_and_odd_settings_refused():
    images = np.zeros((40, 4, 4), dtype=bool)
    images[:, 1] = np.random.default_rng(0).random((40, 4)) < 0.5
    drawn = NADE(steps=20, width=8).fit(images).sample(100, seed=0)
    assert drawn[:, 1].mean() > 0.3
    assert drawn[:, [0, 2, 3]].mean() < 0.02
    for wrong in ({"width": 0}, {"activation": "tanh"}, {"temperature": 0.0}, {"particles": 0}):
        with pytest.raises(UsageError):
            NADE(**wrong).fit(bits(50, 0))
