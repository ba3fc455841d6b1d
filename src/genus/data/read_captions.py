"""Captions: the text of each image of a folder, from a table that lies in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from genus.data.read_table import read_table
from genus.errors import DataError

NAMES = tuple(f"{stem}.{ending}" for stem in ("captions", "metadata") for ending in ("csv", "tsv"))
FILES = ("file", "file_name", "filename", "image", "path")
TEXTS = ("caption", "text", "captions", "description", "title")


def captions(folder: Path, files: Sequence[Path]) -> pd.Series | None:
    """The caption of each file, from captions.csv, .tsv or metadata.csv, .tsv in the folder; None where there is no such table.

    One column of the table, called file, file_name, image or path, names images by their path in the folder or by their name
    alone; another, called caption, text, description or title, holds the captions.

    Raises DataError where a column is missing or an image has no caption.
    """
    path = next((folder / name for name in NAMES if (folder / name).is_file()), None)
    if path is None:
        return None
    table = read_table(path)
    at, text = (_column(table, names, path) for names in (FILES, TEXTS))
    told = dict(zip(table[at].astype(str).str.removeprefix("./"), table[text], strict=True))
    told |= {name.rpartition("/")[2]: value for name, value in told.items()}
    found = [told.get(file.relative_to(folder).as_posix(), told.get(file.name)) for file in files]
    bare = [file for file, value in zip(files, found, strict=True) if value is None or pd.isna(value)]
    if bare:
        raise DataError(f"{path} has no caption for {bare[0].relative_to(folder)}: add a row for it, or take the image out.")
    column = pd.Series([str(value) for value in found], name=text, dtype=object)
    column.attrs["kinds"] = {text: "text"}
    return column


def _column(table: pd.DataFrame, names: tuple[str, ...], path: Path) -> str:
    plain = {str(name).strip().lower(): str(name) for name in table.columns}
    for name in names:
        if name in plain:
            return plain[name]
    raise DataError(
        f"{path} has no column called {names[0]}, {names[1]} or {names[2]}: rename one of {', '.join(plain.values())}."
    )
