"""Conditional Gaussian networks: discrete variables, and real ones that are linear and normal given them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from genus.maths.expected import feasible, log_known
from genus.maths.factors import draw
from genus.maths.graphs import ancestral, topological
from genus.maths.network import PARTICLES, Network

GRID = 4096  # states of unknown discrete variables up to which all are weighed
AT_ONCE = 2**22  # numbers of one batch


@dataclass(frozen=True, eq=False)
class Regression:
    """x = a_c + Σⱼ b_cj xⱼ + σ_c ε, j over real parents, c the joint state of discrete parents.

    Parameters
    ----------
    switches, above: the discrete and the real parents, as numbers. intercept, variance: (c,) a, σ². weight: (c, real parents) b.
    """

    switches: Sequence[int]
    above: Sequence[int]
    intercept: Tensor
    weight: Tensor
    variance: Tensor


@dataclass(frozen=True, eq=False)
class ConditionalGaussian:
    """p(s, x) = p(s) ∏ᵢ N(xᵢ | a + Σⱼ bⱼ xⱼ, σ²), the coefficients of each real variable chosen by its discrete parents.

    Given all discrete variables the real ones are jointly normal. No discrete variable depends on a real one.

    Parameters
    ----------
    discrete: the network of the discrete variables. names: of the real ones. nodes: their regressions.

    Reference: S. Lauritzen 1992, Propagation of probabilities, means and variances in mixed graphical association models,
    https://doi.org/10.1080/01621459.1992.10476265
    """

    discrete: Network
    names: Sequence[str]
    nodes: Sequence[Regression]

    @property
    def edges(self) -> list[tuple[str, str]]:
        """(from, to) of every arc."""
        out = list(self.discrete.edges)
        for name, node in zip(self.names, self.nodes, strict=True):
            out += [(self.discrete.names[p], name) for p in node.switches] + [(self.names[p], name) for p in node.above]
        return out

    @cached_property
    def order(self) -> list[int]:
        """The real variables, each after its real parents."""
        return topological([node.above for node in self.nodes], self.names)

    def state(self, switches: Sequence[int], codes: Tensor) -> Tensor:
        """(n,) the joint state of some discrete variables."""
        out = torch.zeros(len(codes), dtype=torch.long)
        for p in switches:
            out = out * self.discrete.size[p] + codes[:, p]
        return out

    def log_prob(self, codes: Tensor, reals: Tensor) -> Tensor:
        """log p of each item, (n,), nats; codes (n, discrete), reals (n, real)."""
        return self.discrete.log_prob(codes) + self._local(codes, reals, range(len(self.nodes)))

    def _local(self, codes: Tensor, reals: Tensor, some: Sequence[int]) -> Tensor:
        """Σ log p(xᵢ | parents) over some real variables."""
        total = torch.zeros(len(codes), dtype=torch.float64)
        for i in some:
            mean, variance = self._given(i, codes, reals)
            total -= 0.5 * ((reals[:, i] - mean).square() / variance + (2 * math.pi * variance).log())
        return total

    def _given(self, i: int, codes: Tensor, reals: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of real variable i given its parents."""
        node = self.nodes[i]
        c = self.state(node.switches, codes)
        return node.intercept[c] + (node.weight[c] * reals[:, list(node.above)]).sum(1), node.variance[c]

    def sample(self, n: int) -> tuple[Tensor, Tensor]:
        """(codes, reals) of n items."""
        codes, reals = self.discrete.sample(n), torch.zeros(n, len(self.nodes), dtype=torch.float64)
        self._forward(codes, reals, self.order)
        return codes, reals

    def _forward(self, codes: Tensor, reals: Tensor, some: Sequence[int]) -> None:
        """Draw some real variables, in order, given their parents, in place."""
        for i in some:
            mean, variance = self._given(i, codes, reals)
            reals[:, i] = mean + variance.sqrt() * torch.randn(len(reals), dtype=torch.float64)

    # -- evidence -----------------------------------------------------------------------------------------

    def complete(
        self, codes: Tensor, reals: Tensor, known: tuple[Tensor, Tensor], weights: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Items with the entries where `known` is False drawn jointly given the others.

        The states of those discrete variables that known reals depend on are weighed one by one, exactly, while they are at most
        4096; beyond that, 256 of them are drawn given the discrete evidence and weighed by the density of the known reals.

        Parameters
        ----------
        codes, reals: (n, discrete), (n, real). known: masks of the same shapes. weights: as `Network.complete` has them.
        """
        out = codes.clone(), reals.clone()
        patterns, which = torch.unique(torch.cat(known, 1), dim=0, return_inverse=True)
        for k, pattern in enumerate(patterns):
            rows = (which == k).nonzero()[:, 0]
            some = self._complete(codes[rows], reals[rows].clone(), pattern, weights)
            out[0][rows], out[1][rows] = some
        return out

    def _complete(self, codes: Tensor, reals: Tensor, pattern: Tensor, weights: Sequence[Tensor] | None) -> tuple[Tensor, Tensor]:
        """`complete` for rows with the same entries known."""
        seen, held = pattern[: len(self.discrete.names)], pattern[len(self.discrete.names) :].nonzero()[:, 0].tolist()
        asked = self._asked(held)
        free = [s for s in self._switches(asked) if not seen[s]]
        if free:
            codes, seen = self._chosen(codes, reals, seen, held, free, weights)
        if not bool(seen.all()):
            codes = self.discrete.complete(codes, seen.expand_as(codes), weights=weights)
        hidden = [i for i in asked if i not in held]
        if hidden:
            self._conditioned(codes, reals, asked, held, hidden)
        self._forward(codes, reals, [i for i in self.order if i not in asked])
        return codes, reals

    def _asked(self, held: Sequence[int]) -> list[int]:
        """Known real variables and their real ancestors, in order."""
        found = ancestral([node.above for node in self.nodes], held)
        return [i for i in self.order if i in found]

    def _switches(self, some: Sequence[int]) -> list[int]:
        """The discrete parents of some real variables."""
        return sorted({s for i in some for s in self.nodes[i].switches})

    def _chosen(
        self, codes: Tensor, reals: Tensor, seen: Tensor, held: list[int], free: list[int], weights: Sequence[Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        """(codes with the variables in `free` drawn given all that is known, which are known then)."""
        sizes = [self.discrete.size[s] for s in free]
        count, after = math.prod(sizes), seen.clone()
        exact = count <= GRID and feasible(self.discrete)
        if exact:
            after[free] = True
            grid = torch.cartesian_prod(*(torch.arange(size) for size in sizes)).view(count, -1)
        else:
            count, grid = PARTICLES, torch.zeros(0)
            after[:] = True
        out = codes.clone()
        for rows in torch.arange(len(codes)).split(max(1, AT_ONCE // (count * max(1, len(held)) ** 2))):
            wide, values = codes[rows].repeat_interleave(count, 0), reals[rows].repeat_interleave(count, 0)
            if exact:
                wide[:, free] = grid.repeat(len(rows), 1)
                log_weight = log_known(self.discrete, wide, after.expand_as(wide), weights)
                for s in free:
                    log_weight += 0.0 if weights is None else weights[s].log()[wide[:, s]]
            else:
                wide = self.discrete.complete(wide, seen.expand_as(wide), weights=weights)
                log_weight = torch.zeros(len(wide), dtype=torch.float64)
            log_weight = (log_weight + self._evidence(wide, values, held)).view(len(rows), count)
            best = log_weight.amax(1, keepdim=True)
            keep = draw((log_weight - torch.where(best.isfinite(), best, 0.0)).exp())
            out[rows] = wide.view(len(rows), count, -1)[torch.arange(len(rows)), keep]
        return out, after

    def _evidence(self, codes: Tensor, reals: Tensor, held: list[int]) -> Tensor:
        """log p(known reals | all discrete variables they depend on), (n,)."""
        asked = self._asked(held)
        if len(asked) == len(held):
            return self._local(codes, reals, asked)
        mean, covariance, which = self._joint(codes, asked)
        at = [asked.index(i) for i in held]
        factor = _cholesky(covariance[:, at][:, :, at])
        apart = (reals[:, held] - mean[:, at][which])[..., None]
        white = torch.linalg.solve_triangular(factor[which], apart, upper=False)[..., 0]
        log_det = factor.diagonal(dim1=1, dim2=2).log().sum(1)[which]
        return -0.5 * (white.square().sum(1) + len(held) * math.log(2 * math.pi)) - log_det

    def _joint(self, codes: Tensor, some: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """(means (m, d), covariances (m, d, d), which of the m (n,)) of an ancestral set of real variables, in order."""
        switches, d = self._switches(some), len(some)
        if switches:
            distinct, which = torch.unique(codes[:, switches], dim=0, return_inverse=True)
        else:
            distinct, which = codes[:1, :0], torch.zeros(len(codes), dtype=torch.long)
        full = torch.zeros(len(distinct), codes.shape[1], dtype=torch.long)
        full[:, switches] = distinct
        inner = torch.eye(d, dtype=torch.float64).repeat(len(full), 1, 1)
        intercept, variance = (torch.empty(len(full), d, dtype=torch.float64) for _ in range(2))
        for k, i in enumerate(some):
            node = self.nodes[i]
            c = self.state(node.switches, full)
            intercept[:, k], variance[:, k] = node.intercept[c], node.variance[c]
            for j, p in enumerate(node.above):
                inner[:, k, some.index(p)] -= node.weight[c, j]
        spread = torch.linalg.solve_triangular(inner, torch.eye(d, dtype=torch.float64).expand_as(inner), upper=False)
        return (spread @ intercept[..., None])[..., 0], (spread * variance[:, None]) @ spread.mT, which

    def _conditioned(self, codes: Tensor, reals: Tensor, asked: list[int], held: list[int], hidden: list[int]) -> None:
        """Draw the hidden real ancestors of known ones from the joint normal, in place."""
        a, b = ([asked.index(i) for i in some] for some in (hidden, held))
        for rows in torch.arange(len(codes)).split(max(1, AT_ONCE // len(asked) ** 2)):
            mean, covariance, which = self._joint(codes[rows], asked)
            factor = _cholesky(covariance[:, b][:, :, b])
            gain = torch.cholesky_solve(covariance[:, b][:, :, a], factor).mT
            spread = _cholesky(covariance[:, a][:, :, a] - gain @ covariance[:, b][:, :, a])
            apart = (reals[rows][:, held] - mean[:, b][which])[..., None]
            noise = torch.randn(len(rows), len(hidden), 1, dtype=torch.float64)
            drawn = mean[:, a][which] + (gain[which] @ apart + spread[which] @ noise)[..., 0]
            reals[rows[:, None], torch.tensor(hidden)] = drawn

    # -- interventions ------------------------------------------------------------------------------------

    def cut(self, states: Mapping[int, int], values: Mapping[int, float]) -> ConditionalGaussian:
        """The network under an intervention: discrete variables at states, real ones about values, whatever their parents are.

        A real variable that is set has variance one, so that the joint normal stays regular: whoever samples or completes
        holds it at its value.
        """
        nodes = list(self.nodes)
        one = torch.ones(1, dtype=torch.float64)
        for i, value in values.items():
            nodes[i] = Regression((), (), one * value, torch.zeros(1, 0, dtype=torch.float64), one)
        return replace(self, discrete=self.discrete.mutilated(states), nodes=nodes)


def _cholesky(covariance: Tensor) -> Tensor:
    """Lower factors, the diagonals raised by a billionth."""
    tiny = 1e-9 * covariance.diagonal(dim1=-2, dim2=-1).clamp_min(1e-12)
    return torch.linalg.cholesky(covariance + torch.diag_embed(tiny))
