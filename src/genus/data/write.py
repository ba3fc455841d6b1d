"""Write: samples, scores and completed data to a file or a folder, whole or not at all."""

from __future__ import annotations

import csv
import gzip
import io
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from genus import store
from genus.data.image import is_images
from genus.data.picture import grid, scatter, stretched
from genus.data.ratings import is_ratings
from genus.data.read_text import written
from genus.data.text import is_text
from genus.errors import UsageError, nearest

ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".png", ".txt", ".txt.gz", ".npz", ".npy")
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write(X: Any, path: str | Path, *, columns: Any = None) -> None:
    """Put X at `path` in the format its ending names; a reader never sees half of it.

    .csv .tsv (also .gz) and .parquet hold tables, arrays and scores; .png a grid of images or a scatter plot of
    points; .txt(.gz) one string a line (items of several lines are parted by a line with a form feed); .npz (as X) and
    .npy arrays; a path that ends in / or has no ending becomes a folder with one file an image or a text.

    In .csv and .tsv a text cell that begins with = + - @, a tab or a carriage return gets a ' before it, so that no
    spreadsheet runs it as a formula; numbers, and text that is a number, stay as they are, and .parquet changes nothing.

    Parameters
    ----------
    columns: names of the columns of an array in .csv and .parquet; x0, x1 … by default.

    Raises UsageError where the ending is unknown or cannot hold X.
    """
    X = X.frame if is_ratings(X) else X
    folder = str(path).endswith(("/", os.sep))
    path = Path(path)
    ending = next((e for e in sorted(ENDINGS, key=len, reverse=True) if path.name.lower().endswith(e)), "")
    if folder or path.is_dir() or (not ending and not path.suffix):
        return _folder(X, path)
    if not ending:
        raise UsageError(f"{path} ends in none of {' '.join(ENDINGS)}, nor in / for a folder.{nearest(path.suffix, ENDINGS)}")
    body = _BODIES[ending.removesuffix(".gz")](X, path, columns)
    store.write(path, gzip.compress(body, mtime=0) if ending.endswith(".gz") else body)
    return None


def _frame(X: Any, path: Path, columns: Any) -> pd.DataFrame:
    if isinstance(X, pd.DataFrame):
        return X
    if is_text(X):
        return pd.DataFrame({"text": [X] if isinstance(X, str) else list(X)})
    a = np.asarray(X)
    flat = a.reshape(len(a), -1)
    names = list(columns) if columns is not None else [f"x{i}" for i in range(flat.shape[1])]
    if len(names) != flat.shape[1]:
        raise UsageError(f"{len(names)} columns are named, but an item holds {flat.shape[1]} values.")
    return pd.DataFrame(flat, columns=pd.Index(names))


def _csv(X: Any, path: Path, columns: Any) -> bytes:
    return _delimited(_frame(X, path, columns), ",")


def _tsv(X: Any, path: Path, columns: Any) -> bytes:
    return _delimited(_frame(X, path, columns), "\t")


def _delimited(frame: pd.DataFrame, sep: str) -> bytes:
    guarded = {}
    for i, dtype in enumerate(frame.dtypes):
        column = frame.iloc[:, i]
        words = isinstance(dtype, pd.CategoricalDtype | pd.StringDtype) or pd.api.types.is_object_dtype(dtype)
        guarded[i] = column.astype(object).map(_guarded, na_action="ignore") if words else column
    out = pd.DataFrame(guarded, index=frame.index)
    out.columns = pd.Index([_guarded(name) for name in frame.columns])
    return out.to_csv(index=False, sep=sep, quoting=csv.QUOTE_MINIMAL, lineterminator="\n").encode()


def _guarded(cell: Any) -> Any:
    """The cell, a text that a spreadsheet would run made harmless."""
    if not isinstance(cell, str) or not cell.startswith(FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return "'" + cell
    return cell


def _parquet(X: Any, path: Path, columns: Any) -> bytes:
    frame = _frame(X, path, columns)
    body = io.BytesIO()
    frame.rename(columns=str).to_parquet(body, index=False)
    return body.getvalue()


def _picture(X: Any, path: Path, columns: Any) -> bytes:
    if is_text(X) or isinstance(X, pd.DataFrame):
        raise UsageError(
            f"{path}: a picture shows images or points; write {'text to .txt' if is_text(X) else 'a table to .csv'}."
        )
    a = np.asarray(X)
    if is_images(a):
        return _png(grid(a))
    if a.ndim == 2 and a.shape[1] == 2:
        return _png(scatter(a))
    raise UsageError(
        f"{path}: a picture shows uint8 images or points (n, 2), not an array of shape {a.shape}; write .csv or .npz."
    )


def _png(image: Image.Image) -> bytes:
    body = io.BytesIO()
    image.save(body, "PNG")
    return body.getvalue()


def _txt(X: Any, path: Path, columns: Any) -> bytes:
    if not is_text(X):
        raise UsageError(f"{path}: .txt holds strings; write tables to .csv, images to .png or a folder, arrays to .npz.")
    return written([X] if isinstance(X, str) else list(X)).encode()


def _array(X: Any, path: Path) -> np.ndarray:
    if isinstance(X, pd.DataFrame):
        raise UsageError(f"{path}: a table has named, typed columns; write it to .csv or .parquet.")
    return np.array([X] if isinstance(X, str) else list(X), dtype=str) if is_text(X) else np.asarray(X)


def _npz(X: Any, path: Path, columns: Any) -> bytes:
    body = io.BytesIO()
    np.savez_compressed(body, X=_array(X, path))
    return body.getvalue()


def _npy(X: Any, path: Path, columns: Any) -> bytes:
    body = io.BytesIO()
    np.save(body, _array(X, path), allow_pickle=False)
    return body.getvalue()


_BODIES = {".csv": _csv, ".tsv": _tsv, ".parquet": _parquet, ".png": _picture, ".txt": _txt, ".npz": _npz, ".npy": _npy}


def _folder(X: Any, path: Path) -> None:
    """One file an item in a new folder, filled under another name and then renamed."""
    if not (is_images(X) or is_text(X)):
        raise UsageError(f"{path} is a folder: images and texts go one a file; name a file such as {path / 'samples.csv'}.")
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise UsageError(f"{path} exists and is not an empty folder: choose another -o.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        for name, body in _items(X):
            store.write(temporary / name, body)
        if path.is_dir():
            path.rmdir()
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _items(X: Any) -> Any:
    texts = is_text(X)
    items = ([X] if isinstance(X, str) else list(X)) if texts else stretched(np.asarray(X))
    digits = len(str(max(len(items) - 1, 0)))
    for i, item in enumerate(items):
        yield (
            f"{i:0{digits}}.{'txt' if texts else 'png'}",
            item.encode() if isinstance(item, str) else _png(Image.fromarray(item)),
        )
