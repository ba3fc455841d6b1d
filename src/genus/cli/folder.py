"""Folder: what a run keeps about itself beside the model, so that the same command again goes on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genus import store
from genus.data.caption import is_sentences
from genus.data.condition import FEW, MOST
from genus.data.load import Dataset, load
from genus.data.schema import without
from genus.data.split import Split, split
from genus.data.tokens import tokenised
from genus.errors import RunError, UsageError, nearest
from genus.model import Model
from genus.train.team import launched

FORMAT = 1
WAIT = 120  # seconds for the process of rank 0


@dataclass
class Folder:
    """A run folder: `run.json` (data, family, fields, split seed, command), `split.safetensors`, checkpoints, the model."""

    path: Path

    @property
    def description(self) -> dict[str, Any]:
        """The content of run.json."""
        file = self.path / "run.json"
        if not file.is_file():
            raise RunError(f"{self.path} is not a run folder (no run.json): give the folder that `genus fit -o` wrote.")
        body = store.from_json(store.read(file), str(file))
        if not isinstance(body, dict) or body.get("format") != FORMAT:
            raise RunError(f"{file} is not a run of this genus (format {FORMAT}).")
        return body

    @property
    def finished(self) -> bool:
        return (self.path / "model.json").is_file()

    def model(self) -> Model:
        """The fitted model."""
        if not self.finished and (self.path / "run.json").is_file():
            raise RunError(f"{self.path} is not finished: go on with `{self.description['command']}`.")
        return Model.load(self.path)

    def abandon(self) -> None:
        """Take back a run whose fit was refused before it had come anywhere."""
        if (self.path / "checkpoints").is_dir():
            return
        for name in ("run.json", "split.safetensors", ".lock"):
            (self.path / name).unlink(missing_ok=True)
        with suppress(OSError):
            self.path.rmdir()

    def begin(self, description: dict[str, Any]) -> None:
        """Claim the folder, or check that it holds this very run; never overwrites another."""
        if self.path.is_file():
            raise UsageError(f"{self.path} is a file; -o wants a folder.")
        if not leads():
            self._wait()
        if (self.path / "run.json").is_file():
            return self._same(description)
        if self.path.is_dir() and any(not store.is_temporary(path) for path in self.path.iterdir()):
            raise UsageError(f"{self.path} is not empty and not a run folder: choose another -o.")
        versions = {name: importlib.metadata.version(name) for name in ("genus", "torch", "numpy")}
        body = {"format": FORMAT, **description, "versions": versions | {"python": platform.python_version()}}
        store.write(self.path / "run.json", store.to_json(body))
        return None

    def _wait(self) -> None:
        """Until the process of rank 0 has begun the folder."""
        end = time.monotonic() + WAIT
        while not (self.path / "run.json").is_file():
            if time.monotonic() > end:
                raise RunError(f"{self.path} was not begun by the process of rank 0 within {WAIT} seconds: see what it says.")
            time.sleep(0.05)

    def _same(self, description: dict[str, Any]) -> None:
        old = self.description
        for key, value in description.items():
            if key == "command" or old.get(key) == store.from_json(store.to_json(value), "run.json"):
                continue
            raise UsageError(
                f"{self.path} holds a run with another {key} ({_brief(old.get(key))}, now {_brief(value)}): "
                f"choose another -o, or repeat its command: {old['command']}"
            )

    def keep(self, parts: Split) -> None:
        """Write down which rows are training, validation and test."""
        file = self.path / "split.safetensors"
        if not file.is_file():
            names = ("train", "validation", "test")
            indices = {name: torch.from_numpy(np.asarray(index)) for name, index in zip(names, parts.index, strict=True)}
            store.write(file, store.pack_tensors(indices))

    def held_out(self, data: Dataset, X: Any, y: Any) -> tuple[Split | None, str]:
        """(the run's own split, a word about it) when `data` is what the run was fitted on, else (None, why)."""
        description = self.description
        if "streamed" in description["data"] and str(Path(data.source).resolve()) == description["data"]["source"]:
            raise UsageError(f"The run was fitted on this file: judge it by {self.path / 'test.parquet'}, rows kept apart.")
        if data.sha256 != description["data"]["sha256"]:
            return None, "other data than the run was fitted on: all of them are held out"
        return split(X, y, seed=description["fields"].get("seed", 0), time=data.time), "the run's own test split"


def leads() -> bool:
    """Whether this process is the only one or, under torchrun, the one that writes and speaks."""
    return os.environ.get("RANK", "0") == "0" or not launched()


def read_data(source: str, reading: dict[str, Any]) -> Dataset:
    """The dataset a command names."""
    return load(source, **{k: v for k, v in reading.items() if v is not None})


def divide(data: Dataset, condition: str | None, kind: str = "") -> tuple[Any, Any]:
    """(X, y): the labels, or some columns of a table, become y; "name:text" and "name:label" say what a column of strings is.

    Where the one column that is left holds texts, X is these texts rather than a table. `kind` is that of the X that a model was
    fitted on, which decides where it is given: a few rows do not tell texts from labels.
    """
    if condition is None:
        return data.X, None
    if condition == "labels":
        if data.y is None:
            raise UsageError(f"{data.name} has no labels to condition on; name columns instead.")
        return data.X, data.y
    if data.kind != "table":
        raise UsageError(f"--condition names columns of a table, but {data.name} is {data.kind}; try --condition labels.")
    names, kinds = _named(condition, data)
    if len(names) == data.X.shape[1]:
        raise UsageError(f"--condition names every column of {data.name}: leave at least one to learn.")
    y = data.X[names]
    y.attrs = y.attrs | {"kinds": kinds}
    left = [name for name in data.X.columns if name not in names]
    if len(left) == 1 and (kind == "text" or (not kind and is_sentences(list(data.X[left[0]]), FEW, MOST))):
        return tokenised(list(map(str, data.X[left[0]])), data.X.attrs.get("tokens")), y
    return without(data.X, names), y


def _named(condition: str, data: Dataset) -> tuple[list[str], dict[str, str]]:
    """(the columns of --condition, what is said of them)."""
    names, kinds = [], {}
    for word in condition.split(","):
        name, _, kind = word.strip().rpartition(":")
        if word.strip() in data.X.columns or kind not in ("text", "label"):
            name, kind = word.strip(), ""
        if name not in data.X.columns:
            raise UsageError(f"{data.name} has no column {name!r}.{nearest(name, map(str, data.X.columns))}")
        names.append(name)
        if kind:
            kinds[name] = kind
    return names, kinds


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) < 60 else text[:57] + "…"
