"""The tree-structured distribution that agrees best with noisy tables of its pairs and of its single variables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ENOUGH = 1e-6  # relative gain of the loss below which a fit ends
MOST = 400


@dataclass
class TreeFit:
    """A forest of discrete variables, p(x) ∝ exp(Σᵢ aᵢ(xᵢ) + Σₑ bₑ(xᵢ, xⱼ)), fitted to noisy counts.

    Parameters
    ----------
    sizes: states of each variable. edges: pairs (i, j) without a cycle.

    Reference: R. McKenna, D. Sheldon and G. Miklau 2019, Graphical-model based estimation and inference for differential
    privacy, https://arxiv.org/abs/1901.09136
    """

    sizes: Sequence[int]
    edges: Sequence[tuple[int, int]]

    def __post_init__(self) -> None:
        near: list[list[tuple[int, int]]] = [[] for _ in self.sizes]
        for e, (i, j) in enumerate(self.edges):
            near[i].append((j, e))
            near[j].append((i, e))
        self.order: list[int] = []
        self.above: list[tuple[int, int] | None] = [None] * len(self.sizes)
        seen: set[int] = set()
        for root in range(len(self.sizes)):
            todo = [] if root in seen else [root]
            seen.add(root)
            while todo:
                i = todo.pop()
                self.order.append(i)
                for j, e in near[i]:
                    if j not in seen:
                        seen.add(j)
                        self.above[j] = (i, e)
                        todo.append(j)

    @property
    def parents(self) -> list[tuple[int, ...]]:
        """The parent of each variable, none at a root."""
        return [() if above is None else above[:1] for above in self.above]

    def marginals(self, alone: list[np.ndarray], pairs: list[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """(p of each variable, p of each edge) from the log-potentials, exact by two passes over the tree."""
        belief = [a.copy() for a in alone]
        message: list[np.ndarray] = [np.zeros(0)] * len(belief)
        for i in reversed(self.order):
            if (above := self.above[i]) is not None:
                p, e = above
                message[i] = _log_sum(self._from(p, e, pairs) + belief[i])
                belief[p] = belief[p] + message[i]
        single: list[np.ndarray] = [np.zeros(0)] * len(belief)
        joint: list[np.ndarray] = [np.zeros(0)] * len(pairs)
        for i in self.order:
            if (above := self.above[i]) is None:
                single[i] = np.exp(belief[i] - _log_sum(belief[i][None])[0])
                continue
            p, e = above
            table = self._from(p, e, pairs) + belief[i]
            table = single[p][:, None] * np.exp(table - message[i][:, None])
            single[i] = table.sum(0)
            joint[e] = table if self.edges[e][0] == p else table.T
        return single, joint

    def _from(self, p: int, e: int, pairs: list[np.ndarray]) -> np.ndarray:
        """The potential of edge e with variable p as rows."""
        return pairs[e] if self.edges[e][0] == p else pairs[e].T

    def fit(
        self, n: float, alone: list[np.ndarray], pairs: list[np.ndarray], sigma: tuple[float, float]
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """(p of each variable, p of each edge) that minimise Σ ‖n p − counts‖² / 2σ² among all distributions on the tree.

        Mirror descent: the potentials move against the gradient in the marginals, by steps that a line search scales.

        Parameters
        ----------
        n: the total. alone, pairs: noisy counts. sigma: deviation of the noise in each kind.
        """
        weight = (n * n / sigma[0] ** 2, n * n / sigma[1] ** 2)
        target = [c / n for c in alone], [c / n for c in pairs]
        theta = [np.log(np.maximum(t, 0.1 / n) + 1e-12) for t in target[0]], [np.zeros_like(t) for t in target[1]]
        mu = self.marginals(*theta)
        loss, step = _loss(mu, target, weight), 1.0 / max(weight)
        for _ in range(MOST):
            slope = [[w * (a - b) for a, b in zip(m, t, strict=True)] for m, t, w in zip(mu, target, weight, strict=True)]
            for _ in range(30):
                moved = [[a - step * g for a, g in zip(t, s, strict=True)] for t, s in zip(theta, slope, strict=True)]
                found = self.marginals(*moved)
                now = _loss(found, target, weight)
                drop = sum(float((g * (a - b)).sum()) for s, m, f in zip(slope, mu, found, strict=True)
                           for g, a, b in zip(s, m, f, strict=True))  # fmt: skip
                if loss - now >= 0.5 * drop and np.isfinite(now):
                    break
                step /= 2
            gain = loss - now
            theta, mu, loss, step = (moved[0], moved[1]), found, now, step * 2
            if gain <= ENOUGH * abs(loss):
                break
        return mu


def _loss(mu: tuple, target: tuple, weight: tuple[float, float]) -> float:
    return 0.5 * sum(w * float(((a - b) ** 2).sum()) for m, t, w in zip(mu, target, weight, strict=True)
                     for a, b in zip(m, t, strict=True))  # fmt: skip


def _log_sum(table: np.ndarray) -> np.ndarray:
    """log Σ exp over the last axis."""
    top = table.max(-1, keepdims=True)
    return (np.log(np.exp(table - top).sum(-1, keepdims=True)) + top)[..., 0]
