"""Pixelhead: the distribution of one pixel's channels, one after the other, given the features of the pixels before."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genus.nets.heads import CATEGORIES, NARROWEST, log_between
from genus.space import Space

NARROW = NARROWEST


class PixelHead(nn.Module, ABC):
    """p(x₁ … x_C | features) = Π_c p(x_c | x₁ … x_{c−1}, features) of the channels of each pixel."""

    @abstractmethod
    def log_prob(self, features: Tensor, x: Tensor) -> Tensor:
        """log p of each pixel, (n, height, width), nats; features (n, F, height, width), x (n, C, height, width)."""

    @abstractmethod
    def logits(self, features: Tensor, x: Tensor, channel: int) -> Tensor:
        """Logits (n, levels) of a pixel's channel; features (n, F), x (n, C) holds its earlier channels."""


class Softmax(PixelHead):
    """A softmax over the levels of each channel; earlier channels of the pixel enter by a table of features each.

    The papers keep the order of channels by masks on groups of features in every layer instead.

    Parameters
    ----------
    features: of the pixels before. inner: units of the layer before the softmax.
    """

    def __init__(self, space: Space, channels: int, features: int, inner: int) -> None:
        super().__init__()
        self.levels, self.binary = max(space.levels, 2), space.levels <= 2
        self.enter = nn.Conv2d(features, inner, 1)
        self.tables = nn.ModuleList(nn.Embedding(self.levels, inner) for _ in range(channels - 1))
        self.leave = nn.ModuleList(nn.Conv2d(inner, 1 if self.binary else self.levels, 1) for _ in range(channels))
        for table in self.tables:
            nn.init.normal_(table.weight, std=0.1)  # pyright: ignore[reportArgumentType]

    def log_prob(self, features: Tensor, x: Tensor) -> Tensor:
        inner, x = self.enter(F.relu(features)), x.long()
        total = torch.zeros(x.shape[:1] + x.shape[2:], device=x.device)
        for c, leave in enumerate(self.leave):
            logits = leave(F.relu(inner)).float()
            if self.binary:
                total = total + x[:, c] * logits[:, 0] - F.softplus(logits[:, 0])
            else:
                total = total - F.cross_entropy(logits, x[:, c], reduction="none")
            if c < len(self.tables):
                inner = inner + self.tables[c](x[:, c]).movedim(3, 1)
        return total

    def logits(self, features: Tensor, x: Tensor, channel: int) -> Tensor:
        inner = F.linear(features.relu(), self.enter.weight.flatten(1), self.enter.bias)
        for c, table in zip(range(channel), self.tables, strict=False):
            inner = inner + table(x[:, c].long())
        leave = self.leave[channel]
        assert isinstance(leave, nn.Conv2d)
        logits = F.linear(inner.relu_(), leave.weight.flatten(1), leave.bias)
        return torch.cat([torch.zeros_like(logits), logits], 1) if self.binary else logits


class LogisticMixture(PixelHead):
    """A mixture of logistics for ordered levels, shared by the channels of a pixel: Σₖ πₖ Π_c P(x_c | m_ck, s_ck).

    P is a logistic integrated over the level's interval, the first and last levels taking the tails; the mean of a
    channel depends linearly on the earlier channels of the pixel (Salimans et al. 2017, https://arxiv.org/abs/1701.05517).

    Parameters
    ----------
    components: of the mixture.
    """

    def __init__(self, space: Space, channels: int, features: int, components: int = 10) -> None:
        super().__init__()
        self.levels, self.channels, self.components = space.levels, channels, components
        self.pairs = [(c, b) for c in range(channels) for b in range(c)]
        parameters = 1 + 2 * channels + len(self.pairs)
        self.leave = nn.Conv2d(features, parameters * components, 1)
        with torch.no_grad():
            self.leave.weight *= 0.1
            bias = self.leave.bias
            assert bias is not None
            bias.zero_()
            spread = torch.linspace(-0.9, 0.9, components) if components > 1 else torch.zeros(1)
            bias.view(parameters, components)[1 : 1 + channels] = spread
            bias.view(parameters, components)[1 + channels : 1 + 2 * channels] = -1.5

    def _raw(self, features: Tensor) -> Tensor:
        return self.leave(F.elu(features)).float().unflatten(1, (-1, self.components))

    def _line(self, x: Tensor) -> Tensor:
        """Levels as the middles of their intervals in (−1, 1)."""
        return (2 * x.float() + 1) / self.levels - 1

    def _moments(self, raw: Tensor, x: Tensor, channel: int) -> tuple[Tensor, Tensor]:
        """(means, log scales) of a channel, (n, components, …)."""
        mean = raw[:, 1 + channel]
        for k, (c, b) in enumerate(self.pairs):
            if c == channel:
                mean = mean + torch.tanh(raw[:, 1 + 2 * self.channels + k]) * self._line(x[:, b])[:, None]
        return mean, raw[:, 1 + self.channels + channel].clamp_min(NARROW)

    def _each(self, raw: Tensor, x: Tensor, channel: int, value: Tensor) -> Tensor:
        """log P(value) of each component, (n, components, …); value (n or 1, 1, …)."""
        mean, log_scale = self._moments(raw, x, channel)
        return _log_mass(value, mean, log_scale, self.levels)

    def log_prob(self, features: Tensor, x: Tensor) -> Tensor:
        raw = self._raw(features)
        total = raw[:, 0].log_softmax(1)
        for c in range(self.channels):
            total = total + self._each(raw, x, c, x[:, c][:, None])
        return total.logsumexp(1)

    def logits(self, features: Tensor, x: Tensor, channel: int) -> Tensor:
        raw, x = self._raw(features[:, :, None, None]), x[:, :, None, None]
        weight = raw[:, 0].log_softmax(1)
        for c in range(channel):
            weight = weight + self._each(raw, x, c, x[:, c][:, None])
        grid = torch.arange(self.levels, device=raw.device).view(1, 1, 1, -1)
        return (weight + self._each(raw, x, channel, grid)).logsumexp(1)[:, 0]


def _log_mass(code: Tensor, mean: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    """log P(code) of a logistic on a line where the levels are intervals of (−1, 1)."""
    code, scale = code.float(), log_scale.exp()
    low = ((code * 2 / levels - 1 - mean) / scale).masked_fill(code == 0, -torch.inf)
    high = (((code + 1) * 2 / levels - 1 - mean) / scale).masked_fill(code == levels - 1, torch.inf)
    return log_between(low, high)


def head_for(space: Space, channels: int, features: int, *, inner: int, mixture: bool) -> PixelHead:
    """Logistics for ordered levels that are many, or where `mixture` asks for them; else a softmax."""
    if space.kind != "category" and space.levels > 1 and (mixture or space.levels > CATEGORIES):
        return LogisticMixture(space, channels, features)
    return Softmax(space, channels, features, inner)
