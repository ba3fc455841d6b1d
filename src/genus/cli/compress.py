"""Compress and decompress: the commands' work."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from genus import store
from genus.cli.folder import Folder, read_data
from genus.data.divide import divide
from genus.data.write import write
from genus.tasks.compress import compress, decompress, own_nats, usual_sizes

console = Console(stderr=True, highlight=False)


def compress_run(path: Path, source: str, output: Path, part: str, reading: dict[str, Any]) -> None:
    """Write the data as a code by the run's model, and tell how long it is beside the usual ones."""
    folder = Folder(path)
    model = folder.model()
    described = folder.description
    data = read_data(source, described["data"]["reading"] | {k: v for k, v in reading.items() if v is not None})
    X, y = divide(data, described["condition"], model.codec_.kind)
    if part == "test":
        parts, word = folder.held_out(data, X, y)
        X, y = (X, y) if parts is None else parts.test
        console.print(f"compressing {word}")
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("coding", total=None)
        content = compress(model, X, y, told=lambda done, n: bar.update(task, completed=done, total=n))
    store.write(output, content)
    _tell(content, usual_sizes(X), own_nats(model, X, y) / math.log(2) / 8, output)
    weights = sum(file.stat().st_size for file in path.glob("model*"))
    console.print(f"To read it again the run is needed as well: {weights:,} bytes, of which none are counted above.")


def _tell(content: bytes, usual: dict[str, int], own: float, output: Path) -> None:
    """Sizes side by side, the smallest last."""
    table = Table("", "bytes", "of raw", title=None)
    rows = [*usual.items(), ("the model's own nats", math.ceil(own)), (str(output), len(content))]
    for name, size in rows:
        table.add_row(name, f"{size:,}", f"{100 * size / max(usual['raw'], 1):.1f} %")
    console.print(table)
    console.print(f"{len(content) / own:.4f} times the model's own nats")


def decompress_run(path: Path, source: Path, output: Path) -> None:
    """Write the data that `compress_run` wrote as a code."""
    model = Folder(path).model()
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("reading", total=None)
        X, y = decompress(model, store.read(source), told=lambda done, n: bar.update(task, completed=done, total=n))
    labels = model.condition_.names_[0] if y is not None and model.condition_ is not None else None
    if labels is not None and isinstance(X, pd.DataFrame):
        X = X.assign(**{str(labels): y})
    if isinstance(X, str) and output.suffix == ".txt":
        store.write(output, X.encode())
    else:
        write(X, output)
    told = f"{len(X)} {'characters' if isinstance(X, str) else 'items'} → {output}"
    if labels is not None and not isinstance(X, pd.DataFrame):
        beside = output.with_name(f"{output.name}.labels.csv")
        write(pd.DataFrame({"label": np.asarray(y)}), beside)
        told += f", their labels → {beside}"
    console.print(told)
