"""Draws under a restriction follow the exact conditional distribution."""

from __future__ import annotations

import itertools

import pytest
import torch

from genus.maths.particles import fill
from genus.maths.within import Known, Linear, Shares, Tuples

LEVELS = [3, 2, 4]
P = torch.rand(3, 2, 4, generator=torch.Generator().manual_seed(1)).square() + 0.02
P = P / P.sum()
ORDERS = [(0, 1, 2), (2, 0, 1), (1, 2, 0)]


class Tabled:
    """A table of probabilities, drawn cell by cell in an order."""

    def __init__(self, n, order):
        self.x, self.order = torch.zeros(n, 3, dtype=torch.int64), order

    def logits(self, step):
        cell, before = self.order[step], self.order[:step]
        rest = [c for c in range(3) if c != cell and c not in before]
        p = P.sum(rest, keepdim=True) if rest else P
        p = p.permute(*sorted(before), cell, *rest).reshape(*[LEVELS[c] for c in sorted(before)], LEVELS[cell])
        logits = p[tuple(self.x[:, c] for c in sorted(before))].log().expand(len(self.x), -1)
        return torch.nn.functional.pad(logits, (0, 4 - logits.shape[1]), value=-torch.inf)

    def put(self, step, symbol):
        self.x[:, self.order[step]] = symbol

    def keep(self, index):
        self.x = self.x[index]


def share_of(within):
    """exp of the summed log-weights of every record, in every order the same."""
    out = torch.zeros(LEVELS)
    for row in itertools.product(*map(range, LEVELS)):
        x, totals = torch.tensor([row]), []
        for order in ORDERS:
            total = torch.zeros(())
            for i, cell in enumerate(order):
                done = torch.zeros(3, dtype=torch.bool)
                done[list(order[:i])] = True
                weight = within.weigh(cell, x, done)
                total = total + (0.0 if weight is None else weight.expand(1, -1)[0, row[cell]])
            totals.append(float(total.exp()))
        assert totals == pytest.approx([totals[0]] * 3, abs=1e-5)
        out[row] = totals[0]
    return out


CASES = {
    "set": Shares((2,), torch.tensor([1.0, 0.0, 1.0, 0.0])),
    "part of a bin": Shares((0,), torch.tensor([1.0, 0.25, 0.0])),
    "two cells": Shares((0, 2), torch.tensor([[1, 1, 1, 1.0], [0, 0.5, 0, 0], [0, 0, 0, 0.1]])),
    "pairs": Tuples((0, 2), torch.tensor([[0, 0], [1, 1], [1, 2], [2, 3]]), [3, 4]),
    "sum": Linear(
        [(0,), (2,)], [torch.arange(3.0), torch.arange(4.0)], [torch.arange(3.0), torch.arange(4.0)], [1.0, 1.0], 3.0, 3.0
    ),
    "both": Shares((1,), torch.tensor([0.0, 1.0])) & Tuples((0, 2), torch.tensor([[0, 0], [1, 1], [2, 3]]), [3, 4]),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", CASES)
def test_draws_follow_the_exact_conditional(name, order):
    within = CASES[name]
    for part in getattr(within, "parts", [within]):
        part.light = False  # what is light is masked only
    share = share_of(within)
    truth = P * share
    torch.manual_seed(0)
    n = 6000
    x, log_weight = fill(Tabled(n, order), order, within=within, particles=24)
    drawn = torch.zeros(LEVELS).index_put_(tuple(x.T), torch.ones(n), accumulate=True) / n
    assert float(truth.sum()) == pytest.approx(float(log_weight.exp().mean()), rel=0.05)
    truth = truth / truth.sum()
    assert bool((drawn[share == 0] == 0).all())
    assert float((drawn - truth).abs().sum()) < 0.06  # about sqrt(2 · cells / (π n)) by chance alone, plus what 24 copies miss


def test_one_copy_is_biased_where_many_are_not():
    torch.manual_seed(0)
    within = Shares((2,), torch.tensor([0.0, 0.0, 0.0, 1.0]))
    truth = P[..., 3] / P[..., 3].sum()
    off = []
    for particles in (1, 24):
        x, _ = fill(Tabled(6000, ORDERS[0]), ORDERS[0], within=within, particles=particles)
        drawn = torch.zeros(3, 2).index_put_((x[:, 0], x[:, 1]), torch.ones(6000), accumulate=True) / 6000
        off.append(float((drawn - truth).abs().sum()))
    assert off[0] > 3 * off[1]


def test_known_cells_stay_and_each_row_has_its_own():
    items = Tabled(300, ORDERS[0])
    items.x[:, 2] = torch.arange(300) % 4
    known = torch.zeros(300, 3, dtype=torch.bool)
    known[:, 2] = torch.arange(300) % 2 == 0
    held = items.x.clone()
    x, log_weight = fill(items, ORDERS[0], known=known, particles=8)
    assert bool((x[known] == held[known]).all())
    assert bool((x[1::2, 2] != held[1::2, 2]).any())
    assert bool((log_weight[1::2].abs() < 1e-5).all())
    assert bool((log_weight[::2] < -0.1).all())


def test_an_impossible_restriction_has_no_weight():
    within = Tuples((0, 2), torch.tensor([[0, 0]]), [3, 4]) & Shares((2,), torch.tensor([0.0, 1.0, 1.0, 1.0]))
    _, log_weight = fill(Tabled(20, ORDERS[0]), ORDERS[0], within=within, particles=4)
    assert bool((log_weight == -torch.inf).all())


def test_rows_keep_their_own_restriction_when_taken():
    within = Known(torch.tensor([[0, 0, 0], [1, 1, 1]]), torch.ones(2, 3, dtype=torch.bool), LEVELS).take(torch.tensor([1, 1, 0]))
    weight = within.weigh(0, torch.zeros(3, 3, dtype=torch.int64), torch.zeros(3, dtype=torch.bool))
    assert weight is not None
    assert weight.argmax(1).tolist() == [1, 1, 0]
