"""Ordered levels as few groups of about equal mass, and draws from the rows of a table."""

from __future__ import annotations

import torch
from torch import Tensor


def grouped(counts: Tensor, groups: int, alone: int | None = None) -> Tensor:
    """The group of each level, (levels,): neighbours together, about equal counts in each, heavy levels by themselves.

    Parameters
    ----------
    counts: (levels,) how often each level occurs. groups: at most about how many. alone: a level with a group of its own.

    >>> grouped(torch.tensor([1, 1, 8, 1, 1, 2]), 3, alone=5).tolist()
    [0, 0, 1, 2, 2, 3]
    """
    levels = torch.arange(len(counts))
    mass = counts.double()
    if alone is not None:
        mass[alone] = 0
    heavy = mass >= mass.sum() / groups
    rest = torch.where(heavy, 0.0, mass)
    share = (rest.cumsum(0) - rest / 2) / rest.sum().clamp_min(1)
    bucket = (share * max(1, groups - int(heavy.sum()))).long()
    key = 2 * heavy.long().cumsum(0) - heavy.long()
    key = key * (groups + 1) + torch.where(heavy, 0, bucket)
    last = int(key.max()) + 1
    if alone is not None:
        key = torch.where(levels == alone, last, key)
    return torch.unique(key, return_inverse=True)[1]


def by_rows(table: Tensor, row: Tensor) -> Tensor:
    """A state for each entry of `row`, drawn from that row of the table (rows, states) of probabilities."""
    r = table.shape[1]
    cdf = table.cumsum(1)
    cdf = torch.where(cdf >= cdf[:, -1:] - 1e-15, 1.0, cdf)[:, :-1]
    ladder = (cdf + torch.arange(len(cdf))[:, None]).flatten()
    u = torch.rand(len(row), dtype=torch.float64)
    return (torch.searchsorted(ladder, u + row, right=True) - row * (r - 1)).clamp(0, r - 1)


def towards(counts: Tensor, p: Tensor, weight: float) -> Tensor:
    """Rows of counts as probabilities after `weight` pseudo-observations of p; p itself where nothing was counted."""
    total = counts.sum(-1, keepdim=True)
    mixed = (counts + weight * p) / (total + weight).clamp_min(1e-300)
    return torch.where(total > 0, mixed, p.expand_as(counts))


def point(size: int, at: int) -> Tensor:
    """All mass on one of `size` values."""
    return torch.eye(size, dtype=torch.float64)[at]
