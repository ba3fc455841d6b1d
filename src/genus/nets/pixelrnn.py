"""Pixelrnn: LSTMs that run over an image row by row, or diagonal by diagonal, and see every pixel before."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genus.nets.dropout import Dropout
from genus.nets.pixel import Body, Masked, Memory, Told, keep_row, lay_channels_last

Path = list[tuple[int, int]]  # of each step: the lines (first, one past the last) of the pixels it takes, one a line


class Sweep(torch.autograd.Function):
    """An LSTM over the steps of a path: (h, c)ₜ = LSTM(inputₜ + Σₖ Wₖ · hₜ₋₁ of the line k away, cₜ₋₁ of the same line).

    A function of its own, since a graph of a thousand small steps costs more than the arithmetic: the weights' gradient
    is one product at the end. Units come first and items last, so that whatever is read or written lies in long runs.
    Arguments: inputs (4 units, pixels, n) in the order of the path; weight (4 units, taps·units); lines: how many; path;
    taps: how far away the line of each h lies. Returns h (units, pixels, n).
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, lines: int, path: Path, taps: tuple[int, ...]) -> Tensor:
        wide, pixels, n = inputs.shape
        units, reach = wide // 4, max(map(abs, taps))
        seen = weight.new_empty(len(taps), units, pixels, n)
        out = weight.new_empty(units, pixels, n)
        h = weight.new_zeros(units, lines + 2 * reach, n)
        c = inputs.new_zeros(units, lines, n, dtype=torch.float32)
        steps, at = [], 0
        for low, high in path:
            here = slice(at, at + high - low)
            for k, tap in enumerate(taps):
                seen[k, :, here] = h[:, low + reach + tap : high + reach + tap]
            z = torch.mm(weight, seen[:, :, here].reshape(len(taps) * units, -1)).view(wide, -1, n) + inputs[:, here]
            z = z.float()
            i, f, o = z[: 3 * units].sigmoid_().chunk(3)
            new, before = z[3 * units :].tanh_(), c[:, low:high].clone()
            cell = torch.addcmul(f * before, i, new)
            shape = cell.tanh()
            c[:, low:high] = cell
            out[:, here] = h[:, low + reach : high + reach] = (o * shape).to(h.dtype)
            steps.append((z, before, shape))
            at = here.stop
        ctx.save_for_backward(seen, weight)
        ctx.steps, ctx.shape = steps, (lines, path, taps, reach, inputs.dtype)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """The gradients of inputs and weight, the path taken backwards."""
        seen, weight = ctx.saved_tensors
        lines, path, taps, reach, dtype = ctx.shape
        _, units, pixels, n = seen.shape
        dz = weight.new_empty(4 * units, pixels, n)
        dh = weight.new_zeros(units, lines + 2 * reach, n, dtype=torch.float32)
        dc = weight.new_zeros(units, lines, n, dtype=torch.float32)
        back, at = weight.T.contiguous(), pixels
        for (low, high), (z, before, shape) in zip(reversed(path), reversed(ctx.steps), strict=True):
            here = slice(at - (high - low), at)
            i, f, o, new = z.chunk(4)
            d_out = grads[0][:, here] + dh[:, low + reach : high + reach]
            dh[:, low + reach : high + reach] = 0
            d_cell = torch.addcmul(dc[:, low:high], d_out * o, 1 - shape * shape)
            dc[:, low:high] = d_cell * f
            slope = torch.cat([z[: 3 * units] * (1 - z[: 3 * units]), 1 - new * new])
            given = torch.cat([d_cell * new, d_cell * before, d_out * shape, d_cell * i])
            dz[:, here] = step = given.mul_(slope).to(dz.dtype)
            lost = torch.mm(back, step.flatten(1)).view(len(taps), units, -1, n)
            for k, tap in enumerate(taps):
                dh[:, low + reach + tap : high + reach + tap] += lost[k]
            at = here.start
        d_weight = torch.mm(dz.flatten(1), seen.flatten(2).flatten(0, 1).T)
        return dz.to(dtype), d_weight, None, None, None


class Reorder(torch.autograd.Function):
    """Pixels (features, pixels, n) in another order; back is the inverse, which the gradient takes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(back)
        return x.index_select(1, order)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """The gradient in the former order."""
        return grads[0].index_select(1, ctx.saved_tensors[0]), None, None


def by_rows(height: int, width: int) -> tuple[Path, Tensor]:
    """Row by row, the lines being columns: (path, the pixels in its order)."""
    return [(0, width)] * height, torch.arange(height * width)


def by_diagonals(height: int, width: int) -> tuple[Path, Tensor]:
    """By diagonals i + j, the lines being rows: (path, the pixels in its order)."""
    path = [(max(0, d - width + 1), min(height, d + 1)) for d in range(height + width - 1)]
    return path, torch.tensor([i * width + d - i for d, (low, high) in enumerate(path) for i in range(low, high)])


def lstm(z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """(h, c) of one step from the gates' inputs (n, 4 units): input, forget, output and new."""
    units = c.shape[-1]
    i, f, o = torch.sigmoid(z[..., : 3 * units]).chunk(3, -1)
    c = f * c + i * torch.tanh(z[..., 3 * units :])
    return o * torch.tanh(c), c


class Recurrent(nn.Module):
    """An LSTM of one direction over features (features, pixels, n), pixels in raster order.

    Parameters
    ----------
    units: of the state. sides: (height, width). taps: see Sweep. diagonal: along diagonals, else by rows. mirrored: from
    the right.
    """

    order: Tensor
    back: Tensor

    def __init__(self, units: int, sides: tuple[int, int], taps: tuple[int, ...], diagonal: bool, mirrored: bool = False) -> None:
        super().__init__()
        height, width = sides
        self.units, self.taps = units, taps
        self.path, order = (by_diagonals if diagonal else by_rows)(height, width)
        self.lines = height if diagonal else width
        if mirrored:
            order = order // width * width + width - 1 - order % width
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("back", order.argsort(), persistent=False)
        self.weight = nn.Parameter(torch.randn(4 * units, len(taps) * units) / (len(taps) * units) ** 0.5)

    def forward(self, x: Tensor, enter: Tensor, told: Tensor) -> Tensor:
        """h (units, pixels, n) from x, whose gates' inputs are enter (4 units, features) · x + told (4 units, 1, n or 1)."""
        dtype = x.dtype
        x = Reorder.apply(x, self.order, self.back)
        z = torch.mm(enter.to(dtype), x.flatten(1)).view(-1, *x.shape[1:]) + told.to(dtype)
        h = Sweep.apply(z, self.weight.to(dtype), self.lines, self.path, self.taps)
        return Reorder.apply(h, self.back, self.order)


def forgetful(units: int) -> Tensor:
    """Biases of the gates that begin by remembering: 1 for the forget gate."""
    bias = torch.zeros(4 * units)
    bias[units : 2 * units] = 1.0
    return bias


class Mix(nn.Linear):
    """A linear map of features (features, pixels, n)."""

    def forward(self, input: Tensor) -> Tensor:
        weight, bias = self.weight.to(input.dtype), self.bias.to(input.dtype)
        return torch.addmm(bias[:, None], weight, input.flatten(1)).view(-1, *input.shape[1:])


class Layer(nn.Module, ABC):
    """One recurrent layer with its residual: x ↦ x + 1×1 h."""

    @abstractmethod
    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        """The next features (features, pixels, n)."""

    @abstractmethod
    def begin(self, memory: Memory, n: int) -> None:
        """Nothing has been seen of n items."""

    @abstractmethod
    def row(self, memory: Memory, y: Tensor | None) -> None:
        """Begin a row."""

    @abstractmethod
    def pixel(self, memory: Memory, x: Tensor) -> Tensor:
        """The next features (n, features) of the pixel."""


class RowLSTM(Layer):
    """A row LSTM: a pixel's state comes of the three above it, so that it sees a triangle of the pixels before.

    Reference: A. van den Oord et al. 2016, Pixel recurrent neural networks, section 3.1, https://arxiv.org/abs/1601.06759
    """

    def __init__(self, width: int, sides: tuple[int, int], condition: int) -> None:
        super().__init__()
        self.units, self.sides = width, sides
        self.enter = nn.Parameter(torch.randn(4 * width, 2 * width) / (2 * width) ** 0.5)
        self.bias, self.told = nn.Parameter(forgetful(width)), Told(condition, 4 * width)
        self.state = Recurrent(width, sides, (-1, 0, 1), diagonal=False)
        self.leave = Mix(width, width)

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        left = F.pad(x.unflatten(1, self.sides), (0, 0, 1, -1)).flatten(1, 2)
        h = self.state(torch.cat([left, x]), self.enter, self.told(self.bias[None], y).T[:, None])
        return x + self.leave(h)

    def begin(self, memory: Memory, n: int) -> None:
        zeros = self.enter.new_zeros(n, self.sides[1], self.units)
        memory.kept[self, "h"], memory.kept[self, "c"] = zeros, zeros.clone()
        memory.fixed[self] = self.enter.T.contiguous()

    def row(self, memory: Memory, y: Tensor | None) -> None:
        h = F.pad(memory.kept[self, "h"], (0, 0, 1, 1))
        near = torch.cat([h[:, :-2], h[:, 1:-1], h[:, 2:]], 2)
        memory.kept[self, "z"] = F.linear(near, self.state.weight) + self.told(self.bias[None], y)[:, None]
        memory.kept[self, "x"] = h.new_zeros(len(h), self.units)

    def pixel(self, memory: Memory, x: Tensor) -> Tensor:
        kept, j = memory.kept, memory.j
        seen = torch.cat([kept[self, "x"], x], 1)
        h, c = lstm(torch.addmm(kept[self, "z"][:, j], seen, memory.fixed[self]), kept[self, "c"][:, j])
        kept[self, "h"][:, j], kept[self, "c"][:, j], kept[self, "x"] = h, c, x
        return x + F.linear(h, self.leave.weight, self.leave.bias)


class DiagonalLSTM(Layer):
    """A diagonal BiLSTM: one LSTM from the left and above, one from the right and above, which together see all pixels before.

    The state from the right is taken one row higher up, where it knows nothing of the pixel's own row.

    Reference: A. van den Oord et al. 2016, Pixel recurrent neural networks, section 3.2, https://arxiv.org/abs/1601.06759
    """

    def __init__(self, width: int, sides: tuple[int, int], condition: int) -> None:
        super().__init__()
        self.units, self.sides = width, sides
        self.enter = nn.Parameter(torch.randn(2, 4 * width, width) / width**0.5)
        self.bias, self.told = nn.Parameter(forgetful(width).repeat(2)), Told(condition, 8 * width)
        self.left = Recurrent(width, sides, (0, -1), diagonal=True)
        self.right = Recurrent(width, sides, (0, -1), diagonal=True, mirrored=True)
        self.leave = Mix(2 * width, width)

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        left, right = self.told(self.bias[None], y).T[:, None].chunk(2)
        right = self.right(x, self.enter[1], right)
        above = F.pad(right, (0, 0, self.sides[1], -self.sides[1]))
        return x + self.leave(torch.cat([self.left(x, self.enter[0], left), above]))

    def begin(self, memory: Memory, n: int) -> None:
        zeros = self.enter.new_zeros(n, self.sides[1], self.units)
        for key in ("x", "left", "right"):
            memory.kept[self, key] = zeros.clone()
        memory.kept[self, "c"] = zeros[:, 0]
        memory.fixed[self] = torch.cat([self.enter[0], self.left.weight], 1).T.contiguous()

    def row(self, memory: Memory, y: Tensor | None) -> None:
        kept = memory.kept
        told = self.told(self.bias[None], y).expand(len(kept[self, "c"]), -1)
        if memory.i:
            self._from_right(memory, told[:, 4 * self.units :])
        kept[self, "told"] = told[:, : 4 * self.units].contiguous()
        kept[self, "h"], kept[self, "c"] = (torch.zeros_like(kept[self, "c"]) for _ in range(2))
        kept[self, "out"] = F.linear(kept[self, "right"], self.leave.weight[:, self.units :], self.leave.bias)

    def _from_right(self, memory: Memory, told: Tensor) -> None:
        """The states from the right of the row that has just been seen."""
        kept, weight = memory.kept, self.right.weight
        above, new = kept[self, "right"], torch.empty_like(kept[self, "right"])
        z = F.linear(kept[self, "x"], self.enter[1]) + F.linear(above, weight[:, self.units :]) + told[:, None]
        h = c = torch.zeros_like(above[:, 0])
        for j in reversed(range(self.sides[1])):
            h, c = lstm(torch.addmm(z[:, j], h, weight[:, : self.units].T), c)
            new[:, j] = h
        kept[self, "right"] = new

    def pixel(self, memory: Memory, x: Tensor) -> Tensor:
        kept, j = memory.kept, memory.j
        kept[self, "x"][:, j] = x
        seen = torch.cat([x, kept[self, "h"], kept[self, "left"][:, j]], 1)
        h, c = lstm(torch.addmm(kept[self, "told"], seen, memory.fixed[self]), kept[self, "c"])
        kept[self, "left"][:, j] = kept[self, "h"] = h
        kept[self, "c"] = c
        return x + torch.addmm(kept[self, "out"][:, j], h, self.leave.weight[:, : self.units].T)


class RecurrentStack(Body):
    """Recurrent layers behind a 7×7 masked convolution; `place` tells the features where they are.

    Parameters
    ----------
    rows: "row" or "diagonal". channels: of the inputs. sides: (height, width). width: features and units. depth: layers.
    """

    def __init__(
        self,
        rows: str,
        channels: int,
        sides: tuple[int, int],
        *,
        width: int,
        depth: int,
        condition: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.features, self.columns = width, sides[1]
        self.masked = Masked(channels, width, 3, 3, False)
        self.place = nn.Parameter(torch.zeros(width, *sides))
        layer = RowLSTM if rows == "row" else DiagonalLSTM
        self.layers = nn.ModuleList(layer(width, sides, condition) for _ in range(depth))
        self.drop = Dropout(dropout)
        lay_channels_last(self)

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        x = self.masked(x)
        n, _, *sides = x.shape
        x = (x + self.place.to(x.dtype)).permute(1, 2, 3, 0).flatten(1, 2).contiguous()
        for layer in self.layers:
            x = self.drop(layer(x, y))
        return x.view(-1, *sides, n).permute(3, 0, 1, 2).contiguous(memory_format=torch.channels_last)

    def begin(self, n: int) -> Memory:
        memory = Memory()
        self.masked.begin(memory, n, self.columns)
        for layer in self._layers():
            layer.begin(memory, n)
        return memory

    def row(self, memory: Memory, y: Tensor | None) -> None:
        keep_row(memory, self, self.masked.row(memory) + self.place[:, memory.i], self.columns)
        for layer in self._layers():
            layer.row(memory, y)

    def pixel(self, memory: Memory) -> Tensor:
        x = self.masked.pixel(memory, memory.kept[self][:, memory.j])
        for layer in self._layers():
            x = layer.pixel(memory, x)
        return x

    def put(self, memory: Memory, value: Tensor) -> None:
        self.masked.put(memory, value)

    def _layers(self) -> list[Layer]:
        return [layer for layer in self.layers if isinstance(layer, Layer)]
