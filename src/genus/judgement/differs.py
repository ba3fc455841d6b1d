"""Differs: in what a column of samples is unlike the real one, in words: its values, its gaps, its spikes, its spread."""

from __future__ import annotations

from typing import Any

import numpy as np

from genus.judgement.columns import is_number, numeric

LEAST = 0.005  # of the cells, below which nothing is worth a word


def difference(real: Any, fake: Any) -> str:
    """The plainest difference of two columns of equal kind in one clause; empty where there is none worth a word.

    Every candidate is a share of cells, and the largest is told.

    >>> import pandas as pd
    >>> difference(pd.Series([0, 0, 0, 5] * 9), pd.Series([0, 1, 2, 5] * 9))
    'real has 2 distinct values, the samples 4: 50 % of theirs never occur'
    """
    ordered = is_number(real) and is_number(fake)
    gaps = real.isna().to_numpy(), fake.isna().to_numpy()
    found = [_missing(*gaps)]
    if gaps[0].all() or gaps[1].all():
        return found[0][1]
    if ordered:
        u, v = numeric(real)[~gaps[0]], numeric(fake)[~gaps[1]]
        found += [_unseen(u, v), _whole(u, v), _spike(u, v), _shift(u, v)]
    else:
        u, v = real[~gaps[0]].astype(str).to_numpy(object), fake[~gaps[1]].astype(str).to_numpy(object)
        found += [_unseen(u, v), _spike(u, v)]
    size, says = max(found, key=lambda pair: pair[0])
    return says if size >= LEAST else ""


def _missing(a: np.ndarray, b: np.ndarray) -> tuple[float, str]:
    p, q = float(a.mean()), float(b.mean())
    return abs(p - q), f"{_percent(p)} of the real cells are empty, {_percent(q)} of the samples'"


def _unseen(u: np.ndarray, v: np.ndarray) -> tuple[float, str]:
    """Values that never occur, beyond what halves of the real column show of each other."""
    half = len(u) // 2
    usual = float(np.mean(~_among(u[:half], u[half:]))) if half else 1.0
    new = float(np.mean(~_among(v, u)))
    a, b = len(set(u.tolist())), len(set(v.tolist()))
    return new - usual, f"real has {a:,} distinct values, the samples {b:,}: {_percent(new)} of theirs never occur"


def _among(v: np.ndarray, u: np.ndarray) -> np.ndarray:
    """(n,) which of v are values of u."""
    known = set(u.tolist())
    return np.array([x in known for x in v.tolist()], bool)


def _whole(u: np.ndarray, v: np.ndarray) -> tuple[float, str]:
    p, q = (float(np.mean(a == np.rint(a))) for a in (u, v))
    return 1.01 * abs(p - q), f"{_percent(p)} of the real values are whole numbers, {_percent(q)} of the samples'"


def _spike(u: np.ndarray, v: np.ndarray) -> tuple[float, str]:
    """The value whose share differs most."""
    names, codes = np.unique(np.concatenate([u, v]), return_inverse=True)
    p = np.bincount(codes[: len(u)], minlength=len(names)) / len(u)
    q = np.bincount(codes[len(u) :], minlength=len(names)) / len(v)
    worst = int(np.abs(p - q).argmax())
    value = names[worst] if isinstance(names[worst], str) else f"{float(names[worst]):.6g}"
    return float(abs(p - q)[worst]), f"{value} is {_percent(p[worst])} of the real cells, {_percent(q[worst])} of the samples'"


def _shift(u: np.ndarray, v: np.ndarray) -> tuple[float, str]:
    """The place where the distribution functions are farthest apart."""
    places = np.unique(np.concatenate([u, v]))
    p, q = (np.searchsorted(np.sort(a), places, "right") / len(a) for a in (u, v))
    worst = int(np.abs(p - q).argmax())
    says = f"{_percent(p[worst])} of the real values are at most {places[worst]:.6g}, {_percent(q[worst])} of the samples'"
    return float(abs(p - q)[worst]) * 0.99, says


def _percent(share: float) -> str:
    digits = 1 if 0 < share < 0.1 or 0.9 < share < 1 else 0
    return f"{100 * share:.{digits}f} %"
