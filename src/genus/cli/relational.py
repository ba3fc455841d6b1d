"""Several tables and sequences from the command line: keys shown and confirmed, fitted, drawn, scored and judged."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from genus.catalogue import family as find_family
from genus.cli.flags import parse_fields
from genus.cli.folder import Folder
from genus.data.keys import Keys
from genus.data.load import Dataset, load
from genus.data.read_tables import is_tables, keys_of, read_tables
from genus.data.write import write
from genus.errors import UsageError
from genus.relational.tables import FILE, Tables
from genus.train.run import Run

SHOWN = 5

console = Console(stderr=True, highlight=False)


def is_tables_run(path: Path) -> bool:
    """Whether a run folder holds several tables or a sequence."""
    return (path / FILE).is_file()


def describe_tables(source: str) -> list[str]:
    """How a folder of tables is understood: its tables, its keys, and the keys.json that says the same."""
    folder = Path(source)
    tables = read_tables(folder)
    keys = keys_of(folder, tables)
    lines = [f"{folder.resolve().name}: {len(tables)} tables"]
    lines += [f"  {name}: {len(frame):,} rows × {frame.shape[1]} columns" for name, frame in tables.items()]
    lines += ["keys found:", *(f"  {sentence}" for sentence in keys.found)] if keys.found else _declared(keys)
    return [*lines, f"keys.json would say {_json(keys)}"]


def _declared(keys: Keys) -> list[str]:
    links = [(name, ",".join(c), parent) for name, table in keys.tables.items() for c, parent in table.parents.items()]
    return ["keys declared:", *(f"  {name}.{columns} names rows of {parent}" for name, columns, parent in links)]


def _json(keys: Keys) -> str:
    import json

    return json.dumps(keys.to_json(), ensure_ascii=False)


def fit_tables(
    source: str,
    family: str,
    output: Path | None,
    words: list[str],
    *,
    keys: Path | None,
    yes: bool,
    key: str | None,
    time: str | None,
    quiet: bool,
    every: float,
    command: str,
) -> None:
    """Fit the tables of a folder, or the sequences of one table by --key, and keep them in a run folder."""
    family = family or "tree"
    fields = parse_fields(find_family(family), words)
    data, known = _read(source, keys, key, time)
    if known is not None and known.found and not yes:
        _confirm(known)
    seed = int(fields.pop("seed", 0))
    model = Tables(family, seed=seed, fields=fields)
    folder = Folder(output or Path("runs") / f"{Path(source).resolve().name.split('.')[0]}-{family}")
    folder.begin({
        "command": command, "family": family, "fields": fields | {"seed": seed}, "condition": None,
        "data": {"source": str(Path(source).resolve()), "sha256": _digest(data), "reading": {}},
        "keys": known.to_json() if known is not None else {"key": key, "time": time},
    })  # fmt: skip
    if is_tables_run(folder.path):
        console.print(f"{folder.path} is finished already; nothing was changed. Next: genus sample {folder.path} -o new/")
        return
    console.print(f"[bold]{family}[/] on {source} → {folder.path}")
    run = Run(folder=folder.path / "fits", progress=False if quiet else None, every=every)
    tell = None if quiet else console.print
    try:
        model.fit(data, known, key=key, time=time, run=run, tell=tell)
    except Exception:
        if not (folder.path / "fits").is_dir():
            folder.abandon()
        raise
    model.save(folder.path)
    console.print(f"{folder.path}: done. Next: genus sample {folder.path} -o {'new.csv' if key else 'new/'}")


def _read(source: str, keys: Path | None, key: str | None, time: str | None) -> tuple[Any, Keys | None]:
    """(tables, their keys), or (one table, None) of a sequence."""
    if key is not None:
        data = load(source)
        if data.kind != "table":
            raise UsageError(f"--key names a column of a table, but {source} is {data.kind}: leave it out.")
        return data.X, None
    if not is_tables(source) and keys is None:
        raise UsageError(f"{source} is no folder of tables.")
    tables = read_tables(Path(source))
    return tables, keys_of(Path(source), tables, keys)


def _confirm(keys: Keys) -> None:
    for sentence in keys.found:
        console.print(sentence)
    if not sys.stdin.isatty():
        raise UsageError(
            f"These keys were found, not declared: say --yes if they are right, or put a corrected {_json(keys)} "
            "into keys.json beside the tables."
        )
    if console.input("Are these the keys? \\[y/N] ").strip().lower() not in ("y", "yes"):
        raise UsageError(f"Put the right keys into keys.json beside the tables, as {_json(keys)}.")


def _digest(data: Any) -> str:
    parts = data.items() if isinstance(data, dict) else [("", data)]
    return hashlib.sha256("".join(f"{name}:{Dataset(frame).sha256}" for name, frame in parts).encode()).hexdigest()


def sample_tables(path: Path, n: int | None, output: Path | None, seed: int | None) -> None:
    """Draw the tables into a folder, or one flat table into a file; -n counts rows of the tables without parents."""
    model = Tables.load(path)
    drawn = model.sample(n=n, seed=seed)
    if isinstance(drawn, pd.DataFrame):
        if output is None:
            print(drawn.to_csv(index=False), end="")
        else:
            write(drawn, output)
            console.print(f"{len(drawn):,} rows → {output}")
        return
    if output is None:
        raise UsageError(f"{path} holds {len(drawn)} tables: name a folder for them with -o new/.")
    if output.suffix or output.is_file():
        raise UsageError(f"{path} holds {len(drawn)} tables: -o names a folder, not {output}.")
    for name, frame in drawn.items():
        write(frame, output / f"{name}.csv")
    console.print(f"{', '.join(f'{name}: {len(frame):,} rows' for name, frame in drawn.items())} → {output}")


def score_tables(path: Path, source: str, output: Path | None) -> None:
    """log p of every row of the tables without parents with all rows below it."""
    model = Tables.load(path)
    scores = model.log_prob(load(source).X if model.sequence_ is not None else read_tables(Path(source)))
    for name, values in scores.items():
        console.print(f"log_prob of a row of {name} with all below it: mean {values.mean():.4f} nats over {len(values):,}")
        frame = pd.DataFrame({"log_prob": values})
        if output is None:
            print(frame.to_csv(index=False), end="")
        else:
            write(frame, output if len(scores) == 1 else output.with_name(f"{output.stem}-{name}{output.suffix}"))


def evaluate_tables(path: Path, source: str, seed: int) -> None:
    """Judge a run's tables against real ones: keys, counts, parents with children, siblings; each beside real against real."""
    from genus.judgement.relations import judge_tables, lines

    model = Tables.load(path)
    if model.sequence_ is not None:
        data: Any = model.parted(load(source).X)
    else:
        data = read_tables(Path(source))
    for line in lines(judge_tables(model, data, seed=seed)):
        print(line)


__all__ = [
    "describe_tables", "evaluate_tables", "fit_tables", "is_tables", "is_tables_run", "sample_tables", "score_tables",
]  # fmt: skip
