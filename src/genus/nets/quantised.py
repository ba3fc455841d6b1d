"""Quantised: an item to grids of codes and back, in one or two levels, and the net of a prior over such grids."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from genus.maths.codebook import Coded, Quantiser
from genus.nets.conv import Block, Down, Up
from genus.nets.heads import Head
from genus.nets.pixelcnn import Stack
from genus.nets.raster import Raster
from genus.space import Space

EMBEDDED = 16  # numbers that tell the prior a code


def halved(height: int, width: int, times: int) -> list[tuple[int, int]]:
    """The sizes of an image halved so many times, odd sides rounded up, the whole first.

    >>> halved(28, 28, 2)
    [(28, 28), (14, 14), (7, 7)]
    """
    sizes = [(height, width)]
    for _ in range(times):
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes


class GridEncoder(nn.Module):
    """A convolutional net x (n, C, H, W), y ↦ features (n, outputs, h, w) of a grid halved `times` from the image.

    Parameters
    ----------
    entries: C. outputs: features. times: halvings, 1 or more; the first is made by the stem. channels: after the stem.
    depth: residual blocks a scale. condition: numbers in y. dropout: of hidden units.
    """

    def __init__(
        self, entries: int, outputs: int, times: int, *, channels: int, depth: int, condition: int = 0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(entries, channels, 5, stride=2, padding=2)
        widths = [channels * min(2**i, 2) for i in range(times)]
        self.downs = nn.ModuleList(Down(a, b) for a, b in pairwise(widths))
        self.blocks = nn.ModuleList(nn.ModuleList(Block(w, condition, dropout, "silu") for _ in range(depth)) for w in widths)
        self.act, self.leave = nn.SiLU(), nn.Conv2d(widths[-1], outputs, 1)
        _channels_last(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.stem(x.contiguous(memory_format=torch.channels_last))
        for i, blocks in enumerate(self.blocks):
            h = self.downs[i - 1](self.act(h)) if i else h
            for block in blocks:  # pyright: ignore[reportGeneralTypeIssues]
                h = block(h, y)
        return self.leave(self.act(h))


class GridDecoder(nn.Module):
    """A convolutional net of grids (n, inputs, h, w), y ↦ raw (n, P, C, H, W): the encoder's mirror.

    Parameters
    ----------
    inputs: features of a place. raw: (P, C, H, W). times, channels, depth, condition, dropout: as in GridEncoder.
    """

    def __init__(
        self, inputs: int, raw: tuple[int, ...], times: int, *, channels: int, depth: int, condition: int = 0,
        dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.raw, sizes = raw, halved(raw[2], raw[3], times)
        widths = [channels * min(2**i, 2) for i in range(times)]
        self.enter = nn.Conv2d(inputs, widths[-1], 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.ModuleList(Block(w, condition, dropout, "silu") for _ in range(depth)) for w in reversed(widths)
        )
        self.ups = nn.ModuleList(Up(widths[i + 1], widths[i], sizes[i + 1]) for i in reversed(range(times - 1)))
        self.act, self.leave = nn.SiLU(), Up(channels, raw[0] * raw[1], sizes[0])
        _channels_last(self)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.enter(z.contiguous(memory_format=torch.channels_last))
        for i, blocks in enumerate(self.blocks):
            h = self.ups[i - 1](self.act(h)) if i else h
            for block in blocks:  # pyright: ignore[reportGeneralTypeIssues]
                h = block(h, y)
        return self.leave(self.act(h)).unflatten(1, self.raw[:2])


class Flat(nn.Module):
    """A net of vectors seen as one of grids with a single place."""

    def __init__(self, body: nn.Module, *, enters: bool) -> None:
        super().__init__()
        self.body, self.enters = body, enters

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.body(x.flatten(1), y) if self.enters else self.body(x, y)[:, :, None, None]


class Top(nn.Module):
    """The upper of two levels of codes: a grid half as fine, read from the lower features and told to the lower codes.

    Parameters
    ----------
    book: of its codes. width: numbers in a code. size: of the lower grid. condition: numbers in y.

    Reference: A. Razavi, A. van den Oord and O. Vinyals 2019, Generating diverse high-fidelity images with VQ-VAE-2,
    https://arxiv.org/abs/1906.00446
    """

    def __init__(self, book: Quantiser, width: int, size: tuple[int, int], condition: int) -> None:
        super().__init__()
        self.book, self.grid = book, halved(*size, 1)[1]
        self.down, self.block = Down(width, width), Block(width, condition, 0.0, "silu")
        self.up, self.join = Up(width, width, size), nn.Conv2d(2 * width, width, 1)
        _channels_last(self)

    def read(self, h: Tensor, y: Tensor | None) -> Tensor:
        """The features (n, width, *grid) to be rounded."""
        return self.block(self.down(h), y)


class Reading(NamedTuple):
    """What an item was read as.

    Attributes
    ----------
    z: (n, inputs, h, w), the codes' vectors for the decoder. index: (n, cells). commitment: (n,), see `Coded`.
    """

    z: Tensor
    index: Tensor
    commitment: Tensor


class Quantised(nn.Module):
    """The nets of a VQ-VAE.

    Parameters
    ----------
    head: p(x | raw). encoder: x, y ↦ (n, latent, h, w). decoder: codes' vectors, y ↦ raw. book: of the grid's codes.
    grid: (h, w). top: an upper level, or None. A code is indices of the upper grid, then of the lower, each
    (book.levels, height, width) flattened.
    """

    place: Tensor

    def __init__(
        self, head: Head, encoder: nn.Module, decoder: nn.Module, book: Quantiser, grid: tuple[int, int] = (1, 1),
        top: Top | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.head, self.encoder, self.decoder, self.book, self.top = head, encoder, decoder, book, top
        self.grids = [grid] if top is None else [top.grid, grid]
        height, width = sum(h for h, _ in self.grids), grid[1]
        self.picture = (book.levels, height, width)
        whole, at, places = torch.arange(book.levels * height * width).view(self.picture), 0, []
        for h, w in self.grids:
            places.append(whole[:, at : at + h, :w].flatten())
            at += h
        self.register_buffer("place", torch.cat(places), persistent=False)

    @property
    def codes(self) -> int:
        """Values an index takes."""
        return self.book.codes

    @property
    def books(self) -> list[Quantiser]:
        """The book of each grid."""
        return [self.book] if self.top is None else [self.top.book, self.book]

    def read(self, x: Tensor, y: Tensor | None) -> Reading:
        """The codes of items; in training learnt codes move."""
        h = self.encoder(x, y)
        if self.top is None:
            z, coded = _rounded(self.book, h)
            return Reading(z, _cells(coded, len(h)), coded.commitment.view(len(h), -1).mean(1))
        above, first = _rounded(self.top.book, self.top.read(h, y))
        told = self.top.up(above)
        below, second = _rounded(self.book, self.top.join(torch.cat([h, told], 1)))
        index = torch.cat([_cells(first, len(h)), _cells(second, len(h))], 1)
        commitment = first.commitment.view(len(h), -1).mean(1) + second.commitment.view(len(h), -1).mean(1)
        return Reading(torch.cat([below, told], 1), index, commitment)

    def look(self, index: Tensor) -> Tensor:
        """The vectors (n, inputs, h, w) that indices (n, cells) stand for, as the decoder takes them."""
        found = []
        for book, cells, grid in zip(self.books, self.split(index), self.grids, strict=True):
            rows = cells.view(len(index), book.levels, -1).movedim(1, 2).flatten(0, 1)
            found.append(book.look(rows).view(len(index), *grid, -1).movedim(3, 1))
        if self.top is None:
            return found[0]
        return torch.cat([found[1], self.top.up(found[0])], 1)

    def split(self, index: Tensor) -> tuple[Tensor, ...]:
        """The indices (n, cells) of each grid."""
        return index.split([b.levels * h * w for b, (h, w) in zip(self.books, self.grids, strict=True)], 1)

    def drawn(self, index: Tensor, space: Space) -> Tensor:
        """Indices (n, cells) as one picture (n, *picture), the upper grid above the lower, zeros where it is narrower."""
        picture = torch.zeros((len(index), space.size), dtype=space.dtype)
        picture[:, self.place.cpu()] = index.cpu().to(space.dtype)
        return picture.view(-1, *space.shape)

    def undrawn(self, picture: Tensor) -> Tensor:
        """The indices (n, cells) in pictures."""
        return picture.flatten(1).long()[:, self.place.to(picture.device)]

    def moved(self, x: Any) -> Any:
        """x where the parameters are."""
        return None if x is None else x.to(next(self.parameters()).device)


def _rounded(book: Quantiser, h: Tensor) -> tuple[Tensor, Coded]:
    """Features (n, d, height, width) rounded place by place."""
    coded = book(h.movedim(1, 3).flatten(0, 2))
    return coded.z.view(len(h), *h.shape[2:], -1).movedim(3, 1), coded


def _cells(coded: Coded, n: int) -> Tensor:
    """Indices (n, levels · height · width)."""
    return coded.index.view(n, -1, coded.index.shape[1]).movedim(2, 1).flatten(1)


class CodeRaster(Raster):
    """A gated PixelCNN over pictures of codes, which enter as vectors; cells that are never filled cost nothing.

    Parameters
    ----------
    space: of the pictures. place: (cells,), where in a flat picture codes stand. width: features. depth: layers.
    condition: numbers in y. dropout: in the layers.
    """

    inside: Tensor

    def __init__(self, space: Space, place: Tensor, *, width: int, depth: int, condition: int = 0, dropout: float = 0.0) -> None:
        channels, *sides = space.shape
        body = Stack(
            "gated", channels * EMBEDDED, (sides[0], sides[1]), width=width, depth=depth, condition=condition, dropout=dropout
        )
        super().__init__(space, body, inner=2 * width)
        self.embed = nn.Embedding(space.levels, EMBEDDED)
        inside = torch.zeros(space.size, dtype=torch.bool).index_fill(0, place.cpu(), True)
        self.register_buffer("inside", inside, persistent=False)

    def entered(self, x: Tensor) -> Tensor:
        return self.embed(x.long()).movedim(-1, 2).flatten(1, 2)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        x = x.view(-1, *self.shape)
        each = self.head.log_prob(self.body(self.entered(x), y), x)
        return (each * self.inside.view(self.shape)[0]).flatten(1).sum(1)

    def drawn(self, n: int, y: Tensor | None) -> Tensor:
        """n pictures, zeros where no code stands."""
        outside = None if bool(self.inside.all()) else (~self.inside).expand(n, -1)
        return self.complete(torch.zeros((n, *self.shape), dtype=torch.int64), outside, y)


def _channels_last(net: nn.Module) -> None:
    """Lay the weights out with channels innermost, which is faster on CPUs."""
    for p in net.parameters():
        if p.dim() == 4:
            p.data = p.data.contiguous(memory_format=torch.channels_last)
