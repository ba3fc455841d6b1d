"""Modes: how many of the known ones samples reach, and how many samples lie on one."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import entropy

from genus.judgement.interval import share
from genus.judgement.neighbours import nearest


def spread(centres: np.ndarray, real: np.ndarray) -> float:
    """The standard deviation of a mode, from real items about their nearest centre: a median, so that strays do not matter."""
    d = nearest(real, centres)[0][:, 0]
    return float(np.median(d)) / np.sqrt(2 * np.log(2)) if real.shape[1] == 2 else float(np.sqrt((d**2).mean() / real.shape[1]))


def mode_scores(fake: np.ndarray, real: np.ndarray, modes: Any) -> dict[str, tuple[float, float, float]]:
    """`modes` found, share of `good` samples (within 3 standard deviations of a mode), `kl` of the shares of the modes.

    `modes` is (k, d), or a pair of centres and their common standard deviation.

    Reference: Z. Lin et al. 2018, PacGAN, https://arxiv.org/abs/1712.04086
    """
    centres, sd = modes if isinstance(modes, tuple) else (modes, None)
    centres = np.asarray(centres, np.float64)
    sd = float(sd) if sd is not None else spread(centres, real)
    d, which = nearest(fake, centres)
    good = d[:, 0] < 3 * sd
    found = np.bincount(which[good, 0], minlength=len(centres))
    truth = np.bincount(nearest(real, centres)[1][:, 0], minlength=len(centres)) + 0.5
    kl = float(entropy(found / max(found.sum(), 1), truth / truth.sum())) if found.any() else float("inf")
    count = float((found > 0).sum())
    return {"modes": (count, count, count), "good": share(good), "kl": (kl, float("nan"), float("nan"))}
