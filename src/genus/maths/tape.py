"""Gradients by hand: maps that remember on a tape what their gradient needs, so that a whole layer is one step of autograd."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

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


class Layer(torch.autograd.Function):
    """(z (n, d), log_det (n,)) of x (n, d): entries [`low`, `high`) move as the net tells of the others, or of all if masked.

    A whole layer of a flow as one step of autograd: on small nets the record of twenty steps costs as much as the arithmetic.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, y: Tensor | None, net: HandNet, how: ByHand, block: tuple[int, int] | None, *weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.net, ctx.how, ctx.block, ctx.tapes = net, how, block, (Tape(), Tape())
        with precise(x):
            return _moved(ctx, x.t(), y, weights)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        g, for_log = grads[0].t(), grads[1]
        if ctx.block is None:
            gx, told = ctx.how.back(ctx.tapes[1], g, for_log.expand_as(g))
            more, gy, found = ctx.net.back(ctx.tapes[0], told.flatten(0, 1), ctx.needs_input_grad[1])
            return gx.add_(more).t(), gy, None, None, None, *found
        low, high = ctx.block
        moved = g[low:high]
        gx, told = ctx.how.back(ctx.tapes[1], moved, for_log.expand_as(moved))
        more, gy, found = ctx.net.back(ctx.tapes[0], told.flatten(0, 1), ctx.needs_input_grad[1])
        whole = torch.cat([gx, more.add_(g[high:])] if low == 0 else [more.add_(g[:low]), gx])
        return whole.t(), gy, None, None, None, *found


def _moved(ctx: Any, rows: Tensor, y: Tensor | None, weights: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """The forward of `Layer`, of x by features."""
    net, how = ctx.net, ctx.how
    low, high = ctx.block or (0, len(rows))
    old = rows[low:high]
    kept = rows if ctx.block is None else rows[high:] if low == 0 else rows[:low]
    raw = net.run(ctx.tapes[0], kept, y, weights)
    new, log_slope = how.run(ctx.tapes[1], old, raw.unflatten(0, (how.parameters, -1)))
    if ctx.block is not None:
        new = torch.cat([new, kept] if low == 0 else [kept, new])
    return new.t(), log_slope.sum(0)
