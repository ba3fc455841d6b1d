"""Packed: items that are tensors of a Space already, when one family is a part of another."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from genus.data.codec import Codec
from genus.errors import DataError
from genus.space import AnySpace, Items, space_from_json


class PackedCodec(Codec):
    """`Items` as they are: nothing is learnt, nothing is lost, and samples are tensors.

    Attributes
    ----------
    view_: the JSON of their Space.
    """

    kind: ClassVar[str] = "packed"

    def fit(self, X: Items) -> Self:
        if not len(X):
            raise DataError("There are no items: give at least one.")
        self.view_ = X.space.to_json()
        return self

    def views(self) -> tuple[AnySpace, ...]:
        return (space_from_json(self.view_),)

    def pack(self, X: Items, view: AnySpace) -> Tensor:
        if X.space != view:
            raise DataError(f"The model was fitted on {view}, but X holds {X.space}.")
        return X.x

    def unpack(self, x: Tensor, view: AnySpace, *, whole: bool = False) -> Items:
        return Items(x, view)

    def log_volume(self, x: Tensor, view: AnySpace) -> Tensor:
        return torch.zeros(len(x))

    def exact(self, view: AnySpace) -> bool:
        return True

    def dims(self) -> int:
        return self.views()[0].size

    def known(self, X: Items, view: AnySpace) -> tuple[Tensor, Tensor]:
        return X.x, torch.ones(X.x.shape, dtype=torch.bool)

    def merge(self, X: Items, filled: Any, view: AnySpace) -> Any:
        return filled

    def template(self, n: int, given: Any) -> Any:
        raise DataError("Packed items have no names to give parts by: complete them with the hook.")
