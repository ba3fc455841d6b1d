"""Streaming: a text given piece by piece as the model draws it."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any

import torch
from sklearn.utils.validation import check_is_fitted
from torch.nn import functional as F

from genus import dice
from genus.capability import Sequential
from genus.data.text import TextCodec, beginning
from genus.errors import UsageError
from genus.model import Model
from genus.nets.decode import discouraged, kept, pick


def stream(model: Model, y: Any = None, *, given: Any = None, seed: int | None = None) -> Iterator[str]:
    """One text, in pieces that are whole characters, each as soon as it is drawn; joined, they are distributed as `sample`.

    What the model is asked to draw by (temperature, top_k, top_p, min_p, repetition_penalty, length) holds here too; beams look
    ahead and cannot. A piece that may be the start of a stop string is held back until it is known not to be.

    Parameters
    ----------
    model: fitted on texts, of a family that is Sequential. y: the condition. given: how the text begins, which is given first,
    or {'prefix': …, 'stop': strings that end it}. seed: None draws afresh; elsewhere nothing random is touched.

    Raises UsageError for other models and for a beginning that is too long.
    """
    check_is_fitted(model, "space_")
    codec = model.codec_
    if not isinstance(model, Sequential) or not isinstance(codec, TextCodec):
        raise UsageError(f"{type(model).__name__} of {codec.kind} data does not draw text token by token: use sample.")
    if getattr(model, "beams", None):
        raise UsageError("A beam search knows its text only at the end: set beams=None to stream, or use sample.")
    prefix, stop = beginning("" if given is None else given)
    seed = dice.fresh() if seed is None else seed
    return _held(prefix, _drawn(model, codec, y, prefix, seed), stop)


def _drawn(model: Sequential, codec: TextCodec, y: Any, prefix: str, seed: int) -> Iterator[str]:
    """The text behind the prefix, whole characters at a time."""
    start, end = codec._codes(prefix), getattr(model.space_, "end", None)
    size = model.space_.size
    length = (getattr(model, "length", None) or size) if codec.running_ else size
    if len(start) >= length:
        raise UsageError(f"The beginning has {len(start)} {codec.unit}s; the model holds at most {length - 1} before another.")
    with dice.private(dice.derive(seed, "condition")), torch.no_grad():
        items, _ = model._unfold(1, model._conditions(1, y))
    items.x = F.pad(items.x, (0, max(0, length - size)))
    for step, code in enumerate(start):
        items.put(step, code[None].to(items.x.device))
    reader = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for step in range(len(start), length):
        with dice.private(dice.derive(seed, step)), torch.no_grad():
            symbol = pick(_asked(model, items.logits(step), items.x[:, :step]))
            items.put(step, symbol)
        if int(symbol) == end:
            break
        if piece := reader.decode(codec.vocabulary.spell(int(symbol))):
            yield piece
    if piece := reader.decode(b"", True):
        yield piece


def _asked(model: Any, logits: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """The logits as the model's fields say it draws."""
    if (penalty := getattr(model, "repetition_penalty", 1.0)) != 1:
        logits = discouraged(logits, before, penalty)
    logits = logits / getattr(model, "temperature", 1.0)
    return kept(logits, getattr(model, "top_k", None), getattr(model, "top_p", None), getattr(model, "min_p", None))


def _held(prefix: str, pieces: Iterator[str], stop: tuple[str, ...]) -> Iterator[str]:
    """The prefix and the pieces up to the first stop string behind the prefix."""
    if prefix:
        yield prefix
    held = ""
    for piece in pieces:
        held += piece
        ends = [at for word in stop if (at := held.find(word)) >= 0]
        if ends:
            held = held[: min(ends)]
            break
        doubtful = max((k for word in stop for k in range(1, len(word)) if held.endswith(word[:k])), default=0)
        if len(held) > doubtful:
            yield held[: len(held) - doubtful]
            held = held[len(held) - doubtful :]
    if held:
        yield held
