"""Default: the net we would choose for a Space and a role."""

from __future__ import annotations

import math
import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor, nn

from genus.nets.conv import ConvDecoder, ConvEncoder
from genus.nets.mlp import MLP
from genus.space import AnySpace, Record

Size = Literal["small", "base", "large"]
Body = Literal["auto", "mlp"]
WIDTH = {"small": 128, "base": 256, "large": 512}
DEPTH = {"small": 1, "base": 2, "large": 3}
CHANNELS = {"small": 16, "base": 32, "large": 64}


def is_image(space: AnySpace) -> bool:
    """True for (C, H, W) with sides worth a convolution."""
    return len(space.shape) == 3 and min(space.shape[1:]) >= 4


class Enter(nn.Module):
    """Packed items as a net likes them: reals as they are, ordered levels in [−1, 1], categories one-hot."""

    def __init__(self, space: AnySpace, flat: bool = False) -> None:
        super().__init__()
        self.kind, self.levels = space.kind, space.levels
        self.image = is_image(space) and not flat
        wide = self.levels if self.kind == "category" else 1
        self.shape = (space.shape[0] * wide, *space.shape[1:]) if self.image else (max(space.size, 1) * wide,)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "category":
            x = nn.functional.one_hot(x.long(), self.levels).float().movedim(-1, 1)
        elif self.kind != "real":
            x = x.float() * (2 / max(self.levels - 1, 1)) - 1
        return x.reshape(len(x), *self.shape)


class Bag(nn.Module):
    """A record as one vector: the sum of an embedding of each cell's level, plus ordered cells as numbers.

    The sum of embeddings is a linear layer over one-hot cells, without making them.
    """

    offset: Tensor
    top: Tensor
    ordered: Tensor

    def __init__(self, space: Record, width: int) -> None:
        super().__init__()
        sizes = torch.tensor([cell.levels for _, cell in space.fields])
        self.register_buffer("offset", sizes.cumsum(0) - sizes, persistent=False)
        self.register_buffer("top", (sizes - 1).clamp_min(1), persistent=False)
        self.register_buffer("ordered", torch.tensor([float(c.kind == "levels") for _, c in space.fields]), persistent=False)
        self.bag = nn.EmbeddingBag(int(sizes.sum()), width, mode="sum")
        nn.init.normal_(self.bag.weight, std=1 / math.sqrt(len(sizes)))
        self.number = nn.Linear(len(sizes), width)

    def forward(self, x: Tensor) -> Tensor:
        value = (2 * x / self.top - 1) * self.ordered
        return self.bag(x.long() + self.offset) + self.number(value)


class Encoder(nn.Module):
    """Packed items x (n, *space), condition y ↦ features (n, outputs)."""

    def __init__(self, enter: nn.Module, body: nn.Module) -> None:
        super().__init__()
        self.enter, self.body = enter, body

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.body(self.enter(x), y)


class Shaped(nn.Module):
    """A net of vectors whose output is given the shape (n, *shape)."""

    def __init__(self, body: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.body, self.shape = body, shape

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.body(z, y).unflatten(1, self.shape)


def encoder_for(
    space: AnySpace,
    outputs: int,
    *,
    size: Size = "base",
    condition: int = 0,
    dropout: float = 0.0,
    activation: str = "silu",
    body: Body = "auto",
) -> nn.Module:
    """The net we would choose for items ↦ features: convolutional for images, else an MLP; records are embedded.

    Parameters
    ----------
    space: of the items. outputs: features. size: "small", "base" or "large". condition: features of y.
    body: "mlp" reads images as vectors too.
    """
    options = {"condition": condition, "dropout": dropout, "activation": activation}
    if isinstance(space, Record):
        enter: nn.Module = Bag(space, WIDTH[size])
        return Encoder(enter, MLP(WIDTH[size], outputs, width=WIDTH[size], depth=DEPTH[size], **options))
    enter = Enter(space, flat=body == "mlp")
    if enter.image:
        return Encoder(enter, ConvEncoder(enter.shape, outputs, channels=CHANNELS[size], depth=DEPTH[size] - 1 or 1, **options))
    return Encoder(enter, MLP(enter.shape[0], outputs, width=WIDTH[size], depth=DEPTH[size], **options))


def decoder_for(
    space: AnySpace,
    inputs: int,
    raw: tuple[int, ...],
    *,
    size: Size = "base",
    condition: int = 0,
    dropout: float = 0.0,
    activation: str = "silu",
    body: Body = "auto",
) -> nn.Module:
    """The net we would choose for codes (n, inputs) ↦ the raw output (n, *raw) of a likelihood's head.

    `raw` is (parameters, *space): on images the parameters of all channels are made by one convolution.
    """
    options = {"condition": condition, "dropout": dropout, "activation": activation}
    if is_image(space) and body == "auto":
        parameters, *shape = raw
        shape = (parameters * shape[0], *shape[1:])
        net = ConvDecoder(inputs, shape, channels=CHANNELS[size], depth=DEPTH[size] - 1 or 1, **options)
        return Grouped(net, raw)
    net = MLP(inputs, math.prod(raw), width=WIDTH[size], depth=DEPTH[size], **options)
    return Shaped(net, raw)


class Grouped(nn.Module):
    """A convolutional net whose (n, P·C, H, W) output is read as (n, P, C, H, W)."""

    def __init__(self, body: nn.Module, raw: tuple[int, ...]) -> None:
        super().__init__()
        self.body, self.raw = body, raw

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.body(z, y).unflatten(1, self.raw[:2])


def half(device: torch.device | str = "cpu", precision: str = "auto") -> AbstractContextManager[object]:
    """bfloat16 arithmetic for the nets inside, where the processor has it (2 to 3 times faster); else nothing.

    Weights, gradients and losses stay float32. Processors without the instructions would be slower with it.
    A precision other than "auto" has been seen to by the training loop, and nothing is changed.
    """
    if precision != "auto":
        return nullcontext()
    kind = torch.device(device).type
    able = _cpu_bfloat16() if kind == "cpu" else kind == "cuda" and torch.cuda.is_bf16_supported()
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=able)


def _cpu_bfloat16() -> bool:
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bool(supported and supported())
