"""Expect: a likelihood that climbs by E and M steps (provisional body; the interface stays)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from genus.train.run import Run


def expect(step: Callable[[], float], *, steps: int, tol: float, run: Run) -> list[dict[str, Any]]:
    """Call `step` (one E and one M step; returns the mean log-likelihood an item) until it gains less than `tol`."""
    history: list[dict[str, Any]] = []
    for i in range(steps):
        value = step()
        history.append({"step": i, "log_prob": value})
        if i and abs(value - history[-2]["log_prob"]) < tol:
            break
    return history
