"""Pace: how far a run is after so many steps, and how many it will take."""

from __future__ import annotations

from dataclasses import dataclass

from genus.train.schedule import factor

WARMUP_SHARE = 10  # warm-up lasts at most one tenth of a run
TRUST = 4  # steps by which an older measurement of the speed still counts


@dataclass
class Pace:
    """The share of a run that so many steps are.

    The share grows linearly with the steps. When the total is estimated anew, it goes on from where it is, with
    another slope, and is 1 at the new total: so a schedule that follows the share never jumps and always ends.

    Attributes
    ----------
    total: steps of the run, None before the first estimate. begin, done: the step and the share where the present slope
    began. warmup: steps of warm-up. lead: the share they are. due: seconds at which to estimate again. marked, worked:
    steps and working seconds at the last estimate. each: working seconds a step. aside: seconds spent on validation
    and files so far. check, keep: seconds that the last validation and the last checkpoint took. checks, checked:
    validations planned and made.
    """

    total: int | None = None
    begin: int = 0
    done: float = 0.0
    warmup: int = 0
    lead: float = 0.0
    due: float = 0.0
    marked: int = 0
    worked: float = 0.0
    each: float = 0.0
    aside: float = 0.0
    check: float = 0.0
    keep: float = 0.0
    checks: int = 0
    checked: int = 0

    def share(self, step: int) -> float:
        """The share done after `step` steps, 0 before the total is known."""
        if self.total is None:
            return 0.0
        if step >= self.total:
            return 1.0
        return self.done + (1 - self.done) * (step - self.begin) / (self.total - self.begin)

    def rate(self, schedule: str, step: int) -> float:
        """The factor of the peak learning rate at `step` (from 0): linear warm-up, then the schedule over the rest."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        return factor(schedule, (self.share(step) - self.lead) / (1 - self.lead))

    def expect(self, total: int, step: int = 0) -> None:
        """From `step` on, the run is taken to last `total` steps."""
        if self.total is None:
            self.warmup = min(self.warmup, total // WARMUP_SHARE)
            self.lead = self.warmup / total
        else:
            self.begin, self.done = step, self.share(step)
        self.total = total

    def measure(self, step: int, elapsed: float) -> None:
        """Time the steps since the last measurement, validation and files apart."""
        worked, fresh = elapsed - self.aside, step - self.marked
        if fresh:
            old = TRUST if self.each else 0
            self.each = (max(0.0, worked - self.worked) + old * self.each) / (fresh + old)
        self.marked, self.worked = step, worked

    def rest(self, left: float, every: float) -> int:
        """Steps that still fit into `left` seconds beside the validations and the checkpoints, one `every` seconds, to come."""
        aside = (self.checks - self.checked) * self.check + (1 + max(0.0, left) / every) * self.keep
        return max(0, int((left - aside) / max(self.each, 1e-9)))
