"""Budget: how many steps a run takes, from steps, epochs and minutes, whichever ends first."""

from __future__ import annotations

import math

from genus.errors import UsageError
from genus.train.recipe import Recipe

CALIBRATION = 0.03  # share of the minutes spent before the speed is judged
LEAST = 5
SLACK = 1.1
CHECK_SHARE = 0.1  # of the items trained on, which validation may look at


class Budget:
    """The number of steps of a run of n items in batches.

    A budget in minutes becomes a number of steps once the first ones have been timed; that number then stays
    with the run, so that the schedule and a resumed run agree with an uninterrupted one. Past 110 % of the
    minutes the run stops all the same.
    """

    def __init__(self, recipe: Recipe, n: int, batch: int) -> None:
        for name in ("steps", "epochs", "minutes"):
            value = getattr(recipe, name)
            if value is not None and value <= 0:
                raise UsageError(f"{name} must be positive, not {value}.")
        self.seconds = None if recipe.minutes is None else 60.0 * recipe.minutes
        self.batch, self.patience = batch, recipe.patience
        limits = [recipe.steps, None if recipe.epochs is None else math.ceil(recipe.epochs * n / batch)]
        known = [limit for limit in limits if limit is not None]
        if not known and self.seconds is None:
            known = [recipe.default_steps]
        self.limit = min(known, default=None)
        self.total = self.limit if self.seconds is None else None

    def calibrate(self, step: int, elapsed: float, first: float) -> int | None:
        """The total, once `step` steps in `elapsed` seconds, of which the first took `first`, tell the speed; else None."""
        assert self.seconds is not None
        if step < LEAST or elapsed < CALIBRATION * self.seconds:
            return step if elapsed > self.seconds else None
        speed = (step - 1) / max(elapsed - first, 1e-9)
        total = step + int((self.seconds * (1 - CALIBRATION) - elapsed) * speed)
        return max(step, total if self.limit is None else min(total, self.limit))

    def over(self, step: int, total: int | None, elapsed: float) -> bool:
        """Whether the run is at its end."""
        return (total is not None and step >= total) or (self.seconds is not None and elapsed > SLACK * self.seconds)

    def checks(self, total: int, items: int) -> int:
        """How often to validate on `items`: 2 to 25 times, so that it stays a small part of the work."""
        least = 20 if self.patience else 2
        return max(1, min(total, 25, max(least, int(CHECK_SHARE * total * self.batch / max(1, items)))))
