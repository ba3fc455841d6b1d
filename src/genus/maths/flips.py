"""Gibbs sampling of discrete items from nothing but their energy: each entry in turn, given all the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def flips(x: Tensor, energy: Callable[[Tensor], Tensor], levels: Sequence[int], chunk: int = 8192) -> Tensor:
    """x (n, d) after one sweep in random order: entry i ~ p(xᵢ = k | rest) ∝ exp(−energy with xᵢ = k).

    Parameters
    ----------
    energy: (m, d) → (m,), nats, up to a constant. levels: (d,) values of each entry. chunk: items whose energy is asked at once.

    Reference: S. Geman and D. Geman 1984, Stochastic relaxation, Gibbs distributions, and the Bayesian restoration of images,
    https://doi.org/10.1109/TPAMI.1984.4767596
    """
    x = x.clone()
    for i in torch.randperm(x.shape[1]).tolist():
        k = levels[i]
        wide = x.repeat_interleave(k, 0)
        wide[:, i] = torch.arange(k, dtype=x.dtype).repeat(len(x))
        value = torch.cat([-energy(part) for part in wide.split(chunk)]).double().view(len(x), k)
        x[:, i] = torch.multinomial(torch.softmax(value, 1), 1)[:, 0].to(x.dtype)
    return x
