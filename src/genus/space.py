"""Space: what one packed item is. Families and data meet here and nowhere else."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch

from genus.errors import DataError

Kind = Literal["real", "levels", "binary", "category", "tokens"]


@dataclass(frozen=True)
class Space:
    """One packed item: a tensor of one kind and shape.

    Parameters
    ----------
    kind: `real` (float32), `levels` (ordered integers 0 … levels−1), `binary` (0 or 1),
        `category` (unordered integers), `tokens` (a sequence of integers closed by `end`).
    shape: of one item, without the batch: () a cell, (d,) a vector, (C, H, W) an image, (L,) a sequence.
    levels: how many values a discrete entry can take; 0 for `real`.
    bounds: the open interval a `real` entry lives in, or None for the whole line.
    end: the end symbol of `tokens`, which also pads; None where every item has the full length.
    missing: the level that stands for a missing cell, or None.
    """

    kind: Kind
    shape: tuple[int, ...] = ()
    levels: int = 0
    bounds: tuple[float, float] | None = None
    end: int | None = None
    missing: int | None = None

    @property
    def size(self) -> int:
        """Entries in one item."""
        return math.prod(self.shape)

    @property
    def discrete(self) -> bool:
        return self.kind != "real"

    @property
    def dtype(self) -> torch.dtype:
        """How items are packed: images stay small, everything else discrete is int64."""
        if self.kind == "real":
            return torch.float32
        return torch.uint8 if len(self.shape) == 3 and self.levels <= 256 else torch.int64

    def __str__(self) -> str:
        shape = "×".join(map(str, self.shape)) or "scalar"
        return f"{self.kind} {shape}" + (f" of {self.levels} levels" if self.levels else "")

    def to_json(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if v is not None}


@dataclass(frozen=True)
class Record:
    """A row of named cells, packed into one int64 tensor (n, fields); every cell is a discrete scalar Space.

    `levels` cells are ordered (bins of a number), `category` cells are not.
    """

    fields: tuple[tuple[str, Space], ...]
    kind: Literal["record"] = field(default="record", init=False)

    def __post_init__(self) -> None:
        wrong = [name for name, space in self.fields if space.shape != () or not space.discrete]
        if wrong:
            raise DataError(f"A record holds discrete cells only, but {wrong[0]!r} is not one.")

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.fields),)

    @property
    def size(self) -> int:
        return len(self.fields)

    @property
    def levels(self) -> int:
        """The widest cell."""
        return max(space.levels for _, space in self.fields)

    @property
    def discrete(self) -> bool:
        return True

    @property
    def dtype(self) -> torch.dtype:
        return torch.int64

    def __str__(self) -> str:
        return f"record of {self.size} cells"

    def to_json(self) -> dict[str, Any]:
        return {"kind": "record", "fields": [[name, space.to_json()] for name, space in self.fields]}


@dataclass(frozen=True)
class Mixed:
    """A row of named cells, some discrete and some real, packed into one float32 tensor (n, fields).

    A discrete cell holds its level as a whole number; every cell is a scalar Space.
    """

    fields: tuple[tuple[str, Space], ...]
    kind: Literal["mixed"] = field(default="mixed", init=False)
    levels: ClassVar[int] = 0

    @property
    def real(self) -> list[bool]:
        """Which cells are."""
        return [not space.discrete for _, space in self.fields]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.fields),)

    @property
    def size(self) -> int:
        return len(self.fields)

    @property
    def discrete(self) -> bool:
        return False

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32

    def __str__(self) -> str:
        return f"{self.size} discrete and real cells"

    def to_json(self) -> dict[str, Any]:
        return {"kind": "mixed", "fields": [[name, space.to_json()] for name, space in self.fields]}


AnySpace = Space | Record | Mixed


@dataclass(frozen=True)
class Items:
    """Items packed already, as one family hands them to another: `fit` takes them for the user's data.

    Parameters
    ----------
    x: (n, *space), of the Space's dtype. space: what an item is.
    """

    x: torch.Tensor
    space: AnySpace

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: Any) -> Items:
        return Items(self.x[index], self.space)


def few_first(space: Record) -> list[int]:
    """Cells by number of levels; a cell named 'other/…' stays behind the cell 'other' it refines."""
    names = [name for name, _ in space.fields]
    levels = {name: cell.levels for name, cell in space.fields}

    def owner(name: str) -> str:
        while name not in levels or ("/" in name and name.rpartition("/")[0] in levels):
            name = name.rpartition("/")[0]
        return name

    owners = [owner(name) for name in names]
    return sorted(range(len(names)), key=lambda i: (levels[owners[i]], names.index(owners[i]), owners[i] != names[i], i))


def space_from_json(data: dict[str, Any]) -> AnySpace:
    """The inverse of `to_json`."""
    if data["kind"] == "record":
        return Record(tuple((name, _cell(cell)) for name, cell in data["fields"]))
    if data["kind"] == "mixed":
        return Mixed(tuple((name, _cell(cell)) for name, cell in data["fields"]))
    return _cell(data)


def _cell(data: dict[str, Any]) -> Space:
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    return Space(**fields)
