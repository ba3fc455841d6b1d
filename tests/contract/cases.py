"""The cases of the contract: every family, small and quick, over every kind of data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from genus import catalogue
from genus.model import Model

TINY: dict[str, dict[str, Any]] = {
    "resample": {},
    "marginals": {},
    "gaussian": {},
    "made": {"steps": 4, "batch": 16, "width": 32, "warmup": 1},
    "nade": {"steps": 4, "batch": 16, "width": 32, "warmup": 1},
    "anyorder": {"steps": 4, "batch": 16, "width": 32, "warmup": 1},
    "tree": {"particles": 4},
    "mixture": {"components": 2, "steps": 3},
    "categorical": {"components": 2, "steps": 3},
    "hmm": {"components": 2, "steps": 3},
    "kernel": {},
    "network": {"tabu": 2},
    "linear": {"tabu": 2},
    "mixed": {"tabu": 2},
    "mst": {"noise": "seeded"},
    "rbm": {"steps": 4, "batch": 16, "latent": 4, "burn": 8},
    "dbm": {"steps": 4, "batch": 16, "latent": (4, 3), "burn": 8},
    "dbn": {"steps": 4, "batch": 16, "latent": (4, 3), "burn": 8},
    "boltzmann": {"steps": 4, "batch": 16, "burn": 8},
    "autoencoder": {"steps": 4, "batch": 16, "size": "small", "warmup": 1},
    "vae": {"steps": 4, "batch": 16, "size": "small", "warmup": 1},
    "vqvae": {"steps": 4, "batch": 16, "size": "small", "warmup": 1},
    "flow": {"steps": 4, "batch": 16, "size": "small", "warmup": 1},
    "nice": {"steps": 4, "batch": 16, "size": "small", "warmup": 1},
    "glow": {"steps": 4, "batch": 16, "size": "small", "warmup": 1},
    "maf": {"steps": 4, "batch": 16, "size": "small", "warmup": 1},
    "iaf": {"steps": 4, "batch": 16, "size": "small", "warmup": 1},
    "nsf": {"steps": 4, "batch": 16, "size": "small", "warmup": 1},
    "cnf": {"steps": 4, "batch": 16, "size": "small", "warmup": 1},
    "gan": {"steps": 4, "batch": 16, "size": "small", "warmup": 1},
    "diffusion": {"steps": 4, "batch": 16, "size": "small", "warmup": 1},
    "pixelcnn": {"steps": 4, "batch": 16, "size": "small", "warmup": 1, "particles": 4},
    "pixelrnn": {"steps": 4, "batch": 16, "size": "small", "warmup": 1, "particles": 4},
    "masked": {"steps": 4, "batch": 16, "size": "small", "warmup": 1},
    "transformer": {"steps": 4, "batch": 16, "size": "small", "warmup": 1},
}

N = 60
LABELS = ["left", "right", "up"]


def _table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": rng.normal(40, 10, N).round(1),
            "children": rng.integers(0, 4, N),
            "job": pd.Categorical(rng.choice(["cook", "pilot", "nurse"], N)),
            "member": rng.random(N) < 0.4,
        }
    )
    frame.loc[::7, "age"] = np.nan
    return frame


def _images() -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.clip(rng.normal(90, 60, (N, 8, 8)), 0, 255).astype(np.uint8)


def _binary_images() -> np.ndarray:
    return _images() > 100


def _colour_images() -> np.ndarray:
    rng = np.random.default_rng(2)
    return rng.integers(0, 256, (N, 5, 4, 3)).astype(np.uint8)


def _strings() -> list[str]:
    rng = np.random.default_rng(3)
    return ["".join(rng.choice(list("abcde"), rng.integers(1, 7))) for _ in range(N)]


def _vectors() -> np.ndarray:
    return np.random.default_rng(4).normal(3, 2, (N, 4))


def _single() -> np.ndarray:
    return _vectors().astype(np.float32)


def _blocks() -> np.ndarray:
    return np.random.default_rng(5).normal(size=(N, 2, 3))


DATA: dict[str, Callable[[], Any]] = {
    "table": _table,
    "images": _images,
    "binary images": _binary_images,
    "colour images": _colour_images,
    "strings": _strings,
    "running text": lambda: "to be, or not to be, that is the question: " * 3,
    "vectors": _vectors,
    "single precision": _single,
    "arrays of two axes": _blocks,
}


def labels(data: str) -> list[str] | None:
    """A condition for the kinds of data that are items, not one text."""
    return None if data == "running text" else [LABELS[i % 3] for i in range(N)]


def make(name: str) -> Model:
    """The family, quick to fit."""
    return catalogue.family(name)(**TINY[name])
