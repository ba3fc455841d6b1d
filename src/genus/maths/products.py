"""Mixtures of products: components in which the entries are independent; E and M steps as one matrix product each.

An item is a row of features: one for every level of every entry but its first, 1 where the entry has that level. Every log
joint is then linear in the features, and the responsibilities times the features give every count at once. For binary
entries the features are the item itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from genus.maths.mixing import responsibilities

BLOCK = 2048  # rows whose features stay in the cache
WIDE = 4096  # features above which they are looked up instead of multiplied


@dataclass
class Products:
    """Parameters in double precision: log_weight (k,), log_p (k, levels of all entries, one entry after the other)."""

    log_weight: Tensor
    log_p: Tensor


@dataclass
class Counts:
    """Sufficient statistics: count (k,), level (k, levels of all entries), of the responsibilities; they add up."""

    count: Tensor
    level: Tensor

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.count + other.count, self.level + other.level)


class Layout:
    """Where each entry's levels stand, and the features of items.

    Parameters
    ----------
    levels: (entries,) how many values each entry takes.
    """

    def __init__(self, levels: Tensor) -> None:
        self.levels = levels.long()
        self.total = int(self.levels.sum())
        self.start = self.levels.cumsum(0) - self.levels
        self.wide = self.total - len(levels) > WIDE
        kept = torch.ones(self.total, dtype=torch.bool)
        kept[self.start] = False
        self.kept, self.first = kept.nonzero()[:, 0], self.start
        self.owner = torch.repeat_interleave(torch.arange(len(levels)), self.levels)

    def features(self, x: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Features (1 + levels − entries, n) of items x (n, entries), the first all ones."""
        n, entries = x.shape
        if bool((self.levels == 2).all()):
            return torch.cat([torch.ones(1, n, dtype=dtype), x.T.to(dtype)])
        place = self.start - torch.arange(entries) + x.long()  # the row of level j of an entry; level 0 falls on the row before
        rows = torch.where(x > 0, place, self.total - entries + 1)
        out = torch.zeros(self.total - entries + 2, n, dtype=dtype)
        out.scatter_(0, rows.T, 1.0)
        out[0] = 1.0
        return out[:-1]

    def table(self, products: Products) -> Tensor:
        """(k, 1 + levels − entries): the log joint as a linear function of the features."""
        base = products.log_p[:, self.first]
        slope = products.log_p[:, self.kept] - base[:, self.owner[self.kept]]
        return torch.cat([(products.log_weight + base.sum(1))[:, None], slope], 1)

    def log_joint(self, x: Tensor, products: Products) -> Tensor:
        """log wₖ p(x | k) of items x (n, entries), (n, k), in double precision."""
        if self.wide:
            return self._looked_up(x, products.log_p) + products.log_weight
        table = self.table(products)
        return torch.cat([(table @ self.features(rows, torch.float64)).T for rows in x.split(BLOCK)])

    def _looked_up(self, x: Tensor, log_p: Tensor) -> Tensor:
        at = x.long() + self.start
        return torch.nn.functional.embedding_bag(at, log_p.T.contiguous(), mode="sum")

    def expectation(self, x: Tensor, products: Products) -> tuple[float, Counts]:
        """(mean log-likelihood an item, counts under the responsibilities) of items x (n, entries)."""
        k, loglik = len(products.log_weight), 0.0
        if self.wide:
            return self._expectation_wide(x, products)
        table = self.table(products).float()
        total = torch.zeros(k, table.shape[1], dtype=torch.float64)
        for rows in x.split(BLOCK):
            features = self.features(rows)
            value, share = responsibilities(table @ features)
            loglik += value
            total += (share @ features.T).double()
        return loglik / len(x), self._counts(total)

    def _expectation_wide(self, x: Tensor, products: Products) -> tuple[float, Counts]:
        level = torch.zeros(self.total, len(products.log_weight), dtype=torch.float32)
        count, loglik, table = torch.zeros(level.shape[1], dtype=torch.float64), 0.0, products.log_p.float()
        for rows in x.split(BLOCK):
            value, share = responsibilities((self._looked_up(rows, table) + products.log_weight).T.float())
            loglik += value
            count += share.double().sum(1)
            for entry, column in enumerate(rows.T.long()):
                level.index_add_(0, column + self.start[entry], share.T)
        return loglik / len(x), Counts(count, level.double().T.contiguous())

    def _counts(self, total: Tensor) -> Counts:
        """Counts from feature sums: those of the first levels are what the others leave."""
        level = torch.zeros(len(total), self.total, dtype=torch.float64)
        level[:, self.kept] = total[:, 1:]
        others = torch.zeros(len(total), len(self.levels), dtype=torch.float64)
        others.index_add_(1, self.owner[self.kept], total[:, 1:])
        level[:, self.first] = (total[:, :1] - others).clamp_min(0)
        return Counts(total[:, 0], level)

    def margins(self, x: Tensor) -> Tensor:
        """(levels of all entries,): each entry's frequencies, half an item added to every level."""
        counts = torch.zeros(self.total, dtype=torch.float64)
        for rows in x.split(65536):
            counts += torch.bincount((rows.long() + self.start).flatten(), minlength=self.total)
        counts += 0.5
        sums = torch.zeros(len(self.levels), dtype=torch.float64).index_add_(0, self.owner, counts)
        return counts / sums[self.owner]

    def maximisation(self, counts: Counts, margins: Tensor, smoothing: float, concentration: float | None) -> Products:
        """Products from counts, `smoothing` imagined items of the margins added to each component (a Dirichlet prior).

        With `concentration`, of a Dirichlet prior of the weights, logs are taken in expectation over the posterior of weights
        and probabilities (variational Bayes), by which components that explain too little fade; they sum to below one.
        """
        level = (counts.level + smoothing * margins).clamp_min(1e-300)
        sums = torch.zeros(len(level), len(self.levels), dtype=torch.float64).index_add_(1, self.owner, level)
        if concentration is None:
            share = counts.count.clamp_min(1e-12)
            return Products((share / share.sum()).log(), level.log() - sums.log()[:, self.owner])
        alpha = counts.count + concentration
        log_p = torch.digamma(level) - torch.digamma(sums)[:, self.owner]
        return Products(torch.digamma(alpha) - torch.digamma(alpha.sum()), log_p)
