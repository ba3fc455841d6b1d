"""Beam: the likeliest item that a search of a few open ends finds, entry by entry."""

from __future__ import annotations

import torch
from torch import Tensor

from genus.nets.ancestral import Ancestral


@torch.no_grad()
def beam(items: Ancestral, start: int, stop: int, beams: int) -> tuple[Tensor, Tensor]:
    """(x (n, length), log p of the entries found (n,)): entries start … stop − 1 of the likeliest of `beams` open ends.

    At each entry every open end of an item is continued by every symbol, and the `beams` likeliest are kept; one that has
    closed stays in the race with the probability it has. One beam is greedy; as many as there are items finds the mode.
    There is no reward for length: what is found is what the model thinks likeliest, which of free text is often short and dull
    (Holtzman et al. 2020, https://arxiv.org/abs/1904.09751).

    Reference: B. Lowerre 1976, The HARPY speech recognition system; Graves 2012, https://arxiv.org/abs/1211.3711
    """
    n = len(items.x)
    rows = torch.arange(n, device=items.x.device)
    items.keep(rows.repeat_interleave(beams))
    score = torch.full((n, beams), -torch.inf, device=items.x.device)
    score[:, 0] = 0.0
    for i in range(start, stop):
        if items.end is not None and bool(items.done.all()):
            items.x[:, i:stop] = items.end
            break
        each = items.kept(items.allowed(i)).log_softmax(-1)
        levels = each.shape[-1]
        score, found = (score[:, :, None] + each.view(n, beams, levels)).flatten(1).topk(beams)
        parent = (rows[:, None] * beams + found // levels).flatten()
        if not torch.equal(parent, torch.arange(n * beams, device=parent.device)):
            items.keep(parent)
        items.put(i, (found % levels).flatten())
    return items.x[rows * beams], score[:, 0]
