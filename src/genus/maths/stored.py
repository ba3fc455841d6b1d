"""Items kept in a compact file on disk and read by blocks, for data larger than memory."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

BLOCK = 4096  # rows read together
WINDOW = 32  # blocks that are shuffled together: so many are kept in memory
READ = 65536  # rows of one piece where all are read in order


class Stored:
    """Items (n, *shape) in one file, of the smallest type that holds them; indexed like a tensor, read as `dtype`.

    Rows are read by `pread`, never mapped, so that the process grows by no more than the blocks it keeps: `WINDOW + 2` of them.
    A batch out of few blocks costs one gather; an index that touches more blocks than are kept reads row by row.

    Parameters
    ----------
    path: the file. length: n. shape: of one item. kind: numpy's type in the file. dtype: torch's type of what is read.
    """

    def __init__(self, path: Path, length: int, shape: tuple[int, ...], kind: Any, dtype: torch.dtype) -> None:
        self.path, self.length, self.kind, self.dtype = Path(path), length, np.dtype(kind), dtype
        self.shape = torch.Size((length, *shape))
        self.width = math.prod(shape)
        self.device = torch.device("cpu")
        self.file = os.open(self.path, os.O_RDONLY)
        blocks = -(-length // BLOCK)
        self.held = min(WINDOW + 2, blocks)
        self.slots = np.zeros((self.held * BLOCK, self.width), self.kind)
        self.slot = np.full(blocks, -1)
        self.owner = np.full(self.held, -1)
        self.next = 0

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        if isinstance(index, slice):
            start, stop, step = index.indices(self.length)
            return self._tensor(self._read(start, max(start, stop))[::step])
        rows = index.cpu().numpy()
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        rows = np.where(rows < 0, rows + self.length, rows)
        blocks = np.unique(rows // BLOCK)
        if len(blocks) > self.held:
            return self._tensor(self._scattered(rows))
        self._hold(blocks)
        return self._tensor(self.slots[self.slot[rows // BLOCK] * BLOCK + rows % BLOCK])

    def to(self, device: torch.device) -> Stored:
        """The same file, its items read onto another device."""
        twin = Stored(self.path, self.length, tuple(self.shape[1:]), self.kind, self.dtype)
        twin.device = device
        return twin

    def close(self) -> None:
        """Let go of the file; nothing can be read after it."""
        if self.file >= 0:
            os.close(self.file)
            self.file = -1

    def __del__(self) -> None:
        with suppress(AttributeError, OSError):
            self.close()

    def _tensor(self, rows: np.ndarray) -> Tensor:
        wide = np.ascontiguousarray(rows).astype(_WIDE.get(self.kind, self.kind), copy=False)
        return torch.from_numpy(wide).to(self.device, self.dtype).reshape(len(rows), *self.shape[1:])

    def _read(self, start: int, stop: int) -> np.ndarray:
        out = np.empty((stop - start, self.width), self.kind)
        view: Any = memoryview(out.reshape(-1).view(np.uint8))  # pyright: ignore[reportArgumentType]
        done, at = 0, start * self.width * self.kind.itemsize
        while done < len(view):
            got = os.preadv(self.file, [view[done:]], at + done)
            if not got:
                raise OSError(f"{self.path} is shorter than it was when it was written.")
            done += got
        return out

    def _scattered(self, rows: np.ndarray) -> np.ndarray:
        order = np.argsort(rows, kind="stable")
        out = np.empty((len(rows), self.width), self.kind)
        for i in order.tolist():
            out[i] = self._read(int(rows[i]), int(rows[i]) + 1)[0]
        return out

    def _hold(self, blocks: np.ndarray) -> None:
        """Bring blocks into memory, in the places of those brought longest ago that are not asked for."""
        wanted = set(blocks.tolist())
        for b in (b for b in blocks.tolist() if self.slot[b] < 0):
            while int(self.owner[self.next]) in wanted:
                self.next = (self.next + 1) % self.held
            if self.owner[self.next] >= 0:
                self.slot[self.owner[self.next]] = -1
            rows = self._read(b * BLOCK, min((b + 1) * BLOCK, self.length))
            self.slots[self.next * BLOCK : self.next * BLOCK + len(rows)] = rows
            self.slot[b], self.owner[self.next] = self.next, b
            self.next = (self.next + 1) % self.held


_WIDE = {np.dtype(small): np.dtype(np.int64) for small in (np.uint16, np.uint32)}


class Writer:
    """Writes a Stored piece by piece; integers in the smallest type that holds 0 … levels − 1.

    Parameters
    ----------
    path: the file to make. shape: of one item. levels: values an entry can take, 0 for reals. dtype: what is read back.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], levels: int, dtype: torch.dtype) -> None:
        self.path, self.shape, self.dtype = Path(path), shape, dtype
        self.kind = smallest(levels) if levels else np.dtype(np.float32)
        self.length = 0
        self.file = open(self.path, "wb")  # noqa: SIM115

    def add(self, x: Tensor) -> None:
        """Append items x (m, *shape)."""
        self.file.write(np.ascontiguousarray(x.cpu().numpy().astype(self.kind)).tobytes())
        self.length += len(x)

    def close(self) -> None:
        """Let go of the file."""
        self.file.close()

    def done(self) -> Stored:
        """What was written, to be read."""
        self.close()
        return Stored(self.path, self.length, self.shape, self.kind, self.dtype)


def smallest(levels: int) -> np.dtype:
    """The narrowest unsigned type that holds 0 … levels − 1.

    >>> smallest(256), smallest(5000)
    (dtype('uint8'), dtype('uint16'))
    """
    return np.min_scalar_type(max(levels - 1, 0))


class Mapped:
    """Items passed through a function whenever they are read.

    Parameters
    ----------
    items: a tensor or anything indexed like one. change: (m, *shape) → (m, …).
    """

    def __init__(self, items: Any, change: Callable[[Tensor], Tensor]) -> None:
        self.items, self.change = items, change
        self.shape = torch.Size((len(items), *change(items[torch.arange(min(1, len(items)))]).shape[1:]))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        return self.change(self.items[index])


def blocks(x: Any, size: int = READ) -> Iterator[Tensor]:
    """The items of x in order, `size` at a time; views where x is a tensor.

    >>> [len(b) for b in blocks(torch.zeros(5), 2)]
    [2, 2, 1]
    """
    if isinstance(x, Tensor):
        yield from x.split(size)
    else:
        yield from (x[i : min(i + size, len(x))] for i in range(0, len(x), size))
