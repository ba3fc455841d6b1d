"""Score: one number that knows its interval, its unit, and what it may be compared with."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from genus.errors import UsageError
from genus.judgement.glossary import GLOSSARY, Direction

Kind = Literal["exact", "bound", "estimate", "statistic"]


@dataclass(frozen=True)
class Score:
    """A metric's value with all that a reader needs in order not to be misled.

    Two scores can be subtracted or ordered only when metric, kind, unit, space, reference and counts are the same.

    Parameters
    ----------
    metric: its name in the glossary. value: the number. low, high: its 95 % interval.
    kind: of a likelihood `exact`, `bound` (a lower bound of it) or `estimate`; `statistic` otherwise.
    n, n_reference: how many samples were held against how many reference items. reference: which items those are.
    space: the feature space with its hash, or the units a likelihood is in. seed: of the draws.
    flags: what makes the value doubtful. note: a remark. detail: what lies behind it, for tables and plots.

    >>> Score("auc", 0.6, n=100) - Score("auc", 0.5, n=100)
    0.09999999999999998
    """

    metric: str
    value: float
    low: float = math.nan
    high: float = math.nan
    kind: Kind = "statistic"
    n: int = 0
    n_reference: int = 0
    reference: str = ""
    space: str = ""
    seed: int = 0
    note: str = ""
    flags: tuple[str, ...] = ()
    detail: dict[str, Any] = field(default_factory=dict, compare=False)
    unit: str = ""
    direction: Direction = "none"

    def __post_init__(self) -> None:
        meaning = GLOSSARY.get(self.metric)
        if meaning is None:
            raise UsageError(f"{self.metric!r} is not a metric of the glossary: {', '.join(GLOSSARY)}.")
        object.__setattr__(self, "unit", self.unit or meaning.unit)
        if self.direction == "none":
            object.__setattr__(self, "direction", meaning.direction)

    def comparable(self, other: Score) -> str:
        """The empty string, or one sentence that says why the two may not be compared."""
        for name, word in (
            ("metric", "metrics"), ("kind", "kinds of number"), ("unit", "units"), ("space", "spaces"),
            ("reference", "reference sets"), ("n_reference", "numbers of reference items"), ("n", "numbers of samples"),
        ):  # fmt: skip
            mine, yours = getattr(self, name), getattr(other, name)
            if mine != yours:
                return f"These scores are of different {word} ({mine} and {yours}) and cannot be compared: judge both alike."
        return ""

    def _check(self, other: Score) -> None:
        if not isinstance(other, Score):
            raise UsageError("A score compares with another score; take .value for the bare number.")
        if why := self.comparable(other):
            raise UsageError(why)

    def __sub__(self, other: Score) -> float:
        self._check(other)
        return self.value - other.value

    def __lt__(self, other: Score) -> bool:
        self._check(other)
        return self.value < other.value

    def __le__(self, other: Score) -> bool:
        self._check(other)
        return self.value <= other.value

    def better(self, other: Score) -> bool:
        """True when this is the better value of the two by more than both intervals explain."""
        self._check(other)
        if self.direction == "higher":
            return self.low > other.high
        return self.direction == "lower" and self.high < other.low

    def remark(self, *flags: str, note: str = "") -> Score:
        """The same score with more flags or another note."""
        return replace(self, flags=(*self.flags, *flags), note=note or self.note)

    @property
    def label(self) -> str:
        return GLOSSARY[self.metric].label

    def written(self, *, interval: bool = True) -> str:
        """The value as a report prints it, with its interval."""
        digits = GLOSSARY[self.metric].digits
        sign = {"bound": "≥ " if self.direction == "higher" else "≤ ", "estimate": "≈ "}.get(self.kind, "")
        text = sign + number(self.value, digits)
        if interval and math.isfinite(self.low) and math.isfinite(self.high):
            text += f" [{number(self.low, digits)}, {number(self.high, digits)}]"
        return text

    def __str__(self) -> str:
        return f"{self.label} {self.written()}{' ' + self.unit if self.unit else ''} (n = {self.n})"

    def to_json(self) -> dict[str, Any]:
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(self).items()}


def number(value: float, digits: int) -> str:
    """A value with so many digits after the point, fewer when it is large, words when it is not finite."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    digits = max(0, digits - 1) if abs(value) >= 1000 else digits
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")
