"""Flows: densities made by pushing simple noise through bijections that know their log-determinants."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from genus.capability import Conditional, Density, Latent
from genus.errors import UsageError
from genus.maths.bijection import ActNorm, Bijection, Chain, Mix, Permute
from genus.maths.quantise import Packed
from genus.maths.spline import Affine, Elementwise, Shift, Spline
from genus.nets.flows import coupled, image_coupling, ordered, pyramid, scaled, settle
from genus.train.descend import descend
from genus.train.recipe import Recipe
from genus.train.run import Run

LEAST_SIDE = 12  # of an image; smaller ones are vectors, whose dense nets learn faster
Sizes = dict[str, tuple[tuple[int, int, int], ...]]

COUPLED: Sizes = {"small": ((4, 64, 1), (4, 32, 1)), "base": ((6, 128, 2), (4, 64, 2)), "large": ((10, 256, 2), (8, 128, 2))}
ORDERED: Sizes = {"small": ((3, 64, 1),) * 2, "base": ((5, 128, 2),) * 2, "large": ((8, 256, 2),) * 2}


@dataclass(kw_only=True, eq=False, repr=False)
class Flow(Recipe, Density, Latent, Conditional):
    """The shell of the flows: x = f⁻¹(z), z ~ N(0, I), and log p(x) = log N(f(x)) + log |det ∂f/∂x|, exactly.

    A flow says what f is between the data's own scale and the noise (`_moves` of vectors, `_levels` of images).
    Bounded items of up to 1,024 entries pass to normals entry by entry (`maths.margins`) and are whitened, larger bounded
    images pass a logit, so that the density is always of the data themselves; the flow learns the rest.

    Parameters
    ----------
    layers: transformations in a row, a level for images; None takes those of `size`. width, depth: of the nets, likewise.
    temperature: of sampling, a factor of z; 1 is the model itself. base: density of z, "normal" or "logistic".
    """

    accepts: ClassVar[tuple[str, ...]] = ("real",)
    default_steps: ClassVar[int] = 1000
    sizes: ClassVar[Sizes] = COUPLED  # (layers, width, depth) of vectors, of images

    lr: float = 2e-3
    layers: int | None = None
    width: int | None = None
    depth: int | None = None
    temperature: float = 1.0
    base: Literal["normal", "logistic"] = "normal"

    def _check(self) -> None:
        if self.base not in ("normal", "logistic"):
            raise UsageError(f"base={self.base!r} is not one of normal, logistic.")
        for name, least in (("layers", 1), ("width", 1), ("depth", 0), ("bins", 2), ("scales", 1)):
            value = getattr(self, name, None)
            if value is not None and value < least:
                raise UsageError(f"{name}={value} must be {least} or more.")
        if self.temperature <= 0:
            raise UsageError(f"temperature={self.temperature} must be positive.")

    # -- the bijection ------------------------------------------------------------------------------------

    @abstractmethod
    def _moves(self, d: int) -> Bijection:
        """What moves vectors of d entries of about unit scale."""

    def _levels(self, shape: tuple[int, int, int]) -> Bijection | None:
        """What moves images, in place of `_moves`; None where the family takes images as vectors."""
        return None

    def _dials(self, image: bool = False) -> dict[str, Any]:
        layers, width, depth = self.sizes[self.size][image]
        depth = depth if self.depth is None else self.depth
        return {"layers": self.layers or layers, "width": self.width or width, "depth": depth}

    def _told(self) -> dict[str, Any]:
        return {"condition": self.width_y, "dropout": self.dropout}

    def _build(self) -> None:
        own = self._own_net(self.space_, self.width_y, ("inverse", "settle"))
        self.net_: Chain = own or self._chain()

    def _chain(self) -> Chain:
        bounds, shape, size = getattr(self.space_, "bounds", None), self.space_.shape, self.space_.size
        if len(shape) == 3 and shape[1] % 2 == 0 and shape[2] % 2 == 0 and min(shape[1:]) >= LEAST_SIDE:
            levels = self._levels((shape[0], shape[1], shape[2]))
            if levels is not None:
                return Chain([*scaled(shape, bounds, image=True), levels])
        return Chain([*scaled(shape, bounds), self._moves(size)])

    # -- the hooks ----------------------------------------------------------------------------------------

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        settle(self.net_, x, y)
        self.history_ = descend(self.net_, self._loss, x, y, recipe=self, run=run, evaluate=self._loss)

    def _loss(self, x: Tensor, y: Tensor | None) -> Tensor:
        return -self._log_prob(x, y)

    def _log_prob(self, x: Tensor, y: Tensor | None) -> Tensor:
        z, log_det = self.net_(x, y)
        return log_det + self._log_noise(z)

    def _log_noise(self, z: Tensor) -> Tensor:
        if self.base == "logistic":
            return (z - 2 * softplus(z)).sum(1)
        return -0.5 * z.square().sum(1) - 0.5 * math.log(2 * math.pi) * z.shape[1]

    def _noise(self, n: int) -> Tensor:
        if self.base == "logistic":
            return torch.logit(torch.rand(n, self.space_.size).clamp(1e-6, 1 - 1e-6))
        return torch.randn(n, self.space_.size)

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        return self._decode(self.temperature * self._noise(n), y)

    def _encode(self, x: Tensor, y: Tensor | None) -> Tensor:
        return self.net_(x, y)[0]

    def _decode(self, z: Tensor, y: Tensor | None) -> Tensor:
        x = self.net_.inverse(z, y)[0]
        bounds = getattr(self.space_, "bounds", None)
        return x.clamp(*bounds) if bounds else x


@dataclass(kw_only=True, eq=False, repr=False)
class RealNVP(Flow):
    """A coupling flow: each layer leaves some entries as they are and moves the others by a monotone map told by the first.

    z_b = g(x_b; net(x_a, y)), z_a = x_a, log p(x) = log N(f(x)) + log |det ∂f/∂x|. Vectors alternate halves between learnt
    mixings; images are squeezed, coupled as checkerboards and by channels, and let half of their channels out at each scale.

    Parameters
    ----------
    mapping: of one entry, "spline" (Durkan et al. 2019) or "affine" (Dinh et al. 2017).
    layers: couplings, a level for images; None takes those of `size`. width, depth: of the nets, likewise.
    bins: pieces of a spline; None takes 16 for vectors of up to 8 entries, else 8.
    mixing: of a vector between couplings, a learnt "matrix", a fixed "shuffle" or "none", which are faster.
    temperature: of sampling, a factor of z; 1 is the model itself. scales: levels of an image at most.
    base: density of z, "normal" or "logistic".

    Attributes
    ----------
    net_: the Chain of bijections. A net of your own is a `maths.bijection.Bijection`: net(x, y) → (z (n, size), log_det
    (n,)), net.inverse(z, y) → (x, log_det), net.settle(x, y) once before training; a bounded Space wants a
    `Logit` or `Margins` first.

    Reference: L. Dinh, J. Sohl-Dickstein and S. Bengio 2017, Density estimation using Real NVP,
    https://arxiv.org/abs/1605.08803
    """

    mapping: Literal["spline", "affine"] = "spline"
    bins: int | None = None
    scales: int = 3
    mixing: Literal["matrix", "shuffle", "none"] = "matrix"

    def _check(self) -> None:
        if self.mixing not in ("matrix", "shuffle", "none"):
            raise UsageError(f"mixing={self.mixing!r} is not one of matrix, shuffle, none.")
        if self.mapping not in ("spline", "affine"):
            raise UsageError(f"mapping={self.mapping!r} is not one of spline, affine.")
        super()._check()

    def _transform(self, features: int) -> Elementwise:
        """A single entry always takes a spline: an affine map of it could only be a normal."""
        bins = self.bins or (16 if self.space_.size <= 8 else 8)
        return Spline(bins) if self.mapping == "spline" or features == 1 else Affine()

    def _moves(self, d: int) -> Bijection:
        return coupled(d, self._transform(d), **self._dials(), **self._told(), mixing=self.mixing)

    def _levels(self, shape: tuple[int, int, int]) -> Bijection | None:
        dials = self._dials(image=True)
        layers = dials.pop("layers")

        def layer(channels: int, i: int) -> list[Bijection]:
            how = {"checkered": i % 4 < 2, "odd": i % 2 == 1}
            coupling = image_coupling(channels, self._transform(channels), **dials, **how, **self._told())
            return [*([] if how["checkered"] else [Mix(channels)]), coupling, ActNorm(channels)]

        return pyramid(shape, layer, layers=layers, scales=self.scales)


@dataclass(kw_only=True, eq=False, repr=False)
class NICE(Flow):
    """The additive flow: z_b = x_b + net(x_a, y), z_a = x_a, entry by entry scaled at the end; couplings keep volume.

    log p(x) = Σ log p(sᵢ f(x)ᵢ) + Σ log sᵢ, where p is the logistic or normal density and f has the determinant 1.

    Parameters
    ----------
    base: density of z, "logistic" as in the paper or "normal".
    layers: couplings, of either half in turn. width, depth: of the nets. temperature: of sampling, a factor of z.

    Attributes
    ----------
    net_: the Chain of bijections, as RealNVP's.

    Reference: L. Dinh, D. Krueger and Y. Bengio 2015, NICE, https://arxiv.org/abs/1410.8516
    """

    sizes: ClassVar[Sizes] = {"small": ((4, 64, 1),) * 2, "base": ((4, 256, 2),) * 2, "large": ((6, 1000, 3),) * 2}

    base: Literal["normal", "logistic"] = "logistic"

    def _moves(self, d: int) -> Bijection:
        shuffled = [] if d == 1 else [Permute(torch.randperm(d))]
        return Chain([*shuffled, coupled(d, Shift(), **self._dials(), **self._told(), mixing="none"), ActNorm(d)])


@dataclass(kw_only=True, eq=False, repr=False)
class Glow(Flow):
    """RealNVP whose layers are an activation normalisation, a learnt 1×1 convolution and an affine coupling of channels.

    f is a chain of (actnorm, z = W x over channels, z_b = x_b e^s + t), a pyramid of scales for images; vectors are mixed
    by a matrix. log p(x) = log N(f(x)) + log |det ∂f/∂x|.

    Parameters
    ----------
    layers: couplings, a level for images; None takes those of `size`. width, depth: of the nets, likewise.
    temperature: of sampling, a factor of z; the paper shows images of 0.7. scales: levels of an image at most.
    base: density of z, "normal" or "logistic".

    Attributes
    ----------
    net_: the Chain of bijections, as RealNVP's.

    Reference: D. Kingma and P. Dhariwal 2018, Glow, https://arxiv.org/abs/1807.03039
    """

    scales: int = 3

    def _moves(self, d: int) -> Bijection:
        transform = Spline(16) if d == 1 else Affine()
        return coupled(d, transform, **self._dials(), **self._told())

    def _levels(self, shape: tuple[int, int, int]) -> Bijection | None:
        dials = self._dials(image=True)
        layers = dials.pop("layers")

        def layer(channels: int, i: int) -> list[Bijection]:
            coupling = image_coupling(channels, Affine(), **dials, checkered=False, odd=i % 2 == 1, **self._told())
            return [ActNorm(channels), Mix(channels), coupling]

        return pyramid(shape, layer, layers=layers, scales=self.scales)


@dataclass(kw_only=True, eq=False, repr=False)
class MAF(Flow):
    """The masked autoregressive flow: z_i = x_i e^{s_i} + t_i, (s_i, t_i) = net(x_{<i}, y), layers in turning orders.

    Scoring takes one pass a layer, sampling one pass an entry and layer. log p(x) = log N(f(x)) + Σ s.

    Parameters
    ----------
    layers: transformations in a row. width, depth: of the masked nets. temperature: of sampling, a factor of z.
    base: density of z, "normal" or "logistic".

    Attributes
    ----------
    net_: the Chain of bijections, as RealNVP's.

    Reference: G. Papamakarios, T. Pavlakou and I. Murray 2017, Masked autoregressive flow for density estimation,
    https://arxiv.org/abs/1705.07057
    """

    sizes: ClassVar[Sizes] = ORDERED

    def _moves(self, d: int) -> Bijection:
        return ordered(d, Affine(), **self._dials(), **self._told())


@dataclass(kw_only=True, eq=False, repr=False)
class IAF(Flow):
    """The inverse autoregressive flow, MAF run backwards: x_i = z_i e^{s_i} + t_i, (s_i, t_i) = net(z_{<i}, y).

    Sampling takes one pass a layer; scoring, and so training, one pass an entry and layer: for few entries.

    Parameters
    ----------
    layers: transformations in a row. width, depth: of the masked nets. temperature: of sampling, a factor of z.
    base: density of z, "normal" or "logistic".

    Attributes
    ----------
    net_: the Chain of bijections, as RealNVP's.

    Reference: D. Kingma et al. 2016, Improving variational inference with inverse autoregressive flow,
    https://arxiv.org/abs/1606.04934
    """

    sizes: ClassVar[Sizes] = {"small": ((2, 32, 1),) * 2, "base": ((4, 64, 1),) * 2, "large": ((6, 128, 2),) * 2}

    def _moves(self, d: int) -> Bijection:
        return ordered(d, Affine(), **self._dials(), **self._told(), inverse=True)


@dataclass(kw_only=True, eq=False, repr=False)
class NSF(Flow):
    """The neural spline flow: each entry is moved by a monotone rational-quadratic spline that a net tells.

    z_i = spline(x_i; net(x_{<i}, y)) entry after entry, or z_b = spline(x_b; net(x_a, y)) by coupling; the identity beyond
    ±3 deviations. log p(x) = log N(f(x)) + Σ log spline′.

    Parameters
    ----------
    autoregressive: entry after entry, which learns more and draws slower; by coupling when False.
    bins: pieces of a spline.
    layers: transformations in a row. width, depth: of the nets. temperature: of sampling, a factor of z.
    base: density of z, "normal" or "logistic".

    Attributes
    ----------
    net_: the Chain of bijections, as RealNVP's.

    Reference: C. Durkan, A. Bekasov, I. Murray and G. Papamakarios 2019, Neural spline flows,
    https://arxiv.org/abs/1906.04032
    """

    sizes: ClassVar[Sizes] = {"small": ((3, 64, 1),) * 2, "base": ((4, 128, 2),) * 2, "large": ((6, 256, 2),) * 2}

    autoregressive: bool = True
    bins: int = 8

    def _moves(self, d: int) -> Bijection:
        make = ordered if self.autoregressive else coupled
        return make(d, Spline(self.bins), **self._dials(), **self._told())
