"""A net that tells each entry of a vector how it moves, from the entries before it alone."""

from __future__ import annotations

import torch
from torch import Tensor

from genus.nets.perceptron import Perceptron


def masked_teller(
    rank: Tensor, parameters: int, *, width: int, depth: int, condition: int = 0, dropout: float = 0.0
) -> Perceptron:
    """x (n, d), y (n, condition) ↦ (n, parameters × d), zero before training; entry i hears the entries before it and y.

    Every hidden unit has a degree m, hears the entries of rank < m and is heard by those of rank ≥ m.

    Parameters
    ----------
    rank: (d,) the place of each entry in the order. parameters: numbers told an entry. width: hidden units.
    depth: residual blocks. condition: features of y. dropout: in the blocks.

    Reference: M. Germain et al. 2015, MADE, https://arxiv.org/abs/1502.03509

    >>> masked_teller(torch.arange(3), 2, width=8, depth=1)(torch.zeros(4, 3)).shape
    torch.Size([4, 6])
    """
    d = len(rank)
    least = 0 if condition or d == 1 else 1
    degree = least + (torch.arange(width) * max(d - least, 1)) // width
    among = degree[:, None] >= degree
    masks = rank < degree[:, None], among, rank.repeat(parameters)[:, None] >= degree
    return Perceptron(d, parameters * d, width=width, depth=depth, condition=condition, dropout=dropout, masks=masks)
