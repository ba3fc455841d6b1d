"""Autoregression: every conditional of an item in one pass, or one at a time from a cache; the net we choose for a Space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from genus.nets.dropout import Dropout
from genus.nets.embed import Cells, Symbols
from genus.nets.encoder import Heard, Listener
from genus.nets.transformer import Cache, Decoder, Packing
from genus.space import AnySpace, Record


@dataclass
class Place:
    """Where a reading has come to: the cache, and what is computed once for all steps: the tables, what is heard of texts."""

    cache: Cache
    tables: tuple[Tensor, Tensor]
    heard: Heard | None = None

    def take(self, index: Tensor) -> Place:
        """The readings of the items at `index`, which may repeat."""
        return Place(self.cache.take(index), self.tables, None if self.heard is None else self.heard.take(index))


class Autoregression(nn.Module):
    """Logits of x_i given x_{<i} and y, for all i: embed, decode, read off.

    Parameters
    ----------
    embed: Symbols or Cells. decoder: the causal trunk. condition: entries of y, 0 for none; y's vector is added at
    every position, the first of which has nothing else. listener: of the texts in y, which every block attends to, or None.
    dropout: of the embedded positions.
    """

    def __init__(
        self, embed: Symbols | Cells, decoder: Decoder, *, condition: int = 0, listener: Listener | None = None,
        dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.embed, self.decoder, self.listener = embed, decoder, listener
        self.told = list(range(condition)) if listener is None else listener.others(condition)
        self.tell = nn.Linear(len(self.told), decoder.width) if self.told else None
        self.dropout = Dropout(dropout)

    def _vectors(self, x: Tensor, y: Tensor | None, first: int, stop: int, tables: tuple[Tensor, Tensor]) -> Tensor:
        h = self.embed.enter(x, first, stop, tables)
        if self.tell is not None and y is not None:
            h = h + self.tell(y if self.listener is None else y[:, self.told])[:, None]
        if self.listener is not None:
            h = h + self.listener.place[first:stop]
        return self.dropout(h)

    def _after(self, heard: Heard | None, packing: Packing | None = None) -> Callable[[int, Tensor], Tensor] | None:
        """What follows every block: attention to the texts."""
        listener = self.listener
        if listener is None or heard is None:
            return None
        if packing is None:
            return lambda layer, h: listener.block(layer, h, heard)
        return lambda layer, h: packing.gather(listener.block(layer, packing.spread(h), heard))

    def _heard(self, y: Tensor | None) -> Heard | None:
        return None if self.listener is None or y is None else self.listener(y)

    def forward(self, x: Tensor, y: Tensor | None = None, kept: Tensor | None = None) -> Tensor:
        """x (n, length) ↦ logits (n, length, levels), or of the positions numbered in `kept` alone, (1, kept, levels)."""
        tables = self.embed.tables()
        packing = None if kept is None else Packing(kept, *x.shape)
        h = self._vectors(x, y, 0, x.shape[1], tables)
        h = h if packing is None else packing.gather(h)
        h = self.decoder(h, after=self._after(self._heard(y), packing), packing=packing)
        return self.embed.leave(h, 0, tables)

    def begin(self, n: int) -> Place:
        """The place before the first entry of n items."""
        return Place(self.decoder.cache(n), self.embed.tables())

    def read(self, place: Place, x: Tensor, stop: int, y: Tensor | None = None) -> Tensor:
        """Logits (n, levels) of entry stop − 1, after reading the entries before it that `place` has not read."""
        first = place.cache.used
        place.heard = self._heard(y) if place.heard is None else place.heard
        h = self.decoder(self._vectors(x, y, first, stop, place.tables), place.cache, self._after(place.heard))
        return self.embed.leave(h[:, -1:], stop - 1, place.tables)[:, 0]


def autoregression(
    space: AnySpace, condition: int = 0, *, width: int, depth: int, heads: int, dropout: float = 0.0,
    texts: tuple[tuple[int, int, int], ...] = (), **trunk: Any,
) -> Autoregression:  # fmt: skip
    """The Autoregression we choose for a discrete Space.

    Text reads the last four symbols at each position and turns by rotary angles; an image reads the pixels to the
    left and above and learns its positions; a record has a vocabulary and a position for each cell. `texts` of the condition
    (first entry, entries, symbols) are read by an encoder as deep as the decoder, which attends to them.
    """
    if isinstance(space, Record):
        cells = [cell for _, cell in space.fields]
        embed = Cells(
            [c.levels for c in cells], width, ordered=[c.kind == "levels" for c in cells], missing=[c.missing for c in cells]
        )
    else:
        text = space.kind == "tokens"
        offsets = [o for o in ((1, 2, 3, 4) if text else _above(space.shape)) if o < space.size]
        embed = Symbols(
            space.levels, space.size, width, offsets=offsets or [1], positions=not text, ordered=space.kind == "levels"
        )
    rotary = space.kind == "tokens"
    decoder = Decoder(width, depth=depth, heads=heads, length=space.size, rotary=rotary, dropout=dropout, **trunk)
    listener = None
    if texts:
        listener = Listener(texts, width, depth=depth, heads=heads, layers=depth, length=space.size, dropout=dropout)
    return Autoregression(embed, decoder, condition=condition, listener=listener, dropout=dropout)


def _above(shape: tuple[int, ...]) -> tuple[int, ...]:
    """How far back in raster order the left neighbours and those of the row above lie, and the same pixel one channel before."""
    if len(shape) < 2:
        return (1, 2)
    row, plane = shape[-1], shape[-1] * shape[-2]
    near = (1, 2, row - 1, row, row + 1) if row > 3 else (1, row)
    return near + ((plane,) if len(shape) == 3 and shape[0] > 1 else ())
