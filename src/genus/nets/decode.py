"""Decode: one draw from each row of logits, sharpened or cut off by argument."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def kept(logits: Tensor, top_k: int | None = None, top_p: float | None = None, min_p: float | None = None) -> Tensor:
    """Logits with −∞ outside the `top_k` largest, the fewest whose mass reaches `top_p`, and those of `min_p` × the largest.

    Each cut sees what the one before it left.

    References: Holtzman et al. 2020, The curious case of neural text degeneration, https://arxiv.org/abs/1904.09751 (top_p);
    Nguyen et al. 2024, Turning up the heat: min-p sampling, https://arxiv.org/abs/2407.01082
    """
    if top_k and top_k < logits.shape[-1]:
        logits = logits.masked_fill(logits < logits.topk(top_k).values[..., -1:], -torch.inf)
    if top_p is not None and top_p < 1:
        ranked, order = logits.sort(-1, descending=True)
        mass = ranked.softmax(-1)
        ranked = ranked.masked_fill(mass.cumsum(-1) - mass >= top_p, -torch.inf)
        logits = torch.full_like(logits, -torch.inf).scatter(-1, order, ranked)
    if min_p:
        logits = logits.masked_fill(logits < logits.amax(-1, keepdim=True) + math.log(min_p), -torch.inf)
    return logits


def discouraged(logits: Tensor, before: Tensor, penalty: float) -> Tensor:
    """Logits (n, levels), of the levels in `before` (n, t) divided by `penalty` where positive and multiplied by it elsewhere.

    Reference: Keskar et al. 2019, CTRL, https://arxiv.org/abs/1909.05858
    """
    seen = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, before, True)
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def pick(logits: Tensor) -> Tensor:
    """A draw (…,) from softmax(logits) (…, levels), as the winner of a race of exponential clocks."""
    chance = logits.softmax(-1)
    return (chance / torch.empty_like(chance).exponential_()).argmax(-1)
