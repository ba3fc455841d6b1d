"""Kernel density: a small bump around every training item."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from genus.capability import Conditional, Density, Partial
from genus.errors import DataError, UsageError, nearest
from genus.maths.groups import group_index, groups_of
from genus.maths.kernel import CellKernel, Kernel, NormalKernel, likeliest, log_sums, shares
from genus.maths.quantise import Packed, drawn
from genus.space import Record, Space
from genus.train.run import Run

RULES = ("likelihood", "scott", "silverman")
NARROWEST = 0.05  # of Scott's bandwidth: repeated values alone would drive the likeliest one to nothing
MANY = 4096  # one-hot codes an item above which products of cells are too long


@dataclass(kw_only=True, eq=False, repr=False)
class KernelDensity(Density, Partial, Conditional):
    """Parzen's estimate: p(x) = (1/n) Σⱼ K(x | xⱼ), a kernel around every training item.

    Real entries have normal kernels, each entry with a bandwidth of its own; cells of a table have Aitchison and Aitken's,
    or a geometric one where levels are ordered. A draw is a training item, shaken. Densities and completions are exact,
    by matrix products over blocks of items. A condition gets its own items and bandwidth for each of its labels.

    Parameters
    ----------
    bandwidth: "likelihood" leaves each item out and maximises its density; "scott" and "silverman" are rules for normal
        data; a number or one an entry, in standard deviations of the entry (for cells: λ, the odds of one step away).

    Attributes
    ----------
    keys_: (g, m) the distinct conditions. items_: (n, entries) sorted by condition. counts_: (g,).
    bandwidth_: (g, entries), as packed; λ for cells.

    Reference: E. Parzen 1962, On estimation of a probability density function and mode,
    https://doi.org/10.1214/aoms/1177704472; D. Scott 1992, Multivariate Density Estimation,
    https://doi.org/10.1002/9780470316849
    """

    accepts: ClassVar[tuple[str, ...]] = ("record", "binary", "category", "real")

    bandwidth: Any = "likelihood"

    def _check(self) -> None:
        if isinstance(self.bandwidth, str):
            if self.bandwidth not in RULES:
                hint = nearest(self.bandwidth, RULES)
                raise UsageError(f"bandwidth={self.bandwidth!r} is not a number nor one of {', '.join(RULES)}.{hint}")
        elif not bool((torch.as_tensor(self.bandwidth, dtype=torch.float64) > 0).all()):
            raise UsageError(f"bandwidth={self.bandwidth!r} must be positive.")

    # -- fitting ------------------------------------------------------------------------------------------

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        data = drawn(x).reshape(len(x), -1)
        codes = sum(len(d) for d in self._distances())
        if codes > MANY:
            raise DataError(f"An item has {codes:,} levels in all, over the limit of {MANY:,} for kernels: use Marginals.")
        self.keys_, group = groups_of(y, len(x))
        order = torch.argsort(group, stable=True)
        self.items_, self.counts_ = data[order], torch.bincount(group, minlength=len(self.keys_))
        whole = None
        found = []
        for mine in self.items_.split(self.counts_.tolist()):
            if len(mine) < 2:
                whole = self._choose_bandwidth(data) if whole is None else whole
            found.append(self._choose_bandwidth(mine) if len(mine) > 1 or whole is None else whole)
        self.bandwidth_ = torch.stack(found)

    def _choose_bandwidth(self, x: Tensor) -> Tensor:
        """One an entry, by the rule."""
        if not isinstance(self.bandwidth, str):
            return self._given_bandwidth(x)
        start = self._by_rule(x)
        if self.bandwidth != "likelihood" or len(x) < 2:
            return start
        rows, centres = (2000, 10_000) if not self.space_.discrete else (500, 2000)
        found = likeliest(self._kernel(start), x, rows=rows, centres=centres)
        if isinstance(found, CellKernel):
            return found.odds
        d = x.shape[1]
        shrunk = (len(x) / min(len(x), centres)) ** (-1 / (d + 4))  # what was seen of fewer items is too wide for all
        return (found.bandwidth * shrunk).maximum(NARROWEST * start)

    def _by_rule(self, x: Tensor) -> Tensor:
        """Scott's n^(−1/(d+4)) or Silverman's (n (d + 2) / 4)^(−1/(d+4)) standard deviations; its square for cells."""
        n, d = x.shape
        factor = n ** (-1 / (d + 4)) * ((4 / (d + 2)) ** (1 / (d + 4)) if self.bandwidth == "silverman" else 1.0)
        if self.space_.discrete:
            return torch.full((d,), min(factor**2, 0.5), dtype=torch.float64)
        spread = x.double().std(0, correction=1) if n > 1 else torch.ones(d, dtype=torch.float64)
        return factor * torch.where(spread > 1e-6, spread, 1.0)

    def _given_bandwidth(self, x: Tensor) -> Tensor:
        given = torch.as_tensor(self.bandwidth, dtype=torch.float64).flatten()
        if len(given) not in (1, x.shape[1]):
            raise UsageError(f"bandwidth has {len(given)} numbers for {x.shape[1]} entries: give one, or one an entry.")
        if self.space_.discrete and bool((given > 1).any()):
            raise UsageError(f"bandwidth={self.bandwidth!r} is λ for this data, the odds of one step away: give at most 1.")
        return given.expand(x.shape[1]).clone()

    # -- the kernels --------------------------------------------------------------------------------------

    def _distances(self) -> list[Tensor]:
        """D of each cell; none for real entries."""
        space = self.space_
        if not space.discrete:
            return []
        if isinstance(space, Record):
            return [_distance(cell) for _, cell in space.fields]
        assert isinstance(space, Space)
        return [_distance(Space(space.kind, (), space.levels))] * space.size

    def _kernel(self, bandwidth: Tensor) -> Kernel:
        if not self.space_.discrete:
            return NormalKernel(bandwidth)
        cells = [cell for _, cell in self.space_.fields] if isinstance(self.space_, Record) else []
        missing = [-1 if cell.missing is None else cell.missing for cell in cells]
        return CellKernel(bandwidth, self._distances(), missing or [-1] * self.space_.size)

    def _parts(self, y: Tensor | None, n: int) -> Iterator[tuple[Tensor, Tensor, Kernel]]:
        """(rows, items, kernel) of each label among y."""
        group, items = group_index(y, self.keys_, n), self.items_.split(self.counts_.tolist())
        for g in group.unique().tolist():
            yield (group == g).nonzero()[:, 0], items[g], self._kernel(self.bandwidth_[g])

    # -- the verbs' hooks ---------------------------------------------------------------------------------

    def _log_prob(self, x: Tensor, y: Tensor | None) -> Tensor:
        x, out = x.reshape(len(x), -1), torch.empty(len(x), dtype=torch.float64)
        for rows, items, kernel in self._parts(y, len(x)):
            features, rest = kernel.rows(x[rows])
            out[rows] = log_sums(features, kernel.centres(items)) + rest - math.log(len(items))
        return out

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        out = torch.empty(n, self.items_.shape[1], dtype=self.items_.dtype)
        for rows, items, kernel in self._parts(y, n):
            out[rows] = kernel.draw(items[torch.randint(len(items), (len(rows),))])
        return out.reshape(n, *self.space_.shape).to(self.space_.dtype)

    def _complete(self, x: Tensor, known: Tensor, y: Tensor | None) -> Tensor:
        flat, mask = x.reshape(len(x), -1), known.reshape(len(x), -1)
        out = flat.clone()
        for rows, items, kernel in self._parts(y, len(x)):
            centres = kernel.centres(items, masked=True)
            for some in rows.split(128):
                share = shares(kernel.rows(flat[some], mask[some])[0], centres)[1]
                chosen = items[torch.multinomial(share, 1)[:, 0]]
                out[some] = kernel.draw(chosen, present=True).to(out.dtype)
        return torch.where(mask, flat, out).reshape(x.shape)


def _distance(cell: Space) -> Tensor:
    """D (levels, levels): 0 or 1 between categories, |i − j| between ordered levels, the missing level apart from all."""
    level = torch.arange(cell.levels, dtype=torch.float64)
    apart = (level[:, None] - level).abs() if cell.kind == "levels" else (level[:, None] != level).double()
    if cell.missing is not None:
        apart[cell.missing, :] = apart[:, cell.missing] = max(cell.levels / 2, 1.0)
        apart[cell.missing, cell.missing] = 0
    return apart
