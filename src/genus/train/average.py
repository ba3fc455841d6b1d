"""Average: an exponential moving average of a net's weights, warmed up so that short runs do not keep the start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

copy_all = torch._foreach_copy_  # pyright: ignore[reportPrivateImportUsage]
mix_all = torch._foreach_lerp_  # pyright: ignore[reportPrivateImportUsage]


class Average:
    """ā ← ā + (1 − dₜ)(w − ā) after each step t = 0, 1 …, with dₜ = min(decay, (1 + t) / (10 + t)).

    Parameters
    ----------
    net: whose trainable parameters are averaged; buffers are not. decay: in [0, 1), 0 makes ā = w.

    Reference: B. Polyak and A. Juditsky 1992, Acceleration of stochastic approximation by averaging,
    https://doi.org/10.1137/0330046
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = [p.data for p in net.parameters() if p.requires_grad]
        self.values = [w.clone() for w in self.weights] if decay else self.weights

    def update(self, step: int) -> None:
        """Take in the weights after step `step`."""
        if self.decay:
            decay = min(self.decay, (1 + step) / (10 + step))
            mix_all(self.values, self.weights, 1 - decay)

    def load(self, values: list[Tensor]) -> None:
        """Put values kept in a checkpoint back."""
        if self.decay:
            copy_all(self.values, values)

    def adopt(self) -> None:
        """Give the net its averaged weights for good."""
        if self.decay:
            copy_all(self.weights, self.values)

    @contextmanager
    def lent(self) -> Iterator[None]:
        """The net has its averaged weights inside the block."""
        own = [w.clone() for w in self.weights] if self.decay else []
        self.adopt()
        try:
            yield
        finally:
            if own:
                copy_all(self.weights, own)
