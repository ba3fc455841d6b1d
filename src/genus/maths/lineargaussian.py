"""Linear-Gaussian networks: each variable normal about a linear function of its parents; scores and regressions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from genus.maths.graphs import topological
from genus.maths.scores import bits


@dataclass
class NormalScores:
    """Decomposable scores of normal variables, from their covariances alone, remembered as `Scores` does.

    log-likelihood of the regression of i on its parents, −n/2 (log 2πσ² + 1), with a regression of its own for each group of
    rows, less ½ log n (bic) or 1 (aic) for each coefficient, intercept and variance.

    Parameters
    ----------
    counts: rows of each group. covariances: (d, d) of each group, positive definite. criterion: "bic" or "aic".

    Reference: D. Geiger and D. Heckerman 1994, Learning Gaussian networks, https://arxiv.org/abs/1302.6808
    """

    counts: Sequence[float]
    covariances: Sequence[np.ndarray]
    criterion: str = "bic"
    known: dict[tuple[int, int], float] = field(default_factory=dict)
    swept: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.d = len(self.covariances[0])
        self.cost = 0.5 * math.log(max(sum(self.counts), 2)) if self.criterion == "bic" else 1.0

    def pairs(self) -> None:
        """Nothing: a sweep without parents is one row of a matrix."""

    def family(self, i: int, parents: int) -> float:
        """s(i, parents), the parents as bits of an integer."""
        key = (i, parents)
        if key not in self.known:
            above = bits(parents)
            rest = np.array([_rest(c, above)[i, i] for c in self.covariances])
            self.known[key] = float(self._value(rest[:, None], len(above))[0])
        return self.known[key]

    def sweep(self, i: int, parents: int) -> np.ndarray:
        """(d,) s(i, parents + z) for every z, −∞ where z is i or a parent."""
        key = (i, parents)
        if key not in self.swept:
            above, rest = bits(parents), []
            for covariance in self.covariances:
                r = _rest(covariance, above)
                spread = np.maximum(r.diagonal(), 1e-300)
                rest.append(np.maximum(r[i, i] - r[i] ** 2 / spread, 1e-12 * covariance[i, i]))
            out = self._value(np.stack(rest), len(above) + 1)
            out[[i, *above]] = -math.inf
            self.swept[key] = out
        return self.swept[key]

    def _value(self, variance: np.ndarray, parents: int) -> np.ndarray:
        """Scores from residual variances (groups, candidates)."""
        n = np.asarray(self.counts, float)[:, None]
        likelihood = -0.5 * n * (np.log(2 * math.pi * np.maximum(variance, 1e-300)) + 1)
        return likelihood.sum(0) - self.cost * len(self.counts) * (parents + 2)

    def information(self) -> np.ndarray:
        """(d, d) mutual information of each pair times the rows, nats, −∞ on the diagonal."""
        out = np.zeros((self.d, self.d))
        for n, c in zip(self.counts, self.covariances, strict=True):
            square = np.minimum(c**2 / np.outer(c.diagonal(), c.diagonal()), 1 - 1e-12)
            out -= 0.5 * n * np.log1p(-square)
        np.fill_diagonal(out, -np.inf)
        return out


def _rest(covariance: np.ndarray, above: list[int]) -> np.ndarray:
    """The covariance of what is left of every variable when its regression on those in `above` is taken off."""
    if not above:
        return covariance
    cross = covariance[:, above]
    return covariance - cross @ np.linalg.solve(covariance[np.ix_(above, above)], cross.T)


@dataclass(frozen=True, eq=False)
class LinearGaussian:
    """Real variables on a directed acyclic graph: xᵢ = aᵢ + Σⱼ bᵢⱼ xⱼ + σᵢ ε, j over the parents of i.

    Parameters
    ----------
    names: of the variables. parents: of each variable, as numbers.
    intercept: (d,) a. weight: (d, d) b, zero but at parents. variance: (d,) σ², positive.

    Reference: R. Shachter and C. Kenley 1989, Gaussian influence diagrams, https://doi.org/10.1287/mnsc.35.5.527
    """

    names: Sequence[str]
    parents: Sequence[Sequence[int]]
    intercept: Tensor
    weight: Tensor
    variance: Tensor

    @staticmethod
    def regressed(names: Sequence[str], parents: Sequence[Sequence[int]], mean: Tensor, covariance: Tensor) -> LinearGaussian:
        """The likeliest network of this graph, given the moments of its data."""
        d = len(mean)
        intercept, weight, variance = mean.clone(), torch.zeros(d, d, dtype=torch.float64), covariance.diagonal().clone()
        for i, above in enumerate(parents):
            if above:
                p = list(above)
                b = torch.linalg.solve(covariance[p][:, p], covariance[p, i])
                weight[i, p] = b
                intercept[i] -= b @ mean[p]
                variance[i] -= b @ covariance[p, i]
        floor = 1e-12 * covariance.diagonal()
        return LinearGaussian(names, parents, intercept, weight, torch.maximum(variance, floor))

    @property
    def edges(self) -> list[tuple[str, str]]:
        """(from, to) of every arc."""
        return [(self.names[p], self.names[i]) for i, above in enumerate(self.parents) for p in above]

    def joint(self) -> tuple[Tensor, Tensor]:
        """The mean (d,) and covariance (d, d) of all variables together: (I − b)⁻¹ a and (I − b)⁻¹ diag(σ²) (I − b)⁻ᵀ."""
        spread = torch.linalg.inv(torch.eye(len(self.variance), dtype=torch.float64) - self.weight)
        return spread @ self.intercept, (spread * self.variance) @ spread.T

    def log_prob(self, x: Tensor) -> Tensor:
        """log p of each item, (n,), nats."""
        rest = x - self.intercept - x @ self.weight.T
        return -0.5 * (rest.square() / self.variance + (2 * math.pi * self.variance).log()).sum(1)

    def sample(self, n: int) -> Tensor:
        """n items, each variable drawn given its parents."""
        out = torch.randn(n, len(self.variance), dtype=torch.float64) * self.variance.sqrt() + self.intercept
        for i in topological(self.parents):
            if len(self.parents[i]):
                out[:, i] += out @ self.weight[i]
        return out

    def cut(self, values: dict[int, float]) -> LinearGaussian:
        """The network under an intervention: variables, by number, about these values whatever their parents are, variance one.

        The variance keeps the joint normal regular: whoever samples or completes it holds these variables at their values.
        """
        intercept, weight, variance = self.intercept.clone(), self.weight.clone(), self.variance.clone()
        for i, value in values.items():
            intercept[i], weight[i], variance[i] = value, 0.0, 1.0
        parents = [() if i in values else above for i, above in enumerate(self.parents)]
        return LinearGaussian(self.names, parents, intercept, weight, variance)
