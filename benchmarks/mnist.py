"""What the MNIST benchmarks share: the data, their arguments and a picture of samples."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from genus import load
from record import data

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"


def digits() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """((images (60000, 28, 28) uint8, labels (60000,)), the same of the 10,000 test images)."""
    train, test = (load(data("mnist", f"{name}-images-idx3-ubyte.gz")) for name in ("train", "t10k"))
    return (train.X, train.y), (test.X, test.y)


def binarise(grey: np.ndarray, seed: int) -> np.ndarray:
    """Each pixel of grey images (n, 28, 28) black, once and for all, with its grey value as probability; bool."""
    return np.random.default_rng(seed).random(grey.shape) * 255 < grey


def arguments(what: str | None, *, minutes: float, samples: int) -> argparse.Namespace:
    """The command line of a benchmark whose samples a classifier sorts; sets torch's threads and seed."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--minutes", type=float, default=minutes)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--samples", type=int, default=samples)
    parser.add_argument("--classifier-steps", type=int, default=1500)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(given.seed)
    return given


def picture(images: np.ndarray, name: str, side: int = 10) -> None:
    """The first side² images as one small PNG among the documents' pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    tiles = images[: side * side].reshape(side, side, 28, 28).transpose(0, 2, 1, 3).reshape(side * 28, side * 28)
    Image.fromarray(255 - tiles).quantize(16).save(PICTURES / name, optimize=True)
