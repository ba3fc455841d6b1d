"""The Fréchet distance of two Gaussians fitted to samples, in double precision, without a matrix square root."""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, cholesky, eigvalsh, svdvals

RESAMPLES = 20


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """|μₐ − μ_b|² + tr Sₐ + tr S_b − 2 tr (Sₐ S_b)^½ of samples a (n, d) and b (m, d).

    With n and m above d the last trace is the sum of the roots of the eigenvalues of Lᵀ S_b L, where Sₐ = L Lᵀ.
    Otherwise it is the sum of the singular values of XₐX_bᵀ / √((n−1)(m−1)), Xₐ and X_b centred: exact where
    a matrix square root of a singular product is not.

    Reference: D. C. Dowson and B. V. Landau 1982, https://doi.org/10.1016/0047-259X(82)90077-X
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    x, y = a - a.mean(0), b - b.mean(0)
    shift = float(np.sum((a.mean(0) - b.mean(0)) ** 2))
    spread = float((x * x).sum() / (len(a) - 1) + (y * y).sum() / (len(b) - 1))
    return shift + spread - 2 * _overlap(x, y)


def _overlap(x: np.ndarray, y: np.ndarray) -> float:
    n, m, d = len(x), len(y), x.shape[1]
    if min(n, m) > d:
        try:
            low = cholesky(x.T @ x / (n - 1), lower=True)
            values = eigvalsh(low.T @ (y.T @ y / (m - 1)) @ low)
            return float(np.sqrt(np.clip(values, 0, None)).sum())
        except LinAlgError:
            x, y = np.asarray(np.linalg.qr(x, mode="r")), np.asarray(np.linalg.qr(y, mode="r"))
    return float(np.sum(np.asarray(svdvals(x @ y.T))) / np.sqrt((n - 1) * (m - 1)))


def frechet(a: np.ndarray, b: np.ndarray, *, seed: int = 0) -> tuple[float, float, float, tuple[str, ...]]:
    """(distance, low, high, flags): the interval is the value ± 1.96 bootstrap standard deviations."""
    value, rng = frechet_distance(a, b), np.random.default_rng(seed)
    again = [
        frechet_distance(a[rng.integers(len(a), size=len(a))], b[rng.integers(len(b), size=len(b))]) for _ in range(RESAMPLES)
    ]
    wide = 1.96 * float(np.std(again, ddof=1))
    few = min(len(a), len(b)) < 2 * a.shape[1]
    flags = (f"only {min(len(a), len(b))} items for {a.shape[1]} features: biased upward",) if few else ()
    return value, max(0.0, value - wide), value + wide, flags
