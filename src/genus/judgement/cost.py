"""Cost: how large a fitted model is, and what memory this process has needed."""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

from genus import store
from genus.errors import GenusError


def size_of(model: Any) -> dict[str, float]:
    """{"parameters": numbers in the saved tensors, "MB": of the saved model and codec}; empty where it cannot be saved."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            model.save(folder)
        except (GenusError, TypeError, ValueError):
            return {}
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        tensors = [store.unpack_tensors(path.read_bytes(), path.name) for path in files if path.suffix == ".safetensors"]
        return {
            "parameters": float(sum(t.numel() for each in tensors for t in each.values())),
            "MB": sum(path.stat().st_size for path in files) / 1e6,
        }


def peak() -> float:
    """The most memory this process has held so far, in MB."""
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
