"""Reading a folder of tables: one frame a file, named after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genus.data.keys import Keys, find
from genus.data.read_table import PARQUET, read_table
from genus.errors import DataError

ENDINGS = (".csv", ".tsv", ".tab", *PARQUET, ".csv.gz", ".tsv.gz")
KEYS = "keys.json"


def table_files(folder: Path) -> list[Path]:
    """The tables that lie in a folder itself, by name."""
    return sorted(p for p in folder.iterdir() if p.is_file() and p.name.lower().endswith(ENDINGS) and not p.name.startswith("."))


def is_tables(source: Any) -> bool:
    """Whether a source is a folder of tables of unlike columns, or of tables and their keys.json."""
    folder = Path(source) if isinstance(source, str | Path) and len(str(source)) < 1000 else None
    if folder is None or not folder.is_dir():
        return False
    files = table_files(folder)
    if (folder / KEYS).is_file() or len(files) < 2:
        return bool(files) and (folder / KEYS).is_file()
    return len({_heading(path) for path in files}) > 1


def _heading(path: Path) -> Any:
    """What tells tables of one kind apart: the first line, or a Parquet file's names of columns."""
    if path.suffix.lower() in PARQUET:
        import pyarrow.parquet as pq

        try:
            return tuple(pq.read_schema(path).names)
        except (OSError, ValueError):
            return path.name
    import pyarrow as pa

    try:
        with pa.input_stream(str(path)) as stream:
            return stream.read(2**14).split(b"\n", 1)[0].strip()
    except OSError:
        return path.name


def read_tables(folder: Path) -> dict[str, Any]:
    """{name: frame} of the tables in a folder."""
    found: dict[str, Any] = {}
    for path in table_files(folder):
        name = path.name.split(".")[0]
        if name in found:
            raise DataError(f"{folder} holds two files of the table {name!r}: keep one.")
        found[name] = read_table(path)
    return found


def keys_of(folder: Path, tables: dict[str, Any], file: Path | None = None) -> Keys:
    """The keys declared in `file` or the folder's keys.json, else those found; checked."""
    file = file or (folder / KEYS if (folder / KEYS).is_file() else None)
    keys = find(tables) if file is None else Keys.read(file)
    keys.check(tables)
    return keys
