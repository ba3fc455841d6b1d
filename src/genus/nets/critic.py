"""Critic: a net that scores items against generated ones, with the condition projected in."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genus.nets.default import Size, encoder_for, is_image
from genus.nets.generator import WIDTH, enliven, pictured
from genus.nets.mlp import Plain
from genus.space import AnySpace

FEATURES = {"small": 64, "base": 128, "large": 256}
GROUP = 8  # items over which the critic sees the deviation


class Critic(nn.Module):
    """D(x, y) = w·φ + b + ⟨φ, V y⟩ (n,), φ the features of x beside their deviation within groups of the minibatch.

    Parameters
    ----------
    space: of the items, real. size: of the net. condition: features of y. minibatch_std: append the deviation.

    References: T. Miyato and M. Koyama 2018, cGANs with projection discriminator, https://arxiv.org/abs/1802.05637 ·
    T. Karras et al. 2018, Progressive growing of GANs, https://arxiv.org/abs/1710.10196
    """

    turns: Tensor

    def __init__(self, space: AnySpace, *, size: Size = "base", condition: int = 0, minibatch_std: bool = True) -> None:
        super().__init__()
        if pictured(space):
            width = FEATURES[size]
            self.body: nn.Module = encoder_for(space, width, size=size, activation="leaky")
            enliven(self.body)
        else:
            width = WIDTH[size] * (2 if is_image(space) else 1)
            self.body = Plain(space.size, width, width=width, layers=2)
        self.act = nn.LeakyReLU(0.2)
        self.mix = nn.Linear(width + 1, width) if minibatch_std else None
        self.score = nn.Linear(width, 1)
        self.project = nn.Linear(condition, width, bias=False) if condition else None
        self.register_buffer("turns", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        features = self.act(self.body(x))
        if self.mix is not None:
            features = self.act(self.mix(torch.cat([features, deviation(features)], 1)))
        score = self.score(features)[:, 0]
        if self.project is not None and y is not None:
            score = score + (features * self.project(y)).sum(1)
        return score

    def turn(self) -> int:
        """The number of this training turn, from 0; kept in a buffer, so that it resumes."""
        self.turns += 1
        return int(self.turns) - 1


def deviation(features: Tensor) -> Tensor:
    """Mean over features of their standard deviation within groups of eight neighbours in the batch, (n, 1)."""
    n = len(features)
    size = GROUP if n % GROUP == 0 else n
    groups = features.view(n // size, size, -1)
    spread = (groups.var(1, correction=0) + 1e-8).sqrt().mean(1)
    return spread.repeat_interleave(size)[:, None]
