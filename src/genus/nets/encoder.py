"""Encoder: texts of a condition read in both directions, and what a decoder hears of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genus.nets.dropout import Dropout
from genus.nets.transformer import Feed


class Heard(NamedTuple):
    """What every block of a decoder hears of a text.

    Attributes
    ----------
    keys, values: (layers, n, heads, length, size). mask: (n, 1, 1, length), True at symbols, False at padding.
    """

    keys: Tensor
    values: Tensor
    mask: Tensor

    def take(self, index: Tensor) -> Heard:
        """The same of the items at `index`, which may repeat."""
        return Heard(self.keys[:, index], self.values[:, index], self.mask[index])


class Both(nn.Module):
    """One block that looks both ways: h + attention(norm h), then h + feed(norm h); padding is not looked at."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.qkv, self.leave = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.feed, self.dropout = Feed(width, 8 * -(-width // 3), "swiglu"), Dropout(dropout)

    def forward(self, h: Tensor, mask: Tensor) -> Tensor:
        """h (n, length, width), mask (n, 1, 1, length)."""
        n, t, width = h.shape
        q, k, v = self.qkv(self.before(h)).view(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        h = h + self.dropout(self.leave(out.transpose(1, 2).reshape(n, t, width)))
        return h + self.dropout(self.feed(self.between(h)))


class TextEncoder(nn.Module):
    """Texts y (n, entries) of symbols, 0 being padding ↦ vectors (n, length, width) and where symbols are.

    A symbol's vector is that of the symbol, of its place from the front, and of its place from the back. Several texts are
    read one after the other.

    Parameters
    ----------
    texts: (first entry of y, entries, symbols) of each. width: of a vector. depth: blocks. heads: of attention.

    Reference: A. Vaswani et al. 2017, Attention is all you need, https://arxiv.org/abs/1706.03762
    """

    def __init__(
        self, texts: tuple[tuple[int, int, int], ...], width: int, *, depth: int, heads: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.texts = texts
        self.symbols = nn.ModuleList(nn.Embedding(symbols, width) for _, _, symbols in texts)
        self.front = nn.ParameterList(torch.randn(length, width) * 0.3 for _, length, _ in texts)
        self.back = nn.ParameterList(torch.randn(length, width) * 0.3 for _, length, _ in texts)
        self.blocks = nn.ModuleList(Both(width, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width, bias=False)
        for name, weight in self.named_parameters():
            if name.endswith(("qkv.weight", "enter.weight", "leave.weight")):
                nn.init.normal_(weight, std=(0.6 if "leave" not in name else 0.1) * weight.shape[1] ** -0.5)

    def forward(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """(vectors (n, length, width), mask (n, 1, 1, length))."""
        vectors, masks = [], []
        for i, (first, length, _) in enumerate(self.texts):
            codes = y[:, first : first + length].long()
            there = codes > 0
            last = there.sum(1, keepdim=True)
            behind = (last - 1 - torch.arange(length, device=y.device)).clamp(0, length - 1)
            vectors.append(self.symbols[i](codes) + self.front[i] + self.back[i][behind])
            masks.append(there)
        mask = torch.cat(masks, 1)[:, None, None]
        h = torch.cat(vectors, 1)
        for block in self.blocks:
            h = block(h, mask)
        return self.norm(h), mask


class Across(nn.Module):
    """Attention from the positions of a decoder to what it hears of a text: h + softmax(q kᵀ / √size) v."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.before = heads, nn.LayerNorm(width, bias=False)
        self.ask, self.leave = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        nn.init.normal_(self.ask.weight, std=0.6 * width**-0.5)
        nn.init.normal_(self.leave.weight, std=0.1 * width**-0.5)

    def forward(self, h: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """h (n, t, width); keys and values (n, heads, length, size)."""
        n, t, width = h.shape
        q = self.ask(self.before(h)).view(n, t, self.heads, -1).transpose(1, 2)
        out = F.scaled_dot_product_attention(q, keys.to(q.dtype), values.to(q.dtype), attn_mask=mask)
        return h + self.leave(out.transpose(1, 2).reshape(n, t, width))


class Listener(nn.Module):
    """The encoder of a condition's texts, and for each block of a decoder what it makes of them.

    Parameters
    ----------
    texts, width, heads, dropout: see `TextEncoder`. depth: blocks of the encoder. layers: of the decoder. length: positions of
    the decoder, each of which has a vector of its own, so that it can ask for a place.
    """

    def __init__(
        self, texts: tuple[tuple[int, int, int], ...], width: int, *, depth: int, heads: int, layers: int, length: int,
        dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.encoder = TextEncoder(texts, width, depth=depth, heads=heads, dropout=dropout)
        self.tell = nn.ModuleList(nn.Linear(width, 2 * width, bias=False) for _ in range(layers))
        self.across = nn.ModuleList(Across(width, heads) for _ in range(layers))
        self.place = nn.Parameter(torch.randn(length, width) * 0.3)
        self.heads = heads
        for layer in self.tell:
            nn.init.normal_(layer.weight, std=0.6 * width**-0.5)  # pyright: ignore[reportArgumentType]

    def forward(self, y: Tensor) -> Heard:
        """What every block hears of the texts in y."""
        h, mask = self.encoder(y)
        n, length, _ = h.shape
        both = torch.stack([tell(h).view(n, length, 2, self.heads, -1).permute(2, 0, 3, 1, 4) for tell in self.tell])
        return Heard(both[:, 0], both[:, 1], mask)

    def block(self, layer: int, h: Tensor, heard: Heard) -> Tensor:
        """h after the attention of one block."""
        return self.across[layer](h, heard.keys[layer], heard.values[layer], heard.mask)

    def others(self, condition: int) -> list[int]:
        """The entries of y that are no text."""
        texts: Any = [range(first, first + length) for first, length, _ in self.encoder.texts]
        return [i for i in range(condition) if not any(i in text for text in texts)]
