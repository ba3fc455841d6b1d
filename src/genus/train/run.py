"""Run: where a fit keeps itself, how it speaks and with whom it shares the work."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from genus.errors import UsageError


@dataclass
class Run:
    """One fit's surroundings.

    A fit with a folder writes a checkpoint now and then, and goes on from it to the same weights, bit for bit, when
    the same fit is asked for again.

    Parameters
    ----------
    folder: for checkpoints and `history.jsonl`; nothing is written when None. progress: a bar on a terminal and a line
    now and then elsewhere; False is silent, None the same as True. every: seconds between checkpoints.
    every_steps: steps between checkpoints, as well. devices: processes that share each batch. json: progress as JSON
    lines. validation: held-out (x, y), packed, set by `Model.fit`.

    >>> Run().folder is None
    True
    """

    folder: Path | None = None
    progress: bool | None = False
    every: float = 30.0
    devices: int = 1
    every_steps: int | None = None
    json: bool = False
    validation: Any = field(default=None, repr=False)
    stages: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        self.folder = None if self.folder is None else Path(self.folder)
        if self.devices < 1 or self.every <= 0:
            raise UsageError(f"devices must be 1 or more and every positive, not {self.devices} and {self.every}.")

    def next_stage(self) -> int:
        """The number of the loop that begins now; a fit of several loops keeps them apart by it."""
        self.stages += 1
        return self.stages - 1

    def part(self, name: str) -> Run:
        """The run of a model that is a part of this one: the same words, checkpoints in a folder below."""
        return replace(self, folder=self.folder / name if self.folder else None, validation=None)
