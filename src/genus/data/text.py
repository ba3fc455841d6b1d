"""Text: one running text, or one string an item, as characters or bytes."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor

from genus.data.codec import Codec
from genus.errors import DataError, UsageError, nearest
from genus.maths.quantise import Packed
from genus.space import AnySpace, Space

WINDOW = 256
HOLE = "\N{REPLACEMENT CHARACTER}"
Unit = Literal["character", "byte"]


class Beginning(str):
    """A text known only so far: `complete` draws how it goes on."""

    __slots__ = ()


def is_text(X: Any) -> bool:
    """A string, or a list, tuple or array of strings."""
    if isinstance(X, str):
        return True
    if isinstance(X, np.ndarray):
        return X.dtype.kind == "U" or (X.dtype == object and X.ndim == 1 and len(X) > 0 and isinstance(X[0], str))
    return isinstance(X, list | tuple) and len(X) > 0 and all(isinstance(x, str) for x in X)


class TextCodec(Codec):
    """Strings ⇄ `tokens`: characters in code-point order, or the 256 bytes of UTF-8, the end symbol last.

    One running text (a single str) becomes windows: every overlapping one to train on, consecutive ones to score, so
    that each character counts once (a rest shorter than a window is left out). A list of strings becomes one
    sequence each, closed and padded by the end symbol. In `complete`, U+FFFD stands for an unknown character, None for
    an unknown item and a `Beginning` for a text that goes on.

    Parameters
    ----------
    unit: what one token is, 'character' or 'byte'. Bytes know every text, characters only those of training.

    Attributes
    ----------
    running_: whether X was one text. alphabet_: the characters (of bytes: as Latin-1). length_: of a packed item, in units.
    """

    kind: ClassVar[str] = "text"

    def __init__(self, unit: Unit = "character"):
        if unit not in ("character", "byte"):
            raise UsageError(f"unit is 'character' or 'byte', not {unit!r}.{nearest(str(unit), ('character', 'byte'))}")
        self.unit: Unit = unit

    def fit(self, X: Any) -> Self:
        self.running_ = isinstance(X, str)
        items = [X] if self.running_ else list(X)
        if not self.running_ and len(items) < 2:
            raise DataError(f"X holds {len(items)} text (n_samples = {len(items)}): give several, or one running text as a str.")
        seen = sorted(set().union(*items))
        if not seen or (self.running_ and len(X) < 2):
            raise DataError("The text is empty: give at least two characters.")
        if HOLE in seen:
            raise DataError("The text holds U+FFFD, the mark of characters that could not be read: load it in its own encoding.")
        self.alphabet_ = "".join(map(chr, range(256))) if self.unit == "byte" else "".join(seen)
        lengths = self._lengths(items)
        self.length_ = min(WINDOW, max(2, int(lengths[0]) // 4)) if self.running_ else int(lengths.max()) + 1
        return self

    def views(self) -> tuple[AnySpace, ...]:
        size = len(self.alphabet_)
        if self.running_:
            return (Space("tokens", (self.length_,), size),)
        return (Space("tokens", (self.length_,), size + 1, end=size),)

    # -- packing ------------------------------------------------------------------------------------------

    def pack(self, X: Any, view: AnySpace) -> Packed:
        items = [X] if isinstance(X, str) else list(map(str, X))
        if self.running_:
            return torch.cat([self._codes(text).unfold(0, self.length_, self.length_) for text in self._long(items)])
        lengths = self._lengths(items)
        if len(items) and lengths.max() >= self.length_:
            i = int(lengths.argmax())
            raise DataError(f"Item {i} has {lengths[i]} {self.unit}s; the model holds at most {self.length_ - 1}.")
        out = torch.full((len(items), self.length_), len(self.alphabet_))
        out[torch.arange(self.length_) < torch.from_numpy(lengths)[:, None]] = self._codes("".join(items), lengths)
        return out

    def pack_fit(self, X: Any, view: AnySpace) -> Packed:
        if not (self.running_ and isinstance(X, str)):
            return self.pack(X, view)
        return self._codes(self._long([X])[0]).unfold(0, self.length_, 1)

    def _long(self, items: list[str]) -> list[str]:
        lengths = self._lengths(items)
        if len(items) and lengths.min() < self.length_:
            raise DataError(f"The text has {lengths.min()} {self.unit}s, fewer than one window of {self.length_}.")
        return items

    def _lengths(self, items: list[str]) -> np.ndarray:
        """In units."""
        return np.array([len(t) if self.unit == "character" else len(t.encode()) for t in items], dtype=np.int64)

    def _codes(self, text: str, lengths: np.ndarray | None = None) -> Tensor:
        """The tokens of a text; `lengths` of the items it was joined from, for the message."""
        if self.unit == "byte":
            return torch.from_numpy(np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64))
        points, alphabet = _points(text), _points(self.alphabet_)
        table = np.full(int(alphabet[-1]) + 2, -1, dtype=np.int64)
        table[alphabet] = np.arange(len(alphabet))
        codes = table[np.minimum(points, len(table) - 1)]
        if len(codes) and codes.min() < 0:
            at = int(np.argmax(codes < 0))
            raise DataError(f"Character {text[at]!r} ({_where(at, lengths)}) did not occur in training: take it out.")
        return torch.from_numpy(codes)

    def unpack(self, x: Tensor, view: AnySpace, *, whole: bool = False) -> Any:
        codes = x.long().numpy()
        stops = np.where((ended := codes == len(self.alphabet_)).any(1), ended.argmax(1), codes.shape[1])
        points = np.append(_points(self.alphabet_), 0)[codes]
        rows = [row[:stop] for row, stop in zip(points, stops, strict=True)]
        if self.unit == "byte":
            return [row.astype(np.uint8).tobytes().decode(errors="replace") for row in rows]
        return [row.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass") for row in rows]

    def log_volume(self, x: Tensor, view: AnySpace) -> Tensor:
        return torch.zeros(len(x), dtype=torch.float64)

    def exact(self, view: AnySpace) -> bool:
        return True

    def dims(self) -> int:
        return self.length_

    # -- completing ---------------------------------------------------------------------------------------

    def known(self, X: Any, view: AnySpace) -> tuple[Packed, Tensor]:
        items = [X] if isinstance(X, str) else list(X)
        x = torch.full((len(items), self.length_), 0 if self.running_ else len(self.alphabet_))
        known = torch.zeros(x.shape, dtype=torch.bool)
        room = self.length_ - (not self.running_)
        for i, text in enumerate(items):
            if text is None:
                continue
            codes, held = self._partial(text)
            if len(codes) > room:
                raise DataError(f"Item {i} has {len(codes)} {self.unit}s; the model holds at most {room}.")
            x[i, : len(codes)], known[i, : len(codes)] = codes, held
            known[i, len(codes) :] = not (self.running_ or isinstance(text, Beginning))
        return x, known

    def _partial(self, text: str) -> tuple[Tensor, Tensor]:
        """(tokens, which of them are known); a hole is one token."""
        pieces = [self._codes(piece) for piece in text.split(HOLE)]
        codes, held = [pieces[0]], [torch.ones(len(pieces[0]), dtype=torch.bool)]
        for piece in pieces[1:]:
            codes += [torch.zeros(1, dtype=torch.long), piece]
            held += [torch.zeros(1, dtype=torch.bool), torch.ones(len(piece), dtype=torch.bool)]
        return torch.cat(codes), torch.cat(held)

    def merge(self, X: Any, filled: Any, view: AnySpace) -> Any:
        items = [X] if isinstance(X, str) else list(X)
        return [self._merged(text, new) for text, new in zip(items, filled, strict=True)]

    def _merged(self, text: str | None, new: str) -> str:
        if text is None or self.unit == "byte":
            return new
        kept = "".join(new[i : i + 1] if c == HOLE else c for i, c in enumerate(text))
        return kept + new[len(text) :] if self.running_ or isinstance(text, Beginning) else kept

    def template(self, n: int, given: Any) -> Any:
        """given = the text that every item begins with, or {'prefix': that text}."""
        prefix = given.get("prefix") if isinstance(given, dict) and set(given) == {"prefix"} else given
        if not isinstance(prefix, str):
            raise UsageError("For text, give how it begins: given={'prefix': 'To be'} (--given prefix='To be').")
        return [Beginning(prefix)] * n


def _points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _where(at: int, lengths: np.ndarray | None) -> str:
    if lengths is None:
        return f"position {at}"
    ends = np.cumsum(lengths)
    item = int(np.searchsorted(ends, at, "right"))
    return f"item {item}, position {at - int(ends[item] - lengths[item])}"
