"""Reading arrays: .npy, .npz and idx (the files of MNIST), plain or gzipped; nothing in them is ever executed."""

from __future__ import annotations

import gzip
import io
import math
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from genus.errors import DataError

ITEMS = ("X", "x", "images", "data", "x_train", "X_train", "train_images", "features")
LABELS = ("y", "Y", "labels", "label", "targets", "target", "y_train", "train_labels")
IDX = re.compile(r"(idx\d?[-.]ubyte|\.idx\d?)(\.gz)?$", re.IGNORECASE)
IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def content(path: Path) -> bytes:
    """A file's bytes, unpacked where it ends in .gz; DataError where it is empty, unreadable or cut short."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}.") from None
    if not raw:
        raise DataError(f"{path} is empty: there is nothing to learn from.")
    if path.suffix.lower() != ".gz":
        return raw
    try:
        raw = gzip.decompress(raw)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path} is not a sound gzip file ({error}): it may be cut short, fetch it again.") from None
    if not raw:
        raise DataError(f"{path} is empty once unpacked: there is nothing to learn from.")
    return raw


def read_npy(path: Path) -> tuple[np.ndarray, None]:
    """(array, None) of a .npy file."""
    try:
        X = np.load(io.BytesIO(content(path)), allow_pickle=False)
    except (ValueError, EOFError, OSError, SyntaxError) as error:
        raise _damaged(path, error) from None
    if isinstance(X, np.lib.npyio.NpzFile):
        raise DataError(f"{path} is an .npz archive by its content: rename it.")
    return X, None


def read_npz(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """(items, labels) of an .npz file: its arrays X, x, images, data or x_train, and y, labels, targets or y_train.

    An archive of one array needs no such name. Where an array `classes` of words stands beside whole-number labels,
    the labels become those words.
    """
    try:
        with np.load(io.BytesIO(content(path)), allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(f"{path} is a .npy array by its content: rename it.")
            names = archive.files
            x, y = _first_of(ITEMS, names), _first_of(LABELS, names)
            rest = [n for n in names if n not in (y, "classes")]
            x = x or (rest[0] if len(rest) == 1 else None)
            if x is None:
                raise DataError(f"{path} holds arrays {', '.join(names) or 'none'}: name the one of items X and the labels y.")
            X, labels = archive[x], archive[y] if y else None
            classes = archive["classes"] if "classes" in names else None
    except DataError:
        raise
    except (ValueError, EOFError, OSError, SyntaxError, zipfile.BadZipFile, zlib.error, KeyError) as error:
        raise _damaged(path, error) from None
    return X, labels if labels is None or classes is None else _named(labels, classes)


def _named(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Whole-number labels as the words they number, where they do."""
    if labels.dtype.kind not in "iu" or classes.ndim != 1 or not labels.size:
        return labels
    return classes.astype(object)[labels] if labels.min() >= 0 and labels.max() < len(classes) else labels


def _first_of(wanted: tuple[str, ...], names: list[str]) -> str | None:
    return next((name for name in wanted if name in names), None)


def _damaged(path: Path, error: Exception) -> DataError:
    if "allow_pickle" in str(error) or "pickle" in str(error).lower():
        return DataError(f"{path} holds pickled objects, which could run code and are never loaded: save plain numeric arrays.")
    why = str(error).splitlines()[0] if str(error) else "cut short"
    return DataError(f"{path} is not a sound array file ({why}): write or fetch it again.")


def read_idx(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """(images, labels) of an idx file, the labels from the file of that name beside it, as MNIST's lie.

    Format: http://yann.lecun.com/exdb/mnist (2 zero bytes, type, number of axes, each axis as a big-endian uint32).
    """
    X = _idx(path)
    if X.ndim == 1:
        raise DataError(f"{path} holds labels (one axis): name the file of images instead; its labels are found beside it.")
    beside = path.with_name(re.sub(r"idx\d", "idx1", path.name.replace("images", "labels")))
    for candidate in (beside, beside.with_suffix("") if beside.suffix == ".gz" else beside.with_name(beside.name + ".gz")):
        if candidate.name != path.name and candidate.is_file():
            return X, _idx(candidate)
    return X, None


def _idx(path: Path) -> np.ndarray:
    raw = content(path)
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in IDX_TYPES or not 1 <= raw[3] <= 8 or len(raw) < 4 + 4 * raw[3]:
        raise DataError(f"{path} is not an idx file (its first four bytes are {raw[:4].hex(' ')}): fetch it again.")
    axes = raw[3]
    shape = struct.unpack(f">{axes}I", raw[4 : 4 + 4 * axes])
    dtype = np.dtype(IDX_TYPES[raw[2]])
    expected, held = math.prod(shape) * dtype.itemsize, len(raw) - 4 - 4 * axes
    if expected != held:
        raise DataError(f"{path} announces {expected} bytes of data and holds {held}: it is cut short, fetch it again.")
    X = np.frombuffer(raw, dtype, offset=4 + 4 * axes).reshape(shape)
    return X.astype(dtype.newbyteorder("="))


def checked(X: Any, where: str) -> np.ndarray:
    """X when it is numeric, holds items and no infinity; the first bad index is named."""
    X = np.asarray(X)
    if X.dtype.kind not in "biufU":
        raise DataError(f"{where} holds values of type {X.dtype}: real numbers, truth values or strings were expected.")
    if X.ndim == 0 or X.size == 0:
        raise DataError(f"{where} has shape {X.shape}: there are no items in it.")
    if X.dtype.kind == "f" and (bad := np.isinf(X)).any():
        index = tuple(int(i) for i in np.unravel_index(int(bad.argmax()), X.shape))
        raise DataError(f"{where} holds infinity, first at index {index}: replace it or leave that item out.")
    return X
