"""A Bayesian network of discrete and real cells: tables for the ones, regressions chosen by discrete parents for the others."""

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
from genus.maths.conditionalgaussian import ConditionalGaussian, Regression
from genus.maths.groups import group_index, groups_of
from genus.maths.learning import limited, smoothed
from genus.maths.mixedscores import MixedScores
from genus.maths.network import Network
from genus.maths.ordered import point
from genus.maths.quantise import Packed, drawn
from genus.maths.statistics import Statistics
from genus.maths.stored import blocks
from genus.maths.structure import Rules, checked, climb, given_parents, named_arcs
from genus.space import Mixed
from genus.train.run import Run

SEARCHED = 200_000  # rows that the graph is searched on
NONE = float("nan")


@dataclass(kw_only=True, eq=False, repr=False)
class MixedNetwork(Density, Partial, Summable, Conditional, Graphical):
    """A conditional Gaussian network: p(s, x) = ∏ p(sᵢ | parents) ∏ N(xⱼ | a_c + Σ b_cj xⱼ, σ_c²), c a state of discrete parents.

    Labels are discrete; so are numbers of at most twelve values. Other numbers are real, as normal scores of their columns. A
    real cell is a regression on its real parents, with coefficients and a variance of their own for each state of its discrete
    ones; no discrete cell has a real parent. The graph is searched for, or given. Any part of an item is completed from the joint
    distribution given the rest: the states of unknown discrete cells are weighed one by one, exactly, while there are at most
    4096, else by importance sampling. A condition gives every table and regression a version for each label.

    Parameters
    ----------
    structure: "climb" (hill climbing with a tabu list), "given" (`edges` and no others).
    edges: pairs (from, to) of columns: all arcs where the structure is given, else arcs it must have.
    forbidden: pairs (from, to) it must not have.
    criterion: what the climb maximises: "bic" or "aic".
    parents: the most a cell may have.
    cells: numbers of the largest table or set of regressions of the climb.
    tabu: steps that must not be undone, and how many without gain end the climb.
    prior: imagined rows, like all rows, in every regression.
    smoothing: pseudo-observations a row of a table, spread as the cell's own frequencies.

    Attributes
    ----------
    keys_: (g, m) the distinct conditions. discrete_, real_: which cells are. parents_: of each cell, discrete ones first.
    tables_: (g, parents' states …, states) of each discrete cell. intercept_, variance_: (g, states) and weight_: (g, states,
    real parents) of each real cell. origin_, scale_: (real,) what sums are taken about. fixed_: (cells,) what `do` set, else NaN.

    Reference: S. Lauritzen 1992, Propagation of probabilities, means and variances in mixed graphical association models,
    https://doi.org/10.1080/01621459.1992.10476265
    """

    accepts: ClassVar[tuple[str, ...]] = ("mixed", "real")

    structure: Literal["climb", "given"] = "climb"
    edges: Any = None
    forbidden: Any = None
    criterion: Literal["bic", "aic"] = "bic"
    parents: int = 5
    cells: int = 100_000
    tabu: int = 5
    prior: float = 1.0
    smoothing: float = 1.0

    def _check(self) -> None:
        choices = {"structure": ("climb", "given"), "criterion": ("bic", "aic")}
        checked(self, choices, {"parents": 1, "cells": 1, "tabu": 0, "smoothing": 0})

    # -- fitting ------------------------------------------------------------------------------------------

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        if self.space_.size > 2048:
            raise UsageError(f"An item has {self.space_.size} entries, too many (over 2048) for this family: take a flow.")
        real = self.space_.real if isinstance(self.space_, Mixed) else [True] * self.space_.size
        self.discrete_, self.real_ = ([i for i, is_real in enumerate(real) if is_real == wanted] for wanted in (False, True))
        self.keys_ = groups_of(y, 0 if y is None else len(x))[0]
        self.fixed_ = torch.full((self.space_.size,), NONE, dtype=torch.float64)
        some = torch.arange(len(x)) if len(x) <= SEARCHED else torch.randperm(len(x))[:SEARCHED].sort().values
        codes, reals = self._split(drawn(x[some]))
        self.origin_, self.scale_ = reals.mean(0), reals.std(0, correction=0)
        self.scale_ = torch.where(self.scale_ > 1e-12, self.scale_, 1.0)
        label = group_index(y, self.keys_, len(x))[some]
        self.parents_ = [list(above) for above in self._search(codes, reals, label)]
        limited(self.parents_[: len(self._sizes)], self._sizes, self._names, len(self.keys_))
        self._update(self._summarize(x, y))

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(codes (n, discrete), reals (n, real)) of packed items."""
        flat = x.reshape(len(x), -1)
        return flat[:, self.discrete_].round().long(), flat[:, self.real_].double()

    def _joined(self, codes: Tensor, reals: Tensor) -> Tensor:
        """The inverse of `_split`."""
        out = torch.empty(len(codes), self.space_.size, dtype=torch.float64)
        out[:, self.discrete_], out[:, self.real_] = codes.double(), reals
        return out.view(len(codes), *self.space_.shape).to(self.space_.dtype)

    @property
    def _sizes(self) -> list[int]:
        return [self.space_.fields[i][1].levels for i in self.discrete_] if isinstance(self.space_, Mixed) else []

    def _graph(self) -> tuple[list[str], list[list[int]]]:
        return self._names, self.parents_

    @property
    def _names(self) -> list[str]:
        """The cells as they are numbered here: discrete ones first."""
        labels = self.codec_.labels(self.space_)
        return [str(labels[i]) for i in (*self.discrete_, *self.real_)]

    def _search(self, codes: Tensor, reals: Tensor, label: Tensor) -> Sequence[Sequence[int]]:
        """The parents of each cell."""
        names, k = self._names, len(self.discrete_)
        required, forbidden = named_arcs(self.edges, names, "edges"), named_arcs(self.forbidden, names, "forbidden")
        if wrong := [(names[a], names[b]) for a, b in required if a >= k > b]:
            raise UsageError(f"The arc {wrong[0][0]} → {wrong[0][1]} leads from a real cell to a discrete one: turn it round.")
        given = given_parents(required, forbidden, names)
        if self.structure == "given":
            return given
        barred = [(a, b) for a in range(k, len(names)) for b in range(k)]
        white = ((reals - self.origin_) / self.scale_).numpy()
        scores = MixedScores(codes.numpy(), self._sizes, white, label.numpy(), self.criterion, self.cells, self.prior)
        return climb(scores, Rules(required, [*forbidden, *barred], self.parents), tabu=self.tabu)

    def _of_real(self, i: int) -> tuple[list[int], list[int]]:
        """(discrete parents, real parents as places among the reals) of the i-th real cell."""
        k = len(self.discrete_)
        above = sorted(self.parents_[k + i])
        return [p for p in above if p < k], [p - k for p in above if p >= k]

    def _summarize(self, x: Packed, y: Tensor | None) -> Statistics:
        """Counts of every table's entries; sums of products of every regression's variables about `origin_`, in `scale_`."""
        g, sizes, at = len(self.keys_), self._sizes, 0
        sums: dict[str, Tensor] = {}
        label = group_index(y, self.keys_, len(x))
        for piece in blocks(x):
            codes, reals = self._split(drawn(piece))
            mine, white = label[at : at + len(piece)], (reals - self.origin_) / self.scale_
            at += len(piece)
            for i, size in enumerate(sizes):
                row, rows = self._row(self.parents_[i], codes, mine)
                found = torch.bincount(row * size + codes[:, i], minlength=g * rows * size)
                sums[f"count {i}"] = sums.get(f"count {i}", 0) + found
            for i in range(len(self.real_)):
                switches, above = self._of_real(i)
                row, rows = self._row(switches, codes, mine)
                columns = torch.cat([torch.ones(len(white), 1, dtype=torch.float64), white[:, [*above, i]]], 1)
                products = (columns[:, :, None] * columns[:, None]).flatten(1)
                found = torch.zeros(g * rows, products.shape[1], dtype=torch.float64).index_add_(0, row, products)
                sums[f"moment {i}"] = sums.get(f"moment {i}", 0) + found
        return Statistics(sums)

    def _row(self, above: Sequence[int], codes: Tensor, label: Tensor) -> tuple[Tensor, int]:
        """(the joint state of the label and some discrete cells, states without labels)."""
        row, rows = label.clone(), 1
        for p in above:
            row, rows = row * self._sizes[p] + codes[:, p], rows * self._sizes[p]
        return row, rows

    def _update(self, statistics: Statistics) -> None:
        """Tables and regressions from their sums."""
        g, sizes = len(self.keys_), self._sizes
        self.tables_, self.intercept_, self.weight_, self.variance_ = [], [], [], []
        for i, size in enumerate(sizes):
            counts = statistics.sums[f"count {i}"].double().view(g, -1, size)
            self.tables_.append(smoothed(counts, self.smoothing).view(g, *(sizes[p] for p in self.parents_[i]), size))
        for i in range(len(self.real_)):
            _, above = self._of_real(i)
            m = len(above) + 2
            found = _regressed(statistics.sums[f"moment {i}"].view(-1, m, m), self.prior)
            intercept, weight, variance = (t.unflatten(0, (g, len(t) // g)) for t in found)
            weight = weight * self.scale_[i] / self.scale_[above]
            self.weight_.append(weight)
            self.intercept_.append(self.origin_[i] + self.scale_[i] * intercept - weight @ self.origin_[above])
            self.variance_.append(variance * self.scale_[i] ** 2)

    # -- the network --------------------------------------------------------------------------------------

    def network(self, y: Any = None) -> ConditionalGaussian:
        """The fitted graph, tables and regressions, reals in packed units: those of an array, normal scores of a table.

        Parameters
        ----------
        y: the label whose version is meant, where the model was fitted with a condition.
        """
        check_is_fitted(self, "space_")
        return self._net(int(group_index(self._conditions(1, y), self.keys_, 1)[0]))

    def _net(self, g: int) -> ConditionalGaussian:
        k, names = len(self.discrete_), self._names
        words = [self.codec_.words(self.space_, i) for i in self.discrete_] if isinstance(self.space_, Mixed) else []
        discrete = Network(names[:k], words, self.parents_[:k], [t[g] for t in self.tables_])
        parts = zip(self.intercept_, self.weight_, self.variance_, strict=True)
        nodes = [Regression(*self._of_real(i), a[g], b[g], v[g]) for i, (a, b, v) in enumerate(parts)]
        return ConditionalGaussian(discrete, names[k:], nodes)

    def do(self, given: Any) -> Self:
        """The model under an intervention: the columns in `given`, {column: value}, set whatever their causes say.

        Sampling and completing the copy that comes back are under the intervention. It has no density where a real column was
        set, since that is a point.
        """
        check_is_fitted(self, "space_")
        x, known = self.codec_.known(self.codec_.template(1, given), self.space_)
        x, known = drawn(x).reshape(-1).double(), known.reshape(-1)
        twin, k = copy.copy(self), len(self.discrete_)
        for name in ("parents_", "tables_", "intercept_", "weight_", "variance_"):
            setattr(twin, name, list(getattr(self, name)))
        twin.fixed_ = torch.where(known, x, self.fixed_)
        one = torch.ones(len(self.keys_), 1, dtype=torch.float64)
        for i, cell in enumerate((*self.discrete_, *self.real_)):
            if known[cell]:
                twin.parents_[i] = []
            if known[cell] and i < k:
                twin.tables_[i] = point(self._sizes[i], round(float(x[cell]))).expand(len(self.keys_), -1).clone()
            elif known[cell]:
                twin.intercept_[i - k], twin.variance_[i - k], twin.weight_[i - k] = one * x[cell], one, one[:, :, None][:, :, :0]
        return twin

    # -- the verbs' hooks ---------------------------------------------------------------------------------

    def _of_labels(self, y: Tensor | None, n: int) -> list[tuple[Tensor, ConditionalGaussian]]:
        """(rows, network) of each label among y."""
        group = group_index(y, self.keys_, n)
        return [((group == g).nonzero()[:, 0], self._net(g)) for g in group.unique().tolist()]

    def _log_prob(self, x: Tensor, y: Tensor | None) -> Tensor:
        if not bool(self.fixed_[self.real_].isnan().all()):
            raise UsageError("A model under an intervention has no density, for what was set is a point: score the model itself.")
        codes, reals = self._split(x)
        out = torch.zeros(len(x), dtype=torch.float64)
        for rows, net in self._of_labels(y, len(x)):
            out[rows] = net.log_prob(codes[rows], reals[rows])
        return out

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        codes, reals = torch.zeros(n, len(self.discrete_), dtype=torch.long), torch.zeros(n, len(self.real_), dtype=torch.float64)
        if bool((~self.fixed_.isnan()).any()):
            empty = self._joined(codes, reals)
            return self._complete(empty, torch.zeros_like(empty, dtype=torch.bool), y)
        for rows, net in self._of_labels(y, n):
            codes[rows], reals[rows] = net.sample(len(rows))
        return self._joined(codes, reals)

    def _complete(self, x: Tensor, known: Tensor, y: Tensor | None) -> Tensor:
        data, mask = x.reshape(len(x), -1).double(), known.reshape(len(x), -1)
        held = ~self.fixed_.isnan() & ~mask
        (codes, reals), seen = self._split(torch.where(held, self.fixed_, data)), mask | held
        for rows, net in self._of_labels(y, len(x)):
            parts = seen[rows][:, self.discrete_], seen[rows][:, self.real_]
            codes[rows], reals[rows] = net.complete(codes[rows], reals[rows], parts, self._weights())
        return torch.where(known, x, self._joined(codes, reals))

    def _weights(self) -> list[Tensor]:
        """What multiplies an unknown discrete cell's distribution: 0 at "missing"."""
        out = [torch.ones(size, dtype=torch.float64) for size in self._sizes]
        if isinstance(self.space_, Mixed):
            for weight, i in zip(out, self.discrete_, strict=True):
                if (missing := self.space_.fields[i][1].missing) is not None:
                    weight[missing] = 0.0
        return out


def _regressed(sums: Tensor, prior: float) -> tuple[Tensor, Tensor, Tensor]:
    """(intercepts (c,), weights (c, k), variances (c,)) of the last variable on the others, from sums of products (c, k+2, k+2).

    Each state's sums are mixed with `prior` rows like all rows, and those with a millionth of independence.
    """
    whole = sums.sum(0)
    whole = whole / whole[0, 0].clamp_min(1)
    whole = whole + 1e-6 * torch.diag(whole.diagonal() + 1e-12)
    mixed = sums + prior * whole
    b = torch.linalg.solve(mixed[:, :-1, :-1], mixed[:, :-1, -1:])
    rest = mixed[:, -1, -1] - (mixed[:, :-1, -1:] * b).sum((1, 2))
    variance = rest / (sums[:, 0, 0] + prior)
    return b[:, 0, 0], b[:, 1:, 0], variance.clamp_min(1e-12)
