"""Agreement of tables: column by column, pair by pair, and as training data for a prediction."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import r2_score, roc_auc_score

from genus.judgement.columns import Columns, is_number, words

RESAMPLES = 20
MOST = {2: 200, 3: 100}  # pairs, triples


def marginals(real: Any, fake: Any, columns: Columns, *, seed: int = 0) -> tuple[tuple[float, float, float], dict]:
    """((mean agreement, low, high), {column: agreement}): 1 − KS for numbers, 1 − TVD for categories, missing cells counted."""
    a, b = columns.matrix(real), columns.matrix(fake)
    codes = [_ranked(a[:, i], b[:, i]) for i in range(a.shape[1])]
    ordered = ~columns.categorical
    each = [_agree(x, y, bool(o)) for (x, y), o in zip(codes, ordered, strict=True)]
    rng = np.random.default_rng(seed)
    again = []
    for _ in range(RESAMPLES):
        i, j = rng.integers(len(a), size=len(a)), rng.integers(len(b), size=len(b))
        again.append(np.mean([_agree(x[i], y[j], bool(o)) for (x, y), o in zip(codes, ordered, strict=True)]))
    return _around(float(np.mean(each)), again), {str(n): v for n, v in zip(columns.names, each, strict=True)}


def _ranked(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both columns as codes of their joint sorted values; NaN is the last."""
    code = np.unique(np.concatenate([a, b]), return_inverse=True)[1]
    return code[: len(a)], code[len(a) :]


def _agree(a: np.ndarray, b: np.ndarray, ordered: bool) -> float:
    top = int(max(a.max(), b.max())) + 1
    gap = np.bincount(a, minlength=top) / len(a) - np.bincount(b, minlength=top) / len(b)
    return 1 - float(np.abs(np.cumsum(gap)).max() if ordered else np.abs(gap).sum() / 2)


def _around(value: float, again: list[Any]) -> tuple[float, float, float]:
    wide = 1.96 * float(np.std(again, ddof=1))
    return value, value - wide, min(1.0, value + wide)


def joint(
    real: Any, fake: Any, columns: Columns, *, ways: int = 2, seed: int = 0
) -> tuple[tuple[float, float, float], dict[str, float]]:
    """((mean agreement, low, high), {"a × b": agreement}) over pairs (or triples) of columns: 1 − TVD of their tables of bins.

    All of them, or so many drawn by seed: 200 pairs, 100 triples.
    """
    a, b = columns.bins(real), columns.bins(fake)
    width = np.maximum(a.max(0), b.max(0)) + 1
    rng = np.random.default_rng(seed)
    which = list(combinations(range(a.shape[1]), ways))
    if len(which) > MOST[ways]:
        which = [which[i] for i in sorted(rng.choice(len(which), MOST[ways], replace=False))]
    codes = [_ranked(_coded(a, w, width), _coded(b, w, width)) for w in which]
    each = [_agree(x, y, False) for x, y in codes]
    again = []
    for _ in range(RESAMPLES):
        i, j = rng.integers(len(a), size=len(a)), rng.integers(len(b), size=len(b))
        again.append(np.mean([_agree(x[i], y[j], False) for x, y in codes]))
    names = [" × ".join(str(columns.names[i]) for i in w) for w in which]
    return _around(float(np.mean(each)), again), dict(zip(names, each, strict=True))


def _coded(cells: np.ndarray, which: tuple[int, ...], width: np.ndarray) -> np.ndarray:
    """(n,) one code for the cells of the columns `which`."""
    code = np.zeros(len(cells), np.int64)
    for i in which:
        code = code * width[i] + cells[:, i]
    return code


def is_class(column: Any) -> bool:
    """True where predicting the column is a classification: categories, or at most ten distinct integers."""
    whole = pd.api.types.is_integer_dtype(column) and column.nunique() <= 10
    return whole or not is_number(column)


def utility(train: Any, test: Any, target: Any, *, seed: int = 0) -> tuple[tuple[float, float, float], str]:
    """((score, low, high), what it is): gradient boosting trained on `train` predicts `target` on `test`.

    Classes: area under ROC, one against the rest when there are more than two. Numbers: R². The interval is a
    bootstrap over test rows. A model that never saw two classes scores as guessing.
    """
    columns = Columns.of(test.drop(columns=[target]))
    X, V = columns.matrix(train), columns.matrix(test)
    common: dict[str, Any] = {
        "categorical_features": columns.categorical,
        "max_iter": 100,
        "early_stopping": False,
        "random_state": seed,
    }
    rng = np.random.default_rng(seed)
    draws = [rng.integers(len(test), size=len(test)) for _ in range(100)]
    if not is_class(test[target]):
        known, held = train[target].notna().to_numpy(), test[target].notna().to_numpy()
        truth = test[target].to_numpy(dtype=float)
        guess = HistGradientBoostingRegressor(**common).fit(X[known], train[target][known].to_numpy(dtype=float)).predict(V)
        again = [r2_score(truth[i][held[i]], guess[i][held[i]]) for i in draws]
        return _interval(float(r2_score(truth[held], guess[held])), again), "R²"
    truth, seen = (words(part[target]).to_numpy(object) for part in (test, train))
    if len(set(seen)) < 2:
        return (0.5, float("nan"), float("nan")), "AUC"
    model = HistGradientBoostingClassifier(**common).fit(X, seen)
    chance = pd.DataFrame(model.predict_proba(V), columns=model.classes_)
    levels = [level for level in np.unique(truth) if 0 < (truth == level).sum() < len(truth)]
    levels = levels[-1:] if len(levels) == 2 else levels
    guess = np.stack([chance[level] if level in chance else np.zeros(len(V)) for level in levels], 1)
    hit = np.stack([truth == level for level in levels], 1)
    again = [_roc(hit[i], guess[i]) for i in draws]
    return _interval(_roc(hit, guess), again), "AUC"


def _roc(hit: np.ndarray, guess: np.ndarray) -> float:
    values = [roc_auc_score(h, g) for h, g in zip(hit.T, guess.T, strict=True) if h.any() and not h.all()]
    return float(np.mean(values)) if values else float("nan")


def _interval(value: float, again: list[Any]) -> tuple[float, float, float]:
    low, high = np.nanquantile(again, [0.025, 0.975]).tolist()
    return value, low, high
