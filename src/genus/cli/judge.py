"""Judge: evaluate and compare from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from genus.catalogue import family
from genus.cli.folder import Folder, read_data
from genus.data.divide import divide
from genus.errors import GenusError, UsageError, nearest
from genus.judgement.compare import compare
from genus.judgement.evaluate import evaluate

DEMO = "gaussian,mixture,vae,flow,gan,diffusion,transformer"

console = Console(stderr=True, highlight=False)


def evaluate_run(
    path: Path,
    source: str,
    output: Path | None,
    reading: dict[str, Any],
    target: str | None,
    n: int | None,
    seed: int,
    command: str,
    quick: bool = False,
) -> None:
    """Judge one run against held-out data."""
    output = _report(output or path / "report.html")
    folder = Folder(path)
    model = folder.model()
    description = folder.description
    data = read_data(source, description["data"]["reading"] | {k: v for k, v in reading.items() if v is not None})
    X, y = divide(data, description["condition"], model.codec_.kind)
    if target is not None and (data.kind != "table" or target not in X.columns):
        columns = map(str, X.columns) if data.kind == "table" else []
        raise UsageError(f"--target names a column the model draws; {data.name} has no {target!r}.{nearest(target, columns)}")
    parts, word = folder.held_out(data, X, y)
    console.print(f"Judging {path} on {word}.")
    held, train = (parts.test, parts.train) if parts else ((X, y), _trained_on(folder))
    report = evaluate(model, *held, train=train, target=target, modes=data.modes, n=n, seed=seed, quick=quick)
    _deliver(report, output, command)


def _trained_on(folder: Folder) -> Any:
    """The training part (X, y) of the data that a run names, where they are still there and still the same; else None."""
    description = folder.description
    try:
        data = read_data(description["data"]["source"], description["data"]["reading"])
        parts, _ = folder.held_out(data, *divide(data, description["condition"]))
    except (GenusError, OSError):
        parts = None
    if parts is None:
        console.print("The data of the run are gone or have changed: copying is not looked for, and nothing stands beside.")
        return None
    return parts.train


def compare_families(
    source: str,
    families: str | None,
    minutes: float,
    seed: int,
    output: Path | None,
    reading: dict[str, Any],
    command: str,
    condition: str | None = None,
) -> None:
    """Fit several families and judge them side by side."""
    names = [name.strip() for name in families.split(",")] if families else None
    for name in names or []:
        family(name)
    if output is not None:
        _report(output)
    data = read_data(source, reading)
    output = output or Path("runs") / f"{data.name}-compare" / "report.html"
    comparison = compare(data, families=names, condition=condition, minutes=minutes, seed=seed)
    _deliver(comparison, output, command)


def _report(output: Path) -> Path:
    if output.suffix != ".html":
        raise UsageError(f"-o names the report: a file ending in .html, not {str(output)!r}.")
    return output


def _deliver(report: Any, output: Path, command: str) -> None:
    print(report)
    report.html(output, command=command)
    console.print(f"Report: {output.resolve()}")
