"""Controls: what a score is read beside in a table: a verbatim copy of training rows, and the same cells in no order."""

from __future__ import annotations

from typing import Any

import numpy as np

from genus import dice
from genus.data.split import rows
from genus.judgement.judge import Judge


def control(judge: Judge, name: str) -> Any:
    """Samples of the control `name`, or None where it is none of a table: "resample" draws training rows with replacement,
    "marginals" draws every cell by itself from its training column. Neither passes a codec, so that neither loses a digit.
    """
    train = judge.real_train
    if judge.kind != "table" or train is None or name not in ("resample", "marginals"):
        return None
    rng = np.random.default_rng(dice.derive(judge.seed, "control", name))
    if name == "resample":
        return rows(train, rng.integers(len(train), size=judge.draws)).reset_index(drop=True)
    drawn = {c: train[c].take(rng.integers(len(train), size=judge.draws)).reset_index(drop=True) for c in train.columns}
    return type(train)(drawn)
