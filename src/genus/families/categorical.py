"""A mixture of products of categoricals: Bernoulli for binary entries, latent classes for a table's rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from genus.capability import Clusters, Conditional, Partial
from genus.errors import DataError, UsageError
from genus.maths.groups import group_index, groups_of
from genus.maths.kmeans import seeds
from genus.maths.products import Counts, Layout, Products
from genus.maths.quantise import Packed, drawn
from genus.space import Record
from genus.train.expect import Watch, expect
from genus.train.identity import identity
from genus.train.run import Run

COUNTS = (1, 2, 4, 8, 16, 32, 64)  # components tried when the user names none
TRIED_ON = 10_000
SEEDED_ON = 5_000


@dataclass(kw_only=True, eq=False, repr=False)
class CategoricalMixture(Clusters, Partial, Conditional):
    """A mixture of products: p(x) = Σₖ wₖ ∏ᵢ p(xᵢ | k); of Bernoullis where entries are binary, latent classes else.

    Given its component, an item's entries are independent categoricals; what they have in common is the component.
    EM fits it: the E-step is one matrix product, as is the M-step. A table is taken as it is, missing cells included
    (a value of their own). Anything may be known or missing: the rest is completed exactly.

    Parameters
    ----------
    components: how many; None tries 1, 2, 4 … 64 and keeps the best on held-out items.
    weights: "free" for the likelihood's maximum; "dirichlet" for variational Bayes, by which components that explain too
    little fade and are left out, so that `components` is only an upper bound.
    concentration: of the Dirichlet prior of such weights; the smaller, the fewer remain.
    init: a component starts near an item chosen far from the others ("kmeans++") or at "random".
    smoothing: imagined items a component, distributed as the margins, so that no value is impossible.
    steps: of EM at most. tol: it ends when an item's mean log-likelihood gains less, nats.
    restarts: runs from other starts, of which the best is kept. minutes: of fitting at most.

    Attributes
    ----------
    keys_: (g, m) the distinct conditions. log_label_: (g,) how frequent they were. log_weight_: (g, k), −∞ where a label
    has fewer components.
    log_p_: (g, k, levels of all entries), one entry's levels after the other's.

    Reference: P. Lazarsfeld and N. Henry 1968, Latent structure analysis; A. Corduneanu and C. Bishop 2001, Variational
    Bayesian model selection for mixture distributions, AISTATS;
    A. Dempster, N. Laird and D. Rubin 1977,
    https://doi.org/10.1111/j.2517-6161.1977.tb01600.x
    """

    accepts: ClassVar[tuple[str, ...]] = ("binary", "category", "record", "levels")

    components: int | None = None
    weights: Literal["free", "dirichlet"] = "free"
    concentration: float = 1e-2
    init: Literal["kmeans++", "random"] = "kmeans++"
    smoothing: float = 1.0
    steps: int = 100
    tol: float = 1e-4
    restarts: int = 1
    minutes: float | None = None

    def _check(self) -> None:
        for name, allowed in {"weights": ("free", "dirichlet"), "init": ("kmeans++", "random")}.items():
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name}={getattr(self, name)!r} is not one of {', '.join(allowed)}.")
        for name in ("components", "steps", "restarts"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name}={value} must be 1 or more.")
        if self.smoothing <= 0 or self.concentration <= 0:
            raise UsageError(f"smoothing and concentration must be positive, not {self.smoothing} and {self.concentration}.")

    # -- fitting ------------------------------------------------------------------------------------------

    @property
    def _layout(self) -> Layout:
        space = self.space_
        cells = [cell.levels for _, cell in space.fields] if isinstance(space, Record) else [space.levels or 2] * space.size
        return Layout(torch.tensor(cells))

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        data, layout = drawn(x).reshape(len(x), -1), self._layout
        self.keys_, group = groups_of(y, len(data))
        watch, labels = Watch(self.minutes), len(self.keys_)
        margins = layout.margins(data)
        fitted = []
        for g in range(labels):
            mine = data[group == g] if labels > 1 else data
            fitted.append(self._fit_one(mine, layout, margins, run, watch, labels - g))
        k = max(len(m.log_weight) for m in fitted)
        self.log_label_ = (torch.bincount(group, minlength=labels).double() / len(data)).log()
        self.log_weight_ = torch.full((labels, k), -torch.inf, dtype=torch.float64)
        self.log_p_ = margins.log().expand(labels, k, -1).clone()
        for i, m in enumerate(fitted):
            self.log_weight_[i, : len(m.log_weight)], self.log_p_[i, : len(m.log_weight)] = m.log_weight, m.log_p

    def _fit_one(self, x: Tensor, layout: Layout, margins: Tensor, run: Run, watch: Watch, labels: int) -> Products:
        """The mixture of one label's rows."""
        if self.components is not None and self.components > len(x):
            raise DataError(
                f"There are {self.components} components but only {len(x)} items of a kind: set components to {len(x)} or fewer."
            )
        k = self.components or self._choose_count(x, layout, margins, watch)
        best, kept = -math.inf, None
        for i in range(self.restarts):
            seconds = watch.share(self.restarts - i + self.restarts * (labels - 1))
            mixture, counts, history = self._climb(
                x, layout, margins, self._start(x, k, layout, margins), run, self.steps, seconds
            )
            if kept is None or history[-1]["log_prob"] > best:
                best, kept, self.history_ = history[-1]["log_prob"], self._settled(mixture, counts, layout, margins), history
        assert kept is not None
        return kept

    def _settled(self, mixture: Products, counts: Counts, layout: Layout, margins: Tensor) -> Products:
        """The mixture to keep: of a variational one the means, without the components that hold less than one item."""
        if self.weights == "free":
            return mixture
        alive = counts.count >= min(1.0, float(counts.count.max()))
        return layout.maximisation(Counts(counts.count[alive], counts.level[alive]), margins, self.smoothing, None)

    def _start(self, x: Tensor, k: int, layout: Layout, margins: Tensor) -> Products:
        """Equal weights; each component a quarter one item, three quarters the margins."""
        some = x[torch.randperm(len(x))[: max(SEEDED_ON, 4 * k)]]
        features = layout.features(some)[1:].T if not layout.wide else some.float()
        if self.init == "random" or k == 1:
            index = torch.randperm(len(some))[:k]
        else:
            chosen = seeds(features, k)
            index = torch.stack([(features - row).abs().sum(1).argmin() for row in chosen])
        log_p = (0.75 * margins).expand(k, -1).clone()
        log_p.scatter_add_(1, some[index].long() + layout.start, torch.full((k, len(layout.levels)), 0.25, dtype=torch.float64))
        return Products(torch.full((k,), -math.log(k), dtype=torch.float64), log_p.log())

    def _climb(
        self, x: Tensor, layout: Layout, margins: Tensor, mixture: Products, run: Run, steps: int, seconds: float | None
    ) -> tuple[Products, Counts, list[dict[str, Any]]]:
        """EM from `mixture` until it gains less than `tol`."""
        prior = self.concentration if self.weights == "dirichlet" else None
        counts = Counts(mixture.log_weight.exp() * len(x), mixture.log_p.exp())

        def step() -> float:
            nonlocal mixture, counts
            value, counts = layout.expectation(x, mixture)
            mixture = layout.maximisation(counts, margins, self.smoothing, prior)
            return value

        def keep() -> dict[str, Any]:
            return vars(mixture) | vars(counts)

        def restore(state: dict[str, Any]) -> None:
            nonlocal mixture, counts
            mixture = Products(state["log_weight"], state["log_p"])
            counts = Counts(state["count"], state["level"])

        me = identity(self, {}, x, None, 1) if run.folder else None
        history = expect(step, steps=steps, tol=self.tol, run=run, seconds=seconds, state=(keep, restore), identity=me)
        return mixture, counts, history

    def _choose_count(self, x: Tensor, layout: Layout, margins: Tensor, watch: Watch) -> int:
        """The number of components whose mixture, fitted to four fifths of some of the rows, gives the last fifth the most."""
        rows = x[torch.randperm(len(x))[:TRIED_ON]]
        held, rows = rows[: len(rows) // 5], rows[len(rows) // 5 :]
        best, chosen = -math.inf, 1
        for k in COUNTS:
            if k > 1 and (len(rows) < 5 * k or not len(held) or watch.share(1) == 0):
                break
            start = self._start(rows, k, layout, margins)
            mixture, counts, _ = self._climb(rows, layout, margins, start, Run(), 30, watch.share(2))
            mixture = self._settled(mixture, counts, layout, margins)
            value = float(torch.logsumexp(layout.log_joint(held, mixture), 1).mean()) if len(held) else 0.0
            if value <= best:
                break
            best, chosen = value, k
        return chosen

    def _freedom_of(self, k: int) -> int:
        layout = self._layout
        return k - 1 + k * (layout.total - len(layout.levels))

    # -- the verbs' hooks ---------------------------------------------------------------------------------

    def _freedom(self) -> int:
        return sum(self._freedom_of(int(torch.isfinite(weights).sum())) for weights in self.log_weight_)

    def _by_label(self, y: Tensor | None, n: int) -> list[tuple[Tensor, Products]]:
        """(rows, mixture) of each label among y."""
        group = group_index(y, self.keys_, n)
        return [((group == g).nonzero()[:, 0], Products(self.log_weight_[g], self.log_p_[g])) for g in group.unique().tolist()]

    def _log_joint(self, x: Tensor, y: Tensor | None) -> Tensor:
        """(n, g · k), the components of label 0, of label 1 …"""
        flat, (labels, k) = x.reshape(len(x), -1), self.log_weight_.shape
        if y is None:
            shares = zip(self.log_label_, self.log_weight_, self.log_p_, strict=True)
            return torch.cat([s + self._layout.log_joint(flat, Products(w, p)) for s, w, p in shares], 1)
        out = torch.full((len(x), labels, k), -torch.inf, dtype=torch.float64)
        group = group_index(y, self.keys_, len(x))
        for rows, mixture in self._by_label(y, len(x)):
            out[rows, group[rows[0]]] = self._layout.log_joint(flat[rows], mixture)
        return out.flatten(1)

    def _log_prob(self, x: Tensor, y: Tensor | None) -> Tensor:
        return torch.logsumexp(self._log_joint(x, y), 1)

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        x = torch.zeros(n, self.space_.size, dtype=torch.long)
        for rows, mixture in self._by_label(y, n):
            k = torch.multinomial(mixture.log_weight.exp(), len(rows), replacement=True)
            x[rows] = self._drawn(mixture.log_p, k)
        return x.reshape(n, *self.space_.shape).to(self.space_.dtype)

    def _drawn(self, log_p: Tensor, k: Tensor) -> Tensor:
        """Items (n, entries), each from its component k (n,)."""
        layout = self._layout
        columns = []
        for start, levels in zip(layout.start.tolist(), layout.levels.tolist(), strict=True):
            end = log_p[:, start : start + levels].exp().cumsum(1)
            point = torch.rand(len(k), 1, dtype=torch.float64) * end[k, -1:]
            columns.append((end[k] <= point).sum(1).clamp(max=levels - 1))
        return torch.stack(columns, 1)

    def _complete(self, x: Tensor, known: Tensor, y: Tensor | None) -> Tensor:
        flat, mask, layout = x.reshape(len(x), -1).long(), known.reshape(len(x), -1), self._layout
        out = flat.clone()
        for rows, mixture in self._by_label(y, len(x)):
            log_p, present = self._present(mixture.log_p, layout)
            joint = mixture.log_weight.expand(len(rows), -1).clone()
            for entry, start in enumerate(layout.start.tolist()):
                told = mixture.log_p[:, start + flat[rows, entry]].T
                joint += torch.where(mask[rows, entry, None], told, present[:, entry])
            k = torch.multinomial(joint.softmax(1), 1)[:, 0]
            out[rows] = torch.where(mask[rows], flat[rows], self._drawn(log_p, k))
        return out.reshape(x.shape).to(x.dtype)

    def _present(self, log_p: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
        """(log_p without the missing levels, log-probability (k, entries) that a component's cell is not missing)."""
        log_p, present = log_p.clone(), torch.zeros(len(log_p), len(layout.levels), dtype=torch.float64)
        if isinstance(self.space_, Record):
            for entry, (_, cell) in enumerate(self.space_.fields):
                if cell.missing is not None and cell.levels > 1:
                    at = int(layout.start[entry]) + cell.missing
                    present[:, entry] = torch.log1p(-log_p[:, at].exp().clamp(max=1 - 1e-12))
                    log_p[:, at] = -torch.inf
        return log_p, present
