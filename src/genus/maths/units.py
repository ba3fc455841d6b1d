"""Units: the visible layers of a harmonium, each one exponential family of a natural field.

A layer given its field a has the density p(v | a) = exp(a·v − base(v) − A(a)). Everything a Boltzmann machine needs of
its visible layer is A (`log_partition`), a draw, a mean and `base`; weights, annealing and enumeration are then one code
for zeros and ones, categories and real numbers.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

GUMBEL_FLOOR = 1e-20


class Units(ABC):
    """A layer of `count` numbers."""

    count: int
    bits: float = math.inf

    @abstractmethod
    def log_partition(self, field: Tensor) -> Tensor:
        """A(a) = log Σ or ∫ exp(a·v − base(v)) dv of each row of fields (n, count), (n,)."""

    @abstractmethod
    def draw(self, field: Tensor) -> Tensor:
        """v ~ p(v | a) of each row; may overwrite `field`."""

    @abstractmethod
    def mean(self, field: Tensor) -> Tensor:
        """E[v | a] of each row."""

    @abstractmethod
    def mode(self, field: Tensor) -> Tensor:
        """The likeliest v of each row."""

    @abstractmethod
    def field(self, mean: Tensor) -> Tensor:
        """The field whose mean is nearest to `mean`, kept off the edges where it would be infinite."""

    def base(self, v: Tensor) -> Tensor | float:
        """base(v) of each row, 0 for discrete units."""
        return 0.0


class Binary(Units):
    """Zeros and ones: A(a) = Σ log(1 + eᵃ)."""

    def __init__(self, count: int) -> None:
        self.count, self.bits = count, float(count)

    def log_partition(self, field: Tensor) -> Tensor:
        return F.softplus(field).sum(-1, dtype=torch.float64)

    def draw(self, field: Tensor) -> Tensor:
        return torch.rand_like(field).lt_(field.sigmoid_())

    def mean(self, field: Tensor) -> Tensor:
        return torch.sigmoid(field)

    def mode(self, field: Tensor) -> Tensor:
        return (field > 0).to(field)

    def field(self, mean: Tensor) -> Tensor:
        return torch.logit(mean.clamp(1e-3, 1 - 1e-3))


class Categories(Units):
    """Groups of which exactly one number is 1: A(a) = Σ over groups of log Σ eᵃ (softmax or Potts units).

    Parameters
    ----------
    levels: of each group; `count` is their sum.

    Reference: R. Salakhutdinov, A. Mnih and G. Hinton 2007, Restricted Boltzmann machines for collaborative filtering,
    https://doi.org/10.1145/1273496.1273596
    """

    def __init__(self, levels: Sequence[int]) -> None:
        self.sizes = sizes = torch.tensor(list(levels))
        self.groups, self.count, self.bits = len(sizes), int(sizes.sum()), float(sizes.double().log2().sum())
        self.first = sizes.cumsum(0) - sizes
        self.even = bool((sizes == sizes[0]).all())
        self.widest = int(sizes.max())
        index = self.first[:, None] + torch.arange(self.widest)
        self.place = torch.where(torch.arange(self.widest) < sizes[:, None], index, self.count)

    def table(self, field: Tensor) -> Tensor:
        """Fields by group, (n, groups, widest), −∞ where a group has no such level."""
        if self.even:
            return field.view(len(field), self.groups, self.widest)
        return F.pad(field, (0, 1), value=-torch.inf)[:, self.place.to(field.device)]

    def one_hot(self, level: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Levels (n, groups) as v (n, count)."""
        v = torch.zeros(len(level), self.count, dtype=dtype, device=level.device)
        return v.scatter_(1, level + self.first.to(level.device), 1.0)

    def levels(self, v: Tensor) -> Tensor:
        """The level of each group, (n, groups)."""
        return self.table(v).argmax(-1)

    def log_partition(self, field: Tensor) -> Tensor:
        return torch.logsumexp(self.table(field), -1).sum(-1, dtype=torch.float64)

    def draw(self, field: Tensor) -> Tensor:
        table = self.table(field)
        race = torch.empty_like(table).exponential_().clamp_min_(GUMBEL_FLOOR).log_()
        return self.one_hot((table - race).argmax(-1), field.dtype)

    def mean(self, field: Tensor) -> Tensor:
        p = self.table(field).softmax(-1)
        return p.reshape(len(field), -1) if self.even else p[:, self.place.to(field.device) < self.count]

    def mode(self, field: Tensor) -> Tensor:
        return self.one_hot(self.levels(field), field.dtype)

    def field(self, mean: Tensor) -> Tensor:
        return mean.clamp_min(1e-4).log()


class Normal(Units):
    """Real numbers of unit variance about their field: base(v) = v²/2, A(a) = Σ a²/2 + ½ log 2π."""

    def __init__(self, count: int) -> None:
        self.count = count

    def log_partition(self, field: Tensor) -> Tensor:
        return 0.5 * field.double().square().sum(-1) + 0.5 * math.log(2 * math.pi) * self.count

    def draw(self, field: Tensor) -> Tensor:
        return torch.randn_like(field).add_(field)

    def mean(self, field: Tensor) -> Tensor:
        return field

    def mode(self, field: Tensor) -> Tensor:
        return field

    def field(self, mean: Tensor) -> Tensor:
        return mean

    def base(self, v: Tensor) -> Tensor:
        """½ Σ v²."""
        return 0.5 * v.double().square().sum(-1)


class Joined(Units):
    """Two layers side by side, the second of zeros and ones: what a deep machine has on one side of its weights.

    Parameters
    ----------
    first: the layer that shows the data. more: units of the second.
    """

    def __init__(self, first: Units, more: int) -> None:
        self.first, self.second = first, Binary(more)
        self.count, self.bits = first.count + more, first.bits + more

    def _split(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        return rows[..., : self.first.count], rows[..., self.first.count :]

    def log_partition(self, field: Tensor) -> Tensor:
        one, two = self._split(field)
        return self.first.log_partition(one) + self.second.log_partition(two)

    def draw(self, field: Tensor) -> Tensor:
        one, two = self._split(field)
        return torch.cat([self.first.draw(one.contiguous()), self.second.draw(two)], -1)

    def mean(self, field: Tensor) -> Tensor:
        one, two = self._split(field)
        return torch.cat([self.first.mean(one), self.second.mean(two)], -1)

    def mode(self, field: Tensor) -> Tensor:
        one, two = self._split(field)
        return torch.cat([self.first.mode(one), self.second.mode(two)], -1)

    def field(self, mean: Tensor) -> Tensor:
        one, two = self._split(mean)
        return torch.cat([self.first.field(one), self.second.field(two)], -1)

    def base(self, v: Tensor) -> Tensor | float:
        """base(v) of the first layer."""
        return self.first.base(self._split(v)[0])
