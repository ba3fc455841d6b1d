"""Streams: tables larger than memory fitted chunk by chunk, and samples written as they are drawn."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from genus import dice, store
from genus.catalogue import accepting
from genus.catalogue import family as find_family
from genus.cli.flags import parse_fields
from genus.cli.folder import Folder
from genus.data.schema import Schema
from genus.data.split import HELD_OUT_AT_MOST
from genus.data.stream import Chunks, comfortable, is_stream, peak_memory
from genus.data.write import write
from genus.errors import DataError, NotAccepted, UsageError
from genus.model import Model
from genus.train.identity import fields_of
from genus.train.progress import Progress
from genus.train.run import Run

MANY = 100_000  # items above which samples are written as they are drawn
PIECE = 65_536
ENDINGS = (".parquet", ".csv")

console = Console(stderr=True, highlight=False)


def streams(source: str, asked: bool) -> bool:
    """Whether a fit reads its table in chunks: when asked to, or when it would take a fifth of the free memory read whole."""
    if asked and not is_stream(source):
        raise UsageError(f"--stream reads tables in files (.csv, .parquet) or folders of .parquet; {source} is none.")
    return asked or (is_stream(source) and not comfortable(source))


def fit_stream(
    source: str,
    family: str,
    output: Path | None,
    words: list[str],
    *,
    condition: str | None,
    every: float,
    quiet: bool,
    reading: dict[str, Any],
    command: str,
) -> None:
    """Fit a family to a table in chunks; rows for validation and test are chosen by their hash, the test's kept in the run."""
    family = family or "made"
    given = [name for name, value in {"condition": condition, **reading}.items() if value is not None and name != "schema"]
    if given:
        raise UsageError(f"A table that is streamed takes no --{given[0]}: leave it out.")
    cls = find_family(family)
    model = cls(**parse_fields(cls, words))
    schema = None if reading.get("schema") is None else Schema.read(reading["schema"]).to_json()
    data = Chunks(source, schema=schema)
    folder = Folder(output or Path("runs") / f"{Path(source).name.split('.')[0]}-{family}")
    share = min(0.1, HELD_OUT_AT_MOST / max(1, data.whole))
    folder.begin({
        "command": command, "family": family, "fields": fields_of(model), "condition": None,
        "data": {"source": str(Path(source).resolve()), "sha256": _digest(data), "reading": {}, "streamed": data.whole}
        | ({} if schema is None else {"schema": schema}),
    })  # fmt: skip
    if folder.finished:
        console.print(f"{folder.path} is finished already; nothing was changed. Next: genus sample {folder.path} -n 16")
        return
    console.print(f"[bold]{family}[/] on {data.whole:,} rows of {source}, in chunks → {folder.path}")
    test, validation = (data.between(i * share, (i + 1) * share, model.seed).table() for i in (0, 1))
    began = time.perf_counter()
    try:
        run = Run(folder=folder.path, progress=False if quiet else None, every=every)
        model.fit(data.between(2 * share, 1.0, model.seed), validation=validation, run=run)
    except (DataError, UsageError) as error:
        folder.abandon()
        if isinstance(error, NotAccepted):
            raise DataError(f"{error.why}: choose one of {', '.join(accepting(error.codec))}.") from None
        raise
    write(test, folder.path / "test.parquet")
    model.save(folder.path)
    peak, seconds = peak_memory(), time.perf_counter() - began
    body = folder.description | {"peak_memory": int(peak), "seconds": round(seconds, 1)}
    store.write(folder.path / "run.json", store.to_json(body))
    console.print(f"{folder.path}: done in {seconds:.0f} s; the most memory held at once was {peak / 2**20:.0f} MB.")
    console.print(f"Next: genus evaluate {folder.path} {folder.path / 'test.parquet'} ({len(test)} rows kept apart)")


def _digest(data: Chunks) -> str:
    """SHA-256 of the files' content."""
    hashed = hashlib.sha256()
    for path in data.paths:
        with open(path, "rb") as file:
            while block := file.read(2**20):
                hashed.update(block)
    return hashed.hexdigest()


def sample_stream(
    model: Model, n: int, output: Path, y: Any = None, *, given: Any = None, seed: int | None = None, quiet: bool = False
) -> None:
    """n items of a table written to .parquet (a row group a piece) or .csv as they are drawn; the file appears when whole.

    Parameters
    ----------
    y: the condition, one for all. given: known parts, {column: value}. seed: of the draws.
    """
    temporary = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    bar, done, began = Progress(False if quiet else None), 0, dice.fresh() if seed is None else seed
    sink: Any = None
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        while done < n:
            size = min(PIECE, n - done)
            frame = model.sample(size, y, given=given, seed=dice.derive(began, "piece", done))
            if output.suffix == ".csv":
                piece = temporary.with_suffix(".csv")
                write(frame, piece)
                body = piece.read_bytes()
                piece.unlink()
                sink = sink or open(temporary, "wb")  # noqa: SIM115
                sink.write(body if not done else body[body.index(b"\n") + 1 :])
            else:
                table = pa.Table.from_pandas(frame.rename(columns=str), preserve_index=False)
                sink = sink or pq.ParquetWriter(temporary, table.schema)
                sink.write_table(table.cast(sink.schema))
            done += size
            if time.perf_counter() >= bar.due:
                bar.show(done, n, {"rows": done})
        sink.close()
        os.replace(temporary, output)
    finally:
        bar.close(done, n, {"rows": done})
        if sink is not None:
            sink.close()
        with suppress(OSError):
            temporary.unlink()
    console.print(f"{n:,} items → {output}; the most memory held at once was {peak_memory() / 2**20:.0f} MB.")
