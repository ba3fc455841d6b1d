"""Live: texts printed while they are drawn."""

from __future__ import annotations

from pathlib import Path

from genus import dice
from genus.cli.flags import parse_given
from genus.cli.folder import Folder
from genus.cli.work import conditions_of
from genus.errors import UsageError
from genus.tasks.streaming import stream


def stream_run(path: Path, n: int, output: Path | None, given: list[str], seed: int | None, temperature: float | None) -> None:
    """Print n texts, each token as it comes, a line break after each text."""
    if output is not None:
        raise UsageError("--stream prints: leave -o out, or --stream.")
    model = Folder(path).model()
    if temperature is not None:
        if "temperature" not in model.get_params():
            raise UsageError(f"{type(model).__name__} has no temperature; leave --temperature out.")
        model.set_params(temperature=temperature)
    y, known = conditions_of(model, parse_given(given))
    seed = dice.fresh() if seed is None else seed
    for item in range(n):
        for piece in stream(model, y, given=known or None, seed=dice.derive(seed, item)):
            print(piece, end="", flush=True)
        print(flush=True)
