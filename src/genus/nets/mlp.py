"""MLP: a residual perceptron for vectors, with dropout, normalisation and a condition by argument."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from genus.errors import UsageError, nearest
from genus.nets.dropout import Dropout

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "leaky": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
}
NORMS = ("layer", "batch")


def activation_of(name: str) -> nn.Module:
    """A fresh activation by name; raises UsageError with the nearest one."""
    if name not in ACTIVATIONS:
        raise UsageError(f"No activation is called {name!r}; there are {', '.join(ACTIVATIONS)}.{nearest(name, ACTIVATIONS)}")
    return nn.LeakyReLU(0.2) if name == "leaky" else ACTIVATIONS[name]()


def norm_of(name: str | None, width: int) -> nn.Module:
    """A fresh normalisation of `width` features, the identity for None."""
    if name is None:
        return nn.Identity()
    if name not in NORMS:
        raise UsageError(f"No normalisation of vectors is called {name!r}; there are {', '.join(NORMS)}, or None.")
    return nn.LayerNorm(width) if name == "layer" else nn.BatchNorm1d(width)


class Block(nn.Module):
    """h + W₂ drop(act(W₁ act(norm h))): one residual step; W₂ begins small, so that depth costs no start."""

    def __init__(self, width: int, dropout: float, norm: str | None, activation: str) -> None:
        super().__init__()
        self.norm, self.act = norm_of(norm, width), activation_of(activation)
        self.first, self.last = nn.Linear(width, width), nn.Linear(width, width)
        self.dropout = Dropout(dropout)
        with torch.no_grad():
            self.last.weight.mul_(0.1)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.last(self.dropout(self.act(self.first(self.act(self.norm(h))))))


class MLP(nn.Module):
    """A residual multilayer perceptron x (n, inputs), y (n, condition) ↦ (n, outputs).

    h = A x + C y; `depth` times h ← h + block(h); out = B act(h) (He et al. 2016, Identity Mappings in Deep
    Residual Networks, https://arxiv.org/abs/1603.05027). With depth 0 it is one hidden layer.

    Parameters
    ----------
    inputs, outputs: features in and out. width: of the hidden state. depth: residual blocks.
    condition: features of y, 0 for none. dropout: share of hidden units dropped in training.
    norm: "layer", "batch" or None. activation: "silu", "relu", "gelu", "leaky", "tanh" or "elu".

    >>> MLP(2, 5, condition=3)(torch.zeros(4, 2), torch.zeros(4, 3)).shape
    torch.Size([4, 5])
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 256,
        depth: int = 2,
        condition: int = 0,
        dropout: float = 0.0,
        norm: Literal["layer", "batch"] | None = None,
        activation: str = "silu",
    ) -> None:
        super().__init__()
        self.enter = nn.Linear(inputs, width)
        self.tell = nn.Linear(condition, width, bias=False) if condition else None
        self.blocks = nn.ModuleList(Block(width, dropout, norm, activation) for _ in range(depth))
        self.norm, self.act = norm_of(norm, width), activation_of(activation)
        self.leave = nn.Linear(width, outputs)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.enter(x)
        if self.tell is not None and y is not None:
            h = h + self.tell(y)
        for block in self.blocks:
            h = block(h)
        return self.leave(self.act(self.norm(h)))


class Plain(nn.Module):
    """A multilayer perceptron without short cuts or normalisation, x (n, …), y (n, condition) ↦ (n, outputs).

    What small adversarial nets take: a short cut from the input holds a generator back from tearing its noise apart.

    Parameters
    ----------
    inputs, outputs: features in and out. width, layers: of the hidden layers. condition: features of y, 0 for none.

    >>> Plain(2, 5, condition=3)(torch.zeros(4, 2), torch.zeros(4, 3)).shape
    torch.Size([4, 5])
    """

    def __init__(
        self, inputs: int, outputs: int, *, width: int = 128, layers: int = 3, condition: int = 0, activation: str = "leaky"
    ) -> None:
        super().__init__()
        self.enter = nn.Linear(inputs + condition, width)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(layers - 1))
        self.leave, self.act = nn.Linear(width, outputs), activation_of(activation)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        x = x.flatten(1)
        h = self.act(self.enter(x if y is None else torch.cat([x, y], 1)))
        for layer in self.hidden:
            h = self.act(layer(h))
        return self.leave(h)
