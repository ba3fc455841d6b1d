"""Differential privacy: what noise buys, how it adds up, and a ledger that lets nothing be asked of data for free."""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from genus.errors import UsageError

ORDERS = [1 + 10 ** (k / 40 - 3) for k in range(321)]  # Rényi orders from 1.001 to 100,001


def check_budget(epsilon: float, delta: float, n: int | None = None) -> None:
    """Raise UsageError for an ε or δ that promises nothing; n is the number of rows, where it is known."""
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise UsageError(
            f"epsilon={epsilon} must be a positive number: 1 is strong, 3 usual, 10 weak; leave it out for no privacy."
        )
    if not 0 < delta < 1:
        raise UsageError(f"delta={delta} must lie between 0 and 1: give less than one over the number of rows, such as 1e-5.")
    if n is not None and delta >= 1 / n:
        raise UsageError(
            f"delta={delta:g} allows one of {n:,} rows to be published outright: give less than 1/{n} = {1 / n:.2g}, such as "
            f"{10 ** math.floor(math.log10(0.5 / n)):g}."
        )


def epsilon_of(rho: float, delta: float) -> float:
    """The ε of (ε, δ)-differential privacy that ρ-zCDP gives.

    ε = min over α > 1 of ρα + log(1 − 1/α) − (log δ + log α) / (α − 1)

    Reference: C. Canonne, G. Kamath and T. Steinke 2020, The discrete Gaussian for differential privacy, Proposition 12,
    https://arxiv.org/abs/2004.00010

    >>> round(epsilon_of(0.1, 1e-5), 2)
    1.91
    """
    if rho == 0:
        return 0.0
    best = 1 + math.sqrt(max(math.log(1 / delta), 1e-3) / rho)  # where the coarser bound is least
    orders = ORDERS + [1 + (best - 1) * (0.5 + k / 100) for k in range(101)]
    return max(0.0, min(rho * a + math.log1p(-1 / a) - (math.log(delta) + math.log(a)) / (a - 1) for a in orders))


def rho_of(epsilon: float, delta: float) -> float:
    """The largest ρ whose ρ-zCDP gives (ε, δ)-differential privacy; the inverse of `epsilon_of`.

    >>> round(epsilon_of(rho_of(3.0, 1e-5), 1e-5), 6)
    3.0
    """
    low, high = 0.0, epsilon + 1.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if epsilon_of(middle, delta) <= epsilon else (low, middle)
    return low


def sigma_of(rho: float, sensitivity: float = 1.0) -> float:
    """The deviation of Gaussian noise that makes a query of this L2 sensitivity ρ-zCDP: σ = Δ / √(2ρ).

    Reference: M. Bun and T. Steinke 2016, Concentrated differential privacy, https://arxiv.org/abs/1605.02065
    """
    return sensitivity / math.sqrt(2 * rho)


def strength(rho: float) -> float:
    """The ε of an exponential mechanism that is ρ-zCDP: ε = √(8ρ), since its loss has a range of ε.

    Reference: M. Cesar and R. Rogers 2021, Bounding, concentrating and truncating, https://arxiv.org/abs/2004.07223
    """
    return math.sqrt(8 * rho)


def largest_auc(epsilon: float, delta: float = 0.0) -> float:
    """The most that any attack on an (ε, δ)-private release can score: AUC ≤ eᵉ / (1 + eᵉ) + δ.

    Reference: P. Kairouz, S. Oh and P. Viswanath 2015, The composition theorem, https://arxiv.org/abs/1311.0776 (the region
    of error rates, whose area this is)
    """
    return min(1.0, 1 / (1 + math.exp(-epsilon)) + delta)


@dataclass
class Ledger:
    """A budget of ρ-zCDP and everything that was bought with it.

    Two tables are neighbours when one has one row more than the other.

    Parameters
    ----------
    epsilon, delta: the promise. seed: of the noise; None, the only private choice, takes numbers nobody can repeat.

    Attributes
    ----------
    rho: the budget. spent: [what, ρ] of each purchase.
    """

    epsilon: float
    delta: float
    seed: int | None = None
    rho: float = field(init=False)
    spent: list[list[Any]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        check_budget(self.epsilon, self.delta)
        self.rho = rho_of(self.epsilon, self.delta)
        self.generator = torch.Generator().manual_seed(secrets.randbits(63) if self.seed is None else self.seed)

    @property
    def left(self) -> float:
        """ρ not yet spent."""
        return self.rho - sum(rho for _, rho in self.spent)

    def spend(self, what: str, rho: float) -> None:
        """Write a purchase down; raises ArithmeticError before the budget is exceeded."""
        if rho > self.left * (1 + 1e-9) + 1e-15:
            raise ArithmeticError(f"{what} costs ρ = {rho:.3g}, but only {self.left:.3g} is left.")
        if self.spent and self.spent[-1][0] == what:
            self.spent[-1][1] += rho
        else:
            self.spent.append([what, rho])

    def measure(self, what: str, counts: Tensor, rho: float) -> tuple[Tensor, float]:
        """(counts with Gaussian noise, its deviation): one row changes one of the counts by one."""
        self.spend(what, rho)
        sigma = sigma_of(rho)
        return counts.double() + sigma * torch.randn(counts.shape, dtype=torch.float64, generator=self.generator), sigma

    def select(self, what: str, scores: Tensor, rho: float, sensitivity: float = 1.0) -> int:
        """An index of high score, by the exponential mechanism: P(i) ∝ exp(ε scoreᵢ / 2Δ).

        Reference: F. McSherry and K. Talwar 2007, Mechanism design via differential privacy, https://doi.org/10.1109/FOCS.2007.66
        """
        self.spend(what, rho)
        uniform = torch.rand(scores.shape, dtype=torch.float64, generator=self.generator).clamp_min(1e-300)
        return int((strength(rho) * scores.double() / (2 * sensitivity) - (-uniform.log()).log()).argmax())

    def to_json(self) -> dict[str, Any]:
        """The promise and how it was divided."""
        used = self.rho - max(0.0, self.left)
        return {
            "epsilon": epsilon_of(used, self.delta), "delta": self.delta, "rho": used, "spent": self.spent,
            "noise": "secret" if self.seed is None else "seeded: a promise only to those who cannot know the seed",
        }  # fmt: skip
