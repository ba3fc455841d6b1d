"""Chains of bijections with their nets: of vectors by coupling or entry after entry, of images level by level."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from genus.maths.bijection import (
    ActNorm,
    Autoregressive,
    Bijection,
    Chain,
    Coupling,
    Flatten,
    Inverse,
    Logit,
    Mix,
    Permute,
)
from genus.maths.margins import Margins
from genus.maths.multiscale import Multiscale, Squeeze
from genus.maths.quantise import Fuzzy, Packed
from genus.maths.spline import Elementwise
from genus.nets.autoregressive import masked_teller
from genus.nets.coupling import ImageTeller
from genus.nets.perceptron import Perceptron

WIDEST_WHITENING = 1024  # entries that are whitened
FEW = 512  # images that convolutions look at before training
WIDEST_MIX = 128  # features that a matrix mixes; more are shuffled
Layer = Callable[[int, int], list[Bijection]]  # (channels, which of its level) ↦ what one layer of an image is


def scaled(shape: tuple[int, ...], bounds: tuple[float, float] | None, *, image: bool = False) -> list[Bijection]:
    """What brings items to about unit scale: a vector, or as it stands for an `image`.

    Bounded items pass to normals entry by entry, large images through a logit; vectors and small images are whitened.
    """
    size = math.prod(shape)
    if image:
        if not bounds:
            return []
        if size > WIDEST_WHITENING:
            return [Logit(*bounds)]
        return [Flatten(shape), Margins(size, *bounds), Mix(size, whiten=True, fixed=True), Inverse(Flatten(shape))]
    margins: list[Bijection] = [Margins(size, *bounds)] if bounds else []
    if not 1 < size <= WIDEST_WHITENING:
        return [Flatten(shape), *margins, ActNorm(size)]
    return [Flatten(shape), *margins, Mix(size, whiten=True, fixed=size > WIDEST_MIX)]


@torch.no_grad()
def settle(net: Bijection, x: Packed, y: Tensor | None) -> None:
    """Let a chain look at some of the items x before training, cells of margins on the grid they were drawn within."""
    for link in net.modules():
        if isinstance(link, Margins) and isinstance(x, Fuzzy):
            link.cells = x.steps(link.high - link.low) or link.cells
    some = torch.randperm(len(x))[: 8192 if math.prod(x.shape[1:]) <= WIDEST_WHITENING else FEW]
    now, c = x[some], None if y is None else y[some]
    for link in net.links if isinstance(net, Chain) else [net]:
        if now.dim() == 4 and not isinstance(link, Flatten):
            now, c = now[:FEW], None if c is None else c[:FEW]
        assert isinstance(link, Bijection)
        link.settle(now, c)
        now = link(now, c)[0]


def coupled(
    d: int,
    transform: Elementwise,
    *,
    layers: int,
    width: int,
    depth: int,
    condition: int = 0,
    dropout: float = 0.0,
    mixing: Literal["matrix", "shuffle", "none"] = "matrix",
) -> Chain:
    """Couplings of a vector's halves, either in turn, between learnt matrices, fixed shuffles or nothing (`mixing`).

    Parameters
    ----------
    d: entries. transform: of one entry. layers: couplings. width, depth, dropout: of their nets. condition: features of y.
    """
    order, links = torch.arange(d), list[Bijection]()
    for i in range(layers):
        if mixing == "shuffle" and i % 2 == 0 and i:
            order = torch.randperm(d)
        first, second = order[: d // 2], order[d // 2 :]
        stay, move = (first, second) if i % 2 == 0 or d == 1 else (second, first)
        net = Perceptron(
            len(stay), len(move) * transform.parameters, width=width, depth=depth, condition=condition, dropout=dropout
        )
        links.append(Coupling(stay, move, net, transform))
        if mixing == "matrix" and d > 2 and i + 1 < layers:
            links.append(Mix(d) if d <= WIDEST_MIX else Permute(torch.randperm(d)))
    return Chain(links)


def ordered(
    d: int,
    transform: Elementwise,
    *,
    layers: int,
    width: int,
    depth: int,
    condition: int = 0,
    dropout: float = 0.0,
    inverse: bool = False,
) -> Chain:
    """Autoregressive layers of a vector, each in the reverse order of the one before; `inverse` runs each backwards."""
    links = list[Bijection]()
    for i in range(layers):
        rank = torch.arange(d) if i % 2 == 0 else torch.arange(d).flip(0)
        net = masked_teller(rank, transform.parameters, width=width, depth=depth, condition=condition, dropout=dropout)
        link = Autoregressive(rank, net, transform)
        links.append(Inverse(link) if inverse else link)
    return Chain(links)


def pyramid(shape: tuple[int, int, int], layer: Layer, *, layers: int, scales: int) -> Bijection:
    """Squeeze an image, move it by `layers` layers, let half of the channels out, and the same again while sides halve.

    Reference: L. Dinh, J. Sohl-Dickstein and S. Bengio 2017, Density estimation using Real NVP, section 3.6,
    https://arxiv.org/abs/1605.08803
    """
    channels, height, width = 4 * shape[0], shape[1] // 2, shape[2] // 2
    links: list[Bijection] = [Squeeze(), ActNorm(channels)]
    for i in range(layers):
        links += layer(channels, i)
    first, whole = Chain(links), (channels, height, width)
    if scales > 1 and height % 2 == 0 and width % 2 == 0:
        rest = pyramid((channels // 2, height, width), layer, layers=layers, scales=scales - 1)
        return Multiscale(first, rest, whole)
    return Chain([first, Flatten(whole)])


def image_coupling(
    channels: int,
    transform: Elementwise,
    *,
    width: int,
    depth: int,
    checkered: bool,
    odd: bool,
    condition: int = 0,
    dropout: float = 0.0,
) -> Coupling:
    """A coupling of a squeezed image: of the two colours of a checkerboard, or of the halves of the channels."""
    index = torch.arange(channels)
    first = torch.isin(index % 4, torch.tensor([0, 3])) if checkered else index < channels // 2
    stay, move = (index[~first], index[first]) if odd else (index[first], index[~first])
    outputs = len(move) * transform.parameters
    net = ImageTeller(len(stay), outputs, width=width, depth=depth, condition=condition, dropout=dropout)
    return Coupling(stay, move, net, transform)
