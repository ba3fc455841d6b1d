"""A mixture of normals, fitted by expectation–maximisation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from genus.capability import Clusters, Conditional, Partial, Summable
from genus.errors import DataError, UsageError
from genus.maths.groups import group_index, groups_of
from genus.maths.kmeans import lloyd, nearest, seeds
from genus.maths.mixing import Mixture, Moments, expectation, hard_moments, maximisation, variation
from genus.maths.normal import complete_normal
from genus.maths.quantise import Packed, drawn
from genus.maths.statistics import Statistics
from genus.maths.stored import Mapped, Stored, blocks
from genus.train.expect import Watch, expect
from genus.train.identity import identity
from genus.train.run import Run

COUNTS = (1, 2, 4, 8, 16, 32)  # components tried when the user names none
TRIED_ON = 10_000
EXACT_STEPS = 3  # the last of so many steps are never in single precision where digits would be lost
ON_DISK = 200_000  # rows of data on disk that the start is made from


@dataclass(kw_only=True, eq=False, repr=False)
class GaussianMixture(Clusters, Partial, Summable, Conditional):
    """A mixture of normals: p(x) = Σₖ wₖ N(x | μₖ, Σₖ).

    The E-step gives every item its posterior over components, the M-step refits each component to its
    share; the likelihood never falls. Entries are standardised inside. A condition gets a mixture for
    each of its labels. Any part of an item is completed exactly, given the rest.

    Parameters
    ----------
    components: how many; None tries 1, 2, 4 … 32 and keeps the best by Schwarz's criterion.
    covariance: "full" matrices, one "tied" matrix, "diag"onal, or "spherical".
    weights: "free" for the likelihood's maximum; "dirichlet" for variational Bayes with full covariances, by which
    components that explain too little fade and are left out, so that `components` is only an upper bound.
    concentration: of the Dirichlet prior of such weights; the smaller, the fewer remain.
    init: where the means start: "kmeans++" (then Lloyd's steps) or "random" items.
    means: items to start from instead, in the type of X.
    steps: of EM at most. tol: it ends when an item's mean log-likelihood gains less, nats.
    regularise: how many imagined items an entry, of the whole data's variance, are mixed into each covariance.
    minutes: of fitting at most, half of them for the choice of how many components.
    restarts: runs from other starts, of which the best is kept.
    dtype: of the E-step's arithmetic; "auto" is single unless components are very narrow.

    Attributes
    ----------
    keys_: (g, m). log_label_: (g,) how frequent they were. centre_, scale_: (d,). log_weight_: (g, k), −∞ where a label has
    fewer components.
    mean_: (g, k, d). covariance_: (g, k, d, d), or (g, k, d) variances; all standardised.

    Reference: A. Dempster, N. Laird and D. Rubin 1977, Maximum likelihood from incomplete data via the EM
    algorithm, https://doi.org/10.1111/j.2517-6161.1977.tb01600.x; H. Attias 2000, A variational Bayesian framework for
    graphical models, https://papers.nips.cc/paper/1726; G. Schwarz 1978, Estimating the
    dimension of a model, https://doi.org/10.1214/aos/1176344136
    """

    accepts: ClassVar[tuple[str, ...]] = ("real",)

    components: int | None = None
    covariance: Literal["full", "tied", "diag", "spherical"] = "full"
    weights: Literal["free", "dirichlet"] = "free"
    concentration: float = 1e-2
    init: Literal["kmeans++", "random"] = "kmeans++"
    means: Any = None
    steps: int = 100
    tol: float = 1e-4
    regularise: float = 0.02
    minutes: float | None = None
    restarts: int = 1
    dtype: Literal["auto", "float32", "float64"] = "auto"

    def _check(self) -> None:
        choices = {"covariance": ("full", "tied", "diag", "spherical"), "init": ("kmeans++", "random"),
                   "dtype": ("auto", "float32", "float64"), "weights": ("free", "dirichlet")}  # fmt: skip
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name}={getattr(self, name)!r} is not one of {', '.join(allowed)}.")
        for name in ("components", "steps", "restarts"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name}={value} must be 1 or more.")
        if self.weights == "dirichlet" and (self.covariance != "full" or self.concentration <= 0):
            raise UsageError("weights='dirichlet' wants full covariances and a positive concentration.")
        if self.regularise < 0:
            raise UsageError(f"regularise={self.regularise} must be 0 or more.")
        if self.means is not None and self.components not in (None, len(self.means)):
            raise UsageError(f"means gives {len(self.means)} components but components={self.components}: leave one out.")

    # -- fitting ------------------------------------------------------------------------------------------

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        size = self.space_.size
        if self._full and size > 4096:
            raise DataError(f"An item has {size} entries, too many (over 4096) for full covariances: set covariance='diag'.")
        x = x if isinstance(x, Stored) else drawn(x)
        self.centre_, self.scale_ = _spread(x)
        data = self._standardised(x)
        self.keys_, group = groups_of(y, 0 if y is None else len(x))
        fitted, counts, watch, labels = [], [], Watch(self.minutes), len(self.keys_)
        for g in range(labels):
            mine = data[(group == g).nonzero()[:, 0]] if labels > 1 else data
            counts.append(len(mine))
            fitted.append(self._fit_one(mine, run, watch, labels - g))
        self.log_label_ = (torch.tensor(counts, dtype=torch.float64) / sum(counts)).log()
        self._keep(fitted)

    def _standardised(self, x: Tensor | Stored) -> Tensor | Mapped:
        """x as rows about `centre_` in units of `scale_`, undone when it is read from disk."""
        kind = torch.float64 if self.dtype == "float64" else torch.float32

        def change(rows: Tensor) -> Tensor:
            return ((rows.reshape(len(rows), -1).double() - self.centre_) / self.scale_).to(kind)

        return change(x) if isinstance(x, Tensor) else Mapped(x, change)

    @property
    def _full(self) -> bool:
        return self.covariance in ("full", "tied")

    @property
    def _prior(self) -> float:
        return self.regularise * (len(self.centre_) if self._full else 1)

    def _fit_one(self, x: Tensor | Mapped, run: Run, watch: Watch, labels: int) -> Mixture:
        """The mixture of one label's rows, in an equal share of the time for the labels still to fit."""
        k = self.components if self.means is None else len(self.means)
        if k is not None and k > len(x):
            raise DataError(f"There are {k} components but only {len(x)} items of a kind: set components to {len(x)} or fewer.")
        k = k or self._choose_count(x, run, Watch(None if (half := watch.share(2 * labels)) is None else half / 60 + 1e-9))
        best, mixture = -math.inf, None
        starts = 1 if self.means is not None else self.restarts
        for i in range(starts):
            parts = starts - i + starts * (labels - 1)
            candidate, history = self._climb(x, self._start(x, k), run, self.steps, watch.share(parts))
            value = expectation(x, candidate, dtype=self._arithmetic)[0] if starts > 1 else 0.0
            if mixture is None or value > best:
                best, mixture, self.history_ = value, candidate, history
        assert mixture is not None
        return mixture

    def _choose_count(self, x: Tensor | Mapped, run: Run, watch: Watch) -> int:
        """The number of components with the least Schwarz criterion −2 log L + p log n on some of the rows."""
        rows = x[torch.randperm(len(x))[: max(1000, min(TRIED_ON, 10**9 // x.shape[1] ** 2))]]
        best, chosen, worse = math.inf, 1, 0
        for k in COUNTS:
            if k > 1 and (len(rows) < 5 * k or watch.share(1) == 0):
                break
            aloud = Run(progress=run.progress, json=run.json)
            mixture, _ = self._climb(rows, self._start(rows, k), aloud, 30, watch.share(1))
            loglik = expectation(rows, mixture, dtype=self._arithmetic)[0] * len(rows)
            value = -2 * loglik + self._freedom_of(k, x.shape[1]) * math.log(len(rows))
            worse = 0 if value < best else worse + 1
            if value < best:
                best, chosen = value, k
            if worse == 2:
                break
        return chosen

    def _freedom_of(self, k: int, d: int) -> int:
        """Free parameters of a mixture."""
        matrix = d * (d + 1) // 2
        return k - 1 + k * d + {"full": k * matrix, "tied": matrix, "diag": k * d, "spherical": k}[self.covariance]

    def _start(self, x: Tensor | Mapped, k: int) -> Mixture:
        """Every row (of data on disk, some) given to its nearest first mean, then one M-step."""
        x = x if isinstance(x, Tensor) else x[torch.randperm(len(x))[:ON_DISK]]
        if self.means is not None:
            means = drawn(self.codec_.pack(self.means, self.space_)).reshape(k, -1).double()
            means = ((means - self.centre_) / self.scale_).to(x.dtype)
        elif self.init == "random":
            means = x[torch.randperm(len(x))[:k]]
        else:
            some = x[torch.randperm(len(x))[: max(20_000, 20 * k)]]
            means = lloyd(some, seeds(some, k))
        return maximisation(hard_moments(x, nearest(x, means), k, self._full), self.covariance, self._prior)

    @property
    def _arithmetic(self) -> torch.dtype | None:
        return {"auto": None, "float32": torch.float32, "float64": torch.float64}[self.dtype]

    def _climb(
        self, x: Tensor | Mapped, mixture: Mixture, run: Run, steps: int, seconds: float | None
    ) -> tuple[Mixture, list[dict[str, Any]]]:
        """EM from `mixture` until it gains less than `tol`.

        Early steps need no digits: by default they are in single precision until little is gained.
        """
        done, last, gain, settled = 0, -math.inf, math.inf, mixture
        variational = self.weights == "dirichlet"

        def step() -> float:
            nonlocal mixture, settled, done, last, gain
            early = self.dtype == "auto" and done < steps - EXACT_STEPS and gain > max(10 * self.tol, 1e-3)
            value, sums = expectation(x, mixture, dtype=self._arithmetic, rough=early)
            if variational:
                mixture, settled = variation(sums, self.concentration)
            else:
                mixture = settled = maximisation(sums, self.covariance, self._prior)
            done, gain, last = done + 1, abs(value - last), value
            return value

        def restore(state: dict[str, Any]) -> None:
            nonlocal mixture
            mixture = Mixture(**state)

        def keep() -> dict[str, Any]:
            return dict(vars(mixture))

        me = identity(self, {}, x, None, 1) if run.folder else None  # pyright: ignore[reportArgumentType]
        history = expect(step, steps=steps, tol=self.tol, run=run, seconds=seconds, state=(keep, restore), identity=me)
        return settled if done else mixture, history

    def _keep(self, fitted: list[Mixture]) -> None:
        """Stack the labels' mixtures, the shorter ones filled up with components of no weight."""
        k = max(len(m.mean) for m in fitted)
        g, shape = len(fitted), fitted[0].covariance.shape[1:]
        self.log_weight_ = torch.full((g, k), -torch.inf, dtype=torch.float64)
        self.mean_ = torch.zeros(g, k, *fitted[0].mean.shape[1:], dtype=torch.float64)
        one = torch.eye(shape[0], dtype=torch.float64) if len(shape) == 2 else torch.ones(shape, dtype=torch.float64)
        self.covariance_ = one.repeat(g, k, *[1] * len(shape))
        for i, m in enumerate(fitted):
            size = len(m.mean)
            self.log_weight_[i, :size], self.mean_[i, :size], self.covariance_[i, :size] = m.log_weight, m.mean, m.covariance

    # -- sums over items ----------------------------------------------------------------------------------

    def _summarize(self, x: Packed, y: Tensor | None) -> Statistics:
        """Each label's Σ 1, Σ log p and, under the responsibilities, Σ r, Σ r x, Σ r x xᵀ: an E-step."""
        data = self._standardised(x if isinstance(x, Stored) else drawn(x))
        group = None if y is None else group_index(y, self.keys_, len(x))
        sums = {
            "items": torch.zeros(len(self.keys_), dtype=torch.float64),
            "log_prob": torch.zeros(len(self.keys_), dtype=torch.float64),
            "count": torch.zeros_like(self.log_weight_),
            "first": torch.zeros_like(self.mean_),
            "second": torch.zeros_like(self.covariance_),
        }
        for g, mixture in enumerate(self._fitted):
            mine = data if group is None else data[(group == g).nonzero()[:, 0]]
            if len(mine):
                value, moments = expectation(mine, mixture, dtype=self._arithmetic)
                k = len(mixture.mean)
                sums["items"][g] = len(mine)
                sums["log_prob"][g] = len(mine) * (value - float(self.scale_.log().sum()))
                for name in ("count", "first", "second"):
                    sums[name][g, :k] = getattr(moments, name)
        return Statistics(sums)

    def _update(self, statistics: Statistics) -> None:
        """One M-step; a label that the sums saw nothing of stays as it is."""
        items, count, first, second = (statistics.sums[name] for name in ("items", "count", "first", "second"))
        fitted = self._fitted
        for g, k in enumerate(len(m.mean) for m in fitted):
            if items[g] > 0:
                moments = Moments(count[g, :k], first[g, :k], second[g, :k])
                fitted[g] = maximisation(moments, self.covariance, self._prior)
        self._keep(fitted)

    @property
    def _fitted(self) -> list[Mixture]:
        """Each label's mixture, without the components of no weight."""
        kept = [w > -torch.inf for w in self.log_weight_]
        return [Mixture(self.log_weight_[g, i], self.mean_[g, i], self.covariance_[g, i]) for g, i in enumerate(kept)]

    # -- the verbs' hooks ---------------------------------------------------------------------------------

    def _mixtures(self, y: Tensor | None, n: int) -> list[tuple[Tensor, Mixture]]:
        """(rows, mixture) of each label among y."""
        group = group_index(y, self.keys_, n)
        return [((group == g).nonzero()[:, 0], Mixture(self.log_weight_[g], self.mean_[g], self.covariance_[g]))
                for g in group.unique().tolist()]  # fmt: skip

    def _freedom(self) -> int:
        d = len(self.centre_)
        return sum(self._freedom_of(int(torch.isfinite(weights).sum()), d) for weights in self.log_weight_)

    def _log_joint(self, x: Tensor, y: Tensor | None) -> Tensor:
        """(n, g · k), the components of label 0, of label 1 …"""
        z = (x.reshape(len(x), -1).double() - self.centre_) / self.scale_
        (labels, k), volume = self.log_weight_.shape, self.scale_.log().sum()
        if y is None:
            shares = zip(self.log_label_, self.log_weight_, self.mean_, self.covariance_, strict=True)
            return torch.cat([share + Mixture(*parts).log_joint(z) - volume for share, *parts in shares], 1)
        out = torch.full((len(x), labels, k), -torch.inf, dtype=torch.float64)
        group = group_index(y, self.keys_, len(x))
        for rows, mixture in self._mixtures(y, len(x)):
            out[rows, group[rows[0]]] = mixture.log_joint(z[rows]) - volume
        return out.flatten(1)

    def _log_prob(self, x: Tensor, y: Tensor | None) -> Tensor:
        return torch.logsumexp(self._log_joint(x, y), 1)

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        z = torch.empty(n, len(self.centre_), dtype=torch.float64)
        for rows, mixture in self._mixtures(y, n):
            z[rows] = mixture.draw(len(rows))
        return (z * self.scale_ + self.centre_).reshape(n, *self.space_.shape).float()

    def _complete(self, x: Tensor, known: Tensor, y: Tensor | None) -> Tensor:
        z = (x.reshape(len(x), -1).double() - self.centre_) / self.scale_
        mask = known.reshape(len(x), -1)
        for rows, mixture in self._mixtures(y, len(z)):
            matrices = mixture.covariance if mixture.full else torch.diag_embed(mixture.covariance)
            weight = mixture.log_weight.expand(len(rows), -1)
            z[rows] = complete_normal(z[rows], mask[rows], weight, mixture.mean, matrices)
        filled = (z * self.scale_ + self.centre_).reshape(x.shape).float()
        return torch.where(known, x, filled)


def _spread(x: Tensor | Stored) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every entry, (d,) each; data on disk are read once."""
    if isinstance(x, Tensor):
        rows = x.reshape(len(x), -1).double()
        return rows.mean(0), rows.std(0, correction=0).clamp_min(1e-9)
    origin = x[slice(0, 1)].reshape(-1).double()
    first, second = torch.zeros_like(origin), torch.zeros_like(origin)
    for piece in blocks(x):
        rows = piece.reshape(len(piece), -1).double() - origin
        first += rows.sum(0)
        second += rows.square().sum(0)
    mean = first / len(x)
    return origin + mean, (second / len(x) - mean.square()).clamp_min(0).sqrt().clamp_min(1e-9)
