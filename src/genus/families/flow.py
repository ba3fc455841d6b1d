"""Flows: densities made by pushing a normal through bijections that know their log-determinants."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from genus.capability import Conditional, Density, Latent
from genus.errors import UsageError
from genus.maths.bijection import ActNorm, Bijection, Chain, Coupling, Flatten, Logit, Mix, Multiscale, Permute, Squeeze
from genus.maths.margins import Margins
from genus.maths.quantise import Fuzzy, Packed
from genus.maths.spline import Affine, Elementwise, Spline
from genus.nets.coupling import ImageTeller, VectorTeller
from genus.train.descend import descend
from genus.train.recipe import Recipe
from genus.train.run import Run

# size: (layers of vectors, width, depth), (layers a level of images, width, depth)
SIZES = {
    "small": ((4, 64, 1), (4, 32, 1)),
    "base": ((6, 128, 2), (4, 64, 2)),
    "large": ((10, 256, 2), (8, 128, 2)),
}

WIDEST_MIX = 1024  # entries that are whitened
LEAST_SIDE = 12  # of an image; smaller ones are vectors, whose dense nets learn faster


@dataclass(kw_only=True, eq=False, repr=False)
class RealNVP(Recipe, Density, Latent, Conditional):
    """A coupling flow: x = f⁻¹(z), z ~ N(0, I), and log p(x) = log N(f(x)) + log |det ∂f/∂x|, exactly.

    Each layer leaves some entries as they are and moves the others by a monotone map whose parameters a net
    reads off the first (`maths.bijection.Coupling`). Vectors alternate halves between learnt mixings; images
    are squeezed, coupled as checkerboards and by channels, and let half of their channels out at each
    scale. Bounded images pass a logit first, so that the density is of the data themselves; bounded vectors, and images
    too small for convolutions, pass to normals entry by entry (`maths.margins`) and are whitened; couplings learn the rest.

    Parameters
    ----------
    mapping: of one entry, "spline" (Durkan et al. 2019) or "affine" (Dinh et al. 2017).
    layers: couplings, a level for images; None takes those of `size`. width, depth: of the nets, likewise.
    bins: pieces of a spline; None takes 16 for vectors of up to 8 entries, else 8.
    temperature: of sampling, the deviation of z; 1 is the model itself. scales: levels of an image at most.

    Attributes
    ----------
    net_: the Chain of bijections. A net of your own is a `maths.bijection.Bijection`: net(x, y) → (z (n, size), log_det
    (n,)), net.inverse(z, y) → (x, log_det), net.settle(x, y) once before training; a bounded Space wants a
    `Logit` or `Margins` first.

    Reference: L. Dinh, J. Sohl-Dickstein and S. Bengio 2017, Density estimation using Real NVP,
    https://arxiv.org/abs/1605.08803
    """

    accepts: ClassVar[tuple[str, ...]] = ("real",)
    default_steps: ClassVar[int] = 1000

    lr: float = 2e-3
    mapping: Literal["spline", "affine"] = "spline"
    layers: int | None = None
    width: int | None = None
    depth: int | None = None
    bins: int | None = None
    temperature: float = 1.0
    scales: int = 3

    def _check(self) -> None:
        if self.mapping not in ("spline", "affine"):
            raise UsageError(f"mapping={self.mapping!r} is not one of spline, affine.")
        for name, least in (("layers", 1), ("width", 1), ("depth", 0), ("bins", 2), ("scales", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name}={value} must be {least} or more.")
        if self.temperature <= 0:
            raise UsageError(f"temperature={self.temperature} must be positive.")

    # -- the bijection ------------------------------------------------------------------------------------

    @property
    def _picture(self) -> bool:
        """Whether items are images whose sides can be halved, and large enough to be worth convolutions."""
        shape = self.space_.shape
        return len(shape) == 3 and shape[1] % 2 == 0 and shape[2] % 2 == 0 and min(shape[1:]) >= LEAST_SIDE

    def _dials(self) -> tuple[int, int, int]:
        layers, width, depth = SIZES[self.size][self._picture]
        depth = depth if self.depth is None else self.depth
        return self.layers or layers, self.width or width, depth

    def _build(self) -> None:
        own = self._own_net(self.space_, self.width_y, ("inverse", "settle"))
        self.net_: Chain = own or self._chain()

    def _chain(self) -> Chain:
        bounds, shape = getattr(self.space_, "bounds", None), self.space_.shape
        if self._picture:
            logit: list[Bijection] = [Logit(*bounds)] if bounds else []
            return Chain([*logit, self._levels((shape[0], shape[1], shape[2]), self.scales)])
        size = self.space_.size
        links: list[Bijection] = [Flatten(shape)]
        if bounds:
            links.append(Margins(size, *bounds))
        links.append(Mix(size, whiten=True) if bounds and 1 < size <= WIDEST_MIX else ActNorm(size))
        return Chain([*links, self._vector(size)])

    def _transform(self, features: int) -> Elementwise:
        """A single entry always takes a spline: an affine map of it could only be a normal."""
        bins = self.bins or (16 if self.space_.size <= 8 else 8)
        return Spline(bins) if self.mapping == "spline" or features == 1 else Affine()

    def _vector(self, d: int) -> Bijection:
        layers, width, depth = self._dials()
        transform = self._transform(d)
        links: list[Bijection] = []
        for i in range(layers):
            order = torch.arange(d)
            stay, move = (order[: d // 2], order[d // 2 :]) if i % 2 == 0 or d == 1 else (order[d // 2 :], order[: d // 2])
            outputs = len(move) * transform.parameters
            net = VectorTeller(len(stay), outputs, width=width, depth=depth, condition=self.width_y, dropout=self.dropout)
            links.append(Coupling(stay, move, net, transform))
            if d > 2 and i + 1 < layers:
                links.append(Mix(d) if d <= 128 else Permute(torch.randperm(d)))
            links.append(ActNorm(d))
        return Chain(links)

    def _levels(self, shape: tuple[int, int, int], left: int) -> Bijection:
        """Squeeze, couple, let half out, and the same again while sides can be halved."""
        channels, height, width = 4 * shape[0], shape[1] // 2, shape[2] // 2
        links: list[Bijection] = [Squeeze(), ActNorm(channels)]
        for i in range(self._dials()[0]):
            links += self._layer(channels, checkered=i % 4 < 2, odd=i % 2 == 1)
        first = Chain(links)
        half = (channels // 2, height, width)
        if left > 1 and height % 2 == 0 and width % 2 == 0:
            return Multiscale(first, self._levels(half, left - 1), (channels, height, width))
        return Chain([first, Flatten((channels, height, width))])

    def _layer(self, channels: int, *, checkered: bool, odd: bool) -> list[Bijection]:
        """One coupling of a squeezed image: of the two colours of a checkerboard, or after mixing the channels."""
        _, width, depth = self._dials()
        index, transform = torch.arange(channels), self._transform(channels)
        first = torch.isin(index % 4, torch.tensor([0, 3])) if checkered else index < channels // 2
        stay, move = (index[~first], index[first]) if odd else (index[first], index[~first])
        outputs = len(move) * transform.parameters
        net = ImageTeller(len(stay), outputs, width=width, depth=depth, condition=self.width_y, dropout=self.dropout)
        coupling = Coupling(stay, move, net, transform)
        return [coupling, ActNorm(channels)] if checkered else [Mix(channels), coupling, ActNorm(channels)]

    # -- the hooks ----------------------------------------------------------------------------------------

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        for link in self.net_.modules():
            if isinstance(link, Margins) and isinstance(x, Fuzzy):
                link.cells = x.steps(link.high - link.low) or link.cells
        first = torch.randperm(len(x))[: 1024 if self._picture else 8192]
        with torch.no_grad():
            self.net_.settle(x[first], None if y is None else y[first])
        self.history_ = descend(self.net_, self._loss, x, y, recipe=self, run=run, evaluate=self._loss)

    def _loss(self, x: Tensor, y: Tensor | None) -> Tensor:
        return -self._log_prob(x, y)

    def _log_prob(self, x: Tensor, y: Tensor | None) -> Tensor:
        z, log_det = self.net_(x, y)
        return log_det - 0.5 * (z.square() + math.log(2 * math.pi)).sum(1)

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        return self._decode(self.temperature * torch.randn(n, self.space_.size), y)

    def _encode(self, x: Tensor, y: Tensor | None) -> Tensor:
        return self.net_(x, y)[0]

    def _decode(self, z: Tensor, y: Tensor | None) -> Tensor:
        x = self.net_.inverse(z, y)[0]
        bounds = getattr(self.space_, "bounds", None)
        return x.clamp(*bounds) if bounds else x
