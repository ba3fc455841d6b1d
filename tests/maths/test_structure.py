"""Scores equal their formulas, climbing obeys its rules and ends at an optimum, trees are the best of all trees."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.special import gammaln

from genus.errors import UsageError
from genus.maths.scores import Scores
from genus.maths.structure import Rules, climb, tree

SIZES = [2, 3, 2, 4, 3]


def sample(n: int = 500, seed: int = 0) -> np.ndarray:
    """Five variables: 0 → 1 → 3 ← 2, and 4 alone."""
    rng = np.random.default_rng(seed)
    a, c, e = rng.integers(0, 2, n), rng.integers(0, 2, n), rng.integers(0, 3, n)
    b = np.where(rng.random(n) < 0.8, a, rng.integers(0, 3, n))
    d = np.where(rng.random(n) < 0.8, (b + 2 * c) % 4, rng.integers(0, 4, n))
    return np.stack([a, b, c, d, e], 1)


def by_formula(x: np.ndarray, i: int, parents: list[int], criterion: str, prior: float = 10.0) -> float:
    """A family's score with loops over the parents' configurations."""
    total, r, q = 0.0, SIZES[i], math.prod(SIZES[p] for p in parents)
    for states in itertools.product(*(range(SIZES[p]) for p in parents)):
        rows = x[(x[:, parents] == list(states)).all(1), i]
        counts = np.bincount(rows, minlength=r)
        if criterion == "bdeu":
            total += (
                gammaln(prior / q)
                - gammaln(len(rows) + prior / q)
                + (gammaln(counts + prior / q / r) - gammaln(prior / q / r)).sum()
            )
        else:
            total += sum(c * math.log(c / len(rows)) for c in counts if c)
    weight = {"bic": 0.5 * math.log(len(x)), "aic": 1.0, "bdeu": 0.0}[criterion]
    return total - weight * (r - 1) * q


@pytest.mark.parametrize("criterion", ["bic", "aic", "bdeu"])
def test_scores_equal_their_formulas(criterion):
    x = sample()
    scores = Scores(x, SIZES, criterion)
    for i, parents in ((3, [1, 2]), (0, []), (4, [0, 1, 2, 3])):
        assert scores.family(i, sum(1 << p for p in parents)) == pytest.approx(by_formula(x, i, parents, criterion), abs=1e-6)


@pytest.mark.parametrize("criterion", ["bic", "bdeu"])
@pytest.mark.parametrize("piece", [2**20, 1], ids=["at once", "one by one"])
def test_a_sweep_is_every_family_with_one_more_parent(criterion, piece, monkeypatch):
    monkeypatch.setattr("genus.maths.scores.PIECE", piece)
    swept, single = Scores(sample(), SIZES, criterion), Scores(sample(), SIZES, criterion)
    swept.pairs()
    for i, mask in ((0, 0), (3, 0), (3, 0b10), (4, 0b110), (2, 0b11010)):
        value = swept.sweep(i, mask)
        for z in range(5):
            if z == i or mask >> z & 1:
                assert value[z] == -math.inf
            else:
                assert value[z] == pytest.approx(single.family(i, mask | 1 << z), abs=1e-6)


def test_too_large_a_table_is_never_chosen():
    scores = Scores(sample(), SIZES, cells=12)
    assert scores.family(3, 0b110) == -math.inf
    assert math.isfinite(scores.sweep(3, 0)[1])
    assert all(math.prod(SIZES[p] for p in above) * SIZES[i] <= 12 for i, above in enumerate(climb(scores, Rules())))


def test_the_climb_ends_at_the_best_of_all_graphs_over_four_variables():
    x = sample(300)[:, :4]
    scores = Scores(x, SIZES[:4])
    best = -math.inf
    for masks in itertools.product(range(8), repeat=4):
        masks = [(m >> i << i + 1) | (m & (1 << i) - 1) for i, m in enumerate(masks)]
        left, placed = set(range(4)), 0
        while free := [i for i in left if masks[i] & ~placed == 0]:
            left -= set(free)
            placed |= sum(1 << i for i in free)
        if not left:
            best = max(best, sum(scores.family(i, m) for i, m in enumerate(masks)))
    found = climb(scores, Rules())
    assert sum(scores.family(i, sum(1 << p for p in above)) for i, above in enumerate(found)) == pytest.approx(best, abs=1e-6)


def test_the_climb_obeys_its_rules():
    scores = Scores(sample(), SIZES)
    free = climb(scores, Rules())
    assert {frozenset((i, p)) for i, above in enumerate(free) for p in above} == {frozenset(a) for a in ((0, 1), (1, 3), (2, 3))}
    bound = climb(scores, Rules(required=[(4, 0)], forbidden=[(1, 3), (3, 1)], parents=1))
    assert 4 in bound[0]
    assert 1 not in bound[3]
    assert 3 not in bound[1]
    assert max(map(len, bound)) == 1
    with pytest.raises(UsageError, match="cycle"):
        climb(scores, Rules(required=[(0, 1), (1, 0)]))


def test_a_tree_has_the_greatest_information_of_all_trees():
    x = sample()

    def information(a: int, b: int) -> float:
        joint = np.zeros((SIZES[a], SIZES[b]))
        np.add.at(joint, (x[:, a], x[:, b]), 1 / len(x))
        even = joint.sum(1, keepdims=True) * joint.sum(0)
        return float((joint[joint > 0] * np.log(joint[joint > 0] / even[joint > 0])).sum())

    found = tree(x, SIZES)
    assert [len(above) for above in found] == [0, 1, 1, 1, 1]
    value = sum(information(i, above[0]) for i, above in enumerate(found) if above)
    every = itertools.product(*(range(5) for _ in range(3)))  # Prüfer codes of the 125 trees over five nodes
    assert value == pytest.approx(max(sum(information(a, b) for a, b in _tree_of(code)) for code in every), abs=1e-9)


def _tree_of(code: tuple[int, ...]) -> list[tuple[int, int]]:
    degree = [1 + code.count(i) for i in range(5)]
    edges = []
    for a in code:
        leaf = degree.index(1)
        edges.append((leaf, a))
        degree[leaf] -= 1
        degree[a] -= 1
    last = [i for i, count in enumerate(degree) if count == 1]
    return [*edges, (last[0], last[1])]


def test_the_climb_draws_nothing():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert climb(Scores(sample(), SIZES), Rules()) == climb(Scores(sample(), SIZES), Rules())
    assert torch.equal(before, torch.get_rng_state())
