"""Monotone maps of single entries, told by parameters: affine and rational-quadratic splines."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad, softmax, softplus

LEAST = 1e-3  # of a bin's share of the interval and of a knot's slope


class Elementwise(Protocol):
    """A monotone map of each entry; `parameters` numbers an entry, all zero for the identity.

    Called with x and parameters (*x.shape, parameters) it returns (z, log dz/dx), both of x's shape;
    `inverse` returns (x, log dx/dz).
    """

    @property
    def parameters(self) -> int: ...

    def __call__(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]: ...

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class Affine:
    """z = x e^s + t, with |s| < `limit` by a hyperbolic tangent, so that no scale can explode."""

    limit: float = 3.0
    parameters: int = 2

    def _parts(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return self.limit * torch.tanh(parameters[..., 0] / self.limit), parameters[..., 1]

    def __call__(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self._parts(parameters)
        return x * log_scale.exp() + shift, log_scale

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self._parts(parameters)
        return (z - shift) * torch.exp(-log_scale), -log_scale


@dataclass(frozen=True)
class Spline:
    """A monotone rational-quadratic spline on (−bound, bound), the identity outside.

    `bins` pieces, each a quotient of quadratics that meets its neighbours with equal slopes; widths and heights are
    a softmax each, inner slopes a softplus. Entries outside are clamped before the formula, so that the
    branch not taken has finite gradients.

    Reference: C. Durkan et al. 2019, Neural spline flows, https://arxiv.org/abs/1906.04032
    """

    bins: int = 8
    bound: float = 3.0

    @property
    def parameters(self) -> int:
        return 3 * self.bins - 1

    def __call__(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        inside = x.abs() < self.bound
        piece = self._piece(x, parameters, forward=True)
        z, log_slope = _up(x.clamp(-self.bound, self.bound), *piece)
        return torch.where(inside, z, x), torch.where(inside, log_slope, 0.0)

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        inside = z.abs() < self.bound
        piece = self._piece(z, parameters, forward=False)
        x, log_slope = _down(z.clamp(-self.bound, self.bound), *piece)
        return torch.where(inside, x, z), torch.where(inside, -log_slope, 0.0)

    def _piece(self, x: Tensor, parameters: Tensor, *, forward: bool) -> tuple[Tensor, ...]:
        """(left, width, bottom, height, slope at left, slope at right) of the bin that holds each entry."""
        k = self.bins
        xs, ys = self._knots(parameters[..., :k]), self._knots(parameters[..., k : 2 * k])
        slopes = LEAST + softplus(parameters[..., 2 * k :] + math.log(math.expm1(1 - LEAST)))
        slopes = pad(slopes, (1, 1), value=1.0)
        index = (x[..., None] >= (xs if forward else ys)[..., 1:-1]).sum(-1, keepdim=True)
        left, right, bottom, top, a, b = (
            torch.gather(values, -1, index + step)[..., 0] for values in (xs, ys, slopes) for step in (0, 1)
        )
        return left, right - left, bottom, top - bottom, a, b

    def _knots(self, raw: Tensor) -> Tensor:
        """k + 1 increasing positions from −bound to bound."""
        share = LEAST + (1 - LEAST * self.bins) * softmax(raw, -1)
        inner = 2 * self.bound * share.cumsum(-1)[..., :-1] - self.bound
        return torch.cat([torch.full_like(inner[..., :1], -self.bound), inner, torch.full_like(inner[..., :1], self.bound)], -1)


def _up(x: Tensor, left: Tensor, width: Tensor, bottom: Tensor, height: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """(z, log dz/dx) of Durkan et al.'s equations 4 and 5."""
    u, s = ((x - left) / width).clamp(0, 1), height / width
    under = s + (a + b - 2 * s) * u * (1 - u)
    z = bottom + height * (s * u * u + a * u * (1 - u)) / under
    return z, _log_slope(u, s, a, b, under)


def _down(z: Tensor, left: Tensor, width: Tensor, bottom: Tensor, height: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """(x, log dz/dx at x): the root of a quadratic, in the form that does not cancel (equations 6 to 8)."""
    s, v = height / width, z - bottom
    bend = v * (a + b - 2 * s)
    p, q, r = height * (s - a) + bend, height * a - bend, -s * v
    u = (2 * r / (-q - torch.sqrt((q * q - 4 * p * r).clamp_min(0)))).clamp(0, 1)
    under = s + (a + b - 2 * s) * u * (1 - u)
    return left + width * u, _log_slope(u, s, a, b, under)


def _log_slope(u: Tensor, s: Tensor, a: Tensor, b: Tensor, under: Tensor) -> Tensor:
    return 2 * s.log() + (b * u * u + 2 * s * u * (1 - u) + a * (1 - u) ** 2).log() - 2 * under.log()
