"""Schedules: the learning rate's factor, a pure function of the share of the run that is done."""

from __future__ import annotations

import math

FLOOR = 0.01


def factor(name: str, p: float) -> float:
    """The factor of the peak learning rate where a share p of the run, after its warm-up, is done.

    `constant` 1; `cosine` ½ (1 + cos πp); `exponential` 0.01^p; `step` 1, 0.1 from p = ½, 0.01 from p = ¾.

    Reference: I. Loshchilov and F. Hutter 2017, SGDR, https://arxiv.org/abs/1608.03983

    >>> factor("cosine", 0.5)
    0.5
    """
    p = min(1.0, max(0.0, p))
    if name == "constant":
        return 1.0
    if name == "cosine":
        return 0.5 * (1 + math.cos(math.pi * p))
    if name == "exponential":
        return FLOOR**p
    return 1.0 if p < 0.5 else 0.1 if p < 0.75 else 0.01
