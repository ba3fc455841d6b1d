"""Paths begin in noise and end in data; times cover (0, 1); optimal pairs are nearer than chance."""

import pytest
import torch

from genus.errors import UsageError
from genus.maths.path import optimal_pairs, straight, times


def test_straight_paths_join_their_ends_at_constant_velocity():
    torch.manual_seed(0)
    noise, data = torch.randn(4, 3), torch.randn(4, 3)
    assert straight(noise, data, torch.zeros(4))[0].equal(noise)
    assert torch.allclose(straight(noise, data, torch.ones(4))[0], data)
    (a, u), (b, _) = (straight(noise, data, torch.full((4,), t)) for t in (0.3, 0.4))
    assert torch.allclose((b - a) / 0.1, u, atol=1e-5)


def test_times_follow_their_law():
    torch.manual_seed(0)
    u, s = times(4000), times(4000, "logit-normal")
    assert u.mean() == pytest.approx(0.5, abs=0.01)
    assert u.var() == pytest.approx(1 / 12, abs=0.005)
    assert torch.logit(s).std() == pytest.approx(1, abs=0.05)
    assert min(u.min(), s.min()) > 0
    assert max(u.max(), s.max()) < 1
    with pytest.raises(UsageError, match="uniform"):
        times(3, "unifrom")


def test_optimal_pairs_cost_least():
    torch.manual_seed(0)
    stop = torch.randn(5, 2)
    start = stop.flip(0) + 0.01 * torch.randn(5, 2)
    assert optimal_pairs(start, stop).tolist() == [4, 3, 2, 1, 0]
