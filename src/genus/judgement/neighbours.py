"""What nearest neighbours tell: precision, recall, density, coverage; and whether samples are copies of training items."""

from __future__ import annotations

import numpy as np
from scipy.stats import mannwhitneyu, norm

from genus.judgement.interval import share
from genus.judgement.mmd import squared_distances

CHUNK = 1024
NEAR = 50


def nearest(a: np.ndarray, b: np.ndarray, k: int = 1, *, self_free: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(distances, indices), each (n, k) and ascending, of the k items of b nearest to each of a.

    With `self_free` a is b and an item is not its own neighbour. Distances are taken again after the search, so that
    equal items are exactly 0 apart.
    """
    distance, index = [], []
    for start in range(0, len(a), CHUNK):
        part = a[start : start + CHUNK]
        d = squared_distances(part, b)
        if self_free:
            d[np.arange(len(part)), np.arange(start, start + len(part))] = np.inf
        i = np.argpartition(d, min(k, d.shape[1]) - 1, axis=1)[:, :k]
        true = np.sqrt(((part[:, None] - b[i]) ** 2).sum(2))
        order = np.argsort(true, axis=1)
        distance.append(np.take_along_axis(true, order, 1))
        index.append(np.take_along_axis(i, order, 1))
    return np.concatenate(distance), np.concatenate(index)


def likeness(fake: np.ndarray, real: np.ndarray, k: int = 5) -> dict[str, np.ndarray]:
    """Precision, recall, density and coverage, each as one value an item, whose mean is the metric.

    Precision and density: per sample, whether and in how many (over k) real k-neighbour balls it lies. Recall: per real
    item, whether it lies in a sample's ball. Coverage: per real item, whether a sample lies in its ball.

    Reference: T. Kynkäänniemi et al. 2019, https://arxiv.org/abs/1904.06991; M. F. Naeem et al. 2020,
    https://arxiv.org/abs/2002.09797
    """
    ball = nearest(real, real, k, self_free=True)[0][:, -1]
    fake_ball = nearest(fake, fake, k, self_free=True)[0][:, -1]
    inside, recalled, covered = np.zeros(len(fake)), np.zeros(len(real), bool), np.zeros(len(real), bool)
    for start in range(0, len(fake), CHUNK):
        rows = slice(start, start + CHUNK)
        d = np.sqrt(squared_distances(fake[rows], real))
        inside[rows] = (d < ball).sum(1)
        covered |= (d < ball).any(0)
        recalled |= (d <= fake_ball[rows, None]).any(0)
    return {"precision": inside > 0, "recall": recalled, "density": inside / k, "coverage": covered}


def closeness(fake: np.ndarray, held: np.ndarray, train: np.ndarray, *, seed: int = 0) -> dict[str, tuple[float, float, float]]:
    """How close samples lie to the training items, against how close held-out items lie.

    `ratio`: of the median nearest distances, with a bootstrap interval. `z`: of Mann and Whitney's test on them.
    `near`: share of samples whose nearest distance, over the mean distance to 50 neighbours, is below the first
    percentile of the held-out items'; 0.01 is expected.

    Reference: C. Meehan, K. Chaudhuri and S. Dasgupta 2020, A non-parametric test to detect data-copying,
    https://arxiv.org/abs/2004.05675
    """
    k = min(NEAR, len(train))
    fake, held, train = (a.astype(np.float32) for a in (fake, held, train))
    g, h = (nearest(part, train, k)[0].astype(np.float64) for part in (fake, held))
    rng, floor = np.random.default_rng(seed), 1e-12
    ratio = float(np.median(g[:, 0]) / max(np.median(h[:, 0]), floor))
    again = [np.median(rng.choice(g[:, 0], len(g))) / max(np.median(rng.choice(h[:, 0], len(h))), floor) for _ in range(100)]
    test = mannwhitneyu(g[:, 0], h[:, 0], alternative="two-sided", method="asymptotic")
    middle = len(g) * len(h) / 2
    z = float(np.sign(test.statistic - middle) * norm.isf(max(test.pvalue, 1e-300) / 2))
    relative_g, relative_h = (d[:, 0] / np.maximum(d.mean(1), floor) for d in (g, h))
    near = share(relative_g < np.quantile(relative_h, 0.01, method="lower"))
    return {"ratio": (ratio, *np.quantile(again, [0.025, 0.975]).tolist()), "z": (z, z - 1.96, z + 1.96), "near": near}
