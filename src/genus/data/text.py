"""Text: one running text, or one string an item, as characters or bytes."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from genus.data.codec import Codec
from genus.errors import DataError
from genus.maths.quantise import Packed
from genus.space import AnySpace, Space

WINDOW = 256


def is_text(X: Any) -> bool:
    """A string, or a list, tuple or array of strings."""
    if isinstance(X, str):
        return True
    if isinstance(X, np.ndarray):
        return X.dtype.kind == "U" or (X.dtype == object and X.ndim == 1 and len(X) > 0 and isinstance(X[0], str))
    return isinstance(X, list | tuple) and len(X) > 0 and all(isinstance(x, str) for x in X)


class TextCodec(Codec):
    """Strings ⇄ `tokens`: characters by rank of first use, the end symbol last.

    One running text (a single str) becomes overlapping windows; a list of strings becomes one sequence each,
    closed and padded by the end symbol.

    Attributes
    ----------
    running_: whether X was one text. alphabet_: the characters, in code-point order. length_: of a packed item.
    """

    kind: ClassVar[str] = "text"

    def fit(self, X: Any) -> Self:
        self.running_ = isinstance(X, str)
        if not len(X):
            raise DataError("The text is empty: give at least two characters.")
        self.alphabet_ = "".join(sorted(set(X) if self.running_ else set().union(*X)))
        self.length_ = min(WINDOW, max(2, len(X) // 4)) if self.running_ else max(map(len, X)) + 1
        return self

    def views(self) -> tuple[AnySpace, ...]:
        size = len(self.alphabet_)
        if self.running_:
            return (Space("tokens", (self.length_,), size),)
        return (Space("tokens", (self.length_,), size + 1, end=size),)

    def _codes(self, text: str) -> Tensor:
        points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
        alphabet = np.frombuffer(self.alphabet_.encode("utf-32-le"), dtype=np.uint32)
        codes = np.searchsorted(alphabet, points).clip(0, len(alphabet) - 1)
        wrong = np.flatnonzero(alphabet[codes] != points)
        if len(wrong):
            raise DataError(f"Character {text[wrong[0]]!r} (position {wrong[0]}) did not occur in training.")
        return torch.from_numpy(codes.astype(np.int64))

    def pack(self, X: Any, view: AnySpace) -> Packed:
        if self.running_:
            codes = self._codes(X if isinstance(X, str) else "".join(X))
            if len(codes) < self.length_:
                raise DataError(f"The text has {len(codes)} characters, fewer than one window of {self.length_}.")
            return codes.unfold(0, self.length_, 1)
        X = [X] if isinstance(X, str) else list(X)
        out = torch.full((len(X), self.length_), len(self.alphabet_))
        for i, text in enumerate(X):
            codes = self._codes(text)
            if len(codes) >= self.length_:
                raise DataError(f"Item {i} has {len(codes)} characters; the model holds at most {self.length_ - 1}.")
            out[i, : len(codes)] = codes
        return out

    def unpack(self, x: Tensor, view: AnySpace, *, whole: bool = False) -> Any:
        alphabet = np.array(list(self.alphabet_) + [""])
        texts = []
        for row in x.numpy():
            stop = np.flatnonzero(row == len(self.alphabet_))
            texts.append("".join(alphabet[row[: stop[0]] if len(stop) else row]))
        return texts

    def log_volume(self, x: Tensor, view: AnySpace) -> Tensor:
        return torch.zeros(len(x), dtype=torch.float64)

    def exact(self, view: AnySpace) -> bool:
        return True

    def dims(self) -> int:
        return self.length_
