"""Masking: which entries of an item are shown in training that predicts the others."""

from __future__ import annotations

import torch
from torch import Tensor


def masked(n: int, length: int, *, share: Tensor | None = None, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """(shown (n, length), weight (n,)): a random number of random entries shown, 0 … length − 1, all numbers alike likely.

    Σ over hidden entries of log p(xᵢ | shown), times weight = length / hidden, is in expectation the mean over all orders of
    log p(x) by the chain rule, a lower bound of the log of the mean of p(x) (Uria, Murray and Larochelle 2014,
    https://arxiv.org/abs/1310.1757; as a diffusion, Sahoo et al. 2024, https://arxiv.org/abs/2406.07524).

    Parameters
    ----------
    share: (n,) in [0, 1), which number is shown, as a share of `length`; drawn when None.
    """
    rank = torch.rand(n, length, device=device).argsort(1).argsort(1)
    count = torch.randint(length, (n, 1), device=device) if share is None else (share * length).long().to(device)[:, None]
    shown = rank < count.clamp(max=length - 1)
    return shown, length / (~shown).sum(1)
