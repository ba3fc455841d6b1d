"""Files that survive: written as temporary, synced, renamed, hashed; JSON and safetensors, never code."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as _load_tensors
from safetensors.torch import save as _save_tensors

from genus.errors import RunError

HEADER_LIMIT = 10 * 2**20
TAGS: dict[str, Callable[[Any, dict[str, torch.Tensor], str], Any]] = {}  # how to thaw what higher layers freeze


def write(path: Path, content: bytes) -> str:
    """Put `content` at `path` so that a reader sees the old file or the new one whole; returns its SHA-256."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            free = shutil.disk_usage(path.parent).free / 2**20
            raise RunError(
                f"No space to write {path} ({len(content) / 2**20:.1f} MB, {free:.1f} MB free): "
                "free some space and run the same command again; the last checkpoint is intact."
            ) from None
        raise RunError(f"Cannot write {path}: {error.strerror}. Choose another place with -o.") from None
    return digest(content)


def is_temporary(path: Path) -> bool:
    """Whether it is a file that `write` had begun when its process was killed."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read(path: Path) -> bytes:
    """The file's bytes, or one sentence about why not."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise RunError(f"{path} does not exist.") from None
    except OSError as error:
        raise RunError(f"Cannot read {path}: {error.strerror}.") from None


def pack_tensors(tensors: dict[str, torch.Tensor]) -> bytes:
    """safetensors bytes of the tensors; views and shared storage are written out in full."""
    return _save_tensors({name: _own(t) for name, t in tensors.items()})


def _own(t: torch.Tensor) -> torch.Tensor:
    """t on the CPU, contiguous and alone in its storage; copied only where it is not so already."""
    there = t.detach().cpu()
    if there is t or there.data_ptr() == t.data_ptr() or not there.is_contiguous():
        return there.clone(memory_format=torch.contiguous_format)
    return there


def unpack_tensors(content: bytes, name: str) -> dict[str, torch.Tensor]:
    """Tensors of safetensors bytes, after checks a hostile file would fail; `name` is for the message."""
    try:
        _check_header(content)
        return _load_tensors(content)
    except Exception as error:
        raise RunError(f"{name} is not a sound safetensors file: {error}. Restore it from a copy.") from None


def _check_header(content: bytes) -> None:
    if len(content) < 8:
        raise ValueError("it is cut short")
    (size,) = struct.unpack("<Q", content[:8])
    if size > HEADER_LIMIT:
        raise ValueError(f"its header is {size / 2**20:.0f} MB, over the limit of 10 MB")
    if size > len(content) - 8:
        raise ValueError("it is cut short")
    header = json.loads(content[8 : 8 + size], object_pairs_hook=_unique)
    end = max((entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"), default=0)
    if end != len(content) - 8 - size:
        raise ValueError(f"it holds {len(content) - 8 - size} bytes of numbers where its header tells of {end}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen = dict(pairs)
    if len(seen) < len(pairs):
        raise ValueError("a name occurs twice in its header")
    return seen


def freeze(value: Any, tensors: dict[str, torch.Tensor], name: str) -> Any:
    """JSON for `value`; arrays and tensors inside it go to `tensors` under names that begin with `name`."""
    if isinstance(value, torch.Tensor):
        tensors[name] = value
        return {"$tensor": name}
    if isinstance(value, np.ndarray):
        return _freeze_array(value, tensors, name)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        pairs = enumerate(value.items())
        return {"$map": [[freeze(k, tensors, f"{name}.k{i}"), freeze(v, tensors, f"{name}.{i}")] for i, (k, v) in pairs]}
    if isinstance(value, tuple | list):
        items = [freeze(v, tensors, f"{name}.{i}") for i, v in enumerate(value)]
        return {"$tuple": items} if isinstance(value, tuple) else items
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if hasattr(value, "_frozen"):
        return {"$model": value._frozen(tensors, f"{name}/")}
    raise TypeError(f"{name} holds a {type(value).__name__}, which has no place in JSON or safetensors.")


def _freeze_array(value: np.ndarray, tensors: dict[str, torch.Tensor], name: str) -> dict[str, Any]:
    """Numbers become a tensor; strings, objects and times, which safetensors lacks, become JSON."""
    if value.dtype.kind in "OUS":
        return {"$strings": value.tolist()}
    if value.dtype.kind in "Mm":
        return {"$times": [value.dtype.str, value.astype("int64").tolist()]}
    tensors[name] = torch.from_numpy(np.require(value, requirements=["C", "W"]))
    return {"$array": name}


def thaw(value: Any, tensors: dict[str, torch.Tensor], name: str = "") -> Any:
    """The inverse of `freeze`; `name` as it was given there."""
    if isinstance(value, list):
        return [thaw(v, tensors, f"{name}.{i}") for i, v in enumerate(value)]
    if not isinstance(value, dict):
        return value
    ((tag, body),) = value.items()
    match tag:
        case "$tensor":
            return tensors[body]
        case "$array":
            return tensors[body].numpy()
        case "$strings":
            return np.array(body, dtype=object)
        case "$times":
            return np.array(body[1], dtype="int64").astype(body[0])
        case "$map":
            return {thaw(k, tensors, f"{name}.k{i}"): thaw(v, tensors, f"{name}.{i}") for i, (k, v) in enumerate(body)}
        case "$tuple":
            return tuple(thaw(v, tensors, f"{name}.{i}") for i, v in enumerate(body))
    if tag in TAGS:
        return TAGS[tag](body, tensors, name)
    raise RunError(f"Unknown tag {tag!r} in a model file: it was made by a newer genus.")


def to_json(value: Any) -> bytes:
    """Readable JSON bytes with infinities and NaN as Python writes them."""
    return json.dumps(value, indent=1, ensure_ascii=False).encode()


def to_json_line(value: Any) -> bytes:
    """JSON bytes on one line, its end included."""
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def from_json(content: bytes, name: str) -> Any:
    """The value, or one sentence that names the file."""
    try:
        return json.loads(content)
    except ValueError as error:
        raise RunError(f"{name} is not JSON: {error}.") from None
