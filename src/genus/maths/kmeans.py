"""k-means: seeds far apart, then Lloyd's steps; where mixtures and codebooks start."""

from __future__ import annotations

import torch
from torch import Tensor


def nearest(x: Tensor, centres: Tensor, block: int = 8192) -> Tensor:
    """Which centre is nearest to each row of x (n, d), (n,)."""
    half = 0.5 * centres.square().sum(1)
    return torch.cat([torch.addmm(half, b, centres.T, alpha=-1).argmin(1) for b in x.split(block)])


def seeds(x: Tensor, k: int) -> Tensor:
    """k rows of x (n, d), each drawn in proportion to its squared distance to those before.

    Reference: D. Arthur and S. Vassilvitskii 2007, k-means++: the advantages of careful seeding,
    https://dl.acm.org/doi/10.5555/1283383.1283494
    """
    centres = x[torch.randint(len(x), (1,))]
    distance = (x - centres[0]).square().sum(1)
    for _ in range(1, k):
        weight = distance if bool((distance > 0).any()) else torch.ones_like(distance)
        point = (torch.rand(1, dtype=torch.float64) * weight.double().sum()).item()
        chosen = x[torch.searchsorted(weight.double().cumsum(0), point).clamp(max=len(x) - 1)]
        centres = torch.cat([centres, chosen[None]])
        distance = torch.minimum(distance, (x - chosen).square().sum(1))
    return centres


def lloyd(x: Tensor, centres: Tensor, steps: int = 10) -> Tensor:
    """Centres (k, d) after at most `steps` rounds of assigning rows and taking means; an empty centre stays.

    Reference: S. Lloyd 1982, Least squares quantization in PCM, https://doi.org/10.1109/TIT.1982.1056489
    """
    for _ in range(steps):
        index = nearest(x, centres)
        counts = torch.bincount(index, minlength=len(centres))
        sums = torch.zeros_like(centres).index_add_(0, index, x)
        moved = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp_min(1), centres)
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres
