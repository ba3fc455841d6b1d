"""Schedules: the learning rate's factor at each step, a pure function of the step."""

from __future__ import annotations

import math

WARMUP_SHARE = 10  # warm-up lasts at most one tenth of a run
FLOOR = 0.01


def factor(name: str, step: int, total: int | None, warmup: int) -> float:
    """The factor of the peak learning rate at `step` (from 0) of `total`.

    Linear warm-up, (step + 1) / warmup, then with p the share of the rest that is done: `constant` 1;
    `cosine` ½ (1 + cos πp); `exponential` 0.01^p; `step` 1, 0.1 from p = ½, 0.01 from p = ¾. While the total
    is not known yet (a budget in minutes before its calibration) only the warm-up acts.

    Reference: I. Loshchilov and F. Hutter 2017, SGDR, https://arxiv.org/abs/1608.03983

    >>> factor("cosine", 50, 100, 0)
    0.5
    """
    if total is not None:
        warmup = min(warmup, total // WARMUP_SHARE)
    if step < warmup:
        return (step + 1) / warmup
    if total is None or name == "constant":
        return 1.0
    p = min(1.0, (step - warmup) / max(1, total - warmup))
    if name == "cosine":
        return 0.5 * (1 + math.cos(math.pi * p))
    if name == "exponential":
        return FLOOR**p
    return 1.0 if p < 0.5 else 0.1 if p < 0.75 else 0.01
