"""Delimited text read in batches, its columns typed by what all their cells are, as `read_table` types them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv as pa_csv

from genus.data.read_table import MISSING, beginning, explain, has_header, parsing, unique_names
from genus.errors import DataError

pc: Any = pyarrow.compute
ORDER = ("int", "float", "bool")  # what a column may be, the narrowest first; text where none fits
GAPS = pa.array(sorted(MISSING))


def ending_of(path: Path) -> str:
    """The ending that tells the format: of `table.csv.gz` it is .csv."""
    return Path(path.stem if path.suffix.lower() == ".gz" else path.name).suffix.lower()


class CsvFile:
    """One .csv or .tsv file (also .gz); every reading goes through it from the start.

    Parameters
    ----------
    path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            rows, self.delimiter = beginning(path, "\t" if ending_of(path) in (".tsv", ".tab") else None)
        except (OSError, EOFError, pa.ArrowException) as error:
            explain(path, error)
        self.header = has_header(rows)
        first = rows[0]
        self.names = (
            [cell.strip() or f"Unnamed: {i}" for i, cell in enumerate(first)]
            if self.header
            else [f"column_{i + 1}" for i in range(len(first))]
        )
        unique_names(self.names, path)
        self.length: int | None = None

    def _batches(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        """Batches of trimmed text, missing cells null."""
        convert = pa_csv.ConvertOptions(
            column_types={n: pa.string() for n in self.names}, strings_can_be_null=False, include_columns=names
        )
        ragged: list[Any] = []

        def note(row: Any) -> str:
            ragged.append(row)
            return "error"

        try:
            reader = pa_csv.open_csv(
                pa.input_stream(str(self.path)),
                read_options=pa_csv.ReadOptions(use_threads=False, column_names=self.names, skip_rows=int(self.header)),
                parse_options=parsing(self.path, self.delimiter, note),
                convert_options=convert,
            )
            for batch in reader:
                yield pa.RecordBatch.from_arrays([_trimmed(column) for column in batch.columns], names=names)
        except (OSError, EOFError, pa.ArrowException) as error:
            if ragged:
                row = ragged[0]
                raise DataError(
                    f"{self.path}: a row has {row.actual_columns} cells, the others {row.expected_columns}: {row.text[:60]!r}."
                ) from None
            explain(self.path, error)

    def count(self) -> int:
        """Rows."""
        if self.length is None:
            self.types()
        return self.length or 0

    def types(self) -> dict[str, str]:
        """What each column is over all its cells: int, float, bool or text, with + where cells are missing."""
        may = {name: set(ORDER) for name in self.names}
        gaps, self.length = set(), 0
        for batch in self._batches(self.names):
            self.length += batch.num_rows
            for name, column in zip(self.names, batch.columns, strict=True):
                if column.null_count:
                    gaps.add(name)
                may[name] = {kind for kind in may[name] if _fits(column, kind)}
        kinds = {name: next((kind for kind in ORDER if kind in may[name]), "text") for name in self.names}
        return {name: kind + "+" * (name in gaps) for name, kind in kinds.items()}

    @staticmethod
    def wider(a: str, b: str) -> str:
        """The type that holds columns of both types.

        >>> CsvFile.wider("int", "float+"), CsvFile.wider("full", "gaps")
        ('float+', 'gaps')
        """
        if {a, b} <= {"full", "gaps"}:
            return "gaps" if "gaps" in (a, b) else "full"
        plain = {kind.rstrip("+") for kind in (a, b)}
        joint = plain.pop() if len(plain) == 1 else "float" if plain == {"int", "float"} else "text"
        return joint + "+" * (a.endswith("+") or b.endswith("+"))

    def read(self, rows: int, names: list[str], types: dict[str, str]) -> Iterator[pd.DataFrame]:
        """DataFrames of at most `rows` rows."""
        for batch in self._batches(names):
            for at in range(0, batch.num_rows, rows):
                piece = batch.slice(at, rows)
                yield pd.DataFrame({name: _typed(column, types[name]) for name, column in zip(names, piece.columns, strict=True)})


def _trimmed(column: Any) -> Any:
    words = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.is_in(words, value_set=GAPS), pa.scalar(None, pa.string()), words)


def _fits(column: Any, kind: str) -> bool:
    """Whether every cell that is not missing reads as this type; numbers with leading zeros stay text."""
    if kind == "bool":
        return pc.all(pc.is_in(pc.utf8_lower(column), value_set=pa.array(["true", "false", None]))).as_py() is not False
    if pc.any(pc.match_substring_regex(column, r"^[+-]?0[0-9]")).as_py():
        return False
    try:
        _numbers(column, pa.int64() if kind == "int" else pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _numbers(column: Any, kind: Any) -> Any:
    return pc.cast(pc.replace_substring_regex(column, r"^\+", ""), kind)


def _typed(column: Any, kind: str) -> Any:
    """A column of text as the type found for it, the same in every batch."""
    gaps = kind.endswith("+")
    match kind.rstrip("+"):
        case "int":
            numbers = _numbers(column, pa.int64())
            return numbers.to_pandas().astype("int64") if not gaps else pd.array(numbers.to_pylist(), dtype="Int64")
        case "float":
            return _numbers(column, pa.float64()).to_pandas().astype("float64")
        case "bool":
            truth = pc.equal(pc.utf8_lower(column), "true").to_pandas()
            return truth.astype("boolean" if gaps else "bool")
    return column.to_pandas().astype("str")
