"""Gradients by hand: maps that remember on a tape what their gradient needs, so that a whole layer is one step of autograd."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn


def precise(x: Tensor) -> AbstractContextManager[Any]:
    """Full precision inside, also where matrix products are made in bfloat16."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


class Tape:
    """What a map's forward leaves for its gradient."""

    def __init__(self) -> None:
        self.saved_tensors: tuple[Tensor, ...] = ()
        self.notes: Any = None

    def save_for_backward(self, *tensors: Tensor) -> None:
        """Keep tensors; the name is autograd's own."""
        self.saved_tensors = tensors


class ByHand(Protocol):
    """A monotone map of entries that can be run off autograd's record."""

    @property
    def parameters(self) -> int: ...

    def run(self, tape: Any, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """(z, log dz/dx)."""
        ...

    def back(self, tape: Any, for_z: Tensor, for_log: Tensor) -> tuple[Tensor, Tensor]:
        """The gradients of x and of the parameters."""
        ...


class HandNet(nn.Module, ABC):
    """A net of vectors that can be run off autograd's record: features first, x (inputs, n) ↦ (outputs, n)."""

    @abstractmethod
    def matrices(self) -> list[Tensor]:
        """Every parameter."""

    @abstractmethod
    def run(self, tape: Any, x: Tensor, y: Tensor | None, weights: tuple[Tensor, ...]) -> Tensor:
        """What is told, y given as (n, condition)."""

    @abstractmethod
    def back(self, tape: Any, g: Tensor, for_y: bool) -> tuple[Tensor, Tensor | None, list[Tensor]]:
        """The gradients of x (inputs, n), of y and of the matrices."""

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return _Alone.apply(self, x, y, *self.matrices())  # pyright: ignore[reportReturnType]


class _Alone(torch.autograd.Function):
    """The net by itself, items first."""

    @staticmethod
    def forward(ctx: Any, net: HandNet, x: Tensor, y: Tensor | None, *weights: Tensor) -> Tensor:
        ctx.net, ctx.tape = net, Tape()
        with precise(x):
            return net.run(ctx.tape, x.t(), y, weights).t()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        gx, gy, found = ctx.net.back(ctx.tape, grads[0].t(), ctx.needs_input_grad[2])
        return None, gx.t(), gy, *found


class Split(NamedTuple):
    """Which features stay and which move: `order` puts the first `cut`, those that stay, in front; `back` undoes it."""

    order: Tensor
    back: Tensor
    cut: int
    natural: bool  # whether the order is the features' own

    def put(self, rows: Tensor, order: Tensor) -> Tensor:
        """The rows in that order."""
        return rows if self.natural else rows.index_select(0, order)


class Layer(torch.autograd.Function):
    """(z (n, d), log_det (n,)) of x (n, d): some entries move as the net tells of the others, or all of those before them.

    A whole layer of a flow as one step of autograd: on small nets the record of twenty steps costs as much as the arithmetic.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, y: Tensor | None, net: HandNet, how: ByHand, split: Split | None, *weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.net, ctx.how, ctx.split, ctx.tapes = net, how, split, (Tape(), Tape())
        with precise(x):
            return _moved(ctx, x.t(), y, weights)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        g, for_log, split = grads[0].t(), grads[1], ctx.split
        g = g if split is None else split.put(g, split.order)
        moved = g if split is None else g[split.cut :]
        gx, told = ctx.how.back(ctx.tapes[1], moved, for_log.expand_as(moved))
        more, gy, found = ctx.net.back(ctx.tapes[0], told.flatten(0, 1), ctx.needs_input_grad[1])
        if split is not None:
            gx = split.put(torch.cat([more.add_(g[: split.cut]), gx]), split.back)
        else:
            gx.add_(more)
        return gx.t(), gy, None, None, None, *found


def _moved(ctx: Any, rows: Tensor, y: Tensor | None, weights: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """The forward of `Layer`, of x by features."""
    net, how, split = ctx.net, ctx.how, ctx.split
    rows = rows if split is None else split.put(rows, split.order)
    kept, old = (rows, rows) if split is None else (rows[: split.cut], rows[split.cut :])
    raw = net.run(ctx.tapes[0], kept, y, weights)
    new, log_slope = how.run(ctx.tapes[1], old, raw.unflatten(0, (how.parameters, -1)))
    if split is not None:
        new = split.put(torch.cat([kept, new]), split.back)
    return new.t(), log_slope.sum(0)
