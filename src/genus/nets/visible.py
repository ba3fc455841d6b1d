"""Visible: packed items as the visible units of a Boltzmann machine, and back."""

from __future__ import annotations

import torch
from torch import Tensor

from genus.errors import DataError
from genus.maths.units import Binary, Categories, Normal, Units
from genus.space import AnySpace, Record

WIDEST = 2**18  # visible units
CLOSED = -1e9  # a field no draw survives


def visible_units(space: AnySpace, unseen: bool = False) -> Units:
    """The visible layer of a Space: binary, softmax groups, or normal units; `unseen` leaves out the levels for missing."""
    if isinstance(space, Record):
        units: Units = Categories([c.levels - (unseen and c.missing is not None) for _, c in space.fields])
    elif space.kind == "real":
        units = Normal(max(space.size, 1))
    else:
        size = max(space.size, 1)
        units = Binary(size) if space.levels == 2 else Categories([space.levels] * size)
    if units.count > WIDEST:
        raise DataError(
            f"An item has {units.count} visible units (at most {WIDEST}): use fewer levels, e.g. X > threshold for images."
        )
    return units


def visible_rows(units: Units, x: Tensor) -> Tensor:
    """Packed items x as visible units (n, D)."""
    flat = x.reshape(len(x), -1)
    return units.one_hot(flat.long()) if isinstance(units, Categories) else flat.float()


def seen_rows(units: Categories, x: Tensor) -> tuple[Tensor, Tensor]:
    """(visible units, mask of those that count), each (n, D), of rows x whose level beyond a cell's last is missing."""
    held = x < units.sizes
    mask = torch.repeat_interleave(held, units.sizes, 1).float()
    return units.one_hot(torch.where(held, x, 0)) * mask, mask


def packed_items(units: Units, v: Tensor, space: AnySpace) -> Tensor:
    """Visible units v (n, D) as packed items (n, *space)."""
    flat = units.levels(v) if isinstance(units, Categories) else v
    return flat.reshape(len(v), *space.shape).to(space.dtype)


def closed(space: AnySpace, count: int) -> Tensor:
    """What to add to the fields (count,) so that no cell is completed as missing."""
    fields = space.fields if isinstance(space, Record) else ()
    shut = [torch.where(torch.arange(s.levels) == (-1 if s.missing is None or s.levels < 2 else s.missing), CLOSED, 0.0)
            for _, s in fields]  # fmt: skip
    return torch.cat(shut) if shut else torch.zeros(count)
