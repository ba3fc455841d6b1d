"""Expect: a likelihood that climbs by E and M steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from genus.errors import RunError
from genus.train.progress import Progress
from genus.train.run import Run


def expect(step: Callable[[], float], *, steps: int, tol: float, run: Run) -> list[dict[str, Any]]:
    """Repeat `step` until the mean log-likelihood an item gains less than `tol`.

    Nothing is kept on the way: expectation–maximisation is short, and the same fit begins again to the same end.

    Parameters
    ----------
    step: one E and one M step; returns the mean log-likelihood an item, nats. steps: at most. tol: nats an item.

    Returns the history: {"step", "seconds", "log_prob"} of each step.

    Reference: A. Dempster, N. Laird and D. Rubin 1977, Maximum likelihood from incomplete data via the EM algorithm,
    https://doi.org/10.1111/j.2517-6161.1977.tb01600.x
    """
    history: list[dict[str, Any]] = []
    progress, began = Progress(run.progress, run.json), time.perf_counter()
    for i in range(steps):
        value = step()
        if not math.isfinite(value):
            raise RunError(
                f"The log-likelihood became {value} at step {i}: a component has collapsed or the data are not finite; "
                "use fewer components or look for constant columns."
            )
        history.append({"step": i, "seconds": round(time.perf_counter() - began, 3), "log_prob": value})
        if time.perf_counter() >= progress.due:
            progress.show(i + 1, steps, {"log_prob": value})
        if i and abs(value - history[-2]["log_prob"]) < tol:
            break
    progress.close(len(history), steps, {"log_prob": history[-1]["log_prob"]} if history else {})
    return history
