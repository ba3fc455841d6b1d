"""Caption: a condition that is free text, as a sequence of symbols or as a bag of its words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from genus.data.tokens import checked, learn, vocabulary
from genus.errors import DataError

PAD, SYMBOLS = 0, 1  # a symbol is the number of its token plus SYMBOLS
WORDS = 512
LONGEST = 512
CLASSES = 16  # sentences up to so many different ones are labels
SENTENCE = 3  # words of a text on average


def is_sentences(values: Sequence[Any], few: int, most: int) -> bool:
    """Whether strings are texts rather than labels: sentences, or so many different ones that they cannot be classes."""
    strings = [v for v in values if isinstance(v, str)]
    if len(strings) < len(values) or not strings:
        return False
    distinct = set(strings)
    if len(distinct) > most or (len(distinct) > few and len(distinct) > len(strings) / 2):
        return True
    return len(distinct) > CLASSES and sum(len(s.split()) for s in distinct) >= SENTENCE * len(distinct)


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return re.findall(r"\w+", text.lower())


def learn_sequence(texts: list[str], name: str, tokens: str = "character") -> dict[str, Any]:
    """What packs texts as symbols: what they are cut into, and the longest length."""
    if not any(texts):
        raise DataError(f"The condition {name!r} is empty text: give at least one character.")
    state = learn(tokens, texts)
    words = vocabulary(tokens, state)
    lengths = [len(words.encode(text)) for text in texts]
    if max(lengths) > LONGEST:
        i = max(range(len(texts)), key=lambda i: lengths[i])
        raise DataError(f"The condition {name!r} has {lengths[i]} {words.unit}s at row {i} (at most {LONGEST}): shorten it.")
    return {"tokens": tokens, "state": state, "length": max(lengths), "symbols": words.size + SYMBOLS}


def sequence(texts: list[str], form: dict[str, Any], name: str) -> Tensor:
    """Symbols of each text, padded behind, (n, length) float; raises DataError for a longer text or an unseen character."""
    words = vocabulary(form["tokens"], form["state"])
    out = torch.full((len(texts), form["length"]), float(PAD))
    for i, text in enumerate(texts):
        if not text:
            raise DataError(f"The condition {name!r} is empty at row {i}: give a text.")
        codes = checked(words.encode(text), text, lambda at, i=i: f"condition {name!r}, row {i}, position {at}")
        if len(codes) > form["length"]:
            raise DataError(
                f"The condition {name!r} has {len(codes)} {words.unit}s at row {i}; the model reads {form['length']}."
            )
        out[i, : len(codes)] = torch.from_numpy(codes).float() + SYMBOLS
    return out


def learn_bag(texts: list[str], name: str, *, meant: bool = False) -> dict[str, Any]:
    """What packs texts as bags: their most frequent words; raises DataError for short texts that nobody says are `meant`."""
    distinct = set(texts)
    if not meant and sum(len(text.split()) for text in distinct) < SENTENCE * len(distinct):
        raise DataError(
            f"The condition {name!r} has {len(distinct)} values of fewer than {SENTENCE} words: is it an identifier? "
            "Families that read a text letter by letter (transformer) take it."
        )
    counts = Counter(word for text in texts for word in set(words_of(text)))
    return {"words": sorted(word for word, _ in counts.most_common(WORDS))}


def bag(texts: list[str], form: dict[str, Any], name: str) -> Tensor:
    """Which of the known words each text holds, (n, words) float; raises DataError where no text holds any of them."""
    place = {word: i for i, word in enumerate(form["words"])}
    out = torch.zeros(len(texts), len(place))
    for i, text in enumerate(texts):
        out[i, [place[word] for word in words_of(text) if word in place]] = 1.0
    if len(texts) and not out.any():
        raise DataError(f"The condition {name!r} holds no word of the training ({texts[0][:40]!r}): say it otherwise.")
    return out
