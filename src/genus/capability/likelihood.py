"""What a family knows of the likelihood of an item, and in which sense."""

from __future__ import annotations

import functools
import operator
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
import pandas as pd
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from genus import dice
from genus.data.stream import Chunks, opened
from genus.data.table import TableCodec
from genus.data.text import TextCodec
from genus.errors import UsageError
from genus.maths.particles import Items as Unfolded
from genus.maths.quantise import Packed, drawn
from genus.maths.statistics import Statistics
from genus.model import Model


@dataclass(kw_only=True, eq=False, repr=False)
class Density(Model):
    """The family knows log p of a packed item exactly."""

    @abstractmethod
    def _log_prob(self, x: Tensor, y: Tensor | None) -> Tensor:
        """log p(x | y) in nats, (n,)."""

    @property
    def exact(self) -> bool:
        """False where the data were dequantised or cut into learnt tokens: then the density only bounds the probability."""
        check_is_fitted(self, "space_")
        return self.codec_.exact(self.space_)

    @final
    def log_prob(self, X: Any, y: Any = None) -> np.ndarray:
        """Exact log-likelihood of each item, (n,), nats, in the units of X.

        Raises UsageError where discrete data were made real by dequantisation: there only
        `log_prob_bound` can be given.
        """
        if not self.exact:
            raise UsageError(
                f"{type(self).__name__} sees this {self.codec_.kind} data through {self.codec_.inexact()}, so that "
                "log_prob would not be exact: use log_prob_bound."
            )
        x, c = self._packed(X, y)
        return self._each(self._log_prob, x, c, X).numpy()

    @final
    def log_prob_bound(self, X: Any, y: Any = None, *, draws: int = 8, seed: int = 0) -> np.ndarray:
        """A lower bound, in expectation, of each item's log-likelihood: log of the mean density over `draws` dequantisations."""
        check_is_fitted(self, "space_")
        with dice.private(seed):
            x, c = self._packed(X, y)
            times = draws if self.codec_.noisy(self.space_) else 1
            each = torch.stack([self._each(self._log_prob, x, c, X) for _ in range(times)])
        return (torch.logsumexp(each, 0) - np.log(len(each))).numpy()

    @final
    def score(self, X: Any, y: Any = None) -> float:
        """Mean log-likelihood an item, exact or bound as the data allow; what scikit-learn's searches maximise."""
        y = y if getattr(self, "condition_", None) is not None else None
        return float(np.mean(self.log_prob(X, y) if self.exact else self.log_prob_bound(X, y)))


@dataclass(kw_only=True, eq=False, repr=False)
class Factored(Density):
    """The family's log p is a sum over the cells of an item: log p(x) = Σᵢ log p(xᵢ | cells before it)."""

    @abstractmethod
    def _log_prob_cells(self, x: Tensor, y: Tensor | None) -> Tensor:
        """The terms in the order of the packed cells, (n, cells), nats."""

    @final
    def _log_prob(self, x: Tensor, y: Tensor | None) -> Tensor:
        return self._log_prob_cells(x, y).double().sum(1)

    @final
    def log_prob_by(self, X: Any, y: Any = None) -> Any:
        """Exact nats by column of a table, a DataFrame (n, columns) whose rows sum to `log_prob`: what explains an anomaly.

        Of texts a list of Series, the nats of each token, which is its label; ␃ stands for the end.

        Raises UsageError for data that are neither.
        """
        check_is_fitted(self, "space_")
        codec = self.codec_
        if isinstance(codec, TextCodec):
            return self._by_token(X, y, codec)
        if not isinstance(codec, TableCodec):
            raise UsageError(f"log_prob_by wants a table or texts, but the model was fitted on {codec.kind} data: use log_prob.")
        x, c = self._packed(X, y)
        owner = torch.tensor(codec.owners(self.space_))
        total = torch.zeros(len(x), len(codec.names_), dtype=torch.float64)
        with dice.private(0), torch.no_grad():
            for i in torch.arange(len(x)).split(self.chunk):
                each = self._log_prob_cells(drawn(x[i]), None if c is None else c[i]).double().cpu()
                total[i] = torch.zeros(len(i), total.shape[1], dtype=torch.float64).index_add_(1, owner, each)
                total[i] -= codec.log_volumes(drawn(x[i]), self.space_)
        tails = codec.log_tails(X, self.space_)
        total = total if tails is None else total + tails
        return pd.DataFrame(total.numpy(), columns=pd.Index(codec.names_), index=getattr(X, "index", None))

    def _by_token(self, X: Any, y: Any, codec: TextCodec) -> list[pd.Series]:
        out = []
        x, c = self._packed(X, y)
        with torch.no_grad():
            for i in torch.arange(len(x)).split(self.chunk):
                each = self._log_prob_cells(drawn(x[i]), None if c is None else c[i]).double().cpu().numpy()
                words = [codec.spelt(row) for row in drawn(x[i])]
                out += [pd.Series(row[: len(w)], index=w) for row, w in zip(each, words, strict=True)]
        return out


@dataclass(kw_only=True, eq=False, repr=False)
class Sequential(Density):
    """The family reads items entry by entry, p(entry | entries before it): what a lossless code needs."""

    @abstractmethod
    def _unfold(self, n: int, y: Tensor | None) -> tuple[Unfolded, list[int]]:
        """n items of which nothing is set, and which entry of a flat item each step sets; no temperature."""


@dataclass(kw_only=True, eq=False, repr=False)
class Clusters(Density):
    """The family's items fall into groups: predict, predict_proba, aic and bic, as scikit-learn's mixtures have them."""

    @abstractmethod
    def _log_joint(self, x: Tensor, y: Tensor | None) -> Tensor:
        """log p(x, k | y) of items and components, (n, k), −∞ where a label lacks one; the labels' own side by side without y."""

    @abstractmethod
    def _freedom(self) -> int:
        """Free parameters."""

    @final
    def predict_proba(self, X: Any, y: Any = None) -> np.ndarray:
        """p(k | x): the probability of each component given each item, (n, k).

        A model fitted with a condition has components of every label, k of the first, k of the second …; without y an item
        may be of any.
        """
        check_is_fitted(self, "space_")
        x, c = (self._packed_items(X), None) if y is None else self._packed(X, y)
        rows = torch.arange(len(x)).split(self.chunk)
        with dice.private(0), torch.no_grad():
            parts = [self._log_joint(x[i], None if c is None else c[i]).softmax(1).cpu() for i in rows]
        return torch.cat(parts).numpy()

    @final
    def predict(self, X: Any, y: Any = None) -> np.ndarray:
        """The likeliest component of each item, (n,), integers; of equally likely ones the first."""
        return self.predict_proba(X, y).round(9).argmax(1)

    @final
    def bic(self, X: Any, y: Any = None) -> float:
        """Schwarz's criterion −2 log L + p log n of X, nats; the lower, the better.

        Reference: G. Schwarz 1978, Estimating the dimension of a model, https://doi.org/10.1214/aos/1176344136
        """
        return -2 * self.score(X, y) * len(X) + self._freedom() * float(np.log(len(X)))

    @final
    def aic(self, X: Any, y: Any = None) -> float:
        """Akaike's criterion −2 log L + 2 p of X, nats; the lower, the better.

        Reference: H. Akaike 1974, A new look at the statistical model identification, https://doi.org/10.1109/TAC.1974.1100705
        """
        return -2 * self.score(X, y) * len(X) + 2 * self._freedom()


@dataclass(kw_only=True, eq=False, repr=False)
class Bound(Model):
    """The family knows a lower bound of log p, such as the ELBO."""

    @abstractmethod
    def _bound(self, x: Tensor, y: Tensor | None, draws: int) -> Tensor:
        """A bound of log p(x | y) in nats, (n,), from `draws` samples; more draws, a tighter bound."""

    @final
    def log_prob_bound(self, X: Any, y: Any = None, *, draws: int = 1, seed: int = 0) -> np.ndarray:
        """A lower bound, in expectation, of each item's log-likelihood, (n,), nats, in the units of X."""
        check_is_fitted(self, "space_")
        with dice.private(seed):
            x, c = self._packed(X, y)
            return self._each(lambda x, y: self._bound(x, y, draws), x, c, X).numpy()

    @final
    def score(self, X: Any, y: Any = None) -> float:
        """Mean bound an item; what scikit-learn's searches maximise."""
        y = y if getattr(self, "condition_", None) is not None else None
        return float(np.mean(self.log_prob_bound(X, y)))


@dataclass(kw_only=True, eq=False, repr=False)
class Estimate(Model):
    """The family can estimate log p with an error it can state, such as an ODE's likelihood."""

    @abstractmethod
    def _estimate(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """(estimate, standard error) of log p(x | y) in nats, each (n,)."""

    @final
    def log_prob_estimate(self, X: Any, y: Any = None, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """An estimate of each item's log-likelihood and its standard error, each (n,), nats, in the units of X.

        Where data were dequantised it estimates a lower bound.
        """
        check_is_fitted(self, "space_")
        errors = []

        def hook(x: Tensor, y: Tensor | None) -> Tensor:
            value, error = self._estimate(x, y)
            errors.append(error.double().cpu())
            return value

        with dice.private(seed):
            x, c = self._packed(X, y)
            return self._each(hook, x, c, X).numpy(), torch.cat(errors).numpy()


@dataclass(kw_only=True, eq=False, repr=False)
class Energy(Model):
    """The family knows −log p up to one constant."""

    @abstractmethod
    def _energy(self, x: Tensor, y: Tensor | None) -> Tensor:
        """E(x | y), (n,)."""

    @final
    def energy(self, X: Any, y: Any = None) -> np.ndarray:
        """−log p of each item up to one constant shared by all, (n,), nats."""
        check_is_fitted(self, "space_")
        x, c = self._packed(X, y)
        return -self._each(lambda x, y: -self._energy(x, y), x, c, X).numpy()


@dataclass(kw_only=True, eq=False, repr=False)
class Summable(Model):
    """The family is fitted by sums over items, so that data can be seen in parts, by several processes, or from a stream."""

    @abstractmethod
    def _summarize(self, x: Packed, y: Tensor | None) -> Statistics:
        """The sums of these items under the present parameters."""

    @abstractmethod
    def _update(self, statistics: Statistics) -> None:
        """Put the parameters where these sums are likeliest."""

    @final
    def summarize(self, X: Any, y: Any = None) -> Statistics:
        """The sufficient statistics of X under the fitted model; those of two parts of the data are added with +.

        X may be `Chunks`, or the path of a table: it is then read chunk by chunk.
        """
        check_is_fitted(self, "space_")
        X = opened(X)
        with dice.private(dice.derive(self.seed, "summarize")), torch.no_grad():
            if not isinstance(X, Chunks):
                return self._summarize(*self._packed(X, y))
            pieces = (self._summarize(*self._packed(chunk)) for chunk in X)
            return functools.reduce(operator.add, pieces)

    @final
    def update(self, statistics: Statistics) -> Self:
        """The model refitted to these sums: one M-step of a mixture, all the tables of a network, every frequency of marginals.

        What the sums were taken relative to stays: the codec, the bins, the graph. So `summarize` on halves of the data in two
        processes, + and `update` give what one process gives that sees them all.
        """
        check_is_fitted(self, "space_")
        self._update(statistics)
        return self
