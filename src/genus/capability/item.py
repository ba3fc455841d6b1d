"""What a family does with items besides scoring them: codes, completions, restrictions, conditions, steps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from genus import dice
from genus.data.conditions import conditions
from genus.data.table import TableCodec
from genus.maths.quantise import drawn
from genus.maths.within import Within
from genus.model import Model
from genus.space import Record


@dataclass(kw_only=True, eq=False, repr=False)
class Latent(Model):
    """The family has codes: encode and decode."""

    @abstractmethod
    def _encode(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Codes (n, k) of items."""

    @abstractmethod
    def _decode(self, z: Tensor, y: Tensor | None) -> Tensor:
        """Items (n, *space) of codes; no noise."""

    @final
    def encode(self, X: Any, y: Any = None, *, seed: int = 0) -> np.ndarray:
        """Codes of each item, (n, k)."""
        check_is_fitted(self, "space_")
        with dice.private(seed), torch.no_grad():
            x, c = self._packed(X, y)
            rows = torch.arange(len(x)).split(self.chunk)
            return torch.cat([self._encode(x[i], None if c is None else c[i]).cpu() for i in rows]).numpy()

    @final
    def decode(self, z: Any, y: Any = None) -> Any:
        """The items that codes z (n, k) stand for, in the user's own type."""
        check_is_fitted(self, "space_")
        codes = torch.as_tensor(np.asarray(z), dtype=torch.float32)
        with dice.private(0), torch.no_grad():
            c = self._conditions(len(codes), y)
            rows = torch.arange(len(codes)).split(self.chunk)
            x = torch.cat([self._decode(codes[i], None if c is None else c[i]).cpu() for i in rows])
            return self.codec_.unpack(x, self.space_)


@dataclass(kw_only=True, eq=False, repr=False)
class Partial(Model):
    """The family fills in what is missing."""

    @abstractmethod
    def _complete(self, x: Tensor, known: Tensor, y: Tensor | None) -> Tensor:
        """x with entries drawn where the mask `known` (n, *space) is False; a Space's `missing` level is never drawn."""

    @final
    def complete(self, X: Any, y: Any = None, *, seed: int | None = None) -> Any:
        """X with its missing cells (NaN, None or masked) drawn given the known ones, which stay untouched."""
        check_is_fitted(self, "space_")
        with dice.private(seed), torch.no_grad():
            x, known = self.codec_.known(X, self.space_)
            x = drawn(x)
            c = None if self.condition_ is None else self._conditions(len(x), y)
            rows = torch.arange(len(x)).split(self.chunk)
            filled = torch.cat([self._complete(x[i], known[i], None if c is None else c[i]).cpu() for i in rows])
            return self.codec_.merge(X, self.codec_.unpack(filled, self.space_, whole=True), self.space_)

    def _given(self, n: int, given: Any, y: Any, seed: int | None) -> Any:
        """n items that agree with `given`: an item with every other part missing, completed n times."""
        return self.complete(self.codec_.template(n, given), y, seed=seed)


@dataclass(kw_only=True, eq=False, repr=False)
class Constrained(Model):
    """The family draws records under restrictions: `sample(n, given=…)` takes sets and ranges too, and rules are kept exactly.

    A row that comes to a dead end, or whose values break a rule however they are drawn inside their leaves, is drawn anew.
    """

    @abstractmethod
    def _sample_within(self, n: int, within: Within, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """(x (n, cells), log P(the restriction) of each item (n,), −∞ where an item came to a dead end)."""

    @final
    def _asked(self, n: int, given: Any, y: Any, seed: int | None) -> Any:
        """n rows that keep what is given and the table's rules, to the last digit."""
        codec, view = self.codec_, self.space_
        if not isinstance(codec, TableCodec) or not isinstance(view, Record) or not n:
            return super()._asked(n, given, y, seed)
        asked = conditions(codec, n, given, view)
        with dice.private(seed), torch.no_grad():
            c = self._conditions(n, y)
            frame, log_weight = asked.draw(self._sample_within, c, given, self.chunk)
        if given is not None:
            frame.attrs["support"] = asked.support(log_weight, given)
        return frame


@dataclass(kw_only=True, eq=False, repr=False)
class Conditional(Model):
    """The family's hooks use y: `fit(X, y)` and `sample(n, y=…)` mean something."""


@dataclass(kw_only=True, eq=False, repr=False)
class Stepwise(Model):
    """Sampling goes by steps that can be watched."""

    @abstractmethod
    def _trace(self, n: int, y: Tensor | None) -> Iterator[Tensor]:
        """Frames (n, *space) from noise to samples; the last is distributed as `_sample`."""

    @final
    def trace(self, n: int = 1, y: Any = None, *, seed: int | None = None) -> list[Any]:
        """Frames on the way to n samples, each in the user's own type."""
        check_is_fitted(self, "space_")
        with dice.private(seed), torch.no_grad():
            frames = list(self._trace(n, self._conditions(n, y)))
            return [self.codec_.unpack(frame.cpu(), self.space_) for frame in frames]


@dataclass(kw_only=True, eq=False, repr=False)
class Graphical(Model):
    """The family's distribution lies on a directed acyclic graph of an item's entries."""

    @abstractmethod
    def _graph(self) -> tuple[list[str], list[list[int]]]:
        """The names of the variables, and the parents of each by number."""

    @final
    def graph(self) -> dict[str, list[str]]:
        """Which entry depends on which: the parents of each variable, by name."""
        check_is_fitted(self, "space_")
        names, parents = self._graph()
        return {str(name): [str(names[p]) for p in above] for name, above in zip(names, parents, strict=True)}
