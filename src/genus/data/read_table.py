"""Reading tables from files: CSV and TSV (also .gz), with or without a header line, and Parquet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from genus.errors import DataError, nearest

MISSING = frozenset({"", "?", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "#N/A"})
DELIMITED = (".csv", ".tsv", ".tab", ".data", ".txt")
PARQUET = (".parquet", ".pq")
SNIFF = 2**18
QUOTED = re.compile(rb'"(?:[^"]|"")*"')
WHOLE = re.compile(r"[+-]?(0|[1-9][0-9]*)")


def read_table(path: str | Path) -> pd.DataFrame:
    """The table in a file, its columns typed by what all their cells are.

    Delimited text is streamed block by block; cells are stripped, and an empty cell, ?, NA, NaN, null or None is
    missing. Columns become int64 (Int64 with gaps), float64, bool or str; numbers with leading zeros stay text.
    A first row whose cells fit the types of the columns below is data, not a header: the columns are then called
    column_1, column_2 …

    Raises DataError, one sentence, where the file is missing, empty, ragged, cut short or not UTF-8, and where
    two columns have one name.
    """
    path = Path(path)
    if not path.is_file():
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"{path} is {'a folder, not a file' if path.is_dir() else 'no file'}.{nearest(path.name, beside)}")
    if not path.stat().st_size:
        raise DataError(f"{path} is empty: a table needs at least two rows.")
    ending = Path(path.stem if path.suffix == ".gz" else path.name).suffix.lower()
    if ending in PARQUET:
        return _parquet(path)
    if ending not in DELIMITED:
        raise DataError(
            f"{path} does not end in one of {', '.join(DELIMITED + PARQUET)} (or .gz of a text): rename it if it is one."
        )
    try:
        return _delimited(path, "\t" if ending in (".tsv", ".tab") else None)
    except (OSError, EOFError, pa.ArrowException) as error:
        explain(path, error)


def unsound(path: Path, error: Exception) -> DataError:
    """The sentence for a Parquet file that could not be read."""
    return DataError(f"{path} is not a sound Parquet file ({_first(error)}): it may be cut short, fetch or write it again.")


def _parquet(path: Path) -> pd.DataFrame:
    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
    except (OSError, pa.ArrowException) as error:
        raise unsound(path, error) from None
    names = table.column_names
    unique_names(names, path)
    for i, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type):
            table = table.set_column(i, field.name, pc.cast(table.column(i), pa.float64()))
    frame = table.to_pandas()
    frame = frame.reset_index(drop=not any(frame.index.names))
    if not len(frame):
        raise DataError(f"{path} holds no rows: a table needs at least two.")
    return frame


def _delimited(path: Path, delimiter: str | None) -> pd.DataFrame:
    rows, delimiter = beginning(path, delimiter)
    header = has_header(rows)
    width = len(rows[0])
    names = (
        [cell.strip() or f"Unnamed: {i}" for i, cell in enumerate(rows[0])]
        if header
        else [f"column_{i + 1}" for i in range(width)]
    )
    unique_names(names, path)
    ragged: list[Any] = []

    def note(row: Any) -> str:
        ragged.append(row)
        return "error"

    try:
        reader = pa_csv.open_csv(
            pa.input_stream(str(path)),
            read_options=pa_csv.ReadOptions(use_threads=False, column_names=names, skip_rows=int(header)),
            parse_options=parsing(path, delimiter, note),
            convert_options=pa_csv.ConvertOptions(column_types={n: pa.string() for n in names}, strings_can_be_null=False),
        )
        pieces = [[column.dictionary_encode() for column in batch.columns] for batch in reader]
    except pa.ArrowInvalid as error:
        if ragged:
            row = ragged[0]
            line = "" if row.number is None else f" {row.number}"
            raise DataError(
                f"{path}: row{line} has {row.actual_columns} cells, the others {row.expected_columns}: {row.text[:60]!r}."
            ) from None
        raise error
    if not sum(len(piece[0]) for piece in pieces):
        raise DataError(f"{path} holds a header and no rows: a table needs at least two.")
    return pd.DataFrame({name: _column([piece[i] for piece in pieces]) for i, name in enumerate(names)})


def beginning(path: Path, delimiter: str | None) -> tuple[list[list[str]], str]:
    """The first rows, and the delimiter: the one of , ; tab | that the first line holds most often."""
    with pa.input_stream(str(path)) as stream:
        content = stream.read(SNIFF)
    text = content.decode("utf-8-sig", "ignore")
    if len(content) == SNIFF:
        text = text[: text.rfind("\n") + 1] or text
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not first:
        raise DataError(f"{path} is empty: a table needs at least two rows.")
    delimiter = delimiter or max(",;\t|", key=first.count)
    quoting = csv.QUOTE_MINIMAL if quoted(path, delimiter) else csv.QUOTE_NONE
    return [row for row in csv.reader(io.StringIO(text), delimiter=delimiter, quoting=quoting) if row], delimiter


def parsing(path: Path, delimiter: str, note: Callable[[Any], str]) -> pa_csv.ParseOptions:
    """How pyarrow reads the file; `note` is told of each row that is too short or too long."""
    mark = '"' if quoted(path, delimiter) else False
    return pa_csv.ParseOptions(delimiter=delimiter, quote_char=mark, newlines_in_values=bool(mark), invalid_row_handler=note)


def quoted(path: Path, delimiter: str) -> bool:
    """False for tab-separated lines in which a quote is a character: one opens a cell and is not closed in it.

    Where the lines differ in their number of tabs, cells may hold tabs and line ends, and quotes are needed.
    """
    if delimiter != "\t":
        return True
    tabs, bare = None, False
    with pa.input_stream(str(path)) as stream:
        for line in io.BufferedReader(stream):  # pyright: ignore[reportArgumentType]
            if not line.strip():
                continue
            tabs = line.count(b"\t") if tabs is None else tabs
            if line.count(b"\t") != tabs:
                return True
            if b'"' in line:
                cells = line.rstrip(b"\r\n").split(b"\t")
                bare = bare or any(cell.startswith(b'"') and not QUOTED.fullmatch(cell) for cell in cells)
    return not bare


def has_header(rows: list[list[str]]) -> bool:
    """False where the first row looks like the rows below: numbers over numbers, or words that recur in their columns."""
    first = [cell.strip() for cell in rows[0]]
    below = [[row[i].strip() for row in rows[1:] if i < len(row) and row[i].strip() not in MISSING] for i in range(len(first))]
    numeric = [i for i, cells in enumerate(below) if cells and all(map(_is_number, cells))]
    if any(_is_number(first[i]) for i in numeric):
        return False
    if any(first[i] not in MISSING for i in numeric):
        return True
    recurring = sum(cell in cells for cell, cells in zip(first, below, strict=True))
    return recurring <= len(first) / 2 and not any(map(_is_number, first))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def unique_names(names: list[str], path: Path) -> None:
    """Raise a DataError where two columns have one name."""
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise DataError(f"{path} has two columns called {twice[0]!r}: rename one.")


def _column(pieces: list[Any]) -> Any:
    """Dictionary-encoded strings as a typed column."""
    joined = pa.chunked_array(pieces).unify_dictionaries()
    words = [word.strip() for word in joined.chunk(0).dictionary.to_pylist()]
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in joined.chunks])
    kept = sorted({word for word in words if word not in MISSING})
    place = {word: i for i, word in enumerate(kept)}
    codes = np.array([place.get(word, -1) for word in words])[codes]
    gaps = bool((codes < 0).any())
    values = _typed(kept, gaps)
    if isinstance(values, np.ndarray):
        return pd.api.extensions.take(values, codes, allow_fill=True) if gaps else values[codes]
    return values.take(codes, allow_fill=True)


def _typed(words: list[str], gaps: bool) -> Any:
    """Distinct words as the narrowest of integers, floats, truth values and text."""
    if not words:
        return np.array([np.nan])
    if all(WHOLE.fullmatch(word) for word in words) and all(abs(int(word)) < 2**63 for word in words):
        return pd.array([int(word) for word in words], dtype="Int64") if gaps else np.array([int(word) for word in words])
    if {word.lower() for word in words} <= {"true", "false"}:
        truths = [word.lower() == "true" for word in words]
        return pd.array(truths, dtype="boolean") if gaps else np.array(truths)
    padded = any(re.match(r"[+-]?0[0-9]", word) for word in words)
    if not padded and all(map(_is_number, words)) and not any("_" in word for word in words):
        return np.array([float(word) for word in words])
    return pd.Series(words).array


def explain(path: Path, error: Exception) -> NoReturn:
    """The sentence for a file that could not be read through."""
    offset = _first_bad_byte(path)
    if offset is not None:
        raise DataError(
            f"{path} is not UTF-8 text: byte {offset} cannot be read; convert it with iconv -f latin1 -t utf-8."
        ) from None
    if path.suffix == ".gz":
        raise DataError(f"{path} is not a sound gzip file ({_first(error)}): it may be cut short, fetch it again.") from None
    raise DataError(f"{path} cannot be read as delimited text: {_first(error)}.") from None


def _first(error: Exception) -> str:
    return str(error).splitlines()[0][:120].rstrip(".") if str(error) else type(error).__name__


def _first_bad_byte(path: Path) -> int | None:
    """Offset, in the unpacked text, of the first byte that is not UTF-8; None where all is well or unreadable."""
    done, rest = 0, b""
    try:
        with pa.input_stream(str(path)) as stream:
            while block := stream.read(2**20):
                rest += block
                try:
                    rest.decode()
                    held = len(rest)
                except UnicodeDecodeError as error:
                    if error.reason != "unexpected end of data" or len(rest) - error.start > 3:
                        return done + error.start
                    held = error.start
                done, rest = done + held, rest[held:]
    except OSError:
        return None
    return done if rest else None
