"""Heads: what a decoder's raw output means, p(x | raw), fitting the Space; exact for discrete entries."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from genus.errors import DataError
from genus.space import AnySpace, Record

CATEGORIES = 32  # ordered entries with more levels than this get a mixture of logistics
MIXTURE = 3
NARROWEST = -7.0  # log scale of a logistic, on a line where the levels span (−1, 1)


class Head(nn.Module, ABC):
    """A distribution of items whose entries are independent given the raw output of a net.

    Attributes
    ----------
    raw: the shape of the raw output of one item, (parameters, *space) or (parameters,).
    """

    raw: tuple[int, ...]

    @abstractmethod
    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        """log p(x | raw), (n,), nats."""

    @abstractmethod
    def sample(self, raw: Tensor, temperature: float = 1.0) -> Tensor:
        """Items drawn; a temperature below 1 sharpens every entry, 0 gives its mode."""

    def mode(self, raw: Tensor) -> Tensor:
        """The likeliest items."""
        return self.sample(raw, 0.0)


def choose(logits: Tensor, temperature: float) -> Tensor:
    """One index of the last axis, drawn by softmax(logits / temperature); the largest at 0 (Gumbel's trick)."""
    if temperature <= 0:
        return logits.argmax(-1)
    noise = -torch.log(-torch.log(torch.rand_like(logits).clamp(1e-20, 1 - 1e-7)))
    return (logits / temperature + noise).argmax(-1)


class Bernoulli(Head):
    """Binary entries: raw is the logit."""

    def __init__(self, space: AnySpace) -> None:
        super().__init__()
        self.raw, self.dtype = (1, *space.shape), space.dtype

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        logit, x = raw[:, 0], x.to(raw.dtype)
        return (x * logit - nn.functional.softplus(logit)).flatten(1).sum(1)

    def sample(self, raw: Tensor, temperature: float = 1.0) -> Tensor:
        if temperature <= 0:
            return (raw[:, 0] > 0).to(self.dtype)
        return torch.bernoulli(torch.sigmoid(raw[:, 0] / temperature)).to(self.dtype)


class Categorical(Head):
    """Entries of few levels: raw holds a logit for each."""

    def __init__(self, space: AnySpace) -> None:
        super().__init__()
        self.raw, self.dtype = (space.levels, *space.shape), space.dtype

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        chosen = raw.gather(1, x.long()[:, None])[:, 0]
        return (chosen - raw.logsumexp(1)).flatten(1).sum(1)

    def sample(self, raw: Tensor, temperature: float = 1.0) -> Tensor:
        return choose(raw.movedim(1, -1), temperature).to(self.dtype)


class Cells(Head):
    """A Record's cells: raw holds the logits of every cell's levels, one cell after the other.

    All cells are answered at once on a padded table (n, fields, widest cell); padding has logit −∞.
    A cell's `missing` level is one of its levels.
    """

    place: Tensor
    inside: Tensor

    def __init__(self, space: Record) -> None:
        super().__init__()
        sizes = torch.tensor([cell.levels for _, cell in space.fields])
        self.raw = (int(sizes.sum()),)
        grid = torch.arange(int(sizes.max()))
        inside = grid < sizes[:, None]
        place = (sizes.cumsum(0) - sizes)[:, None] + grid
        self.register_buffer("place", torch.where(inside, place, 0), persistent=False)
        self.register_buffer("inside", inside, persistent=False)

    def table(self, raw: Tensor) -> Tensor:
        """log p of every level of every cell, (n, fields, widest)."""
        return raw[:, self.place].masked_fill(~self.inside, -torch.inf).log_softmax(-1)

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        return self.table(raw).gather(2, x.long()[:, :, None])[:, :, 0].sum(1)

    def sample(self, raw: Tensor, temperature: float = 1.0) -> Tensor:
        return choose(self.table(raw), temperature)


class Logistics(Head):
    """Ordered entries of many levels: a mixture of logistics, integrated over each level's interval.

    P(x = v) = Σₖ πₖ [σ((v⁺ − mₖ) / sₖ) − σ((v⁻ − mₖ) / sₖ)], the first and last levels taking the tails, so that
    the probabilities sum to one exactly (Salimans et al. 2017, PixelCNN++, https://arxiv.org/abs/1701.05517).
    """

    def __init__(self, space: AnySpace) -> None:
        super().__init__()
        self.raw, self.levels, self.dtype = (3 * MIXTURE, *space.shape), space.levels, space.dtype

    def _parts(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(log weights, means, log scales), each (n, mixture, *space)."""
        logit, mean, log_scale = raw.chunk(3, 1)
        shift = torch.linspace(-0.5, 0.5, MIXTURE, device=raw.device).view(-1, *[1] * (raw.dim() - 2))
        return logit.log_softmax(1), mean + shift, (log_scale - 2).clamp_min(NARROWEST)

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        weight, mean, log_scale = self._parts(raw)
        code = x.to(raw.dtype)[:, None]
        low = (code * 2 / self.levels - 1 - mean) / log_scale.exp()
        high = ((code + 1) * 2 / self.levels - 1 - mean) / log_scale.exp()
        low = low.masked_fill(code == 0, -torch.inf)
        high = high.masked_fill(code == self.levels - 1, torch.inf)
        return (weight + log_between(low, high)).logsumexp(1).flatten(1).sum(1)

    def sample(self, raw: Tensor, temperature: float = 1.0) -> Tensor:
        weight, mean, log_scale = self._parts(raw)
        k = choose(weight.movedim(1, -1), temperature)[:, None]
        mean, log_scale = mean.gather(1, k)[:, 0], log_scale.gather(1, k)[:, 0]
        u = torch.rand_like(mean).clamp(1e-6, 1 - 1e-6)
        value = mean + temperature * log_scale.exp() * (u.log() - (-u).log1p())
        return ((value + 1) * (self.levels / 2)).floor().clamp(0, self.levels - 1).to(self.dtype)


def log_between(low: Tensor, high: Tensor) -> Tensor:
    """log(σ(high) − σ(low)) without cancellation: log σ(high) + log σ(−low) + log(1 − e^(low − high))."""
    inner = nn.functional.logsigmoid(high) + nn.functional.logsigmoid(-low)
    gap = (high - low).clamp_min(1e-12)
    return inner + torch.log(-torch.expm1(-gap))


class Normal(Head):
    """Real entries: a mean and a log standard deviation each.

    Bounded entries have their mean inside the bounds (by tanh) and share one standard deviation an item,
    which keeps the images of a decoder sharp (Rybkin et al. 2021, https://arxiv.org/abs/2006.13202).

    Parameters
    ----------
    floor: the smallest standard deviation, in packed units: without one a density can grow without bound.
    """

    def __init__(self, space: AnySpace, floor: float = 0.01) -> None:
        super().__init__()
        self.bounds = getattr(space, "bounds", None)
        self.raw, self.floor = (2, *space.shape), floor

    def moments(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """(mean, standard deviation), each (n, *space)."""
        mean, log_scale = raw[:, 0], raw[:, 1]
        if self.bounds is not None:
            low, high = self.bounds
            mean = low + (high - low) * (torch.tanh(mean) + 1) / 2
            log_scale = log_scale.flatten(1).mean(1).view(-1, *[1] * (mean.dim() - 1)).expand_as(mean)
        return mean, self.floor + nn.functional.softplus(log_scale)

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        mean, scale = self.moments(raw)
        each = -0.5 * ((x - mean) / scale).square() - scale.log() - 0.5 * math.log(2 * math.pi)
        return each.flatten(1).sum(1)

    def sample(self, raw: Tensor, temperature: float = 1.0) -> Tensor:
        mean, scale = self.moments(raw)
        x = mean + temperature * scale * torch.randn_like(mean)
        return x if self.bounds is None else x.clamp(*self.bounds)


def head_for(space: AnySpace, *, floor: float = 0.01) -> Head:
    """The likelihood that fits a Space.

    Bernoulli for binary entries, Categorical for at most 32 levels and for categories, Logistics for more
    ordered levels, Cells for a record, Normal (standard deviation at least `floor`) for reals.
    """
    if isinstance(space, Record):
        return Cells(space)
    match space.kind:
        case "real":
            return Normal(space, floor)
        case "binary":
            return Bernoulli(space)
        case "levels" if space.levels > CATEGORIES:
            return Logistics(space)
        case "levels" | "category":
            return Categorical(space)
    raise DataError(f"No likelihood with independent entries fits {space}: use a family of sequences.")
