"""Range asymmetric numeral systems: whole-number intervals of probability ⇄ a string of 32-bit words, many lanes at once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from torch import Tensor

BITS = 24  # of a probability
LOW = np.uint64(1 << 32)  # a head lies in [LOW, LOW²)
WORD = np.uint64(32)
SHIFT, MASK = np.uint64(BITS), np.uint64((1 << BITS) - 1)


def quantise(logits: Tensor) -> np.ndarray:
    """Bounds (n, levels + 1) of the whole-number intervals [0, 2²⁴) of softmax(logits): every level gets 1 or more.

    A level of probability p gets ⌊p (2²⁴ − levels)⌋ + 1, the likeliest also what is left over, so that a code of a symbol is
    longer than its nats by at most levels · 2⁻²⁴ of them, and a symbol to which the model gives nothing can still be written.
    """
    levels = logits.shape[-1]
    if levels >= 1 << (BITS - 2):
        raise ValueError(f"{levels} levels are too many for probabilities of {BITS} bits.")
    chance = logits.double().softmax(-1).cpu().numpy()
    if not np.isfinite(chance).all():
        raise FloatingPointError("A probability is not a number.")
    frequency = np.floor(chance * ((1 << BITS) - levels)).astype(np.int64) + 1
    rows = np.arange(len(frequency))
    frequency[rows, chance.argmax(-1)] += (1 << BITS) - frequency.sum(-1)
    bounds = np.zeros((len(frequency), levels + 1), dtype=np.uint32)
    np.cumsum(frequency, axis=-1, out=bounds[:, 1:])
    return bounds


def interval(bounds: np.ndarray, symbol: np.ndarray) -> np.ndarray:
    """(start, frequency) (n, 2) of each symbol (n,)."""
    rows = np.arange(len(symbol))
    start = bounds[rows, symbol]
    return np.stack([start, bounds[rows, symbol + 1] - start], 1)


def encode(intervals: list[np.ndarray], lanes: int) -> bytes:
    """Symbols by their intervals, a list of (n, 2), as bytes; `decoder` reads them in the same order.

    With head x, interval (s, f) and 2ᴮ of all: x ← ⌊x / f⌋ 2ᴮ + s + (x mod f), once its lowest word has been put out where x
    would leave [2³², 2⁶⁴). Symbols of one array take turns on `lanes` heads, each a whole code of its own in the same string; the
    string costs 32 to 64 bits a lane over Σ −log₂(f / 2ᴮ).

    Reference: J. Duda 2013, Asymmetric numeral systems, https://arxiv.org/abs/1311.2540; F. Giesen 2014, Interleaved entropy
    coders, https://arxiv.org/abs/1402.3392
    """
    head, words = np.full(lanes, LOW), []
    for part in reversed(intervals):
        part = part.astype(np.uint64)
        for start in reversed(range(0, len(part), lanes)):
            low, frequency = part[start : start + lanes].T
            x = head[: len(low)]
            full = (x >> np.uint64(64 - BITS)) >= frequency
            if full.any():
                words.append(x[full].astype(np.uint32)[::-1])
                x = np.where(full, x >> WORD, x)
            quotient, rest = np.divmod(x, frequency)
            head[: len(low)] = (quotient << SHIFT) + rest + low
    string = np.concatenate(words)[::-1] if words else np.zeros(0, np.uint32)
    return head.astype("<u8").tobytes() + string.astype("<u4").tobytes()


class Decoder:
    """What `encode` has written, read symbol by symbol.

    Parameters
    ----------
    content: the bytes. lanes: as they were written with.

    Raises ValueError where the bytes are too few.
    """

    def __init__(self, content: bytes, lanes: int) -> None:
        if len(content) < 8 * lanes or len(content) % 4:
            raise ValueError("it is cut short")
        self.head = np.frombuffer(content[: 8 * lanes], "<u8").astype(np.uint64)
        self.words = np.frombuffer(content[8 * lanes :], "<u4")
        self.used, self.lanes = 0, lanes

    def read(self, bounds: np.ndarray) -> np.ndarray:
        """The next symbols (n,), given the bounds (n, levels + 1) they were written with."""
        out = np.empty(len(bounds), dtype=np.int64)
        for start in range(0, len(bounds), self.lanes):
            part = bounds[start : start + self.lanes]
            x = self.head[: len(part)]
            slot = x & MASK
            symbol = (part[:, 1:] <= slot[:, None]).sum(1)
            low, frequency = interval(part, symbol).astype(np.uint64).T
            self.head[: len(part)] = self._filled(frequency * (x >> SHIFT) + slot - low)
            out[start : start + self.lanes] = symbol
        return out

    def _filled(self, x: np.ndarray) -> np.ndarray:
        """Heads that have fallen below their range with a word taken in."""
        low = np.flatnonzero(x < LOW)
        if len(low):
            new = self.words[self.used : self.used + len(low)]
            if len(new) < len(low):
                raise ValueError("it is cut short")
            x[low] = (x[low] << WORD) | new
            self.used += len(low)
        return x

    @property
    def finished(self) -> bool:
        """Whether all has been read and the heads are where writing began."""
        return self.used == len(self.words) and bool((self.head == LOW).all())


def nats(intervals: Iterable[np.ndarray]) -> float:
    """What the symbols cost by their whole-number probabilities, Σ −log(frequency / 2²⁴)."""
    return float(sum((BITS * np.log(2) - np.log(part[:, 1].astype(np.float64))).sum() for part in intervals))


def lanes_for(cost: float, most: int) -> int:
    """Heads whose own bits are about a 400th of a message of `cost` nats, `most` at most."""
    return int(max(1, min(most, cost / np.log(2) / (400 * 48))))
