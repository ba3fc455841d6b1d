"""Record: a benchmark's results as JSON beside their seed, seconds, machine and versions."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"
VERSIONS = ("genus", "torch", "numpy", "scikit-learn", "pandas")


def data(*parts: str) -> Path:
    """A file of the benchmark data, found through GENUS_DATA."""
    root = os.environ.get("GENUS_DATA")
    if not root:
        raise SystemExit("Set GENUS_DATA to the folder that holds the benchmark data (mnist/, adult/, tinyshakespeare/ …).")
    return Path(root, *parts)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    import torch

    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {"cpu": _processor(), "cores": os.cpu_count(), "gpu": gpu, "threads": torch.get_num_threads(),
            "load": round(os.getloadavg()[0], 1)}  # fmt: skip


def record(name: str, rows: list[dict[str, Any]], *, seed: int | list[int], seconds: float, note: str = "") -> Path:
    """Write results/<name>.json.

    Each row: metric, value, unit, target (a string such as "≤ 92 nats"), met (bool or None), and optionally peer
    (whose number stands beside it), peer_value, low, high, n.
    """
    content = {
        "name": name,
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "date": date.today().isoformat(),
        "seed": seed,
        "seconds": round(seconds, 1),
        "machine": machine(),
        "versions": {v: importlib.metadata.version(v) for v in VERSIONS} | {"python": platform.python_version()},
        "note": note,
        "rows": rows,
    }
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    for row in rows:
        verdict = {True: "met", False: "MISSED", None: ""}[row.get("met")]
        print(f"  {row['metric']}: {row['value']:.5g} {row.get('unit', '')}  target {row.get('target', '-')}  {verdict}")
    print(f"  written to {path.name} after {seconds:.0f} s")
    return path


class Clock:
    """Wall and processor seconds since it was made."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.wall

    @property
    def cpu_seconds(self) -> float:
        return time.process_time() - self.cpu
