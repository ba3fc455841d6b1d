"""Run: where a fit keeps itself and how it speaks (provisional body; the interface stays)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Run:
    """One fit's surroundings.

    Parameters
    ----------
    folder: for checkpoints; nothing is written when None. progress: a bar; None shows one on a terminal.
    every: seconds between checkpoints. devices: processes that share each batch.
    """

    folder: Path | None = None
    progress: bool | None = False
    every: float = 30.0
    devices: int = 1
    validation: Any = field(default=None, repr=False)
