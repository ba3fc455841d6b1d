"""Ngram: texts letter by letter, each given those before it; what only one or two texts hold is forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

ORDER = 6
END, OTHER = 0, 1
SHARED = 3
CHARACTERS = 0x110000 - 0x800  # that are no surrogates
CHOICES = (0.25, 1.0, 4.0, 16.0, 64.0)
LETTERS = 1_000_000


@dataclass(kw_only=True)
class Ngram:
    """p(text) = ∏ p(c | the letters before it), to the end symbol; interpolated over the length of the context.

    p_k(c | h) = (n(hc) + γ_k t(h) p_{k−1}(c | h′)) / (n(h) + γ_k t(h)), with n the number of distinct texts that hold hc,
    t(h) the kinds of letters seen after h, h′ the context without its first letter, γ_k fitted on texts set aside
    (Witten & Bell 1991, "The zero-frequency problem", https://doi.org/10.1109/18.87000). Strings of two or more letters
    held by fewer than three texts are not kept, so that nothing is told back but what is made of shared pieces. A letter
    outside the alphabet is any character, all equally likely.

    Attributes
    ----------
    alphabet: the letters. keys, counts: for each length of context, the strings hc as numbers, sorted, and how many texts
    hold them. contexts, first, total, kinds: the contexts h, where their keys begin, sums and numbers of their counts.
    weight: γ of each length. longest: letters of a text.
    """

    alphabet: str
    longest: int
    keys: list[np.ndarray]
    counts: list[np.ndarray]
    contexts: list[np.ndarray]
    first: list[np.ndarray]
    total: list[np.ndarray]
    kinds: list[np.ndarray]
    weight: list[float]

    @property
    def symbols(self) -> int:
        """End, any other character, and the alphabet."""
        return len(self.alphabet) + 2

    @classmethod
    def fit(cls, texts: list[str]) -> Self:
        """Learn distinct texts, a million letters of them at most."""
        texts = _some(sorted(set(texts)))
        found, held = np.unique(np.array([c for text in texts for c in set(text)], dtype=object).astype(str), return_counts=True)
        out = cls(
            alphabet="".join(found[held >= SHARED]), longest=max(map(len, texts), default=0),
            keys=[], counts=[], contexts=[], first=[], total=[], kinds=[], weight=[],
        )  # fmt: skip
        aside = np.arange(len(texts)) % 10 == 0
        out._count([text for text, a in zip(texts, aside, strict=True) if not a])
        out._weigh([text for text, a in zip(texts, aside, strict=True) if a])
        out._count(texts)
        return out

    def _count(self, texts: list[str]) -> None:
        symbols, text = self._encoded(texts)
        orders = [k for k in range(ORDER + 1) if (self.symbols + 1.0) ** (k + 1) < 2.0**62]
        self.keys, self.counts, self.contexts, self.first, self.total, self.kinds = [], [], [], [], [], []
        for k in orders:
            key = self._contexts(symbols, text, k) * (self.symbols + 1) + symbols
            order = np.lexsort((text, key))
            new = np.append(True, (np.diff(key[order]) != 0) | (np.diff(text[order]) != 0))
            keys, counts = np.unique(key[order][new], return_counts=True)
            kept = counts >= (SHARED if k > 0 else 1)
            keys, counts = keys[kept], counts[kept]
            contexts, first, kinds = np.unique(keys // (self.symbols + 1), return_index=True, return_counts=True)
            self.keys.append(keys)
            self.counts.append(np.cumsum(counts))
            self.contexts.append(contexts)
            self.first.append(first)
            self.kinds.append(kinds)
            self.total.append(np.add.reduceat(counts, first) if len(first) else counts)
        self.weight = self.weight or [1.0] * len(orders)

    def _weigh(self, texts: list[str]) -> None:
        """Choose γ of each length in turn, the shortest first, by the likelihood of texts set aside."""
        if not texts:
            return
        for k in range(len(self.weight)):
            scores = []
            for choice in CHOICES:
                self.weight[k] = choice
                scores.append(float(self._log_each(texts, k)[0].sum()))
            self.weight[k] = CHOICES[int(np.argmax(scores))]

    def _encoded(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """(symbols of all texts, each closed by its end; which text each belongs to)."""
        points = np.array([ord(c) for c in self.alphabet], dtype=np.int64)
        sizes = np.array([len(text) for text in texts], dtype=np.int64)
        flat = np.frombuffer("\0".join([*texts, ""]).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.int64)
        at = np.clip(np.searchsorted(points, flat), 0, max(len(points) - 1, 0))
        known = points[at] == flat if len(points) else np.zeros(len(flat), dtype=bool)
        symbols = np.where(known, at + 2, OTHER)
        symbols[np.cumsum(sizes + 1) - 1] = END
        return symbols, np.repeat(np.arange(len(texts)), sizes + 1)

    def _contexts(self, symbols: np.ndarray, text: np.ndarray, k: int) -> np.ndarray:
        """The k symbols before each, as one number; before a text stands a symbol of its own."""
        base, out = self.symbols + 1, np.zeros(len(symbols), dtype=np.int64)
        for back in range(k, 0, -1):
            earlier = np.full(len(symbols), self.symbols, dtype=np.int64)
            same = text[back:] == text[:-back]
            earlier[back:][same] = symbols[:-back][same]
            out = out * base + earlier
        return out

    def _log_each(self, texts: list[str], longest: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(log p of each symbol, which text it belongs to), with contexts of `longest` letters at most."""
        symbols, text = self._encoded(texts)
        p = np.full(len(symbols), 1.0 / self.symbols)
        for k in range(len(self.keys) if longest is None else longest + 1):
            context = self._contexts(symbols, text, k)
            row, seen = _at(self.contexts[k], context)
            place, held = _at(self.keys[k], context * (self.symbols + 1) + symbols)
            count = np.where(held, np.diff(self.counts[k], prepend=0)[place], 0) if len(self.keys[k]) else 0
            spare = self.weight[k] * np.where(seen, self.kinds[k][row], 0) if len(row) and len(self.kinds[k]) else 0
            total = np.where(seen, self.total[k][row], 0) if len(self.total[k]) else 0
            p = np.where(seen, (count + spare * p) / np.maximum(total + spare, 1e-300), p)
        return np.log(p) - np.where(symbols == OTHER, np.log(CHARACTERS), 0.0), text

    def log_prob(self, texts: list[str]) -> np.ndarray:
        """log p of each text, nats."""
        if not texts:
            return np.zeros(0)
        value, text = self._log_each(texts)
        return np.bincount(text, value, minlength=len(texts))

    def draw(self, n: int) -> list[str]:
        """n texts; one that does not end within four times the longest of training is cut."""
        base, depth = self.symbols + 1, len(self.keys)
        out = np.full((n, 4 * self.longest + 8), END, dtype=np.int64)
        past = np.full((n, max(depth - 1, 0)), self.symbols, dtype=np.int64)
        alive = np.arange(n)
        for step in range(out.shape[1]):
            if not len(alive):
                break
            symbol = self._next(past[alive], base)
            out[alive, step] = symbol
            if past.shape[1]:
                past[alive] = np.concatenate([past[alive][:, 1:], symbol[:, None]], 1)
            alive = alive[symbol != END]
        letters = ["", "", *self.alphabet]
        return ["".join(letters[c] if c != OTHER else _any() for c in row[: _length(row)]) for row in out]

    def _next(self, past: np.ndarray, base: int) -> np.ndarray:
        """One symbol after each context (n, length): the longest context speaks with its share, else a shorter one."""
        symbol = torch.randint(self.symbols, (len(past),)).numpy()
        waiting = np.arange(len(past))
        for k in range(len(self.keys) - 1, -1, -1):
            context = np.zeros(len(waiting), dtype=np.int64)
            for column in past[waiting].T[past.shape[1] - k :]:
                context = context * base + column
            row, seen = _at(self.contexts[k], context)
            if not len(self.contexts[k]):
                continue
            total, kinds = self.total[k][row], self.kinds[k][row]
            u, v = torch.rand(2, len(waiting), dtype=torch.float64).numpy()
            speaks = seen & (u < total / (total + self.weight[k] * kinds))
            start = np.where(self.first[k][row] > 0, self.counts[k][self.first[k][row] - 1], 0)
            place = np.searchsorted(self.counts[k], start + np.floor(v * total), "right")
            symbol[waiting[speaks]] = self.keys[k][np.minimum(place, len(self.keys[k]) - 1)][speaks] % base
            waiting = waiting[~speaks]
        return symbol


def _at(ordered: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(place, whether it is there) of values in an ordered array."""
    place = np.clip(np.searchsorted(ordered, values), 0, max(len(ordered) - 1, 0))
    return place, ordered[place] == values if len(ordered) else np.zeros(len(values), dtype=bool)


def _some(texts: list[str]) -> list[str]:
    """As many texts, spread evenly, as hold a million letters."""
    letters = sum(map(len, texts))
    return texts[:: max(1, -(-letters // LETTERS))]


def _length(row: np.ndarray) -> int:
    return int((row == END).argmax()) if (row == END).any() else len(row)


def _any() -> str:
    """Any character."""
    point = int(torch.randint(CHARACTERS, ()))
    return chr(point if point < 0xD800 else point + 0x800)
