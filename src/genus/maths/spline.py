"""Monotone maps of single entries, told by parameters: shifts, affine maps and rational-quadratic splines.

Parameters come first, one slab of the entries' shape for each: every kernel then runs along the entries, which are many,
and never along the bins, which are few.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import softplus

LEAST = 1e-3  # of a bin's share of the interval and of a knot's slope
NEUTRAL = math.log(math.expm1(1 - LEAST))  # raw slope that stands for 1


class Elementwise(Protocol):
    """A monotone map of each entry; `parameters` numbers an entry, all zero for the identity.

    Called with x and parameters (parameters, *x.shape) it returns (z, log dz/dx), both of x's shape;
    `inverse` returns (x, log dx/dz).
    """

    @property
    def parameters(self) -> int: ...

    def __call__(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]: ...

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class Shift:
    """z = x + t: additive, so that volume is kept."""

    parameters: int = 1

    def __call__(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return x + parameters[0], torch.zeros_like(x)

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return z - parameters[0], torch.zeros_like(z)


@dataclass(frozen=True)
class Affine:
    """z = x e^s + t, with |s| < `limit` by a hyperbolic tangent, so that no scale can explode."""

    limit: float = 3.0
    parameters: int = 2

    def __call__(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return _Alone.apply(self, x, parameters)  # pyright: ignore[reportReturnType]

    def run(self, tape: Any, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """(z, log dz/dx), what their gradient needs left on the tape."""
        soft = torch.tanh(parameters[0] / self.limit)
        log_scale = soft * self.limit
        scale = log_scale.exp()
        tape.save_for_backward(x, soft, scale)
        return torch.addcmul(parameters[1], x, scale), log_scale

    def back(self, tape: Any, for_z: Tensor, for_log: Tensor) -> tuple[Tensor, Tensor]:
        """The gradients of x and of the parameters."""
        x, soft, scale = tape.saved_tensors
        gx = for_z * scale
        found = for_z.new_empty((2, *for_z.shape))
        found[1] = for_z
        torch.mul(torch.addcmul(for_log, gx, x), 1 - soft * soft, out=found[0])
        return gx, found

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        raw, shift = parameters.unbind(0)
        log_scale = self.limit * torch.tanh(raw / self.limit)
        return (z - shift) * torch.exp(-log_scale), -log_scale


class _Alone(torch.autograd.Function):
    """An elementwise map by itself, its gradient by hand."""

    @staticmethod
    def forward(ctx: Any, how: Any, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        ctx.how = how
        return how.run(ctx, x, parameters)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor, Tensor]:
        return None, *ctx.how.back(ctx, *grads)


@dataclass(frozen=True)
class Spline:
    """A monotone rational-quadratic spline on (−bound, bound), the identity outside.

    Beyond `bound` the identity can put nothing elsewhere, so it lies where a normal has next to nothing left (6 in 100,000 at 4).
    `bins` pieces, each a quotient of quadratics that meets its neighbours with equal slopes; widths and heights are
    a softmax each, inner slopes a softplus. Entries outside are clamped before the formula, so that the
    branch not taken has finite gradients. Forward, the gradient is written by hand: only the bin that holds an entry
    is looked at, in a sixth of the kernels that automatic differentiation would run.

    Reference: C. Durkan et al. 2019, Neural spline flows, https://arxiv.org/abs/1906.04032
    """

    bins: int = 8
    bound: float = 4.0

    @property
    def parameters(self) -> int:
        return 3 * self.bins - 1

    def __call__(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return _Alone.apply(self, x, parameters)  # pyright: ignore[reportReturnType]

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        inside = z.abs() < self.bound
        inner = z.clamp(-self.bound, self.bound)
        share = parameters[: 2 * self.bins].unflatten(0, (2, self.bins)).softmax(1)
        starts = self.starts(share)
        k = (inner >= starts[1, 1:]).sum(0)
        left, width, bottom, height = self.box(share, starts, k)
        a, b = self.slopes(parameters, k)[0]
        x, log_slope = _down(inner, left, width, bottom, height, a, b)
        return torch.where(inside, x, z), torch.where(inside, -log_slope, 0.0)

    def run(self, tape: Any, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """(z, log dz/dx) by Durkan et al.'s equations 4 and 5, what their gradient needs left on the tape."""
        inner = x.clamp(-self.bound, self.bound)
        inside = inner == x
        share = parameters[: 2 * self.bins].unflatten(0, (2, self.bins)).softmax(1)
        starts = self.starts(share)
        k = (inner >= starts[0, 1:]).sum(0)
        left, width, bottom, height = self.box(share, starts, k)
        ends, raw, rows = self.slopes(parameters, k)
        a, b = ends.unbind(0)
        u = ((inner - left) / width).clamp_(0, 1)
        s = height / width
        v = u * (1 - u)
        under = torch.addcmul(s, a + b - 2 * s, v)
        rise = (s * u * u).addcmul_(a, v) / under
        q = (b * u * u).add_(2 * s * v).addcmul_(a, (1 - u).square_())
        z = torch.addcmul(bottom, height, rise)
        log_slope = (s * s * q / (under * under)).log_()
        tape.save_for_backward(share, k, left, width, bottom, height, ends, raw, rows, u, s, v, under, rise, q, inside)
        return torch.where(inside, z, x), log_slope.mul_(inside)

    def back(self, tape: Any, for_z: Tensor, for_log: Tensor) -> tuple[Tensor, Tensor]:
        """The gradients of x and of the parameters."""
        share, k, left, width, bottom, height, ends, raw, rows, u, s, v, under, rise, q, inside = tape.saved_tensors
        a, b = ends.unbind(0)
        gz, gl = for_z * inside, for_log * inside
        turn = 1 - 2 * u
        over_q, over_under = gl / q, gl / under
        twice = 2 * over_under
        lift = gz * height / under  # of the numerator of z
        down = lift * rise  # of minus its denominator
        both = down + twice  # of minus `under`
        c = a + b - 2 * s
        # with u fixed: under = s + c v, numerator = s u² + a v, q = b u² + 2 s v + a (1 − u)²
        g_s = lift * u * u - both * (1 - 2 * v) + 2 * over_q * v + 2 * gl / s
        g_a = (lift - both) * v + over_q * (1 - u).square()
        g_b = over_q * u * u - both * v
        g_u = lift * (2 * s * u + a * turn) - both * c * turn + 2 * over_q * (b * u + s * turn - a * (1 - u))
        gx = g_u / width
        g_width = -(gx * u + g_s * s / width)
        g_height = gz * rise + g_s / width
        corner, size = torch.stack([-gx, gz]), torch.stack([g_width, g_height])
        of_raw, start = torch.stack([g_a, g_b]).mul_(torch.sigmoid(raw)), torch.stack([left, bottom])
        return torch.where(inside, gx, for_z), spline_gradient(self, share, k, corner, size, start, of_raw, rows)

    # -- the bin that holds an entry ----------------------------------------------------------------------

    @property
    def free(self) -> float:
        """The share of the interval that the softmax deals out; the rest is every bin's least share."""
        return 1 - LEAST * self.bins

    def starts(self, share: Tensor) -> Tensor:
        """Where the bins begin, (2, bins, …) of softmax shares (2, bins, …): along x, then along z."""
        before = torch.ones(self.bins, self.bins, dtype=share.dtype, device=share.device).tril_(-1)
        at = torch.arange(self.bins, dtype=share.dtype, device=share.device)
        at = at.mul_(2 * self.bound * LEAST).sub_(self.bound)[:, None]
        before.mul_(2 * self.bound * self.free)
        return (
            (before @ share.flatten(2)).add_(at).view_as(share)
            if not share.requires_grad
            else (before @ share.flatten(2) + at).view_as(share)
        )

    def box(self, share: Tensor, starts: Tensor, k: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(left, width, bottom, height) of bin k of each entry."""
        index = k.expand(2, 1, *k.shape)
        left, bottom = starts.gather(1, index)[:, 0].unbind(0)
        size = 2 * self.bound * (LEAST + self.free * share.gather(1, index)[:, 0])
        width, height = size.unbind(0)
        return left, width, bottom, height

    def slopes(self, parameters: Tensor, k: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(slopes at both ends of bin k (2, …), their raw parameters, their rows among the parameters); 1 at the outer ends."""
        ends = torch.stack([k + (2 * self.bins - 1), k + 2 * self.bins])
        outer = torch.stack([k == 0, k == self.bins - 1])
        rows = ends.clamp_(max=self.parameters - 1)
        raw = parameters.gather(0, rows).masked_fill(outer, 0.0) + NEUTRAL
        return LEAST + softplus(raw), raw, rows


def spline_gradient(
    spline: Spline,
    share: Tensor,
    k: Tensor,
    of_start: Tensor,
    of_size: Tensor,
    start: Tensor,
    of_raw: Tensor,
    rows: Tensor,
) -> Tensor:
    """The gradient of all raw parameters from that of the bin's corner, size (each (2, …)) and raw slopes.

    With p = softmax and the corner Σ_{j<k} p_j: ∂/∂raw_j = p_j (g_j − Σᵢ pᵢ gᵢ), g_j = g_start [j < k] + g_size [j = k].
    """
    outer = torch.stack([k == 0, k == spline.bins - 1])
    found = of_raw.new_zeros((spline.parameters, *k.shape))
    found.scatter_add_(0, rows, of_raw.masked_fill_(outer, 0.0))
    index = k.expand(2, 1, *k.shape)
    scale = 2 * spline.bound * spline.free
    before = (start + spline.bound - (2 * spline.bound * LEAST) * k) / scale
    mean = of_start * before + of_size * share.gather(1, index)[:, 0]
    at = torch.arange(spline.bins, device=k.device).view(-1, *[1] * k.dim())
    each = (at < k) * of_start[:, None]
    each.scatter_(1, index, of_size[:, None])
    each.sub_(mean[:, None]).mul_(share).mul_(scale)
    found[: 2 * spline.bins] = each.flatten(0, 1)
    return found


def _down(z: Tensor, left: Tensor, width: Tensor, bottom: Tensor, height: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """(x, log dz/dx at x): the root of a quadratic, in the form that does not cancel (equations 6 to 8)."""
    s, v = height / width, z - bottom
    bend = v * (a + b - 2 * s)
    p, q, r = height * (s - a) + bend, height * a - bend, -s * v
    u = (2 * r / (-q - torch.sqrt((q * q - 4 * p * r).clamp_min(0)))).clamp(0, 1)
    under = s + (a + b - 2 * s) * u * (1 - u)
    slope = b * u * u + 2 * s * u * (1 - u) + a * (1 - u) ** 2
    return left + width * u, 2 * s.log() + slope.log() - 2 * under.log()
