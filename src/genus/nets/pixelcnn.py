"""Pixelcnn: stacks of masked convolutions, plain, gated in two streams, or as in PixelCNN++."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genus.nets.dropout import Dropout
from genus.nets.pixel import Body, Masked, Memory, Pointwise, Rows, Told, keep_row, lay_channels_last


def gate(x: Tensor) -> Tensor:
    """2 tanh(a) ⊙ σ(2 b) of the two halves of the features, which is tanh(a) ⊙ (1 + tanh(b)): one function of them all."""
    a, b = torch.tanh(x).chunk(2, 1)
    return torch.addcmul(a, a, b)


class Block(nn.Module, ABC):
    """One layer of a stack of two streams: v of what the rows above tell, h of all that came before; some use h alone."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.drop = Dropout(dropout)

    @abstractmethod
    def forward(self, v: Tensor, h: Tensor, y: Tensor | None, skip: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        """The next v and h, (n, features, height, width); skip holds both of an earlier block."""

    @abstractmethod
    def begin(self, memory: Memory, n: int, width: int) -> None:
        """Nothing has been seen of n items."""

    @abstractmethod
    def row(self, memory: Memory, v: Tensor, y: Tensor | None, skip: Tensor | None) -> Tensor:
        """Begin a row: the next v (n, features, width)."""

    @abstractmethod
    def pixel(self, memory: Memory, h: Tensor, skip: Tensor | None) -> Tensor:
        """The next h (n, features) of the pixel."""


class Plain(Block):
    """A residual block of masked convolutions: h + 1×1(relu(masked 3×3(relu(1×1(relu h))))).

    Reference: A. van den Oord, N. Kalchbrenner and K. Kavukcuoglu 2016, Pixel recurrent neural networks,
    https://arxiv.org/abs/1601.06759
    """

    def __init__(self, width: int, condition: int, side: int, dropout: float) -> None:
        super().__init__(dropout)
        half = max(1, width // 2)
        self.enter, self.leave = Pointwise(width, half), Pointwise(half, width)
        self.masked, self.told = Masked(half, half, side, side, True), Told(condition, half)
        self.parts = self.enter, self.masked, self.leave

    def forward(self, v: Tensor, h: Tensor, y: Tensor | None, skip: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        inner = F.relu(self.enter(F.relu(h)))
        return v, h + self.leave(self.drop(F.relu(self.told(self.masked(inner), y))))

    def begin(self, memory: Memory, n: int, width: int) -> None:
        """The inner features get a one beside them, so that the last bias is a row of its matrix and the sum one product."""
        for part in (self.enter, self.leave):
            part.begin(memory)
        self.masked.begin(memory, n, width)
        fixed = memory.fixed
        fixed[self.masked] = F.pad(fixed[self.masked], (0, 1))
        fixed[self.leave] = torch.cat([fixed[self.leave], fixed[self.leave, "bias"][None]])

    def row(self, memory: Memory, v: Tensor, y: Tensor | None, skip: Tensor | None) -> Tensor:
        keep_row(memory, self, F.pad(self.told(self.masked.row(memory), y), (0, 0, 0, 1), value=1.0), v.shape[2])
        return v

    def pixel(self, memory: Memory, h: Tensor, skip: Tensor | None) -> Tensor:
        enter, masked, leave = self.parts
        enter.pixel(memory, h.relu(), out=masked.slot(memory)).relu_()
        inner = masked.pixel(memory, memory.kept[self].select(1, memory.j)).relu_()
        return torch.addmm(h, inner, memory.fixed[leave])


class Gated(Block):
    """A gated layer of two stacks, so that no pixel before is out of sight: v ← v + g(n×n v), h ← h + 1×1(g(1×n h + 1×1 n×n v)).

    g(a, b) = tanh(a) ⊙ σ(b). That v is residual as well departs from the paper.

    Reference: A. van den Oord et al. 2016, Conditional image generation with PixelCNN decoders, https://arxiv.org/abs/1606.05328
    """

    def __init__(self, width: int, condition: int, side: int, dropout: float) -> None:
        super().__init__(dropout)
        self.rows = Rows(width, 2 * width, side + 1, 2 * side + 1)
        self.masked = Masked(width, 2 * width, 0, side, True)
        self.link, self.leave = Pointwise(2 * width, 2 * width), Pointwise(width, width)
        self.told_v, self.told_h = Told(condition, 2 * width), Told(condition, 2 * width)
        self.parts = self.masked, self.leave

    def forward(self, v: Tensor, h: Tensor, y: Tensor | None, skip: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        above = self.rows(v)
        both = self.masked(h) + self.link(above)
        return v + gate(self.told_v(above, y)), h + self.leave(self.drop(gate(self.told_h(both, y))))

    def begin(self, memory: Memory, n: int, width: int) -> None:
        self.rows.begin(memory, n, width)
        self.masked.begin(memory, n, width)
        self.leave.begin(memory)

    def row(self, memory: Memory, v: Tensor, y: Tensor | None, skip: Tensor | None) -> Tensor:
        above = self.rows.row(memory, v)
        linked = self.told_h(self.link(above[:, :, None])[:, :, 0] + self.masked.row(memory), y)
        keep_row(memory, self, linked, v.shape[2])
        return v + gate(self.told_v(above, y))

    def pixel(self, memory: Memory, h: Tensor, skip: Tensor | None) -> Tensor:
        masked, leave = self.parts
        masked.put(memory, h)
        return leave.pixel(memory, gate(masked.pixel(memory, memory.kept[self].select(1, memory.j)))).add_(h)


def both_signs(x: Tensor) -> Tensor:
    """elu of x and of −x, side by side."""
    return F.elu(torch.cat([x, -x], 1))


class Residual(Block):
    """A gated residual layer of PixelCNN++: s + a ⊙ σ(b), (a, b) = conv(elu±(conv(elu± s) + 1×1 elu± t)), of both streams s.

    t is, for the stream h, the new v; both also see an earlier block where `skips`.

    Reference: T. Salimans, A. Karpathy, X. Chen and D. Kingma 2017, PixelCNN++, https://arxiv.org/abs/1701.05517
    """

    def __init__(self, width: int, condition: int, side: int, dropout: float, skips: bool = False) -> None:
        super().__init__(dropout)
        self.skips = skips
        kernel = (side + 1, 2 * side + 1)
        self.rows, self.rows2 = Rows(2 * width, width, *kernel), Rows(2 * width, 2 * width, *kernel)
        self.masked = Masked(2 * width, width, side, side, True)
        self.masked2 = Masked(2 * width, 2 * width, side, side, True)
        self.link_v = Pointwise(2 * width, width) if skips else None
        self.link_h = Pointwise(2 * width * (1 + skips), width)
        self.told_v, self.told_h = Told(condition, 2 * width), Told(condition, 2 * width)
        self.parts = self.masked, self.masked2, self.link_h

    def forward(self, v: Tensor, h: Tensor, y: Tensor | None, skip: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        inner = self.rows(both_signs(v))
        if self.link_v is not None and skip is not None:
            inner = inner + self.link_v(both_signs(skip[0]))
        v = v + F.glu(self.told_v(self.rows2(self.drop(both_signs(inner))), y), 1)
        side = v if skip is None or not self.skips else torch.cat([v, skip[1]], 1)
        inner = self.masked(both_signs(h)) + self.link_h(both_signs(side))
        return v, h + F.glu(self.told_h(self.masked2(self.drop(both_signs(inner))), y), 1)

    def begin(self, memory: Memory, n: int, width: int) -> None:
        for part in (self.rows, self.rows2, self.masked, self.masked2):
            part.begin(memory, n, width)
        self.link_h.begin(memory)

    def row(self, memory: Memory, v: Tensor, y: Tensor | None, skip: Tensor | None) -> Tensor:
        inner = self.rows.row(memory, both_signs(v))
        if self.link_v is not None and skip is not None:
            inner = inner + self.link_v(both_signs(skip)[:, :, None])[:, :, 0]
        v = v + F.glu(self.told_v(self.rows2.row(memory, both_signs(inner)), y), 1)
        keep_row(memory, (self, "v"), v, v.shape[2])
        keep_row(memory, (self, 1), self.masked.row(memory), v.shape[2])
        keep_row(memory, (self, 2), self.told_h(self.masked2.row(memory), y), v.shape[2])
        return v

    def pixel(self, memory: Memory, h: Tensor, skip: Tensor | None) -> Tensor:
        kept, j = memory.kept, memory.j
        masked, masked2, link = self.parts
        masked.put(memory, both_signs(h))
        v = kept[self, "v"].select(1, j)
        side = v if skip is None or not self.skips else torch.cat([v, skip], 1)
        inner = masked.pixel(memory, kept[self, 1].select(1, j)).add_(link.pixel(memory, both_signs(side)))
        masked2.put(memory, both_signs(inner))
        return F.glu(masked2.pixel(memory, kept[self, 2].select(1, j)), 1).add_(h)


BLOCKS = {"plain": Plain, "gated": Gated, "mixture": Residual}


class Stack(Body):
    """Convolutional layers of one kind behind a 7×7 masked convolution; `place` tells the features where they are.

    Parameters
    ----------
    variant: "plain", "gated" or "mixture". channels: of the inputs. sides: (height, width). width: features. depth: blocks.
    side: pixels that a block's kernel reaches to either side. condition: numbers in y.
    """

    def __init__(
        self, variant: str, channels: int, sides: tuple[int, int], *, width: int, depth: int, side: int = 1, condition: int = 0,
        dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.features, self.columns = width, sides[1]
        plain = variant == "plain"
        self.rows = None if plain else Rows(channels, width, 3, 7, strict=True)
        self.masked = Masked(channels, width, 3 if plain else 0, 3, False)
        self.place = nn.Parameter(torch.zeros(2, width, *sides))
        skips = [variant == "mixture" and i >= (depth + 1) // 2 for i in range(depth)]
        blocks = [BLOCKS[variant](width, condition, side, dropout, **({"skips": True} if skip else {})) for skip in skips]
        self.blocks = nn.ModuleList(blocks)
        self.layers = tuple(zip(blocks, skips, strict=True))  # and whether each looks at an earlier one
        lay_channels_last(self)

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        h = self.masked(x)
        h = h + self.place[0].to(h.dtype)
        v = h if self.rows is None else self.rows(x) + self.place[1].to(h.dtype)
        behind: list[tuple[Tensor, Tensor]] = []
        for block, skips in self.layers:
            if not skips:
                behind.append((v, h))
            v, h = block(v, h, y, behind.pop() if skips else None)
        return h

    def begin(self, n: int) -> Memory:
        memory = Memory()
        for part in (self.rows, self.masked, *(block for block, _ in self.layers)):
            if part is not None:
                part.begin(memory, n, self.columns)
        return memory

    def row(self, memory: Memory, y: Tensor | None) -> None:
        new = self.masked.last(memory)
        keep_row(memory, self, self.masked.row(memory) + self.place[0, :, memory.i], self.columns)
        v = new if self.rows is None else self.rows.row(memory, new) + self.place[1, :, memory.i]
        behind: list[Tensor] = []
        for block, skips in self.layers:
            if not skips:
                behind.append(v)
            v = block.row(memory, v, y, behind.pop() if skips else None)

    def pixel(self, memory: Memory) -> Tensor:
        h = self.masked.pixel(memory, memory.kept[self].select(1, memory.j))
        behind: list[Tensor] = []
        for block, skips in self.layers:
            if not skips:
                behind.append(h)
            h = block.pixel(memory, h, behind.pop() if skips else None)
        return h

    def put(self, memory: Memory, value: Tensor) -> None:
        self.masked.put(memory, value)
