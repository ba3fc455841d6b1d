"""Peers: the separate environments that other libraries are measured in, made when they are first needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent / "build"
NEEDS = {
    "sdv": ["sdv==2.0.0"],
    "mostly": ["mostlyai-engine==2.7.3"],
    "classical": ["hmmlearn==0.3.3", "pomegranate==1.1.2", "emcee==3.1.6", "rbms==0.5.0"],
    "mcmc": [
        "numpyro==0.22.0",
        "blackjax==1.7.1",
        "jax==0.10.2",
        "emcee==3.1.6",
        "pymc==5.28.5",
        "nutpie==0.16.8",
        "pyro-ppl==1.9.2",
    ],
    "bleu": ["sacrebleu==2.5.1"],
    "pythae": ["pythae==0.1.2"],
    "vq": ["vector-quantize-pytorch==1.32.0"],
    "flows": ["zuko==1.6.0", "nflows==0.14"],
    "bn": ["pgmpy==1.1.2", "pyagrum==3.3.1"],
}


def environment(kind: str) -> Path:
    """The interpreter of an environment with the peers of this kind, made when it is missing."""
    python = ROOT / f"peers-{kind}" / "bin" / "python"
    if not python.exists():
        print(f"making the environment {python.parent.parent}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(python.parent.parent)], check=True)
        needs = [*([] if kind == "bleu" else ["torch==2.13.0"]), *NEEDS[kind]]
        subprocess.run([str(python), "-m", "pip", "install", "-q", *needs], check=True)
        subprocess.run([str(python), "-m", "pip", "uninstall", "-q", "-y", "torchvision", "torchaudio"], check=True)
    return python


def ask(kind: str, script: str, *words: str, **arrays: np.ndarray) -> Any:
    """What a peers' script prints as JSON, given words and, in a file, arrays; one thread."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "arrays.npz"
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
        command = [str(environment(kind)), str(Path(__file__).parent / script), *words, str(file)]
        found = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, check=True)
    return json.loads(found.stdout.splitlines()[-1])
