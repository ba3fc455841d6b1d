"""Codec: the user's data ⇄ packed tensors of a Space, with the change of volume between them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from genus.maths.quantise import Packed
from genus.space import AnySpace, Mixed, Record


class Codec(ABC):
    """Fitted on the training split only; everything learnt ends in `_` and is JSON, arrays or tensors.

    A codec offers `views`: the Spaces it can pack into, preferred first. A family takes the first it accepts.
    """

    kind: ClassVar[str]

    @abstractmethod
    def fit(self, X: Any) -> Self:
        """Learn the columns, levels, scales or alphabet of X."""

    @abstractmethod
    def views(self) -> tuple[AnySpace, ...]:
        """The Spaces this codec packs into, preferred first."""

    @abstractmethod
    def pack(self, X: Any, view: AnySpace) -> Packed:
        """X (n items) as a tensor of `view`, or a Fuzzy where discrete data become real."""

    def pack_fit(self, X: Any, view: AnySpace) -> Packed:
        """X as items to train on: like `pack`, but a running text shows every overlapping window."""
        return self.pack(X, view)

    @abstractmethod
    def unpack(self, x: Tensor, view: AnySpace, *, whole: bool = False) -> Any:
        """Packed items as the user's own type; `whole` allows no missing cells."""

    @abstractmethod
    def log_volume(self, x: Tensor, view: AnySpace) -> Tensor:
        """log |d user / d packed| of each packed item, (n,): log p(user) = log p(packed) − log_volume."""

    def log_tails(self, X: Any, view: AnySpace) -> Tensor | None:
        """log p of what packing leaves out of X, by column, (n, columns); None where it leaves out nothing.

        log p(user) = log p(packed) − log_volume + the sum of a row of this.
        """
        return None

    def labels(self, view: AnySpace) -> list[str]:
        """What the user calls each entry of an item: the column of a table, else its number."""
        return [str(i) for i in range(view.size)]

    def words(self, view: Record | Mixed, cell: int) -> list[str]:
        """What the user calls each level of a cell: its value, with its number where values are alike."""
        name, space = view.fields[cell]
        numbers = [str(k) for k in range(space.levels)]
        x = torch.zeros(space.levels, view.size, dtype=torch.long)
        x[:, cell] = torch.arange(space.levels)
        shown = self.unpack(x, view)
        if not hasattr(shown, "columns"):
            return numbers
        found = [str(v) for v in shown[next(column for column in shown.columns if str(column) == name)]]
        return [f"{w} ({k})" if found.count(w) > 1 else w for w, k in zip(found, numbers, strict=True)]

    @abstractmethod
    def exact(self, view: AnySpace) -> bool:
        """True where packing loses nothing and adds no noise, so that a density stays exact in user units."""

    def inexact(self) -> str:
        """Through what a density is seen that is not exact, in words."""
        return "dequantisation"

    def noisy(self, view: AnySpace) -> bool:
        """True where packing draws noise, so that packing again gives another bound."""
        return not self.exact(view)

    def size_bytes(self, x: Packed) -> Tensor | None:
        """Bytes of packed items as a file would hold them, (n,), the B of bits/byte; None for data without such a form."""
        return None

    def told(self, history: list[dict[str, Any]], held_out: Packed) -> list[dict[str, Any]]:
        """A history in which its validations, nats an item of `held_out`, are also said in units of these data, if there are."""
        return history

    @abstractmethod
    def dims(self) -> int:
        """Numbers in one item of user data, the D of bits/dim."""

    @abstractmethod
    def known(self, X: Any, view: AnySpace) -> tuple[Packed, Tensor]:
        """X with holes as (packed with anything in the holes, mask of known entries), for `complete`."""

    @abstractmethod
    def merge(self, X: Any, filled: Any, view: AnySpace) -> Any:
        """`filled` with every cell that X knows put back untouched."""

    @abstractmethod
    def template(self, n: int, given: Any) -> Any:
        """n user items that hold only the parts in `given`, everything else missing, for `sample(given=…)`."""
