"""Kernel density: a mean of kernels around centres, by blocked matrix products with one exponential.

The log of every kernel is a product of a feature vector of the item and one of the centre, so that one matrix product
gives a block of them. Products are in double precision, since squared distances cancel; what remains after the largest is
taken off lies in [−50, 0], where single precision is enough and the exponential twice as quick.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from genus.maths.normal import LOG_2PI

ROWS, CENTRES = 128, 2048  # of one block, which stays in the cache
ODDS = torch.logspace(-4, 0, 60, dtype=torch.float64)  # the λ tried for a cell


def log_sums(rows: Tensor, centres: Tensor) -> Tensor:
    """log Σⱼ exp(rowsᵢ · centresⱼ), (n,), of features (n, p) and (m, p) in double precision.

    Exponents are clamped at −50 below the largest of their block: single precision would otherwise meet subnormal
    numbers, a hundred times slower.
    """
    out = torch.empty(len(rows), dtype=torch.float64)
    columns = [c.T for c in centres.split(CENTRES)]
    for place, some in zip(out.split(ROWS), rows.split(ROWS), strict=True):
        parts = []
        for column in columns:
            exponent = some @ column
            top = exponent.amax(1, keepdim=True)
            kernel = exponent.sub_(top).float().clamp_(min=-50).exp_()
            parts.append(top[:, 0] + kernel.sum(1).double().log())
        place.copy_(torch.logsumexp(torch.stack(parts), 0))
    return out


def shares(rows: Tensor, centres: Tensor, own: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(log Σⱼ exp(rowsᵢ · centresⱼ), each centre's share of it (n, m), single precision).

    `own` (n,) names the centre that is the row itself and is left out.
    """
    exponent = rows @ centres.T
    if own is not None:
        exponent[torch.arange(len(rows)), own] = -torch.inf
    top = exponent.amax(1, keepdim=True)
    share = exponent.sub_(top).float().clamp_(min=-50).exp_()
    if own is not None:
        share[torch.arange(len(rows)), own] = 0
    total = share.sum(1, keepdim=True)
    return top[:, 0] + total[:, 0].double().log(), share.div_(total)


@dataclass
class NormalKernel:
    """K(x | c) = ∏ᵢ N(xᵢ | cᵢ, hᵢ²); `bandwidth` h (d,)."""

    bandwidth: Tensor

    def rows(self, x: Tensor, known: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(features, the rest of the log kernel (n,)) of items, of their `known` entries only."""
        u = x.double() / self.bandwidth
        if known is None:
            one = torch.ones(len(u), 1, dtype=torch.float64)
            rest = -0.5 * (u.square().sum(1) + u.shape[1] * LOG_2PI) - self.bandwidth.log().sum()
            return torch.cat([u, one], 1), rest
        mask = known.double()
        u = torch.where(known, u, 0.0)
        rest = -0.5 * (u.square().sum(1) + mask.sum(1) * LOG_2PI) - mask @ self.bandwidth.log()
        return torch.cat([u, mask], 1), rest

    def centres(self, c: Tensor, masked: bool = False) -> Tensor:
        """Features of centres, for items all known or `masked`."""
        u = c.double() / self.bandwidth
        half = -0.5 * u.square()
        return torch.cat([u, half if masked else half.sum(1, keepdim=True)], 1)

    def draw(self, c: Tensor, present: bool = False) -> Tensor:
        """A draw of the kernel around each of c (n, d)."""
        return (c.double() + self.bandwidth * torch.randn(c.shape, dtype=torch.float64)).to(c.dtype)

    def refit(self, x: Tensor, c: Tensor, own: Tensor) -> tuple[float, NormalKernel]:
        """(mean leave-one-out log-likelihood, the kernel of one EM step up): hᵢ² is the mean of (xᵢ − cᵢ)² under the shares."""
        value, spread, wide = 0.0, torch.zeros(x.shape[1], dtype=torch.float64), c.double()
        both = torch.cat([c.float(), c.float().square()], 1)
        features = self.centres(wide)
        for some, mine in zip(x.double().split(ROWS), own.split(ROWS), strict=True):
            rows, rest = self.rows(some)
            log_sum, share = shares(rows, features, mine)
            value += float((log_sum + rest).sum())
            mean, square = (share @ both).double().chunk(2, 1)
            spread += (some.square() - 2 * some * mean + square).sum(0)
        return value / len(x) - math.log(max(len(c) - 1, 1)), NormalKernel((spread / len(x)).clamp_min(1e-12).sqrt())


@dataclass
class CellKernel:
    """K(x | c) = ∏ᵢ λᵢ^D(xᵢ, cᵢ) / Σₓ λᵢ^D(x, cᵢ), over discrete cells.

    D is 0 or 1 for unordered cells, which is Aitchison and Aitken's kernel, and |x − c| for ordered ones.

    Reference: J. Aitchison and C. Aitken 1976, Multivariate binary discrimination by the kernel method,
    https://doi.org/10.1093/biomet/63.3.413

    Attributes
    ----------
    odds: λ (cells,), in (0, 1]. distance: of each cell, D (levels, levels). missing: the level of each cell that stands for
    "missing", −1 where none does.
    """

    odds: Tensor
    distance: list[Tensor]
    missing: list[int]

    def _tables(self) -> list[Tensor]:
        """log K (centre's level, item's level) of each cell."""
        return [torch.log_softmax(math.log(o) * d, 1) for o, d in zip(self.odds.tolist(), self.distance, strict=True)]

    def rows(self, x: Tensor, known: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(features, zeros) of items: one-hot codes of the cells; of the `known` ones only, and a mark for the others."""
        codes = one_hot(x, self.distance).double()
        if known is not None:
            width = torch.tensor([len(d) for d in self.distance])
            codes = torch.cat([codes * known.repeat_interleave(width, 1), (~known).double()], 1)
        return codes, torch.zeros(len(x), dtype=torch.float64)

    def centres(self, c: Tensor, masked: bool = False) -> Tensor:
        """Features of centres: for each cell, the log kernel of every level; `masked`, also that of not being missing."""
        tables = self._tables()
        parts = [table[c[:, i].long()] for i, table in enumerate(tables)]
        if masked:
            present = [torch.logsumexp(self._present(table, i), 1) for i, table in enumerate(tables)]
            parts += [p[c[:, i].long(), None].clamp_min(-700) for i, p in enumerate(present)]
        return torch.cat(parts, 1)

    def _present(self, table: Tensor, cell: int) -> Tensor:
        """A cell's table without the missing level, unless it has no other."""
        missing = self.missing[cell]
        return table if missing < 0 or len(table) < 2 else table.index_fill(1, torch.tensor([missing]), -torch.inf)

    def draw(self, c: Tensor, present: bool = False) -> Tensor:
        """A draw of the kernel around each of c (n, cells), given that no cell is missing if `present`."""
        tables = [self._present(t, i) if present else t for i, t in enumerate(self._tables())]
        rows = [torch.softmax(table[c[:, i].long()], 1) for i, table in enumerate(tables)] if len(c) else []
        return torch.stack([torch.multinomial(p, 1)[:, 0] for p in rows], 1).to(c.dtype) if rows else c

    def refit(self, x: Tensor, c: Tensor, own: Tensor) -> tuple[float, CellKernel]:
        """(mean leave-one-out log-likelihood, the kernel of one EM step up): λ of the best fit to the pairs under the shares."""
        value, code = 0.0, one_hot(c, self.distance)
        pairs = torch.zeros(code.shape[1], code.shape[1], dtype=torch.float64)
        features = self.centres(c)
        for some, mine in zip(x.split(ROWS), own.split(ROWS), strict=True):
            rows, rest = self.rows(some)
            log_sum, share = shares(rows, features, mine)
            value += float((log_sum + rest).sum())
            pairs += ((share.T @ rows.float()).T @ code).T.double()
        odds, start = [], 0
        for d in self.distance:
            mine = pairs[start : start + len(d), start : start + len(d)]
            scores = [(mine * torch.log_softmax(math.log(o) * d, 1)).sum() for o in ODDS.tolist()]
            odds.append(ODDS[int(torch.stack(scores).argmax())])
            start += len(d)
        return value / len(x) - math.log(max(len(c) - 1, 1)), CellKernel(torch.stack(odds), self.distance, self.missing)


Kernel = NormalKernel | CellKernel


def one_hot(x: Tensor, distance: list[Tensor]) -> Tensor:
    """Codes (n, all levels) of cells x (n, cells), single precision."""
    width = torch.tensor([len(d) for d in distance])
    codes = torch.zeros(len(x), int(width.sum()))
    return codes.scatter_(1, x.long() + (width.cumsum(0) - width), 1.0)


def likeliest(kernel: Kernel, c: Tensor, *, rows: int, centres: int, steps: int = 40) -> Kernel:
    """The kernel whose leave-one-out likelihood on the items c (n, …) is greatest, climbed by EM from `kernel`.

    Leaving an item out, its density is a mixture over all others with one shared kernel; EM on that kernel never lowers
    the likelihood. At most `rows` items are left out in turn, of at most `centres` that are kept.

    Reference: J. Habbema, J. Hermans and K. van den Broek 1974, A stepwise discriminant analysis program using
    density estimation; R. Duin 1976, On the choice of smoothing parameters for Parzen estimators of probability
    density functions, https://doi.org/10.1109/TC.1976.1674577
    """
    c = c[torch.randperm(len(c))[:centres]]
    own = torch.arange(min(rows, len(c)))
    before = -math.inf
    for _ in range(steps):
        value, better = kernel.refit(c[own], c, own)
        if value < before + 1e-4:
            break
        kernel, before = better, value
    return kernel
