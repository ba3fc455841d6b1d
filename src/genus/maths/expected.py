"""Expected counts: how often each row of a network's tables is used by items with gaps, and the likelihood of what is known."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from genus.maths import network
from genus.maths.factors import Factor, eliminate
from genus.maths.graphs import min_fill
from genus.maths.network import Network

AT_ONCE = 2**21  # entries of one table for a batch of items


def expected_counts(net: Network, codes: Tensor, known: Tensor) -> tuple[list[Tensor], Tensor]:
    """(for each table E[times that entry was used | what is known], log p of what is known, (n,)).

    Exact: log p(known) of all items is one elimination with the items' evidence as factors, and its derivative by a table's
    entry, times the entry, is that entry's expected count (Darwiche). Where the tables of the elimination would be too large,
    the gaps are drawn by likelihood weighting instead and counted, and the likelihoods are those of the filled items.

    Parameters
    ----------
    codes, known: (n, variables); codes hold anything where unknown.

    Reference: A. Darwiche 2003, A differential approach to inference in Bayesian networks, https://doi.org/10.1145/765568.765570;
    S. Lauritzen 1995, The EM algorithm for graphical association models with missing data,
    https://doi.org/10.1016/0167-9473(93)E0056-A
    """
    order, largest = _order(net)
    if largest > network.LARGEST:
        filled = net.complete(codes, known)
        return _counted(net, filled), net.log_prob(filled)
    marked = torch.where(known, codes, -1)
    distinct, which, times = torch.unique(marked, dim=0, return_inverse=True, return_counts=True)
    totals, values = [torch.zeros_like(t) for t in net.tables], []
    for piece in torch.arange(len(distinct)).split(max(1, AT_ONCE // largest)):
        tables = [t.clone().requires_grad_() for t in net.tables]
        with torch.enable_grad():
            value = _known(net, tables, order, distinct[piece])
            possible = value.isfinite()
            whole = (torch.where(possible, value, 0.0) * times[piece]).sum()
            slopes = torch.autograd.grad(whole, tables)
        for total, table, slope in zip(totals, tables, slopes, strict=True):
            total += table.detach() * slope
        values.append(value.detach())
    return totals, torch.cat(values)[which]


def log_known(net: Network, codes: Tensor, known: Tensor, weights: Sequence[Tensor] | None = None) -> Tensor:
    """log p of the known part of each item, (n,), nats; the rest is summed out, weighed by weights[variable][state] if given."""
    if not codes.shape[1]:
        return torch.zeros(len(codes), dtype=torch.float64)
    order, largest = _order(net)
    marked = torch.where(known, codes, -1)
    distinct, which = torch.unique(marked, dim=0, return_inverse=True)
    pieces = distinct.split(max(1, AT_ONCE // largest))
    return torch.cat([_known(net, net.tables, order, piece, weights) for piece in pieces])[which]


def feasible(net: Network) -> bool:
    """Whether the tables that `log_known` makes stay small enough."""
    return _order(net)[1] <= network.LARGEST


def _order(net: Network) -> tuple[list[int], int]:
    scopes = [(*above, i) for i, above in enumerate(net.parents)]
    return min_fill(scopes, dict(enumerate(net.size)), range(len(net.names)))


def _known(
    net: Network, tables: Sequence[Tensor], order: list[int], codes: Tensor, weights: Sequence[Tensor] | None = None
) -> Tensor:
    """log p of each row's entries that are not −1."""
    factors = [Factor((), torch.ones(1, dtype=torch.float64))]
    for i, (table, above) in enumerate(zip(tables, net.parents, strict=True)):
        factors.append(Factor.of((*above, i), table[None]))
        seen = torch.nn.functional.one_hot(codes[:, i].clamp_min(0), net.size[i]).double()
        factors.append(Factor((i,), torch.where(codes[:, i : i + 1] < 0, 1.0 if weights is None else weights[i], seen)))
    found = eliminate(factors, order)
    return found.rest.table.log() + found.log_scale


def _counted(net: Network, codes: Tensor) -> list[Tensor]:
    out = []
    for i, table in enumerate(net.tables):
        index = net.row(i, codes) * net.size[i] + codes[:, i] if net.parents[i] else codes[:, i]
        out.append(torch.bincount(index, minlength=table.numel()).double().view(table.shape))
    return out
