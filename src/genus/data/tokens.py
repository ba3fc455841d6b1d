"""Tokens: what a text is cut into: characters, bytes, or pieces learnt from the text itself."""

from __future__ import annotations

import functools
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, SupportsIndex, overload

import numpy as np

from genus.errors import DataError, UsageError, nearest

KINDS = ("character", "byte", "bpe", "unigram")
BYTES = 256
PIECE = 100_000  # characters given to the trainer at a time


class Text(str):
    """One running text that says what it is to be cut into; a slice of it says so too.

    Attributes
    ----------
    tokens: 'character', 'byte', 'bpe:512', 'unigram:512' …
    """

    tokens: str

    def __new__(cls, text: str, tokens: str) -> Text:
        new = super().__new__(cls, text)
        new.tokens = tokens
        return new

    def __getnewargs__(self) -> tuple[str, str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return str(self), self.tokens

    def __getitem__(self, index: SupportsIndex | slice) -> str:
        part = super().__getitem__(index)
        return Text(part, self.tokens) if isinstance(index, slice) else part


class Texts(list[str]):
    """Items of text that say what they are to be cut into; a slice of them says so too.

    Attributes
    ----------
    tokens: see `Text`.
    """

    def __init__(self, items: Iterable[str], tokens: str) -> None:
        super().__init__(items)
        self.tokens = tokens

    @overload
    def __getitem__(self, index: SupportsIndex) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Texts: ...
    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        return Texts(part, self.tokens) if isinstance(index, slice) else part

    def __reduce__(self) -> Any:
        return Texts, (list(self), self.tokens)


def tokenised(X: Any, tokens: str | None) -> Any:
    """The text X, marked to be cut into `tokens`: 'character', 'byte', 'bpe:SIZE' or 'unigram:SIZE' (SIZE tokens in all).

    >>> tokenised(["to be", "or not"], "bpe:300").tokens
    'bpe:300'
    """
    if tokens is None:
        return X
    parsed(tokens)
    return Text(X, tokens) if isinstance(X, str) else Texts(X, tokens)


def parsed(tokens: str) -> tuple[str, int]:
    """(kind, size) of 'bpe:512', size 0 where none is given; raises UsageError for what is neither."""
    kind, colon, size = str(tokens).partition(":")
    if kind not in KINDS:
        raise UsageError(f"tokens is 'character', 'byte', 'bpe:SIZE' or 'unigram:SIZE', not {tokens!r}.{nearest(kind, KINDS)}")
    if kind in KINDS[:2]:
        if colon:
            raise UsageError(f"tokens {kind!r} takes no size: leave :{size} out.")
        return kind, 0
    if not size.isdigit() or int(size) <= BYTES:
        raise UsageError(f"tokens {tokens!r} wants a size above {BYTES}, for the bytes come first: say {kind}:512.")
    return kind, int(size)


def learn(tokens: str, texts: list[str]) -> str:
    """What `vocabulary` needs to know of these texts: the characters in them, or the trained tokenizer as JSON.

    'bpe' merges the commonest pair again and again; 'unigram' starts from many substrings and drops those that the
    likelihood misses least. Both work on UTF-8 bytes inside words and keep all 256, so that every text can be cut.

    References: Sennrich et al. 2016, Neural machine translation of rare words with subword units,
    https://arxiv.org/abs/1508.07909; Kudo 2018, Subword regularization, https://arxiv.org/abs/1804.10959
    """
    kind, size = parsed(tokens)
    if kind == "character":
        return "".join(sorted(set().union(*texts)))
    if kind == "byte":
        return "".join(map(chr, range(BYTES)))
    import tokenizers as hf

    alphabet = hf.pre_tokenizers.ByteLevel.alphabet()
    options: dict[str, Any] = {"vocab_size": size, "initial_alphabet": sorted(alphabet), "show_progress": False}
    if kind == "bpe":
        made, trainer = hf.Tokenizer(hf.models.BPE()), hf.trainers.BpeTrainer(**options)
    else:
        made, trainer = hf.Tokenizer(hf.models.Unigram()), hf.trainers.UnigramTrainer(**options)
    made.pre_tokenizer = hf.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.train_from_iterator((t[i : i + PIECE] for t in texts for i in range(0, len(t), PIECE)), trainer)
    return made.to_str() if kind == "bpe" else _settled(made.to_str(), texts)


def _settled(state: str, texts: list[str]) -> str:
    """A unigram tokenizer that no order of addition moves: six decimals, one score for bytes kept to be complete."""
    content, letters = json.loads(state), _letters()
    seen = {letters[b] for text in texts for b in set(text.encode())}
    words = [(word, round(score, 6)) for word, score in content["model"]["vocab"]]
    core = [(word, score) for word, score in words if len(word) > 1 or word in seen]
    least = min((score for word, score in core if len(word) > 1), default=min(score for _, score in core))
    spare = {word for word, score in words if len(word) == 1 and (word not in seen or score < least)}
    settled = [(word, least - 1 if word in spare else score) for word, score in words]
    content["model"]["vocab"] = sorted(settled, key=lambda pair: (-pair[1], pair[0]))
    return json.dumps(content, ensure_ascii=False)


class Vocabulary(ABC):
    """Texts ⇄ rows of token numbers.

    Attributes
    ----------
    unit: what a token is, in words. size: how many there are. bytes: of each token in UTF-8, (size,).
    """

    unit: str
    size: int
    bytes: np.ndarray

    @abstractmethod
    def encode(self, text: str) -> np.ndarray:
        """The tokens of a text, int64; −1 where there is none."""

    @abstractmethod
    def decode(self, codes: np.ndarray) -> str:
        """The text of tokens; U+FFFD where bytes make no character."""

    def spell(self, code: int) -> bytes:
        """The UTF-8 bytes of one token, which need not make a character."""
        return self.decode(np.array([code])).encode(errors="surrogatepass")


class Characters(Vocabulary):
    """The characters of training in code-point order."""

    unit = "character"

    def __init__(self, alphabet: str) -> None:
        self.points, self.size = _points(alphabet), len(alphabet)
        self.bytes = np.array([len(c.encode(errors="surrogatepass")) for c in alphabet])
        self.table = np.full(int(self.points[-1]) + 2, -1, dtype=np.int64)
        self.table[self.points] = np.arange(self.size)

    def encode(self, text: str) -> np.ndarray:
        return self.table[np.minimum(_points(text), len(self.table) - 1)]

    def decode(self, codes: np.ndarray) -> str:
        return self.points[codes].astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


class Bytes(Vocabulary):
    """The 256 bytes of UTF-8."""

    unit, size, bytes = "byte", BYTES, np.ones(BYTES, dtype=np.int64)

    def encode(self, text: str) -> np.ndarray:
        return np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64)

    def decode(self, codes: np.ndarray) -> str:
        return codes.astype(np.uint8).tobytes().decode(errors="replace")

    def spell(self, code: int) -> bytes:
        return bytes([code])


class Pieces(Vocabulary):
    """The pieces of a trained tokenizer, each a run of bytes; a text is cut one way out of many, the canonical one."""

    unit = "token"

    def __init__(self, state: str) -> None:
        import tokenizers as hf

        self.made = hf.Tokenizer.from_str(state)
        self.size = self.made.get_vocab_size()
        spelt = {c: bytes([b]) for b, c in _letters().items()}
        words = sorted(self.made.get_vocab().items(), key=lambda pair: pair[1])
        self.pieces = [b"".join(spelt[c] for c in word) for word, _ in words]
        self.bytes = np.array([len(piece) for piece in self.pieces])

    def encode(self, text: str) -> np.ndarray:
        return np.array(self.made.encode(text).ids, dtype=np.int64)

    def decode(self, codes: np.ndarray) -> str:
        return b"".join(self.pieces[i] for i in codes.tolist()).decode(errors="replace")

    def spell(self, code: int) -> bytes:
        return self.pieces[code]


@functools.lru_cache(maxsize=8)
def vocabulary(tokens: str, state: str) -> Vocabulary:
    """The vocabulary that `learn` wrote down."""
    kind, _ = parsed(tokens)
    if kind == "character":
        return Characters(state)
    return Bytes() if kind == "byte" else Pieces(state)


def checked(codes: np.ndarray, text: str, where: Any) -> np.ndarray:
    """The codes, or a DataError about the first character that has none; `where` says of a position what it is."""
    if len(codes) and codes.min() < 0:
        at = int(np.argmax(codes < 0))
        raise DataError(
            f"Character {text[at]!r} ({where(at)}) did not occur in training: take it out, or fit with tokens='byte'."
        )
    return codes


def _points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _letters() -> dict[int, str]:
    """The printable letter that stands for each byte in byte-level tokens: itself, or one from U+0100 on."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(BYTES) if b not in plain]
    return {b: chr(b) for b in plain} | {b: chr(BYTES + i) for i, b in enumerate(rest)}
