"""Groups: the distinct rows of a condition, for families that learn one distribution for each."""

from __future__ import annotations

import torch
from torch import Tensor

from genus.errors import DataError, UsageError

MANY = 64  # different numbers above which y is no label


def groups_of(y: Tensor | None, n: int) -> tuple[Tensor, Tensor]:
    """(keys (g, m), index (n,)): the distinct rows of y and which of them each item has; one group without y.

    Raises UsageError where y holds numbers of many values, which make no groups.
    """
    if y is None:
        return torch.zeros(1, 0), torch.zeros(n, dtype=torch.long)
    keys, index = torch.unique(y, dim=0, return_inverse=True)
    if len(keys) > MANY and not bool(((y == 0) | (y == 1)).all()):
        raise UsageError(
            f"This family learns one distribution a label, but y holds numbers, {len(keys)} different ones: give labels or bins."
        )
    return keys, index


def group_index(y: Tensor | None, keys: Tensor, n: int) -> Tensor:
    """Which of `keys` each row of y is, (n,).

    Raises DataError for a combination of labels that did not occur together in training.
    """
    if y is None:
        return torch.zeros(n, dtype=torch.long)
    rows, inverse = torch.unique(torch.cat([keys, y.to(keys)]), dim=0, return_inverse=True)
    place = torch.full((len(rows),), -1).scatter(0, inverse[: len(keys)], torch.arange(len(keys)))
    index = place[inverse[len(keys) :]]
    if bool((index < 0).any()):
        row = int((index < 0).int().argmax())
        raise DataError(
            f"The condition in row {row} of y did not occur so in training, and nothing was learnt for it: give one that did."
        )
    return index
