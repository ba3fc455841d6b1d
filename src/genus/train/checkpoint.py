"""Checkpoints: a run's whole state in one file, of which the last two sound ones are kept."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from genus import store
from genus.errors import RunError

KEPT = 2
FORMAT = 1
_NAME = re.compile(r"stage(\d+)-step(\d+)-([0-9a-f]{64})\.safetensors")


class Checkpoints:
    """The files `stage<s>-step<t>-<SHA-256>.safetensors` of one stage in `folder`.

    A file is written whole or not at all, and its name holds the hash of its content, so that damage shows.

    Parameters
    ----------
    folder: where they lie; nothing is written when None. stage: counts the loops of one fit.
    """

    def __init__(self, folder: Path | None, stage: int) -> None:
        self.folder: Path | None = None
        self.stage = stage
        if folder is not None:
            self.place(folder)

    def place(self, folder: Path) -> None:
        """Keep them in `folder` from now on."""
        self.folder = folder / "checkpoints"

    def save(self, step: int, content: dict[str, Any]) -> None:
        """Write a state made of JSON and tensors, then forget all but the last two."""
        if self.folder is None:
            return
        tensors: dict[str, torch.Tensor] = {}
        body = store.to_json({"format": FORMAT, "content": store.freeze(content, tensors, "t")})
        tensors["body"] = torch.frombuffer(bytearray(body), dtype=torch.uint8)
        packed = store.pack_tensors(tensors)
        store.write(self.folder / f"stage{self.stage}-step{step:09d}-{store.digest(packed)}.safetensors", packed)
        for path in self._paths()[KEPT:]:
            path.unlink(missing_ok=True)

    def load(self) -> dict[str, Any] | None:
        """The newest sound state, or None when there is none; a damaged file is named on standard error."""
        if self.folder is None:
            return None
        paths = self._paths()
        for i, path in enumerate(paths):
            try:
                return _open(path)
            except RunError as error:
                instead = f"going back to {paths[i + 1].name}" if i + 1 < len(paths) else "starting again from the first step"
                print(f"genus: {error} It is set aside, {instead}.", file=sys.stderr)
                with suppress(FileNotFoundError):
                    path.rename(path.with_name(f"damaged-{path.name}"))
        return None

    def _paths(self) -> list[Path]:
        """Newest first."""
        if self.folder is None or not self.folder.is_dir():
            return []
        found = [(_NAME.fullmatch(path.name), path) for path in self.folder.iterdir()]
        mine = [(int(m[2]), path) for m, path in found if m and int(m[1]) == self.stage]
        return [path for _, path in sorted(mine, reverse=True)]


def _open(path: Path) -> dict[str, Any]:
    content = store.read(path)
    match = _NAME.fullmatch(path.name)
    if match is None or store.digest(content) != match[3]:
        raise RunError(f"{path} is damaged (its content does not have the hash in its name).")
    tensors = store.unpack_tensors(content, str(path))
    body = store.from_json(tensors.pop("body").numpy().tobytes(), str(path))
    if body.get("format") != FORMAT:
        raise RunError(f"{path} was written by another genus (format {body.get('format')}, not {FORMAT}).")
    return store.thaw(body["content"], tensors)


@contextmanager
def claimed(folder: Path | None) -> Iterator[None]:
    """Hold `folder` for this process alone; the system lets go when the process ends, however it ends.

    Raises RunError when another process holds it.
    """
    if folder is None:
        yield
        return
    handle = _lock(folder)
    try:
        _sweep(folder)
        yield
    finally:
        os.close(handle)


def _lock(folder: Path) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise RunError(f"Cannot write into {folder}: {error.strerror}. Choose another place with -o.") from None
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        return handle
    except OSError:
        owner = os.read(handle, 20).decode(errors="replace").strip()
        os.close(handle)
        raise RunError(
            f"{folder} is in use by process {owner or 'unknown'}: wait for it, stop it, or choose another folder with -o."
        ) from None
    os.ftruncate(handle, 0)
    os.write(handle, str(os.getpid()).encode())
    return handle


def _sweep(folder: Path) -> None:
    """Remove what a killed process left half written."""
    for path in (*folder.glob(".*.tmp"), *folder.glob("checkpoints/.*.tmp")):
        path.unlink(missing_ok=True)
