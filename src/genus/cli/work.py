"""Work: fit, sample, score and complete from the command line."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from genus.capability import Bound, Density, Energy, Estimate, Factored, Partial
from genus.catalogue import accepting
from genus.catalogue import family as find_family
from genus.cli.flags import parse_fields, parse_given
from genus.cli.folder import Folder, leads, read_data
from genus.cli.predict import balanced_rows
from genus.cli.stream import ENDINGS, MANY, sample_stream
from genus.data.divide import divide
from genus.data.embedded import EMBEDDED
from genus.data.read_table import read_table
from genus.data.split import rows, split
from genus.data.write import write
from genus.errors import DataError, NotAccepted, UsageError
from genus.model import Model
from genus.tasks.anomaly import CAVEAT, typicality
from genus.train.identity import fields_of
from genus.train.run import Run

console = Console(stderr=True, highlight=False)
DEFAULTS = {"table": "made", "text": "transformer", "image": "vae", "array": "flow", "ratings": "rbm"}  # where none is named


def fit_run(
    source: str,
    family: str,
    output: Path | None,
    words: list[str],
    *,
    condition: str | None,
    must_exist: bool,
    devices: int,
    every: float,
    quiet: bool,
    reading: dict[str, Any],
    command: str,
) -> None:
    """Fit a family to data and keep model, split and checkpoints in a run folder."""
    cls = find_family(family) if family else None
    data = read_data(source, reading)
    if cls is None:
        family = DEFAULTS.get(data.kind, "")
        if not family:
            raise UsageError(f"Name a family for {data.kind} data with --family; `genus families` lists them.")
        cls = find_family(family)
    model = cls(**parse_fields(cls, words))
    X, y = divide(data, condition)
    folder = Folder(output or Path("runs") / f"{data.name}-{family}")
    if must_exist and not (folder.path / "run.json").is_file():
        raise UsageError(f"--resume: {folder.path} holds no run; leave --resume out to start one.")
    origin = source if source in EMBEDDED or not Path(source).exists() else str(Path(source).resolve())
    schema = data.X.attrs.get("schema") if data.kind == "table" else None
    reading = {k: v for k, v in reading.items() if v is not None and k != "schema"}
    run = Run(folder=folder.path, progress=False if quiet else None, every=every, devices=devices)
    parts = split(X, y, seed=model.seed, time=data.time)
    folder.begin({
        "command": command, "family": family, "fields": fields_of(model), "condition": condition,
        "data": {"source": origin, "sha256": data.sha256, "reading": reading}
        | ({} if schema is None else {"schema": schema}),
    })  # fmt: skip
    console.quiet = not leads()
    if folder.finished:
        console.print(f"{folder.path} is finished already; nothing was changed. Next: genus sample {folder.path} -n 16")
        return
    console.print(f"[bold]{family}[/] on {data.name} → {folder.path}")
    folder.keep(parts)
    try:
        model.fit(*parts.train, validation=parts.validation, run=run)
    except (DataError, UsageError) as error:
        folder.abandon()
        if isinstance(error, NotAccepted):
            raise DataError(f"{error.why}: choose one of {', '.join(accepting(error.codec))}.") from None
        raise
    if leads():
        model.save(folder.path)
    console.print(f"{folder.path}: done. Next: genus sample {folder.path} -n 16")


def sample_run(
    path: Path, n: int, output: Path | None, given: list[str], seed: int | None, temperature: float | None,
    balance: str | None = None, conditions: Path | None = None, kernel: str | None = None,
) -> None:  # fmt: skip
    """Draw n items, or one for each row of `conditions`, and write or show them."""
    model = Folder(path).model()
    if temperature is not None:
        if "temperature" not in model.get_params():
            raise UsageError(f"{type(model).__name__} has no temperature; leave --temperature out.")
        model.set_params(temperature=temperature)
    if balance:
        if given:
            raise UsageError("--balance draws its own conditions: leave --given out.")
        return _deliver(balanced_rows(model, n, balance, seed), output, default=path / "samples.png")
    if kernel:
        if given or conditions is not None:
            raise UsageError("--kernel draws whole items: leave --given and --conditions out.")
        from genus.tasks.chains import draw_by_chains

        return _deliver(draw_by_chains(model, n, kernel, seed=seed), output, default=path / "samples.png")
    y, known = conditions_of(model, parse_given(given))
    if conditions is not None:
        y = _rows_of(model, conditions, y)
        n = len(y)
    if n > MANY and output is not None and output.suffix in ENDINGS and model.codec_.kind == "table":
        return sample_stream(model, n, output, y, given=known or None, seed=seed)
    try:
        X = model.sample(n, y, given=known or None, seed=seed)
    except UsageError as error:
        names = model.condition_.names_ if known and model.condition_ is not None else []
        if names:
            raise UsageError(f"{error} It is conditioned on {', '.join(names)}.") from None
        raise
    if support := getattr(X, "attrs", {}).get("support"):
        console.print(f"P(given) = {support['probability']:.2g}, {support['rows']:.3g} expected rows of training")
    return _deliver(X, output, default=path / "samples.png")


def conditions_of(model: Model, given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """(y, known parts): what was conditioned on in training, and the rest."""
    names = model.condition_.names_ if model.condition_ is not None else []
    asked = {name: value for name, value in given.items() if name in names}
    known = {name: value for name, value in given.items() if name not in names}
    if "labels" in known and names == ["y"]:
        asked["y"] = known.pop("labels")
    wide = next((name for name, value in asked.items() if not isinstance(value, str)), None)
    if wide is not None:
        raise UsageError(f"The model is conditioned on {wide!r}: give one value of it, not a set or a range.")
    if asked and len(asked) < len(names):
        missing = ", ".join(name for name in names if name not in asked)
        raise UsageError(f"The model is conditioned on {', '.join(names)}: give {missing} as well.")
    return asked or None, known


def _rows_of(model: Model, path: Path, asked: Any) -> Any:
    """The columns of a table that the model was conditioned on."""
    names = model.condition_.names_ if model.condition_ is not None else []
    if asked is not None or not names:
        raise UsageError("--conditions wants a model that was fitted with --condition, and no --given of the same columns.")
    frame = read_table(path)
    lacking = [name for name in names if name not in getattr(frame, "columns", [])]
    if lacking:
        raise UsageError(f"{path} has no column {lacking[0]!r}: the model is conditioned on {', '.join(names)}.")
    return frame[names]


def _deliver(X: Any, output: Path | None, default: Path) -> None:
    if output is not None:
        write(X, output)
        console.print(f"{len(X)} items → {output}")
    elif isinstance(X, np.ndarray) and X.dtype == np.uint8:
        write(X, default)
        console.print(f"{len(X)} images → {default}")
    elif isinstance(X, pd.DataFrame):
        print(X.to_csv(index=False), end="")
    elif isinstance(X, list):
        print(*X, sep="\n")
    else:
        np.savetxt(sys.stdout, X.reshape(len(X), -1), fmt="%.6g", delimiter=",")


def score_run(
    path: Path, source: str, output: Path | None, seed: int, reading: dict[str, Any], by: str | None = None
) -> None:  # fmt: skip
    """Score every item, in columns named as what the numbers are."""
    folder = Folder(path)
    model = folder.model()
    data = read_data(source, folder.description["data"]["reading"] | _set(reading))
    X, y = divide(data, folder.description["condition"], model.codec_.kind)
    columns = scores(model, X, y, seed)
    name, values = next(iter(columns.items()))
    usual = usual_scores(folder, model, seed)
    frame = pd.DataFrame(columns | ({} if usual is None else typicality(values, usual)))
    if by is not None:
        frame = pd.concat([frame, _by_column(model, X, y, by)], axis=1)
    half = 1.96 * values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else float("nan")
    console.print(f"{name}: mean {values.mean():.4f} ± {half:.4f} nats an item over {len(values)} (95 %)")
    if "bits_per_dim" in columns:
        console.print(f"bits/dim: {columns['bits_per_dim'].mean():.4f}")
    if "bytes" in columns:
        bits = columns.pop("bytes").sum() * math.log(2)
        console.print(f"bits/byte: {-values.sum() / bits:.4f} of the whole")
    console.print(CAVEAT if usual is not None else f"{CAVEAT} (Left out: the run's own data are not where they were.)")
    if output is None:
        print(frame.to_csv(index=False), end="")
    else:
        write(frame, output)
        console.print(f"{len(frame)} scores → {output}")


def usual_scores(folder: Folder, model: Model, seed: int) -> np.ndarray | None:
    """Scores of up to a thousand items kept aside in training, None where the run's data cannot be read any more."""
    described = folder.description
    try:
        data = read_data(described["data"]["source"], described["data"]["reading"])
        X, y = divide(data, described["condition"], model.codec_.kind)
        parts, _ = folder.held_out(data, X, y)
    except (DataError, UsageError, OSError):
        return None
    if parts is None or not len(parts.index[1]):
        return None
    X, y = parts.validation
    some = np.random.default_rng(seed).permutation(len(X))[:1000]
    if not isinstance(X, str):
        X, y = rows(X, some), None if y is None else rows(y, some)
    return next(iter(scores(model, X, y, seed).values()))


def _by_column(model: Model, X: Any, y: Any, by: str) -> pd.DataFrame:
    """Nats of each column, and a table of the least likely rows with the columns that make them so."""
    if by != "column" or not isinstance(model, Factored) or model.codec_.kind != "table":
        raise UsageError(
            f"--by takes `column`, of a table and a family whose log p is a sum over columns (made, tree …), not {by!r}."
        )
    each = model.log_prob_by(X, y).reset_index(drop=True)
    usual = each.median()
    table = Table("row", "nats", "most surprising: column = value (nats below usual)")
    for row in each.sum(axis=1).nsmallest(10).index:
        gap = (each.loc[row] - usual).nsmallest(3)
        told = ", ".join(f"{name} = {X[name].iloc[row]} ({value:.1f})" for name, value in gap.items())
        table.add_row(str(row), f"{each.loc[row].sum():.1f}", told)
    console.print(table)
    return each


def scores(model: Model, X: Any, y: Any, seed: int) -> dict[str, np.ndarray]:
    """{column: (n,)}: log_prob, log_prob_bound, log_prob_estimate (and error) or energy; beside bits/dim, of text bits/byte."""
    if isinstance(model, Density) and model.exact:
        columns = {"log_prob": model.log_prob(X, y)}
    elif isinstance(model, Density | Bound):
        columns = {"log_prob_bound": model.log_prob_bound(X, y, seed=seed)}
    elif isinstance(model, Estimate):
        value, error = model.log_prob_estimate(X, y, seed=seed)
        columns = {"log_prob_estimate": value, "standard_error": error}
    elif isinstance(model, Energy):
        return {"energy": model.energy(X, y)}
    else:
        raise UsageError(f"{type(model).__name__} gives no score; families that do: see `genus families`.")
    first = next(iter(columns.values()))
    sizes = model.codec_.size_bytes(model.codec_.pack(X, model.space_)) if model.codec_.kind == "text" else None
    if sizes is None:
        return columns | {"bits_per_dim": -first / (model.codec_.dims() * math.log(2))}
    return columns | {"bits_per_byte": -first / (sizes.numpy() * math.log(2)), "bytes": sizes.numpy().astype(int)}


def complete_run(path: Path, source: str, output: Path | None, seed: int, reading: dict[str, Any]) -> None:
    """Fill the missing cells."""
    folder = Folder(path)
    model = folder.model()
    if not isinstance(model, Partial):
        raise UsageError(f"{type(model).__name__} cannot complete; families that can (Partial): see `genus families`.")
    data = read_data(source, folder.description["data"]["reading"] | _set(reading))
    X, y = divide(data, folder.description["condition"], model.codec_.kind)
    filled = model.complete(X, y, seed=seed)
    if isinstance(filled, pd.DataFrame) and y is not None:
        left = data.X.drop(columns=list(filled.columns)).reset_index(drop=True)
        filled = pd.concat([filled.reset_index(drop=True), left], axis=1)[list(data.X.columns)]
    _deliver(filled, output, default=path / "completed.png")


def _set(reading: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in reading.items() if v is not None}
