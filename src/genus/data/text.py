"""Text: one running text, or one string an item, as characters, bytes or learnt tokens."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from genus.data.codec import Codec
from genus.data.tokens import Vocabulary, checked, learn, parsed, vocabulary
from genus.errors import DataError, UsageError
from genus.maths.quantise import Packed, drawn
from genus.space import AnySpace, Space

WINDOW = 256
SPARED = 900  # characters of a running text above which some have been held out
HOLE = "\N{REPLACEMENT CHARACTER}"
BLANK = "_"  # a hole as one types it


class Beginning(str):
    """A text known only so far: `complete` draws how it goes on, up to the first of the strings `stop`."""

    stop: tuple[str, ...] = ()

    def until(self, text: str) -> str:
        """The text, which begins as this does, without the first stop string behind the beginning and what follows it."""
        ends = [at for word in self.stop if (at := text.find(word, len(self))) >= 0]
        return text[: min(ends)] if ends else text


def is_text(X: Any) -> bool:
    """A string, or a list, tuple or array of strings."""
    if isinstance(X, str):
        return True
    if isinstance(X, np.ndarray):
        return X.dtype.kind == "U" or (X.dtype == object and X.ndim == 1 and len(X) > 0 and isinstance(X[0], str))
    return isinstance(X, list | tuple) and len(X) > 0 and all(isinstance(x, str) for x in X)


class TextCodec(Codec):
    """Strings ⇄ `tokens`: characters in code-point order, the 256 bytes of UTF-8 or learnt pieces, the end symbol last.

    One running text (a single str) becomes windows: every overlapping one to train on, consecutive ones to score, so
    that each token counts once (a rest shorter than a window is left out). A list of strings becomes one
    sequence each, closed and padded by the end symbol. In `complete`, U+FFFD stands for an unknown character, and so does `_`
    where the tokens are characters and none of them is `_`; None for an unknown item, a `Beginning` for a text that goes on.

    A text can be written in many ways in learnt tokens, of which packing takes one, the canonical: log p of that writing
    is a lower bound of the text's, so that a density is not exact in the user's units.

    Parameters
    ----------
    tokens: 'character', 'byte', 'bpe:SIZE' or 'unigram:SIZE'. All but characters know every text.

    Attributes
    ----------
    running_: whether X was one text. alphabet_: the characters (of bytes: as Latin-1), or the trained tokenizer as JSON.
    length_: of a packed item, in tokens. span_: of a window of a running text, in characters, on average.
    """

    kind: ClassVar[str] = "text"

    def __init__(self, tokens: str = "character"):
        parsed(tokens)
        self.tokens = tokens

    def fit(self, X: Any) -> Self:
        self.running_ = isinstance(X, str)
        items = [str(X)] if self.running_ else list(X)
        if not self.running_ and len(items) < 2:
            raise DataError(f"X holds {len(items)} text (n_samples = {len(items)}): give several, or one running text as a str.")
        if not any(items) or (self.running_ and len(X) < 2):
            raise DataError("The text is empty: give at least two characters.")
        if any(HOLE in item for item in items):
            raise DataError("The text holds U+FFFD, the mark of characters that could not be read: load it in its own encoding.")
        self.alphabet_ = learn(self.tokens, items)
        if self.running_:
            count = len(self.vocabulary.encode(items[0]))
            # of a text from which a tenth was held out, that tenth must hold a window
            self.length_ = min(WINDOW, max(2, count // (12 if len(items[0]) >= SPARED else 4)))
            if count < self.length_:
                raise DataError(f"The text is {count} {self.unit} in all: give a longer one, or tokens='character'.")
            self.span_ = max(1, round(self.length_ * len(items[0]) / count))
        else:
            self.length_ = self.span_ = int(self._lengths(items).max()) + 1
        return self

    @property
    def vocabulary(self) -> Vocabulary:
        """What the text is cut into."""
        return vocabulary(self.tokens, self.alphabet_)

    @property
    def unit(self) -> str:
        """What one token is, in words."""
        return self.vocabulary.unit

    def views(self) -> tuple[AnySpace, ...]:
        size = self.vocabulary.size
        if self.running_:
            return (Space("tokens", (self.length_,), size),)
        return (Space("tokens", (self.length_,), size + 1, end=size),)

    # -- packing ------------------------------------------------------------------------------------------

    def pack(self, X: Any, view: AnySpace) -> Packed:
        items = [str(X)] if isinstance(X, str) else list(map(str, X))
        if self.running_:
            return torch.cat([codes.unfold(0, self.length_, self.length_) for codes in self._long(items)])
        codes, lengths = self._joined(items)
        if len(items) and lengths.max() >= self.length_:
            i = int(lengths.argmax())
            raise DataError(f"Item {i} has {lengths[i]} {self.unit}s; the model holds at most {self.length_ - 1}.")
        out = torch.full((len(items), self.length_), self.vocabulary.size)
        out[torch.arange(self.length_) < torch.from_numpy(lengths)[:, None]] = codes
        return out

    def pack_fit(self, X: Any, view: AnySpace) -> Packed:
        if not (self.running_ and isinstance(X, str)):
            return self.pack(X, view)
        return self._long([str(X)])[0].unfold(0, self.length_, 1)

    def _long(self, items: list[str]) -> list[Tensor]:
        codes = [self._codes(text) for text in items]
        shortest = min(map(len, codes), default=self.length_)
        if shortest < self.length_:
            raise DataError(f"The text has {shortest} {self.unit}s, fewer than one window of {self.length_}.")
        return codes

    def _joined(self, items: list[str]) -> tuple[Tensor, np.ndarray]:
        """(tokens of all items one after the other, how many each has)."""
        if self.unit == "token":
            codes = [self._codes(text) for text in items]
            return torch.cat([torch.zeros(0, dtype=torch.long), *codes]), np.array([len(c) for c in codes], dtype=np.int64)
        lengths = self._lengths(items)
        return self._codes("".join(items), lengths), lengths

    def _lengths(self, items: list[str]) -> np.ndarray:
        """In tokens."""
        count = {"character": len, "byte": lambda t: len(t.encode())}.get(self.unit, lambda t: len(self.vocabulary.encode(t)))
        return np.array([count(t) for t in items], dtype=np.int64)

    def _codes(self, text: str, lengths: np.ndarray | None = None) -> Tensor:
        """The tokens of a text; `lengths` of the items it was joined from, for the message."""
        return torch.from_numpy(checked(self.vocabulary.encode(text), text, lambda at: _where(at, lengths)))

    def unpack(self, x: Tensor, view: AnySpace, *, whole: bool = False) -> Any:
        codes, end = x.long().numpy(), self.vocabulary.size
        stops = np.where((ended := codes == end).any(1), ended.argmax(1), codes.shape[1])
        return [self.vocabulary.decode(row[:stop]) for row, stop in zip(codes, stops, strict=True)]

    def spelt(self, row: Tensor) -> list[str]:
        """Each token of a packed item as text, ␃ for the end that closes it."""
        codes, end = row.long().numpy(), self.vocabulary.size
        stop = int((codes == end).argmax()) if (codes == end).any() else len(codes)
        return [self.vocabulary.decode(codes[i : i + 1]) for i in range(stop)] + ["␃"] * (stop < len(codes))

    def log_volume(self, x: Tensor, view: AnySpace) -> Tensor:
        return torch.zeros(len(x), dtype=torch.float64)

    def exact(self, view: AnySpace) -> bool:
        return self.unit != "token"

    def inexact(self) -> str:
        return f"one of many ways to write a text in {self.tokens.partition(':')[0]} tokens"

    def noisy(self, view: AnySpace) -> bool:
        return False

    def size_bytes(self, x: Packed) -> Tensor:
        """UTF-8 bytes of packed items, (n,), and of an item that ends one more, as a line has in a file."""
        each = torch.from_numpy(np.append(self.vocabulary.bytes, 1)).double()
        end = self.vocabulary.size
        out = []
        for i in torch.arange(len(x)).split(4096):
            codes = drawn(x[i]).long()
            closed = (codes == end).long()
            out.append((each[codes] * (closed.cumsum(1) - closed == 0)).sum(1))
        return torch.cat(out) if out else torch.zeros(0, dtype=torch.float64)

    def told(self, history: list[dict[str, Any]], held_out: Packed) -> list[dict[str, Any]]:
        some = torch.linspace(0, len(held_out) - 1, min(len(held_out), 2048)).long()
        each = float(self.size_bytes(held_out[some]).mean()) * math.log(2)
        return [row | ({"bits_per_byte": row["validation"] / each} if "validation" in row else {}) for row in history]

    def dims(self) -> int:
        return self.length_

    # -- completing ---------------------------------------------------------------------------------------

    def known(self, X: Any, view: AnySpace) -> tuple[Packed, Tensor]:
        items = [X] if isinstance(X, str) else list(X)
        x = torch.full((len(items), self.length_), 0 if self.running_ else self.vocabulary.size)
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

    def _holed(self, text: str) -> str:
        """The text with every blank as U+FFFD."""
        plain = self.unit == "character" and BLANK not in self.alphabet_
        return text.replace(BLANK, HOLE) if plain else str(text)

    def _partial(self, text: str) -> tuple[Tensor, Tensor]:
        """(tokens, which of them are known); a hole is one character or byte."""
        if HOLE in text and self.unit == "token":
            raise UsageError("U+FFFD stands for one unknown character, but the tokens are longer: fit with tokens='character'.")
        pieces = [self._codes(piece) for piece in self._holed(text).split(HOLE)]
        codes, held = [pieces[0]], [torch.ones(len(pieces[0]), dtype=torch.bool)]
        for piece in pieces[1:]:
            codes += [torch.zeros(1, dtype=torch.long), piece]
            held += [torch.zeros(1, dtype=torch.bool), torch.ones(len(piece), dtype=torch.bool)]
        return torch.cat(codes), torch.cat(held)

    def merge(self, X: Any, filled: Any, view: AnySpace) -> Any:
        items = [X] if isinstance(X, str) else list(X)
        return [self._merged(text, new) for text, new in zip(items, filled, strict=True)]

    def _merged(self, text: str | None, new: str) -> str:
        filled = self._filled(text, new)
        return text.until(filled) if isinstance(text, Beginning) else filled

    def _filled(self, text: str | None, new: str) -> str:
        if text is None or self.unit == "byte":
            return new
        if self.unit == "token":
            return text + new[len(text) :] if self.running_ or isinstance(text, Beginning) else text
        kept = "".join(new[i : i + 1] if c == HOLE else c for i, c in enumerate(self._holed(text)))
        return kept + new[len(text) :] if self.running_ or isinstance(text, Beginning) else kept

    def template(self, n: int, given: Any) -> Any:
        """given = the text that every item begins with, or {'prefix': that text, 'stop': strings that end an item}."""
        prefix, stop = beginning(given)
        start = Beginning(prefix)
        start.stop = stop
        return [start] * n


def beginning(given: Any) -> tuple[str, tuple[str, ...]]:
    """(prefix, stop strings) of what is given of a text."""
    asked = given if isinstance(given, dict) else {"prefix": given}
    prefix, stop = asked.get("prefix", ""), asked.get("stop", [])
    stop = [stop] if isinstance(stop, str) else stop
    if not asked or set(asked) - {"prefix", "stop"} or not isinstance(prefix, str):
        raise UsageError(
            "For text, give how it begins: given={'prefix': 'To be'} (--given prefix='To be'), and 'stop', if it is to."
        )
    if not isinstance(stop, list) or not all(isinstance(word, str) and word for word in stop):
        raise UsageError(
            "stop is a string or a list of strings that are not empty: given={'prefix': 'To be', 'stop': ['.', '!']}."
        )
    return prefix, tuple(stop)


def _where(at: int, lengths: np.ndarray | None) -> str:
    if lengths is None:
        return f"position {at}"
    ends = np.cumsum(lengths)
    item = int(np.searchsorted(ends, at, "right"))
    return f"item {item}, position {at - int(ends[item] - lengths[item])}"
