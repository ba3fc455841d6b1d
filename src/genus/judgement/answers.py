"""Answers: texts drawn under the very conditions of held-out items, beside what stands there."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from genus import dice
from genus.data.split import rows
from genus.errors import GenusError
from genus.judgement.interval import share
from genus.judgement.judge import Judge
from genus.judgement.score import Score

MOST = 500
ORDER = 6  # characters of the longest strings


def answers(judge: Judge, model: Any, X: Any, y: Any) -> list[Score]:
    """Exact matches and chrF of one text drawn for each of at most 500 held-out conditions that are read as texts."""
    if judge.kind != "text" or isinstance(X, str) or y is None or not getattr(model, "texts_y", ()):
        return []
    which = np.sort(np.random.default_rng(dice.derive(judge.seed, "answers")).permutation(len(X))[:MOST])
    wanted, told = [str(text) for text in rows(X, which)], rows(y, which)
    try:
        drawn = list(model.sample(len(wanted), told, seed=dice.derive(judge.seed, "answers")))
    except GenusError:
        return []
    likeness = [chrf(a, b) for a, b in zip(drawn, wanted, strict=True)]
    others = [chrf(a, b) for a, b in zip(drawn, wanted[1:] + wanted[:1], strict=True)]
    about: dict[str, Any] = {
        "n": len(drawn), "n_reference": len(wanted), "reference": "test", "space": "characters", "seed": judge.seed
    }  # fmt: skip
    note = f"{np.mean(others):.3f} against the texts of other items"
    same = np.array([a == b for a, b in zip(drawn, wanted, strict=True)], float)
    return [
        Score("exact_answers", *share(same), **about),
        Score("chrf", *np.clip(share(np.array(likeness)), 0, 1).tolist(), **about, note=note),
    ]


def chrf(candidate: str, reference: str, beta: float = 2.0) -> float:
    """F-score of the character strings of 1 to 6 characters that two texts share, spaces aside; recall counts twice.

    Reference: M. Popović 2015, chrF: character n-gram F-score for automatic MT evaluation, https://aclanthology.org/W15-3049

    >>> chrf("ein haus", "ein haus"), chrf("abc", "xyz")
    (1.0, 0.0)
    """
    a, b = "".join(candidate.split()), "".join(reference.split())
    if not a or not b:
        return float(a == b)
    precision, recall = [], []
    for n in range(1, min(ORDER, max(len(a), len(b))) + 1):
        mine, theirs = _strings(a, n), _strings(b, n)
        shared = (mine & theirs).total()
        precision.append(shared / mine.total() if mine else 0.0)
        recall.append(shared / theirs.total() if theirs else 0.0)
    p, r = float(np.mean(precision)), float(np.mean(recall))
    return (1 + beta**2) * p * r / (beta**2 * p + r) if p + r > 0 else 0.0


def _strings(text: str, n: int) -> Counter[str]:
    return Counter(text[i : i + n] for i in range(len(text) - n + 1))
