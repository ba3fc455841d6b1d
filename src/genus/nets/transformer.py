"""Transformer: a causal decoder over embedded positions, with a key–value cache written in place."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genus.nets.dropout import Dropout


class Cache:
    """Keys and values of the positions already read, allocated once.

    Attributes
    ----------
    store: (layers, 2, n, heads, length, size). used: positions filled.
    """

    def __init__(self, store: Tensor, used: int = 0) -> None:
        self.store, self.used = store, used

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Write k and v (n, heads, t, size) after the used positions; returns all keys and values so far."""
        stop = self.used + k.shape[2]
        keys, values = self.store[layer]
        keys[:, :, self.used : stop] = k
        values[:, :, self.used : stop] = v
        return keys[:, :, :stop], values[:, :, :stop]

    def take(self, index: Tensor) -> Cache:
        """The cache of the items at `index`, which may repeat."""
        return Cache(self.store[:, :, index], self.used)


@dataclass
class Packing:
    """The positions of a batch that are not padding, laid end to end, so that only attention sees the padding.

    Padding stands behind every position that is read, which a causal trunk never looks at.

    Parameters
    ----------
    at: (kept,) the numbers of the kept positions, row by row. n, t: rows and columns of the batch.

    Reference: M. Kosec, S. Fu and M. Krell 2021, Packing: towards 2x NLP BERT acceleration, https://arxiv.org/abs/2107.02027
    """

    at: Tensor
    n: int
    t: int

    def gather(self, h: Tensor) -> Tensor:
        """h (n, t, width) ↦ the kept positions, (1, kept, width)."""
        return h.reshape(self.n * self.t, -1)[self.at][None]

    def spread(self, h: Tensor) -> Tensor:
        """The inverse, (n, t, width), zero at the padding."""
        out = h.new_zeros(self.n * self.t, h.shape[2])
        return out.index_copy(0, self.at, h[0]).view(self.n, self.t, -1)


def turns(positions: int, size: int, wave: float = 10_000.0) -> Tensor:
    """cos and sin of the rotary angles, (2, positions, size / 2) (Su et al. 2021, https://arxiv.org/abs/2104.09864)."""
    pace = wave ** (-torch.arange(0, size, 2).float() / size)
    angle = torch.arange(positions).float()[:, None] * pace
    return torch.stack([angle.cos(), angle.sin()])


def rotate(x: Tensor, turn: Tensor) -> Tensor:
    """x (n, t, …, heads, size) with each pair of halves turned by its position's angles, turn (2, t, size / 2)."""
    cos, sin = (part.reshape(part.shape[0], *[1] * (x.dim() - 3), part.shape[1]) for part in turn.to(x.dtype))
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def attend(q: Tensor, k: Tensor, v: Tensor, causal: bool = True) -> Tensor:
    """softmax(q kᵀ / √size) v, each query seeing the keys up to its own place, or all; all are (n, heads, t, size).

    In training on a processor plain products are used, whose gradient takes a fourth of the fused kernel's time.
    """
    t = q.shape[2]
    if t == 1 or q.is_cuda or not torch.is_grad_enabled():
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal and t > 1)
    with torch.autocast(q.device.type, enabled=False):
        scores = (q * q.shape[-1] ** -0.5) @ k.mT
        if causal:
            scores = scores + torch.full((t, t), -1e4, dtype=q.dtype, device=q.device).triu(1)
        return scores.softmax(-1) @ v


class Attention(nn.Module):
    """Causal self-attention with one product for queries, keys and values.

    softmax(q kᵀ / √size) v over the positions up to one's own, over all where not `causal` (Vaswani et al. 2017,
    https://arxiv.org/abs/1706.03762).
    With `qk_norm` queries and keys are scaled to unit mean square first (Henry et al. 2020, https://arxiv.org/abs/2010.04245).
    """

    def __init__(self, width: int, heads: int, *, qk_norm: bool = False, causal: bool = True) -> None:
        super().__init__()
        self.heads, self.qk_norm, self.causal = heads, qk_norm, causal
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.leave = nn.Linear(width, width, bias=False)

    def forward(
        self, h: Tensor, turn: Tensor | None = None, cache: Cache | None = None, layer: int = 0, packing: Packing | None = None
    ) -> Tensor:
        qkv = self.qkv(h) if packing is None else packing.spread(self.qkv(h))
        n, t, width = *qkv.shape[:2], h.shape[2]
        both, v = qkv.view(n, t, 3, self.heads, width // self.heads).split([2, 1], 2)
        if self.qk_norm:
            both = F.rms_norm(both, both.shape[-1:])
        if turn is not None:
            both = rotate(both, turn)
        q, k = (part.transpose(1, 2) for part in both.unbind(2))
        v = v[:, :, 0].transpose(1, 2)
        if cache is not None:
            k, v = cache.extend(layer, k, v)
        out = attend(q, k, v, self.causal).transpose(1, 2).reshape(n, t, width)
        return self.leave(out if packing is None else packing.gather(out))


class Feed(nn.Module):
    """Position-wise network: W₂(silu(W₁h) ⊙ W₃h), or W₂ gelu(W₁h) (Shazeer 2020, https://arxiv.org/abs/2002.05202)."""

    def __init__(self, width: int, hidden: int, activation: Literal["swiglu", "gelu"]) -> None:
        super().__init__()
        self.gated = activation == "swiglu"
        self.enter = nn.Linear(width, 2 * hidden if self.gated else hidden, bias=False)
        self.leave = nn.Linear(hidden, width, bias=False)

    def forward(self, h: Tensor) -> Tensor:
        h = self.enter(h)
        if self.gated:
            gate, h = h.chunk(2, -1)
            return self.leave(F.silu(gate) * h)
        return self.leave(F.gelu(h))


class Block(nn.Module):
    """h + attention(norm h), then h + feed(norm h).

    The norms are LayerNorms without a shift: on a processor their kernel takes a sixth of the time of an RMSNorm.
    """

    def __init__(
        self, width: int, heads: int, *, activation: Literal["swiglu", "gelu"], qk_norm: bool, dropout: float,
        causal: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        hidden = 4 * width if activation == "gelu" else 8 * math.ceil(width / 3)
        self.before, self.between = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.attention = Attention(width, heads, qk_norm=qk_norm, causal=causal)
        self.feed = Feed(width, hidden, activation)
        self.dropout = Dropout(dropout)

    def forward(
        self, h: Tensor, turn: Tensor | None = None, cache: Cache | None = None, layer: int = 0, packing: Packing | None = None
    ) -> Tensor:
        h = h + self.dropout(self.attention(self.before(h), turn, cache, layer, packing))
        return h + self.dropout(self.feed(self.between(h)))

    def step(self, h: Tensor, spin: tuple[Tensor, Tensor] | None, cache: Cache, layer: int) -> Tensor:
        """`forward` of the one position h (n, 1, width) after those of the cache, without gradients: fewer, fused operations.

        spin holds the cosines twice, and the sines with the first half negative, (size,) each.
        """
        attention, size = self.attention, h.shape[-1] // self.attention.heads
        qkv = attention.qkv(_normed(self.before, h)).view(len(h), 3, attention.heads, size)
        both = qkv[:, :2]
        if attention.qk_norm:
            both.copy_(F.rms_norm(both, both.shape[-1:]))
        if spin is not None:
            both.copy_(torch.addcmul(both * spin[0], both.roll(size // 2, -1), spin[1]))
        kept = cache.store[layer]
        kept[:, :, :, cache.used] = qkv[:, 1:].transpose(0, 1)
        keys, values = kept[:, :, :, : cache.used + 1].unbind()
        out = F.scaled_dot_product_attention(qkv[:, 0, :, None], keys, values)
        h = h + attention.leave(out.transpose(1, 2).reshape(h.shape))
        return h + self.feed(_normed(self.between, h))


def _spin(turn: Tensor) -> tuple[Tensor, Tensor]:
    """The cosines and sines of one position as `Block.step` wants them."""
    cos, sin = turn[:, 0]
    return torch.cat([cos, cos]), torch.cat([-sin, sin])


def _normed(norm: nn.LayerNorm, h: Tensor) -> Tensor:
    return F.layer_norm(h, norm.normalized_shape, norm.weight, None, norm.eps)


class Decoder(nn.Module):
    """A stack of causal blocks: position i of the output depends on positions 0 … i of the input.

    Parameters
    ----------
    width: of a position's vector. depth: blocks. heads: of attention, dividing width. length: positions at most.
    rotary: turn queries and keys by their position. activation: "swiglu" or "gelu". qk_norm: normalise queries and
    keys. dropout: share of each block's output dropped in training. causal: False lets positions see those behind them too.

    >>> Decoder(16, depth=2, heads=2, length=5)(torch.zeros(3, 5, 16)).shape
    torch.Size([3, 5, 16])
    """

    turn: Tensor | None

    def __init__(
        self,
        width: int,
        *,
        depth: int,
        heads: int,
        length: int,
        rotary: bool = True,
        activation: Literal["swiglu", "gelu"] = "swiglu",
        qk_norm: bool = False,
        dropout: float = 0.0,
        causal: bool = True,
    ) -> None:
        super().__init__()
        self.width, self.heads, self.length = width, heads, length
        self.blocks = nn.ModuleList(
            Block(width, heads, activation=activation, qk_norm=qk_norm, dropout=dropout, causal=causal) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width, bias=False)
        self.register_buffer("turn", turns(length, width // heads) if rotary else None, persistent=False)
        self._start()

    def _start(self) -> None:
        """Matrices of standard deviation 0.6 / √inputs, and branches that begin at zero, so that depth costs no start."""
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                nn.init.normal_(weight, std=0.6 * weight.shape[1] ** -0.5)
            if name.endswith("leave.weight"):
                nn.init.zeros_(weight)

    def cache(self, n: int) -> Cache:
        """An empty cache for n items."""
        like = next(self.parameters())
        return Cache(like.new_zeros(len(self.blocks), 2, n, self.heads, self.length, self.width // self.heads))

    def forward(
        self, h: Tensor, cache: Cache | None = None, after: Callable[[int, Tensor], Tensor] | None = None,
        packing: Packing | None = None,
    ) -> Tensor:  # fmt: skip
        """h (n, t, width) ↦ (n, t, width); `after(layer, h)` acts behind every block.

        With a cache, h holds the positions that follow it: any number after an empty one, one at a time afterwards.
        With a packing, h and what comes back hold its positions alone, (1, kept, width).
        """
        first, t = cache.used if cache else 0, packing.t if packing else h.shape[1]
        turn = None if self.turn is None else self.turn[:, first : first + t]
        single = cache is not None and h.shape[1] == 1 and not (self.training or torch.is_grad_enabled())
        spin = _spin(turn) if single and turn is not None else None
        for layer, block in enumerate(self.blocks):
            h = cast(Block, block).step(h, spin, cache, layer) if single and cache else block(h, turn, cache, layer, packing)
            h = h if after is None else after(layer, h)
        if cache:
            cache.used += h.shape[1]
        return self.norm(h)
