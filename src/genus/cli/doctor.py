"""Doctor: what this machine has, what is wrong with it, and what to do."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

REQUIRED = (
    "torch",
    "numpy",
    "scikit-learn",
    "pandas",
    "pyarrow",
    "pillow",
    "safetensors",
    "typer",
    "rich",
    "matplotlib",
    "jinja2",
)
EXTRAS = {"distributed": ("lightning_fabric", "several processes"), "hub": ("datasets", "hf:owner/name datasets")}

Finding = tuple[str, str, str, str]


def examine() -> int:
    """Print every finding; returns 0 when nothing needs doing, 1 otherwise."""
    table = Table(title="genus doctor", title_justify="left", box=None, pad_edge=False)
    for heading in ("", "what", "found", "what to do"):
        table.add_column(heading, overflow="fold")
    findings = [finding for look in LOOKS for finding in look()]
    marks = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "bad": "[red]bad[/]"}
    for level, what, found, advice in findings:
        table.add_row(marks[level], what, found, advice)
    Console().print(table)
    return 1 if any(level == "bad" for level, *_ in findings) else 0


def _versions() -> list[Finding]:
    from genus import __version__

    rows: list[Finding] = [("ok", "genus", __version__, ""), ("ok", "python", platform.python_version(), "")]
    for name in REQUIRED:
        try:
            rows.append(("ok", name, importlib.metadata.version(name), ""))
        except importlib.metadata.PackageNotFoundError:
            rows.append(("bad", name, "missing", f"pip install {name}"))
    return rows


def _torch() -> list[Finding]:
    import torch

    threads, cores = torch.get_num_threads(), os.cpu_count() or 1
    load = os.getloadavg()[0]
    rows: list[Finding] = [("ok", "threads", f"{threads} of {cores} cores", "")]
    if os.environ.get("OMP_WAIT_POLICY", "").upper() != "PASSIVE":
        rows.append(("note", "OpenMP", "threads spin while waiting", "import genus before torch"))
    if load > cores:
        rows.append(("note", "load", f"{load:.1f} on {cores} cores", "timings are unreliable; try OMP_NUM_THREADS=1"))
    if torch.cuda.is_available():
        rows.append(("ok", "GPU", torch.cuda.get_device_name(0), ""))
    elif shutil.which("nvidia-smi"):
        rows.append(("bad", "GPU", "present, but this torch cannot use it", "install the CUDA build of torch from pytorch.org"))
    else:
        rows.append(("note", "GPU", "none", "everything runs on the CPU; give --minutes to bound the time"))
    return rows


def _torchvision() -> list[Finding]:
    if importlib.util.find_spec("torchvision") is None:
        return [("ok", "torchvision", "not installed (genus does not need it)", "")]
    broken = subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True, text=True, check=False)
    if not broken.returncode:
        return [("ok", "torchvision", importlib.metadata.version("torchvision"), "")]
    last = broken.stderr.strip().splitlines()[-1][:120] if broken.stderr.strip() else "import fails"
    return [("bad", "torchvision", last, "pip uninstall torchvision: it does not match this torch")]


def _extras() -> list[Finding]:
    rows: list[Finding] = []
    for name, (module, use) in EXTRAS.items():
        here = importlib.util.find_spec(module) is not None
        rows.append(("ok" if here else "note", f"extra {name}", use if here else f"missing ({use})",
                     "" if here else f"pip install 'genus[{name}]'"))  # fmt: skip
    return rows


def _disk() -> list[Finding]:
    free = shutil.disk_usage(".").free / 2**30
    level = "ok" if free > 2 else "note" if free > 0.5 else "bad"
    return [(level, "free disk here", f"{free:.1f} GB", "" if level == "ok" else "free some, or write elsewhere with -o")]


LOOKS: tuple[Callable[[], list[Finding]], ...] = (_versions, _torch, _torchvision, _extras, _disk)
