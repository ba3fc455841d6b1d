"""A linear-Gaussian Bayesian network: structure by search over regressions, every question answered by the joint normal."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from genus.capability import Conditional, Density, Graphical, Partial, Summable
from genus.errors import UsageError
from genus.maths.groups import group_index, groups_of
from genus.maths.lineargaussian import LinearGaussian, NormalScores
from genus.maths.normal import complete_normal
from genus.maths.quantise import Packed, drawn
from genus.maths.statistics import Statistics
from genus.maths.stored import blocks
from genus.maths.structure import Rules, checked, climb, given_parents, named_arcs, spanning
from genus.train.run import Run


@dataclass(kw_only=True, eq=False, repr=False)
class GaussianNetwork(Density, Partial, Summable, Conditional, Graphical):
    """A directed graph of real entries: p(x) = ∏ᵢ N(xᵢ | aᵢ + Σⱼ bᵢⱼ xⱼ, σᵢ²), j over the parents of i.

    The graph is searched for, or given; each entry is a regression on its parents. A condition is a discrete parent of every
    entry: each label has coefficients and variances of its own on the same graph. Any part of an item is completed exactly, by
    conditioning the joint normal. A table enters as normal scores of its columns, so that there each column keeps its own law
    and the network says how the columns hang together.

    Parameters
    ----------
    structure: "climb" (hill climbing with a tabu list), "tree" (the spanning tree of greatest mutual information), "given"
        (`edges` and no others).
    edges: pairs (from, to) of columns: all arcs where the structure is given, else arcs it must have.
    forbidden: pairs (from, to) it must not have.
    criterion: what the climb maximises: "bic" or "aic".
    parents: the most an entry may have.
    tabu: steps that must not be undone, and how many without gain end the climb.
    prior: imagined rows of independent entries with the data's variances, mixed into the covariance.

    Attributes
    ----------
    keys_: (g, m) the distinct conditions. origin_: (d,) what sums are taken about. parents_: of each entry.
    intercept_, variance_: (g, d). weight_: (g, d, d). fixed_: (d,) what `do` set, not a number elsewhere.

    Reference: R. Shachter and C. Kenley 1989, Gaussian influence diagrams, https://doi.org/10.1287/mnsc.35.5.527; D. Geiger and
    D. Heckerman 1994, Learning Gaussian networks, https://arxiv.org/abs/1302.6808
    """

    accepts: ClassVar[tuple[str, ...]] = ("real",)

    structure: Literal["climb", "tree", "given"] = "climb"
    edges: Any = None
    forbidden: Any = None
    criterion: Literal["bic", "aic"] = "bic"
    parents: int = 8
    tabu: int = 5
    prior: float = 1.0

    def _check(self) -> None:
        choices = {"structure": ("climb", "tree", "given"), "criterion": ("bic", "aic")}
        checked(self, choices, {"parents": 1, "tabu": 0})

    # -- fitting ------------------------------------------------------------------------------------------

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        if self.space_.size > 2048:
            raise UsageError(f"An item has {self.space_.size} entries, too many (over 2048) for this family: take a flow.")
        self.keys_ = groups_of(y, 0 if y is None else len(x))[0]
        self.origin_ = torch.cat([b.reshape(len(b), -1) for b in _first(x)]).double().mean(0)
        self.fixed_ = torch.full((self.space_.size,), float("nan"), dtype=torch.float64)
        sums = self._summarize(x, y)
        self.parents_ = [list(above) for above in self._search(sums)]
        self._update(sums)

    def _summarize(self, x: Packed, y: Tensor | None) -> Statistics:
        """Rows, sums and products of the entries about `origin_`, of each label."""
        g, d = len(self.keys_), self.space_.size
        n, first = torch.zeros(g, dtype=torch.float64), torch.zeros(g, d, dtype=torch.float64)
        second, at = torch.zeros(g, d, d, dtype=torch.float64), 0
        label = group_index(y, self.keys_, len(x))
        for piece in blocks(x):
            rows, mine = drawn(piece).reshape(len(piece), -1).double() - self.origin_, label[at : at + len(piece)]
            at += len(piece)
            for k in mine.unique().tolist():
                some = rows[mine == k]
                n[k] += len(some)
                first[k] += some.sum(0)
                second[k].addmm_(some.T, some)
        return Statistics({"n": n, "first": first, "second": second})

    def _moments(self, statistics: Statistics) -> tuple[Tensor, Tensor, Tensor]:
        """(rows, means, covariances) of each label, the prior's rows mixed in."""
        n, first, second = (statistics.sums[name] for name in ("n", "first", "second"))
        mean = first / n.clamp_min(1)[:, None]
        scatter = second - n[:, None, None] * mean[:, :, None] * mean[:, None, :]
        whole = second.sum(0) - torch.outer(first.sum(0), first.sum(0)) / n.sum()
        spread = (whole.diagonal() / n.sum()).clamp_min(1e-12)
        covariance = (scatter + self.prior * torch.diag(spread)) / (n + self.prior)[:, None, None]
        return n, mean + self.origin_, (covariance + covariance.mT) / 2

    def _search(self, statistics: Statistics) -> Sequence[Sequence[int]]:
        """The parents of each entry."""
        names = self._names
        required, forbidden = named_arcs(self.edges, names, "edges"), named_arcs(self.forbidden, names, "forbidden")
        given = given_parents(required, forbidden, names)
        if self.structure == "given":
            return given
        n, _, covariance = self._moments(statistics)
        scores = NormalScores(n.tolist(), list(covariance.numpy()), self.criterion)
        if self.structure == "tree":
            return spanning(scores.information())
        return climb(scores, Rules(required, forbidden, self.parents), tabu=self.tabu)

    def _update(self, statistics: Statistics) -> None:
        """The regressions of each label."""
        _, mean, covariance = self._moments(statistics)
        nets = [LinearGaussian.regressed(self._names, self.parents_, m, c) for m, c in zip(mean, covariance, strict=True)]
        self.intercept_, self.weight_, self.variance_ = (
            torch.stack([getattr(net, name) for net in nets]) for name in ("intercept", "weight", "variance")
        )

    def _graph(self) -> tuple[list[str], list[list[int]]]:
        return self._names, self.parents_

    @property
    def _names(self) -> list[str]:
        return self.codec_.labels(self.space_)

    # -- the network --------------------------------------------------------------------------------------

    def network(self, y: Any = None) -> LinearGaussian:
        """The fitted graph and regressions, in packed units: those of an array, normal scores of a table.

        Parameters
        ----------
        y: the label whose regressions are meant, where the model was fitted with a condition.
        """
        check_is_fitted(self, "space_")
        return self._net(int(group_index(self._conditions(1, y), self.keys_, 1)[0]))

    def _net(self, g: int) -> LinearGaussian:
        return LinearGaussian(self._names, self.parents_, self.intercept_[g], self.weight_[g], self.variance_[g])

    def do(self, given: Any) -> Self:
        """The model under an intervention: the columns in `given`, {column: value}, set whatever their causes say.

        Sampling and completing the copy that comes back are under the intervention. It has no density, since the columns that
        were set are points.
        """
        check_is_fitted(self, "space_")
        x, known = self.codec_.known(self.codec_.template(1, given), self.space_)
        x, known = drawn(x).reshape(-1).double(), known.reshape(-1)
        values = {i: float(x[i]) for i in known.nonzero()[:, 0].tolist()}
        nets = [self._net(g).cut(values) for g in range(len(self.keys_))]
        twin = copy.copy(self)
        twin.parents_ = [list(above) for above in nets[0].parents]
        twin.fixed_ = torch.where(known, x, self.fixed_)
        twin.intercept_, twin.weight_, twin.variance_ = (
            torch.stack([getattr(net, name) for net in nets]) for name in ("intercept", "weight", "variance")
        )
        return twin

    # -- the verbs' hooks ---------------------------------------------------------------------------------

    def _of_labels(self, y: Tensor | None, n: int) -> list[tuple[Tensor, LinearGaussian]]:
        """(rows, network) of each label among y."""
        group = group_index(y, self.keys_, n)
        return [((group == g).nonzero()[:, 0], self._net(g)) for g in group.unique().tolist()]

    def _log_prob(self, x: Tensor, y: Tensor | None) -> Tensor:
        if not bool(self.fixed_.isnan().all()):
            raise UsageError("A model under an intervention has no density, for what was set is a point: score the model itself.")
        data, out = x.reshape(len(x), -1).double(), torch.zeros(len(x), dtype=torch.float64)
        for rows, net in self._of_labels(y, len(x)):
            out[rows] = net.log_prob(data[rows])
        return out

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        known = (~self.fixed_.isnan()).expand(n, -1)
        if bool(known.any()):
            return self._complete(torch.zeros(n, *self.space_.shape), torch.zeros_like(known).view(n, *self.space_.shape), y)
        out = torch.empty(n, self.space_.size, dtype=torch.float64)
        for rows, net in self._of_labels(y, n):
            out[rows] = net.sample(len(rows))
        return out.view(n, *self.space_.shape).float()

    def _complete(self, x: Tensor, known: Tensor, y: Tensor | None) -> Tensor:
        data, mask = x.reshape(len(x), -1).double(), known.reshape(len(x), -1)
        held = ~self.fixed_.isnan() & ~mask
        data, mask = torch.where(held, self.fixed_, data), mask | held
        out = data.clone()
        for rows, net in self._of_labels(y, len(x)):
            mean, covariance = net.joint()
            scale = covariance.diagonal().sqrt()
            white = torch.where(mask[rows], (data[rows] - mean) / scale, 0.0)
            weight = torch.zeros(len(rows), 1, dtype=torch.float64)
            correlation = covariance / torch.outer(scale, scale)
            out[rows] = complete_normal(white, mask[rows], weight, torch.zeros_like(mean)[None], correlation[None]) * scale + mean
        return torch.where(known, x, out.reshape(x.shape).to(x.dtype))


def _first(x: Packed) -> list[Tensor]:
    """The first piece of the data."""
    return [drawn(next(iter(blocks(x))))]
