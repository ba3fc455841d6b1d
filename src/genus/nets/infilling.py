"""Infilling: a transformer that looks both ways, from the entries that are shown to the logits of all."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genus.nets.dropout import Dropout
from genus.nets.embed import Cells, Symbols
from genus.nets.transformer import Decoder
from genus.space import AnySpace, Record


class Infilling(nn.Module):
    """Logits of every entry given those shown and y: hidden entries read as a mask symbol, and every position sees all others.

    Parameters
    ----------
    embed: Symbols or Cells, whose start symbol stands for what is hidden. trunk: of the positions, not causal.
    condition: entries of y. near: how many neighbours are mixed into a position's vector ahead of the trunk, 0 or odd.

    Reference: J. Devlin et al. 2019, BERT: pre-training of deep bidirectional transformers, https://arxiv.org/abs/1810.04805
    """

    def __init__(
        self, embed: Symbols | Cells, trunk: Decoder, *, condition: int = 0, near: int = 0, dropout: float = 0.0
    ) -> None:  # fmt: skip
        super().__init__()
        self.embed, self.trunk, self.dropout = embed, trunk, Dropout(dropout)
        self.tell = nn.Linear(condition, trunk.width) if condition else None
        self.near = nn.Conv1d(trunk.width, trunk.width, near, padding=near // 2, groups=trunk.width) if near else None

    def forward(self, x: Tensor, shown: Tensor, y: Tensor | None = None) -> Tensor:
        """x, shown (n, length) ↦ logits (n, length, levels)."""
        tables = self.embed.tables()
        h = self._vectors(x, shown, tables[0])
        if self.near is not None:
            h = h + self.near(h.mT).mT
        if self.tell is not None and y is not None:
            h = h + self.tell(y)[:, None]
        return self.embed.leave(self.trunk(self.dropout(h)), 0, tables)

    def _vectors(self, x: Tensor, shown: Tensor, table: Tensor) -> Tensor:
        embed = self.embed
        if isinstance(embed, Symbols):
            h = F.embedding(x.masked_fill(~shown, embed.levels), table)
            return h if embed.place is None else h + embed.place
        h = F.embedding(x + embed.shift, table)
        return torch.where(shown[..., None], h, embed.start) + embed.place


def infilling(
    space: AnySpace, condition: int = 0, *, width: int, depth: int, heads: int, dropout: float = 0.0, **trunk: Any
) -> Infilling:  # fmt: skip
    """The Infilling we choose for a discrete Space: text turns by rotary angles and mixes neighbours, the rest learns places."""
    text = space.kind == "tokens"
    embed: Symbols | Cells
    if isinstance(space, Record):
        cells = [cell for _, cell in space.fields]
        ordered, missing = [c.kind == "levels" for c in cells], [c.missing for c in cells]
        embed = Cells([c.levels for c in cells], width, ordered=ordered, missing=missing)
    else:
        embed = Symbols(space.levels or 2, space.size, width, positions=not text, ordered=space.kind == "levels")
    body = Decoder(
        width, depth=depth, heads=heads, length=space.size, rotary=text, dropout=dropout, causal=False, **trunk
    )  # fmt: skip
    return Infilling(embed, body, condition=condition, near=5 if text else 0, dropout=dropout)
