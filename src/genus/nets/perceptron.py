"""A small residual perceptron in few kernels: vectors held feature by feature, biases a column, the gradient by hand."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from genus.maths.tape import HandNet
from genus.nets.dropout import kept


class Perceptron(HandNet):
    """x (n, inputs), y (n, condition) ↦ (n, outputs), zero before training.

    h = A [x; y; 1]; `depth` times h ← h + W [relu(h); 1]; out = B [relu(h); 1]. Of small nets the time goes
    into calling kernels, not into arithmetic: with the bias as the last column of each matrix, in-place rectifiers and
    a gradient written by hand there are a third of the calls that automatic differentiation of `nets.mlp.MLP` makes.

    Parameters
    ----------
    inputs: features of x, may be 0. outputs: numbers told. width: hidden units. depth: residual steps.
    condition: features of y. dropout: share of units dropped before each step.
    masks: who may hear whom: (width, inputs), (width, width) and (outputs, width), True where allowed; None for all.

    >>> Perceptron(2, 6, width=8, depth=1, condition=1)(torch.zeros(4, 2), torch.zeros(4, 1)).shape
    torch.Size([4, 6])
    """

    heard: Tensor | None
    among: Tensor | None
    told: Tensor | None

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int,
        depth: int,
        condition: int = 0,
        dropout: float = 0.0,
        masks: tuple[Tensor, Tensor, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.condition, self.dropout = condition, dropout
        enter, among, leave = masks or (None, None, None)
        if enter is not None:
            enter = torch.cat([enter, enter.new_ones(width, condition)], 1)
        self.first = _matrix(width, inputs + condition, enter)
        self.inner = nn.ParameterList(_matrix(width, width, among) for _ in range(depth))
        self.last = nn.Parameter(torch.zeros(outputs, width + 1))
        for name, mask in (("heard", enter), ("among", among), ("told", leave)):
            self.register_buffer(name, None if mask is None else _with_bias(mask), persistent=False)
        with torch.no_grad():
            for weight in self.inner:
                weight.div_(math.sqrt(depth))

    def matrices(self) -> list[Tensor]:
        return [self.first, *self.inner, self.last]

    def _masks(self) -> list[Tensor | None]:
        """Of every matrix, from the first to the last."""
        return [self.heard, *[self.among] * len(self.inner), self.told]

    @torch.no_grad()
    def forbid(self) -> None:
        """Put the weights that a mask forbids to nothing; training leaves them there, since their gradient is masked."""
        for weight, mask in zip(self.matrices(), self._masks(), strict=True):
            if mask is not None:
                weight.mul_(mask)

    def run(self, tape: Any, x: Tensor, y: Tensor | None, weights: tuple[Tensor, ...]) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        inputs, one = len(x), x.new_ones(1, x.shape[1])
        seen = torch.cat([x, one] if y is None or not self.condition else [x, y.t(), one])
        h, heard, drops = torch.mm(weights[0], seen), [seen], list[Tensor]()
        for weight in weights[1:]:
            lit = _room(len(h), h, x)
            torch.clamp_min(h, 0, out=lit[:-1])
            heard.append(lit)
            if weight is weights[-1]:
                h = torch.mm(weight, lit)
                continue
            if dropout:
                drops.append(kept(h, dropout))
                lit[:-1].mul_(drops[-1])
            h = torch.addmm(h, weight, lit)
        tape.notes = inputs, drops
        tape.save_for_backward(*heard, *weights)
        return h

    def back(self, tape: Any, g: Tensor, for_y: bool) -> tuple[Tensor, Tensor | None, list[Tensor]]:
        (inputs, drops), masks = tape.notes, self._masks()
        count = len(masks)
        heard, weights = tape.saved_tensors[:count], tape.saved_tensors[count:]
        found: list[Tensor] = []
        for place in range(count - 1, -1, -1):
            gradient, mask = torch.mm(g, heard[place].t()), masks[place]
            found.append(gradient if mask is None else gradient.mul_(mask))
            if not place:
                break
            back = torch.mm(weights[place][:, :-1].t(), g)
            if drops and place < count - 1:
                back.mul_(drops[place - 1])
            back = torch.ops.aten.threshold_backward(back, heard[place][:-1], 0)
            g = back if place == count - 1 else back.add_(g)
        gx = torch.mm(weights[0][:, :inputs].t(), g)
        gy = torch.mm(weights[0][:, inputs:-1].t(), g).t() if for_y else None
        return gx, gy, found[::-1]


def _with_bias(mask: Tensor) -> Tensor:
    """The mask of a matrix whose last column is the bias."""
    return torch.cat([mask, mask.new_ones(len(mask), 1)], 1).to(torch.get_default_dtype())


def _matrix(outputs: int, inputs: int, mask: Tensor | None) -> nn.Parameter:
    """Uniform on ±1/√(heard), as torch.nn.Linear begins, nothing where the mask forbids."""
    weight = torch.empty(outputs, inputs + 1).uniform_(-1, 1)
    if mask is None:
        return nn.Parameter(weight / math.sqrt(max(inputs, 1)))
    return nn.Parameter(weight * _with_bias(mask) / mask.sum(1, keepdim=True).clamp_min(1).sqrt())


def _room(rows: int, like: Tensor, x: Tensor) -> Tensor:
    """(rows + 1, n), the last row ones: what the bias is multiplied by."""
    room = like.new_empty(rows + 1, x.shape[1])
    room[-1] = 1
    return room
