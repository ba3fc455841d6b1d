"""Baselines that need no training by steps: what every other family must beat, and the copier it must not resemble."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from genus.capability import Conditional, Density, Partial, Summable
from genus.errors import DataError, UsageError
from genus.maths.groups import group_index, groups_of
from genus.maths.normal import complete_normal, log_normal, moments, shrink
from genus.maths.quantise import Packed, drawn
from genus.maths.statistics import Statistics
from genus.maths.stored import Stored, blocks
from genus.space import AnySpace, Record
from genus.train.run import Run

STRAY = 0.01  # mass of the wide normal that keeps a histogram's density positive everywhere


@dataclass(kw_only=True, eq=False, repr=False)
class Resample(Conditional):
    """The bootstrap: draws are copies of training items.

    Nothing looks more real, and nothing is less private: the positive control of every test of memorisation
    and the ceiling of every test of likeness.

    Attributes
    ----------
    items_: (n, *space). keys_: (g, m) the distinct conditions. group_: (n,) which one an item has, sorted.

    Reference: B. Efron 1979, Bootstrap methods, https://doi.org/10.1214/aos/1176344552
    """

    accepts: ClassVar[tuple[str, ...]] = ("real", "levels", "binary", "category", "tokens", "record")

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        self.keys_, group = groups_of(y, len(x))
        order = torch.argsort(group, stable=True)
        self.group_ = group[order]
        self.items_ = drawn(x)[order]

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        counts = torch.bincount(self.group_, minlength=len(self.keys_))
        first = counts.cumsum(0) - counts
        group = group_index(y, self.keys_, n)
        within = (torch.rand(n, dtype=torch.float64) * counts[group]).long()
        return self.items_[first[group] + within]


@dataclass(kw_only=True, eq=False, repr=False)
class Marginals(Density, Partial, Summable, Conditional):
    """Independent entries, each with its own empirical distribution: p(x) = ∏ᵢ pᵢ(xᵢ).

    Discrete entries have smoothed frequencies. Real entries have a histogram whose edges lie near the
    quantiles, mixed with one percent of a wide normal so that no value is impossible. A sequence's entry
    is counted only while the sequence lasts. What this family gets right needs no model of dependence.

    Parameters
    ----------
    bins: of a real entry, 2 n^(1/3) of an average group (Rice's rule) when None.
    smoothing: pseudo-observations an entry, spread evenly over its levels or bins.

    Attributes
    ----------
    keys_: (g, m). log_p_: (g, entries, levels or bins). edges_: (entries, bins + 1), centre_, spread_: (entries,),
    of real entries only.
    """

    accepts: ClassVar[tuple[str, ...]] = ("real", "levels", "binary", "category", "tokens", "record")

    bins: int | None = None
    smoothing: float = 1.0

    def _check(self) -> None:
        if (self.bins is not None and self.bins < 1) or self.smoothing <= 0:
            raise UsageError(f"bins must be 1 or more and smoothing positive, not {self.bins} and {self.smoothing}.")

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        self.keys_ = groups_of(y, 0 if y is None else len(x))[0]
        data = x if isinstance(x, Stored) else drawn(x)
        if not self.space_.discrete:
            self._place_edges(data, self.bins or max(2, round(2 * (len(data) / len(self.keys_)) ** (1 / 3))))
        self._update(self._summarize(data, y))

    @property
    def _sizes(self) -> Tensor:
        """How many levels or bins each entry has, (entries,)."""
        return _levels(self.space_) if self.space_.discrete else torch.full((len(self.edges_),), self.edges_.shape[1] - 1)

    def _summarize(self, x: Packed, y: Tensor | None) -> Statistics:
        """How often each entry took each level or fell into each bin, by label, (g, entries, levels)."""
        levels = self._sizes
        widest, entry = int(levels.max()), torch.arange(len(levels))
        counts = torch.zeros(len(self.keys_) * len(levels) * widest, dtype=torch.float64)
        group, at = group_index(y, self.keys_, 0 if y is None else len(x)), 0
        for piece in blocks(x):
            rows = piece.reshape(len(piece), -1)
            place = entry * widest + self._codes(rows)
            if y is not None:
                place = place + group[at : at + len(rows), None] * (len(levels) * widest)
            alive = None if getattr(self.space_, "end", None) is None else self._alive(rows).double().flatten()
            counts += torch.bincount(place.flatten(), alive, minlength=len(counts))
            at += len(rows)
        return Statistics({"count": counts.view(len(self.keys_), len(levels), widest)})

    def _update(self, statistics: Statistics) -> None:
        """Frequencies, smoothed."""
        counts, levels = statistics.sums["count"], self._sizes
        share = self.smoothing / levels[:, None]
        p = (counts + share) * (torch.arange(counts.shape[2]) < levels[:, None])
        self.log_p_ = (p / p.sum(2, keepdim=True)).log().float()

    def _place_edges(self, data: Tensor | Stored, bins: int) -> None:
        """Edges one tenth of the way from the quantiles to an even grid, so that no bin is empty of width."""
        some = data[torch.randperm(len(data))[:16384]].reshape(-1, self.space_.size).double()
        q = torch.linspace(0, 1, bins + 1, dtype=torch.float64)[:, None]
        ordered = some.sort(0).values
        low, high, self.centre_, spread = _ends(data)
        edges = 0.9 * ordered[(q[:, 0] * (len(some) - 1)).round().long()] + 0.1 * (low + q * (high - low))
        edges[0], edges[-1] = low, high
        self.edges_ = edges.T.contiguous()
        self.spread_ = 2 * spread.clamp_min(1e-6)

    def _codes(self, x: Tensor) -> Tensor:
        if self.space_.discrete:
            return x.long()
        inner = self.edges_[:, 1:-1].contiguous()
        return torch.searchsorted(inner, x.double().T.contiguous(), right=True).T

    def _alive(self, x: Tensor) -> Tensor:
        """Entries that say something: all, but in a sequence only up to and with its first end symbol."""
        end = getattr(self.space_, "end", None)
        if end is None:
            return torch.ones(x.shape, dtype=torch.bool)
        ended = (x == end).long()
        return ended.cumsum(1) - ended == 0

    def _log_prob(self, x: Tensor, y: Tensor | None) -> Tensor:
        x = x.reshape(len(x), -1)
        code, entry = self._codes(x), torch.arange(x.shape[1])
        log_p = self.log_p_[group_index(y, self.keys_, len(x))[:, None], entry, code].double()
        if self.space_.discrete:
            return (log_p * self._alive(x)).sum(1)
        low, high = self.edges_[entry, code], self.edges_[entry, code + 1]
        inside = (x >= self.edges_[:, 0]) & (x <= self.edges_[:, -1])
        bar = torch.where(inside, log_p - (high - low).clamp_min(1e-12).log(), -torch.inf)
        far = (x.double() - self.centre_) / self.spread_
        normal = -0.5 * (far.square() + math.log(2 * math.pi)) - self.spread_.log()
        return torch.logaddexp(bar + math.log1p(-STRAY), normal + math.log(STRAY)).sum(1)

    def _draw(self, group: Tensor, log_p: Tensor) -> Tensor:
        """One item (entries,) an element of `group`, from log_p (g, entries, levels)."""
        out = torch.empty(len(group), log_p.shape[1], dtype=torch.float64 if not self.space_.discrete else torch.long)
        entry = torch.arange(log_p.shape[1])
        for g in group.unique().tolist():
            mine = (group == g).nonzero()[:, 0]
            code = torch.multinomial(log_p[g].exp(), len(mine), replacement=True).T
            if self.space_.discrete:
                out[mine] = code
                continue
            low, high = self.edges_[entry, code], self.edges_[entry, code + 1]
            inside = low + (high - low) * torch.rand(code.shape, dtype=torch.float64)
            wide = self.centre_ + self.spread_ * torch.randn(code.shape, dtype=torch.float64)
            out[mine] = torch.where(torch.rand(code.shape) < STRAY, wide, inside)
        return out

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        x = self._draw(group_index(y, self.keys_, n), self.log_p_)
        end = getattr(self.space_, "end", None)
        if end is not None:
            x = torch.where(self._alive(x), x, end)
        return x.reshape(n, *self.space_.shape).to(self.space_.dtype)

    def _complete(self, x: Tensor, known: Tensor, y: Tensor | None) -> Tensor:
        log_p = self.log_p_
        if isinstance(self.space_, Record):
            never = [(i, s.missing) for i, (_, s) in enumerate(self.space_.fields) if s.missing is not None and s.levels > 1]
            log_p = log_p.clone()
            for i, level in never:
                log_p[:, i, level] = -torch.inf
        new = self._draw(group_index(y, self.keys_, len(x)), log_p).reshape(x.shape).to(x.dtype)
        return torch.where(known, x, new)


@dataclass(kw_only=True, eq=False, repr=False)
class Gaussian(Density, Partial, Conditional):
    """One multivariate normal: N(x | μ, Σ), the maximum of entropy for a given mean and covariance.

    Parameters
    ----------
    shrinkage: share of the covariance moved to a multiple of the identity, 0 to 1; None takes Ledoit and Wolf's.

    Attributes
    ----------
    keys_: (g, m). mean_: (g, d). covariance_: (g, d, d).

    Reference: O. Ledoit and M. Wolf 2004, https://doi.org/10.1016/S0047-259X(03)00096-4
    """

    accepts: ClassVar[tuple[str, ...]] = ("real",)

    shrinkage: float | None = None

    def _check(self) -> None:
        if self.shrinkage is not None and not 0 <= self.shrinkage <= 1:
            raise UsageError(f"shrinkage is a share from 0 to 1, not {self.shrinkage}.")

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        data = drawn(x).reshape(len(x), -1)
        if data.shape[1] > 8192:
            raise DataError(
                f"An item has {data.shape[1]} entries and a full covariance is too large above 8192: make items smaller."
            )
        self.keys_, group = groups_of(y, len(x))
        mean, covariance = moments(data)
        whole = shrink(covariance, data, mean, self.shrinkage)
        floor = 1e-6 * whole.trace() / len(whole) * torch.eye(len(whole), dtype=torch.float64)
        means, covariances = [], []
        for g in range(len(self.keys_)):
            mine = data[group == g]
            mean, covariance = moments(mine)
            means.append(mean)
            covariances.append((shrink(covariance, mine, mean, self.shrinkage) if len(mine) > 1 else whole) + floor)
        self.mean_, self.covariance_ = torch.stack(means), torch.stack(covariances)

    def _log_prob(self, x: Tensor, y: Tensor | None) -> Tensor:
        x, group = x.reshape(len(x), -1).double(), group_index(y, self.keys_, len(x))
        out = torch.empty(len(x), dtype=torch.float64)
        for g in group.unique().tolist():
            mine = group == g
            out[mine] = log_normal(x[mine], self.mean_[g], torch.linalg.cholesky(self.covariance_[g]))
        return out

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        group = group_index(y, self.keys_, n)
        x = torch.empty(n, self.mean_.shape[1], dtype=torch.float64)
        for g in group.unique().tolist():
            mine = group == g
            eps = torch.randn(int(mine.sum()), x.shape[1], dtype=torch.float64)
            x[mine] = self.mean_[g] + eps @ torch.linalg.cholesky(self.covariance_[g]).T
        return x.reshape(n, *self.space_.shape).float()

    def _complete(self, x: Tensor, known: Tensor, y: Tensor | None) -> Tensor:
        flat, mask, group = x.reshape(len(x), -1), known.reshape(len(x), -1), group_index(y, self.keys_, len(x))
        out = flat.clone()
        for g in group.unique().tolist():
            mine = (group == g).nonzero()[:, 0]
            one = torch.zeros(len(mine), 1, dtype=torch.float64)
            out[mine] = complete_normal(flat[mine], mask[mine], one, self.mean_[g][None], self.covariance_[g][None])
        return out.reshape(x.shape)


def _levels(space: AnySpace) -> Tensor:
    """How many values each entry of a discrete space can take, (entries,)."""
    if isinstance(space, Record):
        return torch.tensor([cell.levels for _, cell in space.fields])
    return torch.full((space.size,), space.levels)


def _ends(x: Tensor | Stored) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Least, greatest, mean and standard deviation of every entry, (d,) each, in one reading."""
    origin = x[slice(0, 1)].reshape(-1).double()
    low, high, first, second = origin.clone(), origin.clone(), torch.zeros_like(origin), torch.zeros_like(origin)
    for piece in blocks(x):
        rows = piece.reshape(len(piece), -1).double()
        low, high = torch.minimum(low, rows.amin(0)), torch.maximum(high, rows.amax(0))
        first += (rows - origin).sum(0)
        second += (rows - origin).square().sum(0)
    mean = first / len(x)
    return low, high, origin + mean, (second / len(x) - mean.square()).clamp_min(0).sqrt()
