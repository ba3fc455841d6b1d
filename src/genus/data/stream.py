"""Tables larger than memory: CSV and Parquet files read in chunks, as often as needed, and packed into one compact file."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from genus.data.chunked_csv import CsvFile, ending_of
from genus.data.codec import Codec
from genus.data.read_table import DELIMITED, PARQUET, unsound
from genus.data.split import HELD_OUT_AT_MOST
from genus.errors import DataError
from genus.maths.quantise import drawn
from genus.maths.stored import Stored, Writer
from genus.space import AnySpace
from genus.train.progress import Progress

ROWS = 65536
SAMPLE = 200_000
SHARE = 0.2  # of the free memory that a table read whole may take
GROWTH = {"parquet": 8, "csv": 3, "gz": 12}  # bytes in memory for a byte on disk, roughly
LEVELS = 20_000  # of a column, beyond which no row is sought for each of its levels

_hash: Any = pd.util.hash_pandas_object  # pyright: ignore[reportAttributeAccessIssue]


class Chunks:
    """A table in files, read chunk by chunk and as often as asked for: iterating gives DataFrames of at most `rows` rows.

    Parameters
    ----------
    source: a .csv, .tsv (also .gz) or .parquet file, a folder of them, or a list of either; all of the same columns.
    rows: of a chunk. columns: those to read, all when None. schema: JSON of a `Schema`, what the columns are.
    part: (lowest, highest) share of the rows' hashes to keep, [lowest, highest); a row has the same hash in every reading.
    seed: of the hash.

    >>> sum(len(chunk) for chunk in Chunks("iris.csv", rows=64))  # doctest: +SKIP
    150
    """

    def __init__(
        self,
        source: Any,
        rows: int = ROWS,
        *,
        columns: Sequence[str] | None = None,
        schema: dict[str, Any] | None = None,
        part: tuple[float, float] = (0.0, 1.0),
        seed: int = 0,
    ) -> None:
        self.paths = [file for path in (source if isinstance(source, list | tuple) else [source]) for file in _files(Path(path))]
        self.rows, self.columns, self.schema, self.part, self.seed = rows, columns, schema, part, seed
        self.files = [_ParquetFile(path) if ending_of(path) in PARQUET else CsvFile(path) for path in self.paths]
        first = self.files[0]
        for path, file in zip(self.paths, self.files, strict=True):
            if list(file.names) != list(first.names):
                raise DataError(f"{path} has other columns than {self.paths[0]}: a table in parts has the same ones in each.")
        self._types: Any = None
        self._length: int | None = None

    def _settled(self) -> Any:
        """What the columns are over all the files, found once."""
        if self._types is None:
            self._types = _merged([file.types() for file in self.files])
        return self._types

    @property
    def whole(self) -> int:
        """Rows of all the files."""
        self._settled()
        return sum(file.count() for file in self.files)

    def __len__(self) -> int:
        if self._length is None:
            everything = self.part == (0.0, 1.0)
            self._length = self.whole if everything else sum(int(self._kept(chunk).sum()) for chunk in self._raw())
        return self._length

    def __iter__(self) -> Iterator[pd.DataFrame]:
        for chunk in self._raw():
            piece: Any = chunk if self.part == (0.0, 1.0) else chunk[self._kept(chunk)].reset_index(drop=True)
            if self.schema is not None:
                piece.attrs["schema"] = self.schema
            if len(piece):
                yield piece

    def _raw(self) -> Iterator[Any]:
        types = self._settled()
        names = list(self.files[0].names) if self.columns is None else list(self.columns)
        for file in self.files:
            yield from file.read(self.rows, names, types)
            pa.default_memory_pool().release_unused()

    def _kept(self, chunk: pd.DataFrame) -> np.ndarray:
        low, high = self.part
        share = shares(chunk, self.seed)
        return (share >= low) & (share < high)

    def between(self, low: float, high: float, seed: int) -> Chunks:
        """The rows whose hash lies in [low, high) of all hashes: a split that needs no list of rows and is always the same."""
        twin = Chunks.__new__(Chunks)
        vars(twin).update(vars(self))
        twin.part, twin.seed, twin._length = (low, high), seed, None
        return twin

    def split_off(self, seed: int) -> tuple[Chunks, pd.DataFrame]:
        """(the other rows, about a tenth and at most some 5000 rows held out, as a table in memory)."""
        share = min(0.1, HELD_OUT_AT_MOST / max(1, self.whole))
        low, high = self.part
        cut = low + (high - low) * share
        return self.between(cut, high, seed), self.between(low, cut, seed).table()

    def table(self) -> pd.DataFrame:
        """All the rows, in memory."""
        pieces = list(self)
        if not pieces:
            raise DataError(f"{self.paths[0]} has no rows to spare for this part: read it whole with genus.data.load.")
        return pd.concat(pieces, ignore_index=True)

    def sample(self, rows: int = SAMPLE, seed: int = 0) -> pd.DataFrame:
        """A uniform sample without replacement, then one row for each level and extreme value that it lacks.

        The further rows let a codec know every level (up to 20,000 a column) and the whole range; they are few, and come last.
        """
        n = self.whole
        if n < 2:
            raise DataError(f"{self.paths[0]} has {n} rows: a distribution needs at least 2.")
        picked = np.sort(np.random.default_rng(seed).choice(n, min(rows, n), replace=False, shuffle=False))
        whole, taken, more, at = len(picked) == n, [], _Witnesses(), 0
        for chunk in self._raw():
            mine = np.zeros(len(chunk), dtype=bool)
            mine[picked[np.searchsorted(picked, at) : np.searchsorted(picked, at + len(chunk))] - at] = True
            at += len(chunk)
            kept = np.ones(len(chunk), dtype=bool) if self.part == (0.0, 1.0) else self._kept(chunk)
            taken.append(chunk[mine & kept])
            if not whole:
                more.see(chunk[kept], mine[kept])
        out = pd.concat([*taken, *more.rows()], ignore_index=True)
        if self.schema is not None:
            out.attrs["schema"] = self.schema
        return out


class _Witnesses:
    """Rows that show a level, or a smallest or largest value, which the sample may lack."""

    def __init__(self) -> None:
        self.seen: dict[Any, set[Any]] = {}
        self.ends: dict[tuple[Any, int], tuple[Any, pd.DataFrame]] = {}
        self.found: list[pd.DataFrame] = []

    def see(self, chunk: Any, sampled: np.ndarray) -> None:
        """Take note of a chunk."""
        rows: set[int] = set()
        for name in chunk.columns:
            column = chunk[name]
            if pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_datetime64_any_dtype(column.dtype):
                self._extremes(name, column, chunk)
            else:
                rows |= self._levels(name, column)
        new = [i for i in sorted(rows) if not sampled[i]]
        if new:
            self.found.append(chunk.iloc[new])

    def _extremes(self, name: Any, column: pd.Series, chunk: pd.DataFrame) -> None:
        kept = column.dropna()
        for sign in (-1, 1) if len(kept) else ():
            value = kept.max() if sign > 0 else kept.min()
            old = self.ends.get((name, sign))
            if old is None or (value > old[0] if sign > 0 else value < old[0]):
                row = int((column == value).to_numpy(dtype=bool, na_value=False).argmax())
                self.ends[name, sign] = (value, chunk.iloc[[row]])

    def _levels(self, name: Any, column: pd.Series) -> set[int]:
        """The first rows of the levels that are new."""
        seen = self.seen.setdefault(name, set())
        if len(seen) > LEVELS:
            return set()
        codes, levels = pd.factorize(column)
        fresh = [k for k, level in enumerate(levels) if level not in seen]
        seen.update(levels[fresh])
        if not fresh or len(seen) > LEVELS:
            return set()
        first = np.full(len(levels), -1)
        first[codes[::-1]] = np.arange(len(codes))[::-1]
        return set(first[fresh].tolist())

    def rows(self) -> list[pd.DataFrame]:
        """The rows found, without those of columns whose values are mostly different."""
        crowded = any(len(seen) > LEVELS for seen in self.seen.values())
        return [*([] if crowded else self.found), *(row for _, row in self.ends.values())]


class _ParquetFile:
    """One Parquet file, read row group by row group in batches."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as file:
            self.schema = file.schema_arrow
            self.names = [name for name in self.schema.names if not name.startswith("__index_level_")]
            self.length = file.metadata.num_rows

    def _open(self) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self.path, memory_map=False, pre_buffer=False, buffer_size=2**20)
        except (OSError, pa.ArrowException) as error:
            raise unsound(self.path, error) from None

    def count(self) -> int:
        """Rows."""
        return self.length

    def types(self) -> dict[str, str]:
        """Integer and truth columns, and whether they have gaps, by the statistics of the row groups."""
        out = {}
        with self._open() as file:
            for name in self.names:
                kind = self.schema.field(name).type
                if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
                    out[name] = "gaps" if _has_gaps(file, name) else "full"
        return out

    def read(self, rows: int, names: list[str], types: dict[str, str]) -> Iterator[pd.DataFrame]:
        """DataFrames of at most `rows` rows."""
        try:
            with self._open() as file:
                for batch in file.iter_batches(batch_size=rows, columns=names, use_threads=False):
                    yield _frame(pa.Table.from_batches([batch]), types)
        except (OSError, pa.ArrowException) as error:
            raise unsound(self.path, error) from None


def _has_gaps(file: pq.ParquetFile, name: str) -> bool:
    """Whether a column may have missing cells; True where the file does not say."""
    places = [i for i in range(file.metadata.num_columns) if file.metadata.schema.column(i).path == name]
    groups = [file.metadata.row_group(g).column(places[0]).statistics for g in range(file.metadata.num_row_groups)]
    return any(s is None or not s.has_null_count or s.null_count for s in groups)


def _merged(found: list[dict[str, str]]) -> dict[str, str]:
    """Types that hold every file's."""
    out = dict(found[0])
    for types in found[1:]:
        for name, kind in types.items():
            out[name] = CsvFile.wider(out[name], kind)
    return out


def _frame(table: pa.Table, types: dict[str, str]) -> pd.DataFrame:
    """A batch as a DataFrame whose columns have the same types in every batch."""
    for i, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type):
            table = table.set_column(i, field.name, table.column(i).cast(pa.float64()))
        elif pa.types.is_dictionary(field.type):
            table = table.set_column(i, field.name, table.column(i).cast(field.type.value_type))
    frame = table.replace_schema_metadata(None).to_pandas()
    for name in frame.columns:
        if types.get(name) == "gaps" and frame[name].dtype.kind in "iu":
            frame[name] = frame[name].astype("float64")
        elif types.get(name) == "gaps" and frame[name].dtype.kind == "b":
            frame[name] = frame[name].astype(object)
    return frame


def _files(path: Path) -> list[Path]:
    """The files of a path: itself, or the parts in a folder, sorted."""
    if path.is_file():
        return [path]
    kept = (*PARQUET, *DELIMITED[:4])
    found = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith((".", "_")) and ending_of(p) in kept)
    if not found:
        raise DataError(
            f"{path} is {'a folder without' if path.is_dir() else 'no file, nor a folder of'} tables (.parquet, .csv)."
        )
    return found


def shares(frame: pd.DataFrame, seed: int) -> np.ndarray:
    """A number in [0, 1) for each row that depends on its cells and the seed alone: equal rows have equal numbers."""
    hashed = _hash(frame, index=False, hash_key=f"{seed & 0xFFFFFFFF:016d}").to_numpy()
    mixed = (hashed ^ np.uint64((seed * 0x9E3779B97F4A7C15) % 2**64)) * np.uint64(0xD6E8FEB86659FD93)
    return (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53


def is_stream(source: Any) -> bool:
    """A path of a table file, or of a folder that holds nothing but tables: what may be read in chunks."""
    if isinstance(source, str) and (len(source) > 1000 or "\n" in source or max(map(_bytes, source.split("/"))) > 255):
        return False
    if not isinstance(source, str | Path):
        return False
    path = Path(source)
    if path.is_dir():
        inside = [p for p in path.rglob("*") if p.is_file() and not p.name.startswith((".", "_"))]
        return bool(inside) and all(ending_of(p) in PARQUET for p in inside)
    return path.is_file() and ending_of(path) in (*PARQUET, *DELIMITED[:4])


def _bytes(name: str) -> int:
    """How long a name is to a file system, most of which stop at 255."""
    return len(name.encode(errors="replace"))


def opened(X: Any) -> Any:
    """X itself, but for the path of a table: `Chunks` where it is too large to be read whole with comfort, else the table."""
    if not is_stream(X):
        return X
    data = Chunks(X)
    return data.table() if comfortable(X) else data


def comfortable(source: str | Path) -> bool:
    """Whether a table would take less than a fifth of the free memory if it were read whole.

    Reckoned as 8 bytes in memory for a byte of Parquet, 3 for one of text and 12 for one of packed text.
    """
    need = 0
    for path in _files(Path(source)):
        kind = "parquet" if ending_of(path) in PARQUET else "gz" if path.suffix == ".gz" else "csv"
        need += GROWTH[kind] * path.stat().st_size
    return need <= SHARE * free_memory()


def free_memory() -> float:
    """Bytes of memory that are free to use; endless where the system does not say."""
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024.0 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])
    with suppress(ValueError, OSError):
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return float("inf")


def peak_memory() -> float:
    """The most memory this process has held at once, in bytes."""
    import resource
    import sys

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0)


@contextmanager
def stored(data: Chunks, codec: Codec, view: AnySpace, folder: Path | None, progress: bool | None = False) -> Iterator[Stored]:
    """The rows packed by a fitted codec into one file, chunk by chunk; the file is deleted afterwards.

    Interval-valued reals are drawn once: with so many rows fresh noise teaches nothing more. Levels that the codec does not
    know are read as it reads them in any new data.

    Parameters
    ----------
    folder: where the file is made, a temporary folder when None. progress: whether a bar is shown.
    """
    shape = view.shape
    levels = view.levels if view.discrete else 0
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".rows-", dir=folder) as place:
        writer, bar, total = Writer(Path(place) / "rows", shape, levels, view.dtype), Progress(progress), data.whole
        try:
            for chunk in data:
                writer.add(drawn(codec.pack(chunk, view)).to(torch.int64 if levels else torch.float32))
                if time.perf_counter() >= bar.due:
                    bar.show(writer.length, total, {"rows packed": writer.length})
        finally:
            writer.close()
            bar.close(writer.length, total, {"rows packed": writer.length})
        packed = writer.done()
        try:
            yield packed
        finally:
            packed.close()
