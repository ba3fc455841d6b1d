"""Membership: who was in the training set, guessed from a release of synthetic items or from a model's likelihoods."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from genus.judgement.interval import Interval, share

CHUNK = 256  # targets at a time: a block of distances of 30 MB to 30,000 items
GROUP = 16  # items whose nearest is found before the nearest few are
NEIGHBOURS = 2  # the second tells a crowded place from one copied item
FALSE = 0.01  # false alarms at which the true ones are counted


def auc(members: np.ndarray, outsiders: np.ndarray) -> Interval:
    """(AUC, low, high): how often a member's suspicion exceeds an outsider's, ties by half, with DeLong's interval.

    Reference: E. DeLong, D. DeLong and D. Clarke-Pearson 1988, https://doi.org/10.2307/2531595

    >>> auc(np.array([3.0, 2.0]), np.array([1.0, 2.0]))[0]
    0.875
    """
    m, n = len(members), len(outsiders)
    both = rankdata(np.concatenate([members, outsiders]))
    above = (both[:m] - rankdata(members)) / n  # of each member: the share of outsiders below it
    below = 1 - (both[m:] - rankdata(outsiders)) / m
    value = float(above.mean())
    wide = 1.96 * float(np.sqrt(above.var(ddof=1) / m + below.var(ddof=1) / n)) if min(m, n) > 1 else 0.5
    wide = max(wide, 1 / min(m, n)) if value in (0.0, 1.0) else wide
    return value, max(0.0, value - wide), min(1.0, value + wide)


def true_rate(members: np.ndarray, outsiders: np.ndarray, false: float = FALSE) -> Interval:
    """(rate, low, high) of members caught at a threshold that accuses at most a share `false` of the outsiders.

    Reference: N. Carlini et al. 2022, Membership inference attacks from first principles, https://arxiv.org/abs/2112.03570
    """
    ordered = np.sort(outsiders)[::-1]
    threshold = ordered[int(false * len(ordered))]
    return share(members > threshold)


def reach(targets: np.ndarray, release: np.ndarray, k: int = NEIGHBOURS) -> np.ndarray:
    """Distances (n, k), ascending, from each target to the nearest items of the release; equal items are exactly 0 apart."""
    k = min(k, len(release))
    a, b = targets.astype(np.float32), release.astype(np.float32)
    index = np.concatenate([_near(a[i : i + CHUNK], _against(b), k) for i in range(0, len(a), CHUNK)])
    out = np.empty((len(a), k))
    for i in range(0, len(a), CHUNK):
        rows = slice(i, i + CHUNK)
        out[rows] = np.sqrt(((targets[rows, None] - release[index[rows]]) ** 2).sum(2))
    return np.sort(out, 1)


def nearest_item(targets: np.ndarray, release: np.ndarray) -> np.ndarray:
    """(n,) which item of the release is nearest to each target."""
    a, b = targets.astype(np.float32), _against(release.astype(np.float32))
    return np.concatenate([_near(a[i : i + CHUNK], b, 1) for i in range(0, len(a), CHUNK)])[:, 0]


def _against(b: np.ndarray) -> np.ndarray:
    """b so that [a, 1] against it is ½|b|² − a·b: half the squared distance, but for what depends on a alone."""
    return np.concatenate([-b, 0.5 * (b * b).sum(1, keepdims=True)], 1).T


def _near(a: np.ndarray, b: np.ndarray, k: int) -> np.ndarray:
    """(n, k) indices of the nearest. The k nearest lie in the k groups whose nearest are nearest, so few are sorted."""
    d = np.concatenate([a, np.ones((len(a), 1), a.dtype)], 1) @ b
    if k == 1:
        return d.argmin(1)[:, None]
    n = d.shape[1] // GROUP
    if n <= 4 * k:
        return np.argpartition(d, k - 1, axis=1)[:, :k]
    least = d[:, : n * GROUP].reshape(len(d), GROUP, n).min(1)
    groups = np.argpartition(least, k - 1, axis=1)[:, :k]
    inside = (groups[:, :, None] + n * np.arange(GROUP)).reshape(len(d), -1)
    rest = np.broadcast_to(np.arange(n * GROUP, d.shape[1]), (len(d), d.shape[1] - n * GROUP))
    some = np.concatenate([inside, rest], 1)
    best = np.argpartition(np.take_along_axis(d, some, 1), k - 1, axis=1)[:, :k]
    return np.take_along_axis(some, best, 1)


def by_distance(near: np.ndarray) -> np.ndarray:
    """Suspicion of each target: minus the distance to its nearest neighbour in the release.

    Reference: D. Chen, N. Yu, Y. Zhang and M. Fritz 2020, GAN-Leaks, https://arxiv.org/abs/1909.03935
    """
    return -near[:, 0]


def by_density(near: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Suspicion of each target: log of its density in the release over that among other real items, each 1 / r_kᵈ.

    Parameters
    ----------
    near, usual: (n, k) distances to the release and to the other real items.

    Reference: B. van Breugel, H. Sun, Z. Qian and M. van der Schaar 2023, Membership inference attacks against synthetic
    data through overfitting detection (DOMIAS), https://arxiv.org/abs/2302.12580
    """
    floor = 1e-3 * max(float(np.median(usual[:, -1])), 1e-9)
    return np.log(usual[:, -1] + floor) - np.log(near[:, -1] + floor)
