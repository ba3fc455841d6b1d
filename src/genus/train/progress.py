"""Progress: how a run speaks: a bar on a terminal, a line now and then elsewhere, or nothing."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

BAR_SECONDS = 0.25
LINE_SECONDS = 10.0


class Progress:
    """Shows step, loss, validation loss, speed and time left on standard error.

    Parameters
    ----------
    wanted: True or None for a bar on a terminal and lines elsewhere, False for silence. as_json: lines for machines.
    """

    def __init__(self, wanted: bool | None, as_json: bool = False) -> None:
        self.silent, self.json = wanted is False and not as_json, as_json
        self.terminal = sys.stderr.isatty() and not as_json
        self.every = float("inf") if self.silent else BAR_SECONDS if self.terminal else LINE_SECONDS
        self.due = 0.0 if self.terminal and not self.silent else time.perf_counter() + self.every
        self.bar: Any = None
        self.last: tuple[float, int] = (time.perf_counter(), 0)

    def show(self, step: int, total: int | None, facts: dict[str, float]) -> None:
        """Say where the run is; call it when `due` has passed."""
        now = time.perf_counter()
        before, self.last, self.due = self.last, (now, step), now + self.every
        speed = (step - before[1]) / (now - before[0]) if now > before[0] else 0.0
        if self.silent:
            return
        if self.terminal:
            self._draw(step, total, facts)
        elif self.json:
            print(json.dumps({"step": step, "total": total, "speed": round(speed, 2), **facts}), file=sys.stderr, flush=True)
        else:
            left = f"  {_clock((total - step) / speed)} left" if total and speed else ""
            print(f"step {step}/{total or '?'}  {_facts(facts)}  {speed:.1f} steps/s{left}", file=sys.stderr, flush=True)

    def _draw(self, step: int, total: int | None, facts: dict[str, float]) -> None:
        if self.bar is None:
            self.bar = _bar()
            self.task = self.bar.add_task("", total=total, facts="", speed="")
            self.bar.start()
        task = self.bar.tasks[0]
        speed = f"{task.speed:.0f} steps/s" if task.speed else ""
        self.bar.update(self.task, completed=step, total=total, facts=_facts(facts), speed=speed)

    def close(self, step: int, total: int | None, facts: dict[str, float]) -> None:
        """The last word."""
        if not self.silent:
            self.show(step, total, facts)
        if self.bar is not None:
            self.bar.stop()


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[facts]}"), TextColumn("{task.fields[speed]}"))
    return Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True), refresh_per_second=4)


def _facts(facts: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in facts.items())


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d}"
