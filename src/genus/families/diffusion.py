"""Diffusion: noise becomes data by following a learnt velocity."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from genus.capability import Conditional, Estimate, Latent, Stepwise
from genus.errors import UsageError, nearest
from genus.maths.path import TIMES, optimal_pairs, straight, times
from genus.maths.quantise import Packed
from genus.maths.solver import SOLVERS, Field, integrate, states, with_trace
from genus.nets.time import TimedMLP
from genus.nets.unet import UNet
from genus.train.descend import descend
from genus.train.device import autocast
from genus.train.recipe import Recipe
from genus.train.run import Run

# size: (width, depth) of the MLP, (width, blocks) of the U-Net
SIZES = {"small": ((192, 2), (16, 1)), "base": ((384, 4), (32, 1)), "large": ((768, 6), (64, 2))}
EXACT_TRACE = 16  # entries up to which a trace costs little more than a few probes


@dataclass(kw_only=True, eq=False, repr=False)
class FlowMatching(Recipe, Estimate, Latent, Conditional, Stepwise):
    """A continuous flow along straight paths: x_t = (1 − t) ε + t x, and a net that minimises |v(x_t, t) − (x − ε)|².

    Samples follow dx/dt = v(x, t) from noise at t = 0 to data at t = 1. The same equation run backwards encodes,
    and with the trace of its Jacobian it estimates log-likelihoods. Vectors take an MLP with time features,
    images a U-Net.

    Parameters
    ----------
    solver: "euler", "heun" or "dopri5" (adaptive). evaluations: of the net for a sample; dopri5's limit.
    law: of the times in training, "uniform" or "logit-normal". coupling: of noise and data within a batch,
    "independent" or "optimal" (least squared distance; Tong et al. 2024; without a condition only).
    guidance: w in v = (1 − w) v(x, t) + w v(x, t | y); 1 is the plain conditional model.
    forget: share of training items whose condition is hidden, which guidance needs.
    polish: share of the time, at its end, that is one Euler step to the mean of the data given the state, which wipes
    off the last noise; None takes 0.05 for bounded data (dequantised images) and 0 else.
    probes: random directions of the likelihood's trace; items of up to 16 entries take the exact one.

    Attributes
    ----------
    net_: v(x, t, y), where y is (condition, 1), or zeros when hidden, and None without a condition; a net of your own
    is called likewise and gives (n, *space).

    Reference: Y. Lipman et al. 2023, Flow matching for generative modeling, https://arxiv.org/abs/2210.02747;
    X. Liu et al. 2023, Flow straight and fast, https://arxiv.org/abs/2209.03003
    """

    accepts: ClassVar[tuple[str, ...]] = ("real",)
    private: ClassVar[bool] = True

    lr: float = 2e-3
    solver: Literal["euler", "heun", "dopri5"] = "heun"
    evaluations: int = 50
    law: Literal["uniform", "logit-normal"] = "uniform"
    coupling: Literal["independent", "optimal"] = "independent"
    guidance: float = 1.0
    forget: float = 0.1
    probes: int = 4
    polish: float | None = None

    def _check(self) -> None:
        choices = {"solver": tuple(SOLVERS), "law": TIMES, "coupling": ("independent", "optimal")}
        for name, allowed in choices.items():
            value = getattr(self, name)
            if value not in allowed:
                raise UsageError(f"{name}={value!r} is not one of {', '.join(allowed)}.{nearest(str(value), allowed)}")
        if self.evaluations < 1 or self.probes < 2:
            raise UsageError(f"evaluations={self.evaluations} must be 1 or more and probes={self.probes} 2 or more.")
        for name in ("forget", "polish"):
            if not 0 <= (getattr(self, name) or 0) < 1:
                raise UsageError(f"{name}={getattr(self, name)} is a share from 0 to below 1.")

    def _build(self) -> None:
        shape, condition = self.space_.shape, self.width_y + 1 if self.width_y else 0
        self.net_: nn.Module = self._own_net(self.space_, condition)
        if self.net_ is not None:
            return
        (width, depth), (maps, blocks) = SIZES[self.size]
        if not self._picture:
            self.net_ = TimedMLP(
                self.space_.size, condition=condition, width=width, depth=depth, dropout=self.dropout,
                waves=4 if self.space_.size <= 4 else 0,
            )  # fmt: skip
            return
        patch = 2 if max(shape[1:]) >= 24 else 1
        levels = (1, 2) if max(shape[1:]) <= 16 * patch else (1, 2, 2)
        options = {"blocks": blocks, "patch": patch, "condition": condition, "dropout": self.dropout}
        self.net_ = UNet(shape[0], width=maps * (patch + 1) // 2, levels=levels, **options)

    @property
    def _picture(self) -> bool:
        """Whether items are images, which take a U-Net."""
        shape = self.space_.shape
        return len(shape) == 3 and shape[0] <= 4 and min(shape[1:]) >= 4

    @property
    def default_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """3000 for vectors; a step costs more on images: 650 on small ones, 2000 above 256 pixels."""
        if not hasattr(self, "space_") or not self._picture:
            return 3000
        return 650 if math.prod(self.space_.shape[1:]) <= 256 else 2000

    # -- fitting ------------------------------------------------------------------------------------------

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        self.history_ = descend(self.net_, self._loss, x, y, recipe=self, run=run, evaluate=self._loss)

    def _loss(self, x: Tensor, y: Tensor | None) -> Tensor:
        """|v(x_t, t, y) − (x − ε)|², mean over entries, at a random time an item."""
        eps, t = torch.randn_like(x), times(len(x), self.law).to(x)
        if self.coupling == "optimal" and y is None:
            eps = eps[optimal_pairs(eps, x)]
        xt, velocity = straight(eps, x, t)
        return (self.net_(xt, t, self._tell(y, hide=self.forget)) - velocity).square().flatten(1).mean(1)

    def _tell(self, y: Tensor | None, hide: float = 0.0) -> Tensor | None:
        """(y, 1) with a share `hide` of rows zeroed."""
        if y is None:
            return None
        known = torch.cat([y, torch.ones_like(y[:, :1])], 1)
        return known * (torch.rand(len(y), 1) >= hide).to(known) if hide else known

    # -- the hooks ----------------------------------------------------------------------------------------

    def _field(self, y: Tensor | None, guidance: float = 1.0) -> Field:
        """v(·, t) for given conditions, guided unless 1."""
        told = self._tell(y)

        def field(x: Tensor, t: Tensor) -> Tensor:
            t = t.expand(len(x))
            slope = self.net_(x, t, told)
            if told is None or guidance == 1:
                return slope
            return torch.lerp(self.net_(x, t, torch.zeros_like(told)), slope, guidance)

        return field

    def _frames(self, n: int, y: Tensor | None) -> Iterator[Tensor]:
        """Noise, the solver's states, and the data: the last `polish` of time is one Euler step, to E[x | x_t]."""
        x, field = torch.randn(n, *self.space_.shape), self._quick(self._field(y, self.guidance))
        yield self._within(x)
        last = self._polish
        start, evaluations = x, max(1, self.evaluations - (last > 0))
        for x in states(field, start, 0, 1 - last, solver=self.solver, evaluations=evaluations):
            yield self._within(x)
        if last:
            yield self._within(x + last * field(x, x.new_tensor(1 - last)))

    def _quick(self, field: Field) -> Field:
        """The field in the precision of training, its values in float32."""
        precision = autocast(self.precision, torch.device("cpu"))

        def quick(x: Tensor, t: Tensor) -> Tensor:
            with precision():
                return field(x, t).float()

        return quick

    @property
    def _polish(self) -> float:
        """None unless asked, but for bounded data, which dequantisation made rough."""
        return self.polish if self.polish is not None else 0.05 if getattr(self.space_, "bounds", None) else 0.0

    def _trace(self, n: int, y: Tensor | None) -> Iterator[Tensor]:
        return self._frames(n, y)

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        *_, last = self._frames(n, y)
        return last

    def _within(self, x: Tensor) -> Tensor:
        bounds = getattr(self.space_, "bounds", None)
        return x.clamp(*bounds) if bounds else x

    def _encode(self, x: Tensor, y: Tensor | None) -> Tensor:
        return integrate(self._field(y), x, 1, 0, solver="dopri5", evaluations=600).flatten(1)

    def _decode(self, z: Tensor, y: Tensor | None) -> Tensor:
        noise = z.reshape(len(z), *self.space_.shape)
        return self._within(integrate(self._field(y), noise, 0, 1, solver="dopri5", evaluations=600))

    def _estimate(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """log N(x₀) + ∫ −tr ∂v/∂x dt along the path back to noise; the error is the trace estimate's alone, 0 where exact."""
        shape, d, inner = x.shape, self.space_.size, self._field(y)
        probes = None if d <= EXACT_TRACE else torch.randn(self.probes, len(x), d).sign()

        def field(flat: Tensor, t: Tensor) -> Tensor:
            return inner(flat.reshape(shape), t).flatten(1)

        columns = 1 if probes is None else self.probes
        start = torch.cat([x.flatten(1), x.new_zeros(len(x), columns)], 1)
        end = integrate(with_trace(field, probes), start, 1, 0, solver="dopri5", evaluations=300)
        normal = -0.5 * (end[:, :d].square() + math.log(2 * math.pi)).sum(1)
        values = normal[:, None] - end[:, d:]
        error = values.std(1) / math.sqrt(columns) if columns > 1 else torch.zeros(len(x))
        return values.mean(1), error
