"""MNIST's four files, read with gzip alone."""

from __future__ import annotations

import gzip

import numpy as np

from record import data


def digits() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """((images (60000, 28, 28) uint8, labels (60000,)), the same of the 10,000 test images)."""
    return _part("train"), _part("t10k")


def _part(name: str) -> tuple[np.ndarray, np.ndarray]:
    return _idx(f"{name}-images-idx3-ubyte.gz"), _idx(f"{name}-labels-idx1-ubyte.gz")


def _idx(name: str) -> np.ndarray:
    """An IDX file: two zeros, the type, the number of axes, their lengths in big-endian, then the bytes."""
    content = gzip.decompress(data("mnist", name).read_bytes())
    axes = content[3]
    shape = np.frombuffer(content, ">u4", axes, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape).copy()
