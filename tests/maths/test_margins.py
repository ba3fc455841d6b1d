"""Margins make every entry normal, invert, know their slope, keep spikes in their cell, and fit any saved number of cells."""

import pytest
import torch

from genus.maths.bijection import Mix
from genus.maths.margins import Margins
from genus.maths.quantise import Fuzzy


def pixels(n=1500):
    """Three pixels of 17 levels in (−1, 1): nearly always 0, even, and bright; drawn within their level."""
    torch.manual_seed(0)
    level = torch.stack([16 * (torch.rand(n) < 0.002), torch.randint(17, (n,)), torch.randint(12, 17, (n,))], 1)
    return Fuzzy(level.to(torch.uint8), 1.0, lambda u: u * (2 / 17) - 1)


@pytest.fixture(scope="module")
def margins():
    x = pixels()
    found = Margins(3, -1.0, 1.0, x.steps(2.0) or 0)
    found.settle(x[slice(None)].double())
    return found


def test_a_grid_of_levels_is_recognised():
    assert pixels(10).steps(2.0) == 17
    assert Fuzzy(torch.zeros(4, 2), 0.3).steps(2.0) is None
    assert Fuzzy(torch.zeros(4, 2), torch.ones(2)).steps(2.0) is None


def test_entries_become_normal_and_come_back(margins):
    x = pixels()[slice(None)].double()
    z, log_det = margins(x)
    assert z.mean(0).abs().max() < 0.1
    assert (z.std(0) - 1).abs().max() < 0.1
    back, minus = margins.inverse(z)
    assert (back - x).abs().max() < 1e-9
    assert (log_det + minus).abs().max() < 1e-9


def test_the_slope_is_autograds(margins):
    x = pixels(5)[slice(None)].double().requires_grad_()
    z, log_det = margins(x)
    slope = torch.autograd.grad(z.sum(), x)[0]
    assert (slope.log().sum(1) - log_det).abs().max() < 1e-9


def test_a_background_keeps_to_its_level(margins):
    x = margins.inverse(torch.randn(20000, 3, dtype=torch.float64))[0]
    lit = ((x[:, 0] + 1) * 8.5 >= 1).float().mean()
    assert lit < 0.006


def test_as_many_cells_as_were_saved_are_loaded(margins):
    other = Margins(3, -1.0, 1.0)
    other.load_state_dict(margins.state_dict())
    x = pixels(50)[slice(None)]
    assert torch.equal(other(x)[0], margins(x)[0])


def test_whitening_begins_where_the_covariance_is_the_identity():
    torch.manual_seed(0)
    x = torch.randn(4000, 3) @ torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, 0.8], [0.0, 0.0, 0.3]])
    mix = Mix(3, whiten=True)
    mix.settle(x)
    assert (torch.cov(mix(x)[0].T) - torch.eye(3)).abs().max() < 0.2
    assert (mix.inverse(mix(x)[0])[0] - x).abs().max() < 1e-4
