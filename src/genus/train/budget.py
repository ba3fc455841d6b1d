"""Budget: how many steps a run takes, from steps, epochs and minutes, whichever ends first."""

from __future__ import annotations

import math

from genus.errors import UsageError
from genus.train.pace import Pace
from genus.train.recipe import Recipe

CALIBRATION = 0.03  # share of the minutes spent before the speed is judged first
LEAST = 5  # steps before that
AGAIN = 0.25  # share of the time left after which it is judged anew
CLOSE = 0.01  # share of the minutes within which a run may end
SLACK = 1.04
CHECK_SHARE = 0.1  # of the items trained on, which validation may look at


class Budget:
    """The length of a run of n items in batches.

    A budget in minutes becomes a number of steps once the first ones have been timed. The estimate is made anew at
    twice the time and then whenever a quarter of the time left has passed, with the cost of validation and
    checkpoints counted in, so that a run whose speed changes still ends on time with its schedule run out.
    """

    def __init__(self, recipe: Recipe, n: int, batch: int) -> None:
        for name in ("steps", "epochs", "minutes"):
            value = getattr(recipe, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name} must be positive, not {value}.")
        self.seconds = None if recipe.minutes is None else 60.0 * recipe.minutes
        self.batch, self.patience, self.warmup = batch, recipe.patience, recipe.warmup
        limits = [recipe.steps, None if recipe.epochs is None else math.ceil(recipe.epochs * n / batch)]
        known = [limit for limit in limits if limit is not None]
        if not known and self.seconds is None:
            known = [recipe.default_steps]
        self.limit = min(known, default=None)

    def pace(self) -> Pace:
        """The pace of a run at its start; its total is known unless there is a budget in minutes."""
        pace = Pace(warmup=self.warmup)
        if self.seconds is None:
            assert self.limit is not None
            pace.expect(self.limit)
        else:
            pace.due = CALIBRATION * self.seconds
        return pace

    def adjust(self, pace: Pace, step: int, elapsed: float, every: float) -> None:
        """Estimate the total after `step` steps in `elapsed` seconds, when it is time to; checkpoints come `every` seconds."""
        if self.seconds is None:
            return
        if step == 1 and pace.total is None:
            pace.marked, pace.worked = 1, elapsed - pace.aside  # the first step also warms caches up
        early = pace.total is None and step < LEAST and elapsed < self.seconds
        if elapsed < pace.due or early:
            return
        pace.measure(step, elapsed)
        total = step + pace.rest((1 - CLOSE) * self.seconds - elapsed, every)
        pace.expect(total if self.limit is None else max(step, min(total, self.limit)), step)
        left = self.seconds - elapsed
        pace.due = elapsed + min(max(AGAIN * left, CLOSE * self.seconds), elapsed)

    def over(self, pace: Pace, step: int, elapsed: float) -> bool:
        """Whether the run is at its end."""
        return (pace.total is not None and step >= pace.total) or (self.seconds is not None and elapsed > SLACK * self.seconds)

    def checks(self, total: int, items: int) -> int:
        """How often to validate on `items`: 2 to 25 times, so that it stays a small part of the work."""
        least = 20 if self.patience else 2
        return max(1, min(total, 25, max(least, int(CHECK_SHARE * total * self.batch / max(1, items)))))
