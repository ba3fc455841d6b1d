"""The account of privacy agrees with opacus, nothing is bought above the budget, and the noise is what it costs."""

import math

import pytest
import torch
from opacus.accountants import PRVAccountant, RDPAccountant

from genus.errors import UsageError
from genus.maths.private import Ledger, check_budget, epsilon_of, largest_auc, rho_of, sigma_of
from genus.maths.treefit import TreeFit


@pytest.mark.parametrize("rho", [0.01, 0.2, 1.0])
def test_the_conversion_to_epsilon_agrees_with_opacus(rho):
    rdp, prv = RDPAccountant(), PRVAccountant()
    rdp.history = prv.history = [(sigma_of(rho), 1.0, 1)]
    orders = [1 + k / 100 for k in range(1, 3000)] + list(range(31, 400))
    assert epsilon_of(rho, 1e-5) == pytest.approx(rdp.get_epsilon(1e-5, alphas=orders), rel=1e-3)
    assert 0.85 * epsilon_of(rho, 1e-5) < prv.get_epsilon(1e-5) <= epsilon_of(rho, 1e-5)


def test_gaussian_queries_compose_to_the_sum_of_their_budgets():
    parts = [0.02, 0.05, 0.13]
    rdp = RDPAccountant()
    rdp.history = [(sigma_of(rho), 1.0, 1) for rho in parts]
    orders = [1 + k / 100 for k in range(1, 3000)]
    assert epsilon_of(sum(parts), 1e-6) == pytest.approx(rdp.get_epsilon(1e-6, alphas=orders), rel=1e-3)


@pytest.mark.parametrize("epsilon", [0.05, 1.0, 30.0])
def test_a_budget_goes_there_and_back(epsilon):
    assert epsilon_of(rho_of(epsilon, 1e-6), 1e-6) == pytest.approx(epsilon, rel=1e-6)


def test_nothing_is_bought_above_the_budget_and_the_ledger_adds_up():
    ledger = Ledger(1.0, 1e-5)
    ledger.measure("counts", torch.zeros(4), 0.6 * ledger.rho)
    with pytest.raises(ArithmeticError, match="only"):
        ledger.select("choice", torch.zeros(3), 0.5 * ledger.rho)
    ledger.select("choice", torch.zeros(3), 0.4 * ledger.rho)
    assert ledger.to_json()["epsilon"] == pytest.approx(1.0, rel=1e-6)
    assert sum(rho for _, rho in ledger.spent) == pytest.approx(ledger.rho)


def test_noise_has_the_deviation_it_was_bought_with_and_is_never_the_same():
    noisy, sigma = Ledger(1.0, 1e-5).measure("counts", torch.zeros(40_000), 0.01)
    again, _ = Ledger(1.0, 1e-5).measure("counts", torch.zeros(40_000), 0.01)
    assert sigma == pytest.approx(1 / math.sqrt(0.02))
    assert float(noisy.std()) == pytest.approx(sigma, rel=0.02)
    assert abs(float(noisy.mean())) < 4 * sigma / 200
    assert not torch.equal(noisy, again)


def test_the_exponential_mechanism_chooses_in_proportion():
    """P(1) / P(0) = exp(ε Δs / 2) with ε = √(8ρ)."""
    ledger, rho = Ledger(100.0, 1e-5, seed=0), 0.005
    chosen = sum(ledger.select("choice", torch.tensor([0.0, 10.0]), rho) for _ in range(4000))
    odds = math.exp(math.sqrt(8 * rho) * 10 / 2)
    assert chosen / 4000 == pytest.approx(odds / (1 + odds), abs=0.03)


@pytest.mark.parametrize(("epsilon", "delta", "n", "word"), [
    (0.0, 1e-5, 10, "positive"), (-1.0, 1e-5, 10, "positive"), (float("nan"), 1e-5, 10, "positive"),
    (1.0, 0.0, 10, "between 0 and 1"), (1.0, 0.2, 10, "outright"),
])  # fmt: skip
def test_a_promise_that_is_none_is_refused_in_one_sentence(epsilon, delta, n, word):
    with pytest.raises(UsageError, match=word):
        check_budget(epsilon, delta, n)


def test_exact_counts_of_a_tree_give_the_tree_back():
    torch.manual_seed(0)
    tree = TreeFit([3, 4, 2, 3], [(0, 1), (1, 2), (1, 3)])
    alone = [torch.randn(r).numpy() for r in tree.sizes]
    pairs = [torch.randn(tree.sizes[i], tree.sizes[j]).numpy() for i, j in tree.edges]
    single, joint = tree.marginals(alone, pairs)
    for (i, j), table in zip(tree.edges, joint, strict=True):
        assert table.sum(1) == pytest.approx(single[i])
        assert table.sum(0) == pytest.approx(single[j])
    found, tables = tree.fit(1000.0, [1000 * s for s in single], [1000 * t for t in joint], (1.0, 1.0))
    assert max(abs(a - b).max() for a, b in zip(tables, joint, strict=True)) < 2e-3
    assert max(abs(a - b).max() for a, b in zip(found, single, strict=True)) < 2e-3


def test_the_largest_auc_is_that_of_the_best_attack_on_randomised_response():
    """Tell the truth with probability e/(1+e): ε = 1, and the AUC is exactly that probability."""
    p = math.e / (1 + math.e)
    assert largest_auc(1.0) == pytest.approx(p * p + 0.5 * 2 * p * (1 - p))
