"""Decode: one draw from each row of logits, sharpened or cut off by argument."""

from __future__ import annotations

import torch
from torch import Tensor


def kept(logits: Tensor, top_k: int | None = None, top_p: float | None = None) -> Tensor:
    """Logits with −∞ outside the `top_k` largest, and outside the fewest whose probability reaches `top_p`.

    Nucleus sampling: Holtzman et al. 2020, https://arxiv.org/abs/1904.09751
    """
    if top_k and top_k < logits.shape[-1]:
        logits = logits.masked_fill(logits < logits.topk(top_k).values[..., -1:], -torch.inf)
    if top_p is not None and top_p < 1:
        ranked, order = logits.sort(-1, descending=True)
        mass = ranked.softmax(-1)
        ranked = ranked.masked_fill(mass.cumsum(-1) - mass >= top_p, -torch.inf)
        logits = torch.full_like(logits, -torch.inf).scatter(-1, order, ranked)
    return logits


def pick(logits: Tensor) -> Tensor:
    """A draw (…,) from softmax(logits) (…, levels), as the winner of a race of exponential clocks."""
    chance = logits.softmax(-1)
    return (chance / torch.empty_like(chance).exponential_()).argmax(-1)
