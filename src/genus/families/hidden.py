"""Hidden Markov models of series and texts, fitted by Baum and Welch's EM."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor
from torch.nn import functional as F

from genus import dice
from genus.capability import Partial, Sequential
from genus.errors import DataError, UsageError
from genus.maths.hidden import TINY, Chain, Desk, best_path, draw_path, forward, scaled, smooth, wander
from genus.maths.kmeans import lloyd, nearest, seeds
from genus.maths.mixing import Mixture, Moments, featurise, linear, maximisation, unfold
from genus.maths.normal import complete_normal
from genus.maths.quantise import Packed, drawn
from genus.train.expect import expect
from genus.train.identity import identity
from genus.train.run import Run

COUNTS = (2, 4, 8, 16)  # states tried when the user names none
TRIED_ON = 50_000  # steps


@dataclass(kw_only=True, eq=False, repr=False)
class HiddenMarkov(Sequential, Partial):
    """A hidden Markov model: states z₁ → z₂ → … follow a chain, and each step shows x_t ~ p(x | z_t).

    A series (T, d) has normal emissions, a text or a row of categories has categorical ones; a vector (d,) is a series
    of d steps of one number. The likelihood is exact (the forward algorithm). `complete` draws missing steps or parts
    of steps from their exact conditional: a gap at the end is a forecast. `states` gives the likeliest path (Viterbi).

    Parameters
    ----------
    components: hidden states; None tries 2, 4, 8 and 16 and keeps the best by Schwarz's criterion.
    covariance: of normal emissions, "full" or "diag"onal.
    steps: of EM at most. tol: it ends when a sequence's mean log-likelihood gains less, nats.
    restarts: runs from other starts, of which the best is kept.
    regularise: how many imagined steps an entry, of the whole data's variance, are mixed into each covariance.
    smoothing: imagined transitions a state, and emissions a state, spread as the whole data are.

    Attributes
    ----------
    start_: (k,), transition_: (k, k) probabilities. mean_: (k, d) and covariance_: (k, d, d) or (k, d), of normal
    emissions; log_p_: (k, levels), of categorical ones.

    Reference: L. Baum, T. Petrie, G. Soules and N. Weiss 1970, https://doi.org/10.1214/aoms/1177697196;
    L. Rabiner 1989, A tutorial on hidden Markov models, https://doi.org/10.1109/5.18626
    """

    accepts: ClassVar[tuple[str, ...]] = ("real", "tokens", "category", "binary", "levels")

    components: int | None = None
    covariance: Literal["full", "diag"] = "full"
    steps: int = 100
    tol: float = 1e-3
    restarts: int = 1
    regularise: float = 0.02
    smoothing: float = 1e-2

    def _check(self) -> None:
        if self.covariance not in ("full", "diag"):
            raise UsageError(f"covariance={self.covariance!r} is not one of full, diag.")
        for name in ("components", "steps", "restarts"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name}={value} must be 1 or more.")
        if self.regularise < 0 or self.smoothing < 0:
            raise UsageError(f"regularise and smoothing must be 0 or more, not {self.regularise} and {self.smoothing}.")

    # -- sequences ----------------------------------------------------------------------------------------

    @property
    def _normal(self) -> bool:
        return self.space_.kind == "real"

    def _steps(self, x: Tensor) -> Tensor:
        """Items as (T, n, d) numbers or (T, n) symbols."""
        if not self._normal:
            return x.reshape(len(x), -1).long().T
        width = self.space_.shape[-1] if len(self.space_.shape) > 1 else 1
        return x.double().reshape(len(x), -1, width).transpose(0, 1)

    def _items(self, steps: Tensor) -> Tensor:
        """The inverse of `_steps`."""
        rows = steps.transpose(0, 1) if self._normal else steps.T
        return rows.reshape(len(rows), *self.space_.shape).to(self.space_.dtype)

    def _counted(self, steps: Tensor) -> Tensor | None:
        """(T, n) 1 up to and with the first end symbol, None where items have no end."""
        end = getattr(self.space_, "end", None)
        if end is None:
            return None
        closed = steps == end
        return (closed.cumsum(0) - closed.long() == 0).double()

    # -- fitting ------------------------------------------------------------------------------------------

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        data = self._steps(drawn(x))
        if self.components is not None and self.components > data.shape[0] * data.shape[1]:
            count = data.shape[0] * data.shape[1]
            raise DataError(f"There are {self.components} states but only {count} steps: set components to {count} or fewer.")
        k = self.components or self._choose_count(data)
        best, kept = -math.inf, None
        for _ in range(self.restarts):
            self._begin(data, k)
            history = self._climb(data, run)
            if history[-1]["log_prob"] > best:
                best, kept = history[-1]["log_prob"], (history, self._parameters())
        assert kept is not None
        self.history_ = kept[0]
        self._set(kept[1])

    def _choose_count(self, data: Tensor) -> int:
        """The number of states with the least Schwarz criterion on some of the sequences."""
        some = data[:, torch.randperm(data.shape[1])[: max(1, TRIED_ON // len(data))]]
        best, chosen, levels = math.inf, 1, self._levels
        for k in COUNTS:
            if some.shape[0] * some.shape[1] < 10 * k:
                break
            self._begin(some, k)
            value = self._climb(some, Run(), 30)[-1]["log_prob"] * some.shape[1]
            d = some.shape[-1] if self._normal else 0
            emission = d + (d * (d + 1) // 2 if self.covariance == "full" else d) if d else levels - 1
            value = -2 * value + (k * k - 1 + k * emission) * math.log(some.shape[0] * some.shape[1])
            if value >= best:
                break
            best, chosen = value, k
        return chosen

    @property
    def _levels(self) -> int:
        return 0 if self._normal else self.space_.levels or 2

    def _begin(self, data: Tensor, k: int) -> None:
        """Emissions from k-means, or near the frequencies; transitions that tend to stay."""
        self.start_ = torch.full((k,), 1 / k, dtype=torch.float64)
        stay = 0.5 * torch.eye(k, dtype=torch.float64) + 0.5 * torch.rand(k, k, dtype=torch.float64)
        self.transition_ = stay / stay.sum(1, keepdim=True)
        if not self._normal:
            counts = torch.bincount(data.flatten(), minlength=self._levels).double() + 0.1
            p = counts / counts.sum() * (0.5 + torch.rand(k, len(counts), dtype=torch.float64))
            self.log_p_ = (p / p.sum(1, keepdim=True)).log()
            return
        flat = data.flatten(0, 1)
        some = flat[torch.randperm(len(flat))[:20_000]]
        means = lloyd(some, seeds(some, k))
        self._emissions(data, F.one_hot(nearest(flat, means), k).double(), self._shown(data))

    def _climb(self, data: Tensor, run: Run, steps: int | None = None) -> list[dict[str, Any]]:
        """Baum–Welch from the present parameters."""
        counted, shown = self._counted(data), self._shown(data)
        desk = Desk((*data.shape[:2], len(self.start_)))

        def step() -> float:
            log_b = self._log_b(data) if shown is None else self._log_normal(shown).reshape(*data.shape[:2], -1)
            b, taken = scaled(log_b, desk)
            found = forward(self._chain, b, desk)
            gamma, pairs = smooth(self._chain, b, found, counted, desk)
            k = len(self.start_)
            start = gamma[0].sum(0) + self.smoothing
            pairs = pairs + self.smoothing / k
            self.start_, self.transition_ = start / start.sum(), pairs / pairs.sum(1, keepdim=True).clamp_min(1e-300)
            self._emissions(data, gamma.flatten(0, 1), shown)
            return float((found.log_prob + taken).mean())

        me = identity(self, {}, self._items(data), None, 1) if run.folder else None
        keeping = (self._parameters, self._set)
        return expect(step, steps=steps or self.steps, tol=self.tol, run=run, state=keeping, identity=me)

    def _shown(self, data: Tensor) -> Tensor | None:
        """φ of all steps, (features, T · n), by which normal emissions are one product; None for categorical ones."""
        if not self._normal:
            return None
        d, full = data.shape[-1], self.covariance == "full"
        flat = data.flatten(0, 1).T.contiguous()
        phi = torch.ones(1 + d + (d * (d + 1) // 2 if full else d), flat.shape[1], dtype=torch.float64)
        featurise(flat, phi, full)
        return phi

    def _log_normal(self, shown: Tensor) -> Tensor:
        """log p(x_t | state) (N, k) of steps with features `shown`."""
        zero = torch.zeros(len(self.mean_), dtype=torch.float64)
        return (linear(Mixture(zero, self.mean_, self.covariance_))[0] @ shown).T.contiguous()

    def _emissions(self, data: Tensor, share: Tensor, shown: Tensor | None) -> None:
        """Refit the emissions to steps shared out as (N, k)."""
        if shown is None:
            flat = data.flatten()
            margins = torch.bincount(flat, minlength=self._levels).double() + 0.1
            counts = torch.zeros(self._levels, share.shape[1], dtype=torch.float64).index_add_(0, flat, share).T
            counts = counts + self.smoothing * margins / margins.sum()
            self.log_p_ = (counts / counts.sum(1, keepdim=True)).clamp_min(1e-300).log()
            return
        sums, d = share.T @ shown.T, data.shape[-1]
        second = unfold(sums[:, 1 + d :], d) if self.covariance == "full" else sums[:, 1 + d :]
        fitted = maximisation(Moments(sums[:, 0], sums[:, 1 : 1 + d], second), self.covariance, self.regularise)
        self.mean_, self.covariance_ = fitted.mean, fitted.covariance

    def _parameters(self) -> dict[str, Any]:
        names = ("start_", "transition_", "mean_", "covariance_") if self._normal else ("start_", "transition_", "log_p_")
        return {name: getattr(self, name) for name in names}

    def _set(self, parameters: dict[str, Any]) -> None:
        for name, value in parameters.items():
            setattr(self, name, value)

    # -- likelihoods --------------------------------------------------------------------------------------

    @property
    def _chain(self) -> Chain:
        return Chain(self.start_, self.transition_)

    def _log_b(self, steps: Tensor, known: Tensor | None = None) -> Tensor:
        """log p(x_t | state) (T, n, k); parts that are not `known` are integrated out, padding counts nothing."""
        if not self._normal:
            log_b = self.log_p_.T[steps]
            counted = self._counted(steps)
            log_b = log_b if counted is None else log_b * counted[..., None]
            return log_b if known is None else torch.where(known[..., None], log_b, 0.0)
        flat, (t, n, d) = steps.flatten(0, 1), steps.shape
        zero = torch.zeros(len(self.mean_), dtype=torch.float64)
        if known is None:
            return Mixture(zero, self.mean_, self.covariance_).log_joint(flat).reshape(t, n, -1)
        out = torch.zeros(len(flat), len(self.mean_), dtype=torch.float64)
        patterns, index = torch.unique(known.reshape(-1, d), dim=0, return_inverse=True)
        for i, mask in enumerate(patterns):
            if mask.any():
                rows, covariance = index == i, self.covariance_[:, mask]
                part = Mixture(zero, self.mean_[:, mask], covariance[:, :, mask] if covariance.dim() == 3 else covariance)
                out[rows] = part.log_joint(flat[rows][:, mask])
        return out.reshape(t, n, -1)

    def _log_prob(self, x: Tensor, y: Tensor | None) -> Tensor:
        b, taken = scaled(self._log_b(self._steps(x)))
        return forward(self._chain, b).log_prob + taken

    def _unfold(self, n: int, y: Tensor | None) -> tuple[_Filtering, list[int]]:
        end = getattr(self.space_, "end", None)
        return _Filtering(self._chain, self.log_p_, n, self.space_.size, end), list(range(self.space_.size))

    # -- drawing ------------------------------------------------------------------------------------------

    def _emitted(self, path: Tensor) -> Tensor:
        """Steps shown by states (n, T), as `_steps` shapes them."""
        state = path.T
        if not self._normal:
            end = self.log_p_.exp().cumsum(1)
            point = torch.rand(*state.shape, 1, dtype=torch.float64) * end[state, -1:]
            return (end[state] <= point).sum(-1).clamp(max=self._levels - 1)
        eps = torch.randn(*state.shape, self.mean_.shape[1], dtype=torch.float64)
        if self.covariance_.dim() == 2:
            return self.mean_[state] + eps * self.covariance_.sqrt()[state]
        factor = torch.linalg.cholesky(self.covariance_)
        out = torch.empty_like(eps)
        for j in range(len(factor)):
            mine = state == j
            out[mine] = self.mean_[j] + eps[mine] @ factor[j].T
        return out

    def _closed(self, steps: Tensor) -> Tensor:
        """Texts with nothing but the end symbol after their first one."""
        counted = self._counted(steps)
        return steps if counted is None else steps.masked_fill(counted == 0, int(getattr(self.space_, "end", 0)))

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        first = torch.multinomial(self.start_, n, replacement=True)
        count = self.space_.size // (self.space_.shape[-1] if self._normal and len(self.space_.shape) > 1 else 1)
        path = torch.cat([first[:, None], wander(self._chain, first, count - 1)], 1)
        return self._items(self._closed(self._emitted(path)))

    def _complete(self, x: Tensor, known: Tensor, y: Tensor | None) -> Tensor:
        steps = self._steps(x)
        mask = known.reshape(len(x), len(steps), -1).transpose(0, 1)
        mask = mask if self._normal else mask[..., 0]
        b, _ = scaled(self._log_b(steps, mask))
        path = draw_path(self._chain, forward(self._chain, b))
        new = self._emitted(path)
        if self._normal and self.covariance_.dim() == 3 and steps.shape[-1] > 1:
            flat, state = steps.flatten(0, 1), path.T.flatten()
            only = torch.full((len(flat), len(self.mean_)), -torch.inf, dtype=torch.float64).scatter(1, state[:, None], 0.0)
            new = complete_normal(flat, mask.flatten(0, 1), only, self.mean_, self.covariance_).reshape(steps.shape)
        out = torch.where(mask, steps, new)
        return torch.where(known, x, self._items(out if self._normal else self._closed(out)))

    # -- what a hidden chain can say besides --------------------------------------------------------------

    def states(self, X: Any) -> Any:
        """The likeliest state of every step of each item, (n, T) integers: Viterbi's path."""
        check_is_fitted(self, "space_")
        with dice.private(0), torch.no_grad():
            return best_path(self._chain, self._log_b(self._steps(drawn(self._packed(X)[0])))).numpy()

    def forecast(self, X: Any, steps: int, *, seed: int | None = None) -> Any:
        """What comes after each series of X: (n, steps, d) in the units of X, one draw of the exact predictive.

        Raises UsageError for texts and vectors: `complete` continues those inside their length.
        """
        check_is_fitted(self, "space_")
        if not self._normal or len(self.space_.shape) < 2:
            raise UsageError("forecast wants series (n, T, d); complete(X) fills the missing end of texts and vectors.")
        with dice.private(seed), torch.no_grad():
            past = self._steps(drawn(self._packed(X)[0]))
            b, _ = scaled(self._log_b(past))
            now = torch.multinomial(forward(self._chain, b).alpha[-1], 1)[:, 0]
            blocks, length = -(-steps // len(past)), len(past)
            new = self._emitted(wander(self._chain, now, blocks * length))
            parts = [self.codec_.unpack(self._items(part), self.space_) for part in new.split(length)]
        return torch.cat([torch.as_tensor(part) for part in parts], 1)[:, :steps].numpy()


class _Filtering:
    """Symbols in the making: p(state | symbols so far) of n items; behind the end symbol nothing but it."""

    def __init__(self, chain: Chain, log_p: Tensor, n: int, length: int, end: int | None) -> None:
        self.chain, self.p, self.end = chain, log_p.exp(), end
        self.x = torch.zeros(n, length, dtype=torch.int64)
        self.state, self.done = chain.start.expand(n, -1), torch.zeros(n, dtype=torch.bool)

    def logits(self, step: int) -> Tensor:
        """log p (n, levels) of the symbol at `step`."""
        log_p = (self.state @ self.p).log()
        if self.end is None:
            return log_p
        closed = torch.full_like(log_p[:1], -torch.inf).index_fill(1, torch.tensor(self.end), 0.0)
        return torch.where(self.done[:, None], closed, log_p)

    def put(self, step: int, symbol: Tensor) -> None:
        """Set the symbol at `step`."""
        self.x[:, step] = symbol
        self.done = self.done | (symbol == self.end)
        joint = self.state * self.p[:, symbol].T
        self.state = joint / joint.sum(1, keepdim=True).clamp_min(TINY) @ self.chain.transition

    def keep(self, index: Tensor) -> None:
        """Go on with the items at `index`, which may repeat."""
        self.x, self.state, self.done = self.x[index], self.state[index], self.done[index]
