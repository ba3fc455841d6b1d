"""Agreement of texts: lengths and short strings; and texts as numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from scipy.stats import ks_2samp
from sklearn.feature_extraction.text import HashingVectorizer

RESAMPLES = 20


def windows(text: str, length: int) -> list[str]:
    """A running text cut into pieces of one length, the rest left off."""
    return [text[i : i + length] for i in range(0, len(text) - length + 1, length)]


def hashed(texts: list[str], most: int = 3) -> Any:
    """Counts of strings of 1 to `most` characters, hashed into 16384 places and of unit length, a sparse (n, 16384)."""
    return HashingVectorizer(
        analyzer="char", ngram_range=(1, most), n_features=2**14, alternate_sign=False, lowercase=False
    ).transform(texts)


def shapes(texts: list[str]) -> np.ndarray:
    """(n, 4) length, words, capitals and digits of each text."""
    return np.array([[len(t), len(t.split()), sum(c.isupper() for c in t), sum(c.isdigit() for c in t)] for t in texts], float)


def lengths(real: list[str], fake: list[str], *, seed: int = 0) -> tuple[float, float, float]:
    """(1 − KS distance of the lengths, low, high)."""
    a, b = np.array([len(t) for t in real]), np.array([len(t) for t in fake])
    rng = np.random.default_rng(seed)
    value = 1 - _ks(a, b)
    again = [1 - _ks(rng.choice(a, len(a)), rng.choice(b, len(b))) for _ in range(RESAMPLES)]
    wide = 1.96 * float(np.std(again, ddof=1))
    return value, value - wide, min(1.0, value + wide)


def _ks(a: np.ndarray, b: np.ndarray) -> float:
    found: Any = ks_2samp(a, b)
    return float(found.statistic)


def ngrams(
    real: list[str], fake: list[str], size: int = 3, *, seed: int = 0
) -> tuple[tuple[float, float, float], dict[str, list]]:
    """((1 − TVD of the shares of strings of `size` characters, low, high), the commonest in excess and in want)."""
    a, b = [[Counter(t[i : i + size] for i in range(len(t) - size + 1)) for t in texts] for texts in (real, fake)]
    rng = np.random.default_rng(seed)
    p, q = _shares(a), _shares(b)
    folds = [_agree(_shares([a[i] for i in rng.integers(len(a), size=len(a))]),
                    _shares([b[i] for i in rng.integers(len(b), size=len(b))]))
             for _ in range(RESAMPLES)]  # fmt: skip
    value, wide = _agree(p, q), 1.96 * float(np.std(folds, ddof=1))
    gaps = sorted((q.get(s, 0) - p.get(s, 0), s) for s in {*p, *q})
    detail = {"too rare": [[s, g] for g, s in gaps[:8]], "too common": [[s, g] for g, s in gaps[:-9:-1]]}
    return (value, value - wide, min(1.0, value + wide)), detail


def _shares(counts: list[Counter[str]]) -> dict[str, float]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    whole = max(sum(total.values()), 1)
    return {s: c / whole for s, c in total.items()}


def _agree(p: dict[str, float], q: dict[str, float]) -> float:
    return 1 - sum(abs(p.get(s, 0) - q.get(s, 0)) for s in {*p, *q}) / 2
