"""Load: any source of data, a name, a file, a folder or an object, as one Dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genus.data.embedded import EMBEDDED, embedded
from genus.data.image import is_images
from genus.data.ratings import is_ratings, ratings_of
from genus.data.read_array import IDX, checked, content, read_idx, read_npy, read_npz
from genus.data.read_image import SUFFIXES, read_folder, resized
from genus.data.read_text import read_text
from genus.data.text import is_text
from genus.data.tokens import parsed, tokenised
from genus.errors import DataError, UsageError, nearest

KINDS = ("table", "image", "text", "lines", "array", "ratings")
TABLES = (".csv", ".tsv", ".tab", ".data", ".parquet", ".pq")


@dataclass
class Dataset:
    """What `load` found.

    Attributes
    ----------
    X: DataFrame, uint8 images (n, H, W[, C]), str or list of str, or array (n, …). y: labels (n,) or None.
    name: short, for folders and reports. kind: 'table', 'image', 'text' or 'array'. source: what was loaded.
    licence: where known. note: what the data are, and how they were understood. time: the name of the time column.
    density: true log density of points in nats, of toys. modes: (centres (k, d), sd) where they are known.
    """

    X: Any
    y: Any = None
    name: str = "data"
    kind: str = ""
    source: str = ""
    licence: str = ""
    note: str = ""
    time: str | None = None
    density: Callable[[Any], np.ndarray] | None = field(default=None, repr=False)
    modes: tuple[np.ndarray, float] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.X)

    @property
    def sha256(self) -> str:
        """SHA-256 of the content of X and y, so that a run can check that it meets the same data."""
        hashed = hashlib.sha256()
        for part in (self.X, self.y):
            _hash(hashed, part)
        return hashed.hexdigest()


def load(
    source: Any,
    *,
    kind: str | None = None,
    size: Any = None,
    labels: Any = None,
    time: str | None = None,
    window: int | None = None,
    schema: Any = None,
    tokens: str | None = None,
) -> Dataset:
    """The data in `source`.

    Parameters
    ----------
    source: an embedded name (`genus data` lists them); a file (.csv .tsv .parquet .npy .npz .txt, also .gz; idx
        images); a folder of images, whose sub-folders are labels; 'hf:owner/name' or 'hf:FOLDER' through `datasets`;
        or a DataFrame, array, str or list of str.
    kind: 'table', 'image', 'array', 'text' (one running text), 'lines' (one item a line) or 'ratings' (user, item,
        rating), to overrule the guess.
    size: pixels a side, or (height, width), to resize images to; they are cut to its proportions about their middle.
    labels: the column of a table that is y, or labels (n,). time: the column of a table that holds times.
    window: entries of a window, where one long array or text is to be cut into items. schema: what a table's columns
        are: a `Schema`, its JSON, or a file of it; it travels with the table, so that `fit` heeds it.
    tokens: what a text is cut into, 'character' (when None), 'byte', 'bpe:512' or 'unigram:512', learnt from the text by `fit`;
        it travels with the text.

    Raises DataError, one sentence, for whatever cannot be read.
    """
    if kind is not None and kind not in KINDS:
        raise UsageError(f"kind is one of {', '.join(KINDS)}, not {kind!r}.{nearest(str(kind), KINDS)}")
    data = _found(source, kind, size) if isinstance(source, str | Path) else Dataset(source, source=type(source).__name__)
    data = _as_kind(data, kind)
    if size is not None and not is_images(data.X):
        raise UsageError(f"size resizes images, but {data.name} is {data.kind}: leave it out.")
    data.X = resized(data.X, size) if is_images(data.X) else data.X
    if window is not None:
        _cut(data, window)
    _declare(data, schema)
    _tokenise(data, tokens)
    _label(data, labels)
    _time(data, time)
    if len(data.X) < 2:
        raise DataError(f"{data.source} holds one item: a distribution needs at least two.")
    return data


# -- finding ----------------------------------------------------------------------------------------------


def _found(source: str | Path, kind: str | None, size: Any) -> Dataset:
    word, path = str(source), Path(source)
    if word in EMBEDDED:
        return embedded(word)
    if word.startswith("hf:"):
        from genus.data.hub import read_hub

        return Dataset(*read_hub(word[3:], size), name=word[3:].rpartition("/")[2], source=word)
    if len(word) > 1000 or "\n" in word:
        raise UsageError("load takes a name or a path; to use a text itself, put it in a list or pass it to fit.")
    if not path.exists():
        raise DataError(f"{word} is neither an embedded dataset nor a file.{_guess(path)} `genus data` lists the embedded ones.")
    name = path.resolve().name
    if path.is_dir():
        return Dataset(*read_folder(path, size), name=name, kind="image", source=word)
    return Dataset(*_read_file(path, kind), name=name.split(".")[0] or name, source=word)


def _guess(path: Path) -> str:
    beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    return nearest(path.name, [*EMBEDDED, *beside])


def _read_file(path: Path, kind: str | None) -> tuple[Any, Any]:
    """(X, y) of a file, by its ending."""
    ending = Path(path.stem if path.suffix.lower() == ".gz" else path.name).suffix.lower()
    if IDX.search(path.name):
        return read_idx(path)
    if ending in TABLES or (ending == ".txt" and kind == "table"):
        from genus.data.read_table import read_table

        return read_table(path), None
    if ending == ".npy":
        return read_npy(path)
    if ending == ".npz":
        return read_npz(path)
    if ending in (".txt", ".md") or kind in ("text", "lines"):
        return read_text(path, kind), None
    content(path)
    if ending in SUFFIXES:
        raise DataError(f"{path} is one image, and a distribution needs many: name the folder that holds them.")
    hint = " Unpack it and name the folder." if ending in (".tar", ".tgz", ".zip") else ""
    raise DataError(
        f"{path} has an ending genus does not read ({ending or 'none'}): it reads {' '.join(TABLES)} .npy .npz .txt (also .gz), "
        f"idx images and folders of images; --kind text reads any file as text.{hint}"
    )


# -- understanding ----------------------------------------------------------------------------------------


def _as_kind(data: Dataset, kind: str | None) -> Dataset:
    """The dataset with X in the type of its kind."""
    X = data.X
    if is_ratings(X) or (kind == "ratings" and isinstance(X, pd.DataFrame)):
        data.X = ratings_of(X) if isinstance(X, pd.DataFrame) else X
        return _of(data, "ratings", kind)
    if isinstance(X, pd.DataFrame):
        return _of(data, "table", kind)
    if is_text(X):
        data.X = X if isinstance(X, str) else list(map(str, X))
        return _of(data, "text", "text" if kind == "lines" else kind)
    if isinstance(X, list | tuple):
        try:
            X = np.asarray(X)
        except ValueError:
            raise DataError("The items of the list differ in shape: give a list of strings, or rows of one length.") from None
    X = X if X.__class__.__module__.startswith("scipy") else checked(X, data.source)
    if kind == "image" or (kind is None and is_images(X)):
        data.X = _channels_last(_eight_bit(X, data.source))
        return _of(data, "image", None)
    if kind == "table":
        data.X = pd.DataFrame(X.reshape(len(X), -1)).add_prefix("x")
        return _of(data, "table", None)
    data.X = X.astype(np.int64) if is_images(X) else X
    return _of(data, "array", kind)


def _of(data: Dataset, found: str, kind: str | None) -> Dataset:
    if kind not in (None, found):
        raise UsageError(f"{data.source} is {found} data and cannot be read as kind {kind!r}: leave kind out.")
    data.kind = found
    return data


def _eight_bit(X: np.ndarray, where: str) -> np.ndarray:
    if X.ndim not in (3, 4):
        raise DataError(f"{where} has shape {X.shape}: images are (n, height, width) or (n, height, width, channels).")
    if X.dtype in (np.uint8, np.bool_):
        return X
    low, high = X.min(), X.max()
    if X.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.rint(X * 255).astype(np.uint8)
    if low < 0 or high > 255 or np.any(np.rint(X) != X):
        raise DataError(f"{where} holds values from {low} to {high}: images hold whole numbers 0 to 255, or reals 0 to 1.")
    return X.astype(np.uint8)


def _channels_last(X: np.ndarray) -> np.ndarray:
    """(n, C, H, W) as (n, H, W, C) where only the second axis can be channels; (n, H, W, 1) as (n, H, W)."""
    if X.ndim == 4 and X.shape[3] > 4 and X.shape[1] <= 4:
        X = np.ascontiguousarray(np.moveaxis(X, 1, 3))
    return X[..., 0] if X.ndim == 4 and X.shape[3] == 1 else X


def _cut(data: Dataset, window: int) -> None:
    """One long series as the items that a window of that length, moved by one entry (a text: by its length), shows."""
    if data.kind not in ("array", "text") or isinstance(data.X, list) or not 1 <= window <= len(data.X):
        raise UsageError(f"window cuts one array or running text of {len(data.X)} or more entries; it was {window}.")
    if isinstance(data.X, str):
        data.X = [data.X[i : i + window] for i in range(0, len(data.X) - window + 1, window)]
    else:
        data.X = np.moveaxis(np.lib.stride_tricks.sliding_window_view(data.X, window, axis=0), -1, 1)
    data.y = None


def _label(data: Dataset, labels: Any) -> None:
    if isinstance(labels, str):
        if data.kind != "table":
            raise UsageError(f"labels={labels!r} names a column of a table, but {data.source} is {data.kind}: give labels (n,).")
        _column(data, labels)
        from genus.data.schema import without

        data.y, data.X = data.X[labels], without(data.X, [labels])
    elif labels is not None:
        data.y = labels
    if data.y is not None and len(data.y) != len(data.X):
        raise DataError(f"{data.source} has {len(data.X)} items but {len(data.y)} labels: give one label an item.")


def _time(data: Dataset, time: str | None) -> None:
    if time is not None:
        if data.kind != "table":
            raise UsageError(f"time={time!r} names a column of a table, but {data.source} is {data.kind}: leave it out.")
        _column(data, time)
        data.time = time


def _declare(data: Dataset, schema: Any) -> None:
    if schema is None:
        return
    if data.kind != "table":
        raise UsageError(f"A schema tells of a table's columns, but {data.source} is {data.kind}: leave it out.")
    from genus.data.schema import Schema

    schema = Schema.read(schema) if isinstance(schema, str | Path) else Schema.from_json(schema)
    schema.check(data.X.columns)
    data.X.attrs["schema"] = schema.to_json()


def _tokenise(data: Dataset, tokens: str | None) -> None:
    if tokens is not None and data.kind == "table":  # its texts, where one is learnt given the others
        parsed(tokens)
        data.X.attrs["tokens"] = tokens
        return
    if tokens is not None and data.kind != "text":
        raise UsageError(f"tokens tells what a text is cut into, but {data.source} is {data.kind}: leave it out.")
    data.X = tokenised(data.X, tokens)


def _column(data: Dataset, name: str) -> None:
    if name not in data.X.columns:
        raise UsageError(f"{data.source} has no column {name!r}.{nearest(name, map(str, data.X.columns))}")


hash_rows: Any = pd.util.hash_pandas_object  # pyright: ignore[reportAttributeAccessIssue]


def _hash(hashed: Any, part: Any) -> None:
    if is_ratings(part):
        part = part.frame
    if isinstance(part, pd.DataFrame | pd.Series):
        frame = part.to_frame() if isinstance(part, pd.Series) else part
        hashed.update(repr([(str(n), str(t)) for n, t in zip(frame.columns, frame.dtypes, strict=True)]).encode())
        try:
            rows = hash_rows(frame, index=False)
        except TypeError:
            rows = hash_rows(frame.astype(str), index=False)
        hashed.update(rows.to_numpy().tobytes())
    elif isinstance(part, np.ndarray) and part.dtype.kind not in "OU":
        hashed.update(f"{part.dtype}{part.shape}".encode())
        hashed.update(np.ascontiguousarray(part))
    elif isinstance(part, list | tuple | np.ndarray):
        for item in part:
            hashed.update(f"{type(item).__name__}{len(str(item))}:{item}".encode())
    else:
        hashed.update(str(part).encode())


# -- telling ----------------------------------------------------------------------------------------------


def describe(source: Any, *, kind: str | None = None, size: Any = None, schema: Path | None = None) -> list[str]:
    """How `source` is understood, in lines: kind, items, shape, labels or columns, size on disk, licence.

    `schema` is where to write what a table's columns are, to be edited and given back.
    """
    data = load(source, kind=kind, size=size)
    if schema is not None and data.kind != "table":
        raise UsageError(f"A schema tells of a table's columns, but {data.source} is {data.kind}: leave it out.")
    lines = [f"{data.name}: {_shape(data)}"]
    if data.note:
        lines.append(data.note)
    if data.y is not None:
        lines.append(f"labels: {_levels(data.y)}")
    if data.kind == "table":
        lines += _columns(data.X, schema)
    path = Path(source) if isinstance(source, str | Path) and str(source) not in EMBEDDED else None
    if path is not None and path.exists():
        files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
        lines.append(f"on disk: {sum(p.stat().st_size for p in files) / 1e6:.3g} MB in {len(files)} file{'s' * (len(files) > 1)}")
    if data.licence:
        lines.append(f"licence: {data.licence}")
    return [*lines, f"sha256: {data.sha256}"]


def _shape(data: Dataset) -> str:
    X = data.X
    match data.kind:
        case "table":
            return f"table, {len(X)} rows × {X.shape[1]} columns"
        case "image":
            channels = f", {X.shape[3]} channels" if X.ndim == 4 else ""
            return f"image, {len(X)} items of {X.shape[1]}×{X.shape[2]}{channels}, values {X.min()} to {X.max()}"
        case "text" if isinstance(X, str):
            return f"text, one running text of {len(X)} characters ({len(set(X))} distinct)"
        case "text":
            lengths, distinct = list(map(len, X)), len(set().union(*X))
            return f"text, {len(X)} items of {min(lengths)} to {max(lengths)} characters ({distinct} distinct)"
    holes = f", {int(np.isnan(X).sum())} missing" if X.dtype.kind == "f" and np.isnan(X).any() else ""
    return f"array, {len(X)} items of shape {'×'.join(map(str, X.shape[1:])) or 'scalar'}, {X.dtype}{holes}"


def _levels(y: Any) -> str:
    counts = pd.Series(np.asarray(y).tolist()).value_counts().sort_index()
    shown = ", ".join(f"{value} ({n})" for value, n in counts.head(12).items())
    return f"{len(counts)} distinct: {shown}{' …' if len(counts) > 12 else ''}"


def _columns(X: pd.DataFrame, schema: Path | None) -> list[str]:
    import warnings

    from genus import store
    from genus.data.table import TableCodec

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        codec = TableCodec(X.attrs.get("kinds"), X.attrs.get("schema")).fit(X)
    rows = [(str(name), kind, summary) for name, kind, summary in codec.describe()]
    wide = max(len(name) for name, _, _ in rows)
    lines = [f"  {name:<{wide}}  {kind:<10}  {summary}" for name, kind, summary in rows]
    if schema is not None:
        store.write(schema, codec.schema_.text().encode())
        lines.append(f"schema: {schema} (edit it; `genus fit DATA --schema {schema}` heeds it)")
    return lines
