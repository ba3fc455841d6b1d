"""Finding: one sentence of a verdict, and how bad it is."""

from __future__ import annotations

from dataclasses import dataclass

BAD, DOUBTFUL, GOOD = 0, 1, 2
WORDS = {BAD: "bad", DOUBTFUL: "doubtful", GOOD: "good"}


@dataclass(frozen=True)
class Finding:
    """One sentence and how bad it is (0 bad, 1 doubtful, 2 good); `weight` orders those that are equally bad.

    Parameters
    ----------
    level: how bad. says: the sentence. weight: the larger the earlier among those of one level.
    """

    level: int
    says: str
    weight: float = 0.0

    @property
    def word(self) -> str:
        return WORDS[self.level]
