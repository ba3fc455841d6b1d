"""Expect: a likelihood that climbs by E and M steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from genus import dice
from genus.errors import RunError, UsageError
from genus.train.checkpoint import Checkpoints, claimed
from genus.train.identity import compare
from genus.train.interrupt import Interrupted, listening
from genus.train.progress import Progress
from genus.train.run import Run

Keep = Callable[[], dict[str, Any]]
Restore = Callable[[dict[str, Any]], None]


class Watch:
    """A budget in minutes over several climbs, endless when None."""

    def __init__(self, minutes: float | None) -> None:
        if minutes is not None and not minutes > 0:
            raise UsageError(f"minutes must be positive, not {minutes}.")
        self.end = None if minutes is None else time.perf_counter() + 60 * minutes

    def share(self, parts: float) -> float | None:
        """Seconds for one of so many equal parts of the time left."""
        return None if self.end is None else max(0.0, self.end - time.perf_counter()) / parts


def expect(
    step: Callable[[], float],
    *,
    steps: int,
    tol: float,
    run: Run,
    seconds: float | None = None,
    state: tuple[Keep, Restore] | None = None,
    identity: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Repeat `step` until the mean log-likelihood an item gains less than `tol`.

    Parameters
    ----------
    step: one E and one M step; returns the mean log-likelihood an item, nats. steps: at most. tol: nats an item.
    seconds: after which no further step begins. state: (what a checkpoint is to hold, how to put it back), with which a
    run in a folder goes on where it was stopped; without it nothing is kept. identity: what makes the fit this one.

    Returns the history: {"step", "seconds", "log_prob"} of each step.

    Reference: A. Dempster, N. Laird and D. Rubin 1977, Maximum likelihood from incomplete data via the EM algorithm,
    https://doi.org/10.1111/j.2517-6161.1977.tb01600.x
    """
    folder = run.folder if state else None
    climb = _Climb(Checkpoints(folder, run.next_stage() if folder else 0), state, identity or {})
    with claimed(folder), listening(folder is not None) as request:
        climb.resume()
        progress, began = Progress(run.progress, run.json), time.perf_counter() - climb.elapsed
        saved = time.perf_counter()
        while not climb.over(steps, tol, seconds):
            value = _finite(step(), len(climb.history))
            now = time.perf_counter()
            climb.note(value, now - began)
            if now >= progress.due:
                progress.show(len(climb.history), steps, {"log_prob": value})
            if request.number or now - saved >= run.every:
                climb.save()
                saved = time.perf_counter()
            if request.number:
                progress.close(len(climb.history), steps, {"log_prob": value})
                kept = f"everything is kept in {folder}: give the same command again to go on"
                raise Interrupted(f"Stopped at step {len(climb.history)} of at most {steps}; {kept}.", request.number)
        climb.save()
        progress.close(len(climb.history), steps, {"log_prob": climb.history[-1]["log_prob"]} if climb.history else {})
    return climb.history


class _Climb:
    """The history of one climb and its checkpoints."""

    def __init__(self, checkpoints: Checkpoints, state: tuple[Keep, Restore] | None, identity: dict[str, Any]) -> None:
        self.checkpoints, self.state, self.identity = checkpoints, state, identity
        self.history: list[dict[str, Any]] = []

    @property
    def elapsed(self) -> float:
        return self.history[-1]["seconds"] if self.history else 0.0

    def note(self, value: float, seconds: float) -> None:
        self.history.append({"step": len(self.history), "seconds": round(seconds, 3), "log_prob": value})

    def over(self, steps: int, tol: float, seconds: float | None) -> bool:
        if not self.history:
            return steps < 1
        late = seconds is not None and self.elapsed >= seconds
        flat = len(self.history) > 1 and abs(self.history[-1]["log_prob"] - self.history[-2]["log_prob"]) < tol
        return late or flat or len(self.history) >= steps

    def save(self) -> None:
        if self.state is not None and self.checkpoints.folder is not None:
            content = {"identity": self.identity, "history": self.history, "state": self.state[0](), "dice": dice.state()}
            self.checkpoints.save(len(self.history), content)

    def resume(self) -> None:
        content = self.checkpoints.load()
        if content is None or self.state is None:
            return
        compare(content["identity"], self.identity, self.checkpoints.folder)
        self.history = content["history"]
        self.state[1](content["state"])
        dice.restore(content["dice"])


def _finite(value: float, step: int) -> float:
    if math.isfinite(value):
        return value
    raise RunError(
        f"The log-likelihood became {value} at step {step}: a component has collapsed or the data are not finite; "
        "use fewer components or look for constant columns."
    )
