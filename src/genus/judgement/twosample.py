"""The two-sample classifier: if nothing learns to tell samples from real items, the samples are good."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy.stats import norm, rankdata
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, StandardScaler
from torch import Tensor

FOLDS = 5

Detector = Callable[[Any, np.ndarray, Any], np.ndarray]
"""(training items, labels, test items) -> how fake each test item looks."""


Fold = tuple[float, float, float, np.ndarray]


@dataclass
class Verdict:
    """What one detector found: area under ROC and accuracy on held-out folds, each (value, low, high); z of the AUC.

    Parameters
    ----------
    folds: (area, its variance, its variance under one law, right answers) of each fold.
    """

    detector: str
    auc: tuple[float, float, float]
    accuracy: tuple[float, float, float]
    z: float
    folds: list[Fold] = field(default_factory=list)


def trees(categorical: np.ndarray | None = None, *, seed: int = 0, rounds: int = 60) -> Detector:
    """Gradient-boosted trees, which see unordered categories, gaps and spikes."""

    def detect(x: np.ndarray, label: np.ndarray, held: np.ndarray) -> np.ndarray:
        return boosted(categorical, seed, rounds).fit(x, label).predict_proba(held)[:, 1]

    return detect


def boosted(categorical: np.ndarray | None, seed: int, rounds: int) -> HistGradientBoostingClassifier:
    """Gradient-boosted trees of 15 leaves that take categories as sets."""
    options: dict[str, Any] = {"categorical_features": categorical, "early_stopping": False, "random_state": seed}
    return HistGradientBoostingClassifier(max_iter=rounds, max_leaf_nodes=15, **options)


def linear(*, sparse: bool = False) -> Detector:
    """Logistic regression, which sees shifted means."""

    def detect(x: Any, label: np.ndarray, held: Any) -> np.ndarray:
        scale = MaxAbsScaler() if sparse else StandardScaler()
        return make_pipeline(scale, LogisticRegression(C=0.1, max_iter=300)).fit(x, label).decision_function(held)

    return detect


def area(fake: np.ndarray, real: np.ndarray) -> tuple[float, float]:
    """(area under ROC, its variance after DeLong) of scores of fake and real items; the share of pairs in the right order.

    Reference: E. R. DeLong et al. 1988, https://doi.org/10.2307/2531595
    """
    n, m = len(fake), len(real)
    ranks = rankdata(np.concatenate([fake, real]))
    over = (ranks[:n] - rankdata(fake)) / m
    under = 1 - (ranks[n:] - rankdata(real)) / n
    value = float(over.mean())
    variance = float(over.var(ddof=1) / n + under.var(ddof=1) / m) if min(n, m) > 1 else math.nan
    return value, max(variance, 1 / (12 * n * m))


def detect(name: str, detector: Detector, fake: Any, real: Any, *, seed: int = 0, folds: int = FOLDS) -> Verdict:
    """One detector in `folds` folds; the interval allows for the training items that folds share."""
    n, m = fake.shape[0], real.shape[0]
    items = _stack(fake, real)
    label = np.arange(n + m) < n
    found: list[Fold] = []
    for train, test in StratifiedKFold(folds, shuffle=True, random_state=seed).split(np.zeros(n + m), label):
        score = detector(items[train], label[train].astype(int), items[test])
        fakes, reals = score[label[test]], score[~label[test]]
        found.append((*area(fakes, reals), _null(len(fakes), len(reals)), (score > np.median(score)) == label[test]))
    return _verdict(name, found)


def _verdict(name: str, found: list[Fold]) -> Verdict:
    """Means over folds, with intervals that allow for what the folds share."""
    areas, variances, nulls, right = zip(*found, strict=True)
    value, hit = float(np.mean(areas)), np.concatenate(right)
    sd, null = (math.sqrt(float(np.mean(v)) * _shared(len(found))) for v in (variances, nulls))
    wide = 1.96 * math.sqrt(max(hit.mean() * (1 - hit.mean()), 1e-9) / len(hit))
    return Verdict(
        name,
        (value, max(0.0, value - 1.96 * sd), min(1.0, value + 1.96 * sd)),
        (float(hit.mean()), float(hit.mean() - wide), float(hit.mean() + wide)),
        (value - 0.5) / null,
        found,
    )


def chosen(verdicts: list[Verdict]) -> Verdict:
    """What the best detector finds, without the luck of having been picked for it: each fold asks the detector that was
    best on the other folds. Its name lists whom the folds asked, the most frequent first."""
    areas = np.array([[fold[0] for fold in v.folds] for v in verdicts])
    pick = (areas.sum(1, keepdims=True) - areas).argmax(0)
    names = Counter(verdicts[k].detector for k in pick)
    return _verdict(", ".join(name for name, _ in names.most_common()), [verdicts[k].folds[i] for i, k in enumerate(pick)])


def _shared(folds: int) -> float:
    """Variance of a mean over folds against that of one fold: 1/k + 1/(k−1), because the folds share training items.

    Reference: C. Nadeau and Y. Bengio 2003, Inference for the generalization error, https://doi.org/10.1023/A:1024068626366
    """
    return 1 / folds + 1 / (folds - 1)


def _null(n: int, m: int) -> float:
    """Variance of the area when both come from one law."""
    return (n + m + 1) / (12 * n * m)


def _stack(a: Any, b: Any) -> Any:
    if isinstance(a, np.ndarray):
        return np.concatenate([a, b])
    if isinstance(a, Tensor):
        return torch.cat([a, b])
    from scipy.sparse import vstack

    return vstack([a, b]).tocsr()


def p_value(verdict: Verdict) -> float:
    """Of "both from one law", one-sided."""
    return float(norm.sf(verdict.z))


def giveaways(
    fake: np.ndarray, real: np.ndarray, names: list[str], categorical: np.ndarray | None, *, seed: int = 0
) -> list[list[Any]]:
    """[[column, AUC lost]] when the trees no longer see that column: what gave the samples away, worst first."""
    rng = np.random.default_rng(seed)
    x, label = np.concatenate([fake, real]), np.arange(len(fake) + len(real)) < len(fake)
    order = rng.permutation(len(x))
    train, test = order[: len(x) // 2], order[len(x) // 2 :]
    model = boosted(categorical, seed, 60).fit(x[train], label[train])
    held, truth = x[test], label[test]

    def auc(cells: np.ndarray) -> float:
        score = model.predict_proba(cells)[:, 1]
        return area(score[truth], score[~truth])[0]

    whole, lost = auc(held), []
    for i, name in enumerate(names):
        shuffled = held.copy()
        shuffled[:, i] = rng.permutation(shuffled[:, i])
        lost.append([str(name), whole - auc(shuffled)])
    return sorted(lost, key=lambda pair: -pair[1])
