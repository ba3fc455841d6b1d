"""Pixel: convolutions that see nothing but the pixels before, at once or pixel by pixel with what they have seen remembered."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Memory:
    """What a net has computed of the pixels drawn so far.

    Attributes
    ----------
    kept: tensors of the items, items first. fixed: tensors of the net, in the shape that steps want. i, j: the pixel's place.
    """

    def __init__(self) -> None:
        self.kept: dict[object, Tensor] = {}
        self.fixed: dict[object, Tensor] = {}
        self.i, self.j = 0, 0

    def keep(self, index: Tensor) -> None:
        """Go on with the items at `index`, which may repeat."""
        self.kept = {key: value[index] for key, value in self.kept.items()}


class Rows(nn.Module):
    """A convolution over the pixels of `rows` rows, the last of them the pixel's own, and of `columns` columns around it.

    Parameters
    ----------
    inputs, outputs: channels. strict: leave out the pixel's own row and end at the row above it.
    """

    def __init__(self, inputs: int, outputs: int, rows: int, columns: int, strict: bool = False) -> None:
        super().__init__()
        self.rows, self.side, self.strict = rows, columns // 2, strict
        self.conv = nn.Conv2d(inputs, outputs, (rows, columns))

    def forward(self, x: Tensor) -> Tensor:
        top = (self.rows, -1) if self.strict else (self.rows - 1, 0)
        return self.conv(F.pad(x, (self.side, self.side, *top)))

    def begin(self, memory: Memory, n: int, width: int) -> None:
        """Nothing has been seen of n items."""
        weight = self.conv.weight
        memory.kept[self] = weight.new_zeros(n, weight.shape[1], self.rows, width + 2 * self.side)

    def row(self, memory: Memory, new: Tensor) -> Tensor:
        """The outputs (n, outputs, width) of a row; new (n, inputs, width) is the last row it may see."""
        seen = memory.kept[self]
        seen = memory.kept[self] = torch.cat([seen[:, :, 1:], F.pad(new, (self.side, self.side))[:, :, None]], 2)
        return self.conv(seen)[:, :, 0]


class Masked(nn.Module):
    """A convolution over the pixels of `rows` rows above, `side` columns to either side, and those before it in its own row.

    Parameters
    ----------
    inputs, outputs: channels. own: see the pixel itself too (mask B, for features that do not see it; A is without).
    """

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, rows: int, side: int, own: bool) -> None:
        super().__init__()
        self.inputs, self.rows, self.side, self.own = inputs, rows, side, own
        self.reach = (side + own) * inputs  # numbers of its own row that a pixel sees
        width = 2 * side + 1 if rows else side + own
        mask = torch.ones(rows + 1, width)
        mask[-1, side + own :] = 0
        self.register_buffer("mask", mask, persistent=False)
        self.conv = nn.Conv2d(inputs, outputs, (rows + 1, width))
        with torch.no_grad():
            self.conv.weight *= (mask.numel() / mask.sum()).sqrt()

    def forward(self, x: Tensor) -> Tensor:
        weight = self.conv.weight * self.mask if self.rows else self.conv.weight
        right = self.side if self.rows else self.own - 1
        return F.conv2d(F.pad(x, (self.side, right, self.rows, 0)), weight, self.conv.bias)

    def begin(self, memory: Memory, n: int, width: int) -> None:
        """Nothing has been seen of n items."""
        weight = self.conv.weight
        memory.kept[self] = weight.new_zeros(n, (width + 2 * self.side) * self.inputs)
        memory.kept[self, "rows"] = weight.new_zeros(n, self.inputs, self.rows, width + 2 * self.side)
        memory.fixed[self] = weight[:, :, -1, : self.side + self.own].transpose(1, 2).flatten(1).T.contiguous()

    def last(self, memory: Memory) -> Tensor:
        """The inputs (n, inputs, width) of the row that was put last."""
        return self._line(memory)[:, :, self.side : -self.side or None]

    def _line(self, memory: Memory) -> Tensor:
        """The inputs of the row and of what pads it, (n, inputs, width + 2 side)."""
        return memory.kept[self].unflatten(1, (-1, self.inputs)).transpose(1, 2)

    def row(self, memory: Memory) -> Tensor:
        """Begin a row; what the rows above give to each of its pixels, (n, outputs, width or 1)."""
        kept, bias = memory.kept, self.conv.bias
        assert bias is not None
        last = self._line(memory)
        kept[self] = torch.zeros_like(kept[self])
        if not self.rows:
            return bias.expand(len(last), len(bias))[:, :, None]
        rows = kept[self, "rows"] = torch.cat([kept[self, "rows"][:, :, 1:], last[:, :, None]], 2)
        return F.conv2d(rows, self.conv.weight[:, :, :-1], bias)[:, :, 0]

    def slot(self, memory: Memory) -> Tensor:
        """Where the inputs (n, inputs) of the pixel are held."""
        return memory.kept[self].narrow(1, (self.side + memory.j) * self.inputs, self.inputs)

    def put(self, memory: Memory, value: Tensor) -> None:
        """Set the inputs (n, inputs) of the pixel."""
        self.slot(memory).copy_(value)

    def pixel(self, memory: Memory, above: Tensor) -> Tensor:
        """The outputs (n, outputs) of the pixel, of which the rows above gave `above`."""
        window = memory.kept[self].narrow(1, memory.j * self.inputs, self.reach)
        return torch.addmm(above, window, memory.fixed[self])


class Pointwise(nn.Conv2d):
    """A 1×1 convolution, of all pixels or of one."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1)

    def begin(self, memory: Memory) -> None:
        """Lay the weights out for one pixel."""
        assert self.bias is not None
        memory.fixed[self], memory.fixed[self, "bias"] = self.weight.flatten(1).T.contiguous(), self.bias

    def pixel(self, memory: Memory, x: Tensor, out: Tensor | None = None) -> Tensor:
        """The outputs (n, outputs) of a pixel's inputs (n, inputs)."""
        fixed = memory.fixed
        return torch.addmm(fixed[self, "bias"], x, fixed[self], out=out)


class Told(nn.Module):
    """The condition as a bias of features: y (n, m) ↦ (n, features); nothing for m = 0."""

    def __init__(self, condition: int, features: int) -> None:
        super().__init__()
        self.map = nn.Linear(condition, features, bias=False) if condition else None

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        """x with the condition added, (n, features, …)."""
        if self.map is None or y is None:
            return x
        return x + self.map(y).view(len(y), -1, *[1] * (x.dim() - 2))


def keep_row(memory: Memory, key: object, row: Tensor, width: int) -> None:
    """Keep what a row gives to each of its pixels, (n, features, width or 1), for the pixels' steps."""
    memory.kept[key] = row.expand(-1, -1, width).movedim(2, 1).contiguous()


def lay_channels_last(net: nn.Module) -> None:
    """Lay the weights of convolutions out with channels innermost, which is faster on CPUs, more so in bfloat16."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)


class Body(nn.Module, ABC):
    """Features of each pixel, told by the pixels before it in raster order: at once for training, one by one for drawing.

    Attributes
    ----------
    features: how many a pixel.
    """

    features: int

    @abstractmethod
    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Features (n, features, height, width) of inputs (n, channels, height, width), none of which sees its own pixel."""

    @abstractmethod
    def begin(self, n: int) -> Memory:
        """n images of which nothing has been seen."""

    @abstractmethod
    def row(self, memory: Memory, y: Tensor | None) -> None:
        """Begin row memory.i, all above it seen."""

    @abstractmethod
    def pixel(self, memory: Memory) -> Tensor:
        """Features (n, features) of the pixel at (memory.i, memory.j), all before it seen."""

    @abstractmethod
    def put(self, memory: Memory, value: Tensor) -> None:
        """Show the pixel's own inputs (n, channels)."""
