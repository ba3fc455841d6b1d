"""Compress: data as a file as short as the model finds them likely, and back again bit for bit."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from genus import dice, store
from genus.capability import Sequential
from genus.errors import DataError, RunError, UsageError
from genus.maths.rans import Decoder, encode, interval, lanes_for, nats, quantise
from genus.model import Model

MAGIC = b"GNZ2"
HEAD = struct.Struct("<4s8s8sI")  # magic, model, checksum, crc of what follows: counts, extras, streams
ENTRIES = 1 << 16  # of a batch: one pass of the model
HELD = 1 << 22  # entries whose intervals are held at once; a stream
Told = Callable[[int, int], None]


def compress(model: Model, X: Any, y: Any = None, *, batch: int | None = None, told: Told | None = None) -> bytes:
    """X as bytes that `decompress` with the same model turns back into X, bit for bit.

    Entry by entry, the model says how likely each symbol is given those before it; range asymmetric numeral systems
    (`maths.rans`) spend −log₂ p bits on the one that comes. The bytes are thus as many as the model's nats ask for, plus about
    half a percent. They hold a hash of the model, without which nothing can be read, and a checksum of the data.

    Parameters
    ----------
    model: fitted, of a family that is Sequential (made, anyorder, transformer, pixelcnn …). X: images, texts, a table whose
    columns are labels: data that packing keeps exactly. y: what the model was conditioned on; kept in the file.
    batch: items read side by side; about 2¹⁶ entries when None. told: called with (items done, items).

    Raises UsageError where the model cannot tell probabilities entry by entry, DataError where packing would lose something.

    Reference: J. Duda 2013, Asymmetric numeral systems, https://arxiv.org/abs/1311.2540
    """
    _check(model)
    x, tail = _packed(model, X)
    labels = None if model.condition_ is None else _labels(y, len(x))
    extras = b"" if labels is None and not tail else bz2.compress(json.dumps({"y": labels, "tail": tail}).encode())
    batch = batch or max(1, min(model.chunk, ENTRIES // max(x[0].numel(), 1)))
    streams, body, done = [], [], 0
    with _alone(), dice.private(0), torch.no_grad():
        c = model._conditions(len(x), None if labels is None else np.array(labels, dtype=object))
        for rows in _streams(len(x), x[0].numel(), batch):
            intervals = []
            for i in rows:
                intervals += list(_intervals(model, x[i], None if c is None else c[i]))
                done += len(i)
                if told:
                    told(done, len(x))
            lanes = lanes_for(nats(intervals), min(batch, 2**16 - 1))
            body.append(encode(intervals, lanes))
            streams += [len(rows), lanes, len(body[-1])]
    rest = _counted([len(x), batch, len(extras), len(body), *streams]) + extras + b"".join(body)
    return HEAD.pack(MAGIC, _hash(model), _checksum(x), zlib.crc32(rest)) + rest


def decompress(model: Model, content: bytes, *, told: Told | None = None) -> tuple[Any, list[Any] | None]:
    """(X, y) that `compress` with this model wrote; y is None where the model has no condition.

    Raises RunError where the file is none of these, is damaged or was written with another model, and where this machine does
    not compute the model's probabilities to the same last digit as the one it was written on.
    """
    _check(model)
    n, batch, checksum, extras, streams, at = _opened(model, content)
    out, done = [], 0
    with _alone(), dice.private(0), torch.no_grad():
        c = model._conditions(n, None if extras["y"] is None else np.array(extras["y"], dtype=object))
        todo = list(torch.arange(n).split(batch))
        try:
            for count, lanes, length in streams:
                decoder = Decoder(content[at : at + length], lanes)
                at += length
                for i in todo[:count]:
                    out.append(_symbols(model, decoder, len(i), None if c is None else c[i]))
                    done += len(i)
                    if told:
                        told(done, n)
                todo = todo[count:]
        except ValueError:
            out = []
        x = torch.cat(out) if out else torch.zeros(0)
        if len(x) != n or _checksum(x) != checksum:
            raise RunError(
                "The file is whole, but what was read is not what was written: this machine rounds the model's probabilities "
                "otherwise than the one that wrote it. Decompress it there, or with the same torch and kind of processor."
            )
        return _user(model, x, extras["tail"]), extras["y"]


def own_nats(model: Any, X: Any, y: Any = None) -> float:
    """−log p of all of X by the model, without the code: what no code by this model can be shorter than, on average."""
    with dice.private(0), torch.no_grad():
        x, c = model._packed(_whole(model, X)[0], y)
        return -float(sum(model._log_prob(x[i], None if c is None else c[i]).double().sum() for i in _rows(model, x)))


def usual_sizes(X: Any) -> dict[str, int]:
    """Bytes of X as it is, and by gzip, bz2 and xz at their best."""
    raw = raw_bytes(X)
    return {
        "raw": len(raw), "gzip -9": len(gzip.compress(raw, 9)), "bz2 -9": len(bz2.compress(raw, 9)),
        "xz -9e": len(lzma.compress(raw, preset=9 | lzma.PRESET_EXTREME)),
    }  # fmt: skip


def raw_bytes(X: Any) -> bytes:
    """X as bytes: an array's own, texts by lines, a table as .csv."""
    if isinstance(X, str):
        return X.encode()
    if isinstance(X, pd.DataFrame):
        return X.to_csv(index=False).encode()
    array = np.asarray(X)
    return "\n".join(map(str, X)).encode() if array.dtype.kind in "UO" else array.tobytes()


# -- the model, step by step ------------------------------------------------------------------------------


def _intervals(model: Any, x: Tensor, y: Tensor | None) -> Iterator[np.ndarray]:
    """The interval of each entry of a batch, step by step, computed as the decoder will."""
    items, order = model._unfold(len(x), y)
    flat = x.flatten(1).long().to(items.x.device)
    for step, entry in enumerate(order):
        yield interval(quantise(items.logits(step)), flat[:, entry].cpu().numpy())
        items.put(step, flat[:, entry])


def _symbols(model: Any, decoder: Decoder, n: int, y: Tensor | None) -> Tensor:
    """A batch of n items read from a code."""
    items, order = model._unfold(n, y)
    out = torch.zeros((n, len(order)), dtype=torch.int64)
    for step, entry in enumerate(order):
        out[:, entry] = torch.from_numpy(decoder.read(quantise(items.logits(step))))
        items.put(step, out[:, entry].to(items.x.device))
    return out.view(n, *model.space_.shape).to(model.space_.dtype)


@contextmanager
def _alone() -> Iterator[None]:
    """Arithmetic in one thread, so that sums come in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _streams(n: int, size: int, batch: int) -> Iterator[list[Tensor]]:
    """Batches of rows, as many to a stream as may be held."""
    batches = list(torch.arange(n).split(batch))
    each = max(1, HELD // max(1, batch * size))
    return (batches[i : i + each] for i in range(0, len(batches), each))


def _rows(model: Model, x: Any) -> Iterator[Tensor]:
    return iter(torch.arange(len(x)).split(model.chunk))


# -- what the data are ------------------------------------------------------------------------------------


def _check(model: Any) -> None:
    check_is_fitted(model, "space_")
    name = type(model).__name__
    if not isinstance(model, Sequential):
        raise UsageError(
            f"{name} does not tell probabilities entry by entry, which a code needs: fit a family that is sequential "
            "(`genus families` lists them), such as made, pixelcnn or transformer."
        )
    if not model.space_.discrete:
        raise UsageError(f"{name} sees this {model.codec_.kind} data as real numbers, which no finite code holds.")


def _packed(model: Model, X: Any) -> tuple[Tensor, str]:
    """(x, the rest of a running text), after a look at whether X can be had back from them."""
    head, tail = _whole(model, X)
    x = model._packed_items(head)
    if not isinstance(x, Tensor) or not len(x):
        raise DataError("There is nothing to compress: give at least one item.")
    with dice.private(0):
        lost = _lost(X, _user(model, x, tail))
    if lost:
        raise DataError(f"The model does not hold {lost} to the last digit, so that nothing could give it back: leave it out.")
    return x, tail


def _whole(model: Model, X: Any) -> tuple[Any, str]:
    """A running text up to its last whole window, and the rest; other data as they are."""
    codec: Any = model.codec_
    if not (isinstance(X, str) and getattr(codec, "running_", False)):
        return X, ""
    if codec.unit == "byte":
        raw = X.encode()
        if any((raw[i] & 0xC0) == 0x80 for i in range(codec.length_, len(raw), codec.length_)):
            raise DataError("A window of bytes ends inside a character: fit the text by characters instead.")
        cut = len(raw[: len(raw) // codec.length_ * codec.length_].decode())
    else:
        cut = len(X) // codec.length_ * codec.length_
    return X[:cut], X[cut:]


def _user(model: Model, x: Tensor, tail: str) -> Any:
    found = model.codec_.unpack(x, model.space_)
    running = getattr(model.codec_, "running_", False)
    return "".join(found) + tail if running else found


def _lost(X: Any, back: Any) -> str:
    """What of X did not come back, "" if nothing."""
    if isinstance(X, pd.DataFrame):
        old = X.reset_index(drop=True)
        names = [str(name) for name in old.columns if name not in back.columns or not old[name].equals(back[name])]
        return "" if not names else f"column {names[0]!r}" + (f" (nor {len(names) - 1} more)" if len(names) > 1 else "")
    if isinstance(X, np.ndarray) and X.dtype.kind not in "UO":
        return "" if X.dtype == back.dtype and np.array_equal(X, back) else f"this array of {X.dtype}"
    same = back == X if isinstance(X, str) else list(map(str, X)) == list(back)
    return "" if same else "this text"


def _labels(y: Any, n: int) -> list[Any]:
    """The condition as JSON holds it."""
    if y is None:
        raise UsageError("This model was fitted with a condition: give y as well, it is kept in the file.")
    values = np.asarray(y)
    if values.ndim != 1 or len(values) != n or isinstance(y, pd.DataFrame):
        raise UsageError("A condition of one label an item can be kept in the file: fit without --condition, or on `labels`.")
    return values.tolist()


# -- the file ---------------------------------------------------------------------------------------------


def _opened(model: Model, content: bytes) -> tuple[int, int, bytes, dict[str, Any], list[tuple[int, int, int]], int]:
    """(items, batch, checksum, extras, streams, where the first stream begins), after checks."""
    if len(content) < HEAD.size or not content.startswith(MAGIC):
        raise RunError("This is not a file that `genus compress` wrote.")
    _, model_hash, checksum, crc = HEAD.unpack_from(content)
    if zlib.crc32(content[HEAD.size :]) != crc:
        raise RunError("The file is cut short or damaged (its check sum differs): restore it from a copy.")
    if model_hash != _hash(model):
        raise RunError(
            f"The file was written with another model ({model_hash.hex()}; this one is {_hash(model).hex()}): "
            "give the run it was compressed with."
        )
    (n, batch, length, count), at = _counts(content, HEAD.size, 4)
    each, at = _counts(content, at, 3 * count)
    extras = json.loads(bz2.decompress(content[at : at + length])) if length else {"y": None, "tail": ""}
    return n, batch, checksum, extras, list(zip(*[iter(each)] * 3, strict=True)), at + length


def _counted(numbers: list[int]) -> bytes:
    """Whole numbers seven bits a byte, the lowest first; the last byte of each has its highest bit clear."""
    out = bytearray()
    for number in numbers:
        while number >= 128:
            out.append(number & 127 | 128)
            number >>= 7
        out.append(number)
    return bytes(out)


def _counts(content: bytes, at: int, many: int) -> tuple[list[int], int]:
    """(so many numbers that `_counted` wrote at this place, the place behind them)."""
    found = []
    for _ in range(many):
        number = shift = 0
        while True:
            byte, at = content[at], at + 1
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        found.append(number)
    return found, at


def _hash(model: Model) -> bytes:
    """Eight bytes that tell one fitted model from another."""
    tensors: dict[str, Tensor] = {}
    body = model._frozen(tensors, "")
    return bytes.fromhex(store.digest(store.to_json(body) + store.pack_tensors(tensors)))[:8]


def _checksum(x: Tensor) -> bytes:
    return bytes.fromhex(store.digest(x.contiguous().numpy().tobytes()))[:8]


def bits_an_item(size: int, n: int) -> float:
    """Bits of a file of so many bytes, an item."""
    return 8 * size / n if n else math.nan
