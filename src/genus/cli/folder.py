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
from genus.data.load import Dataset, load
from genus.data.split import Split, split
from genus.errors import RunError, UsageError
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


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) < 60 else text[:57] + "…"
