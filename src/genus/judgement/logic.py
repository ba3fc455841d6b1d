"""Logic: rules that hold in the training rows, and how often samples break them."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from genus.judgement.membership import wilson

MOST_ROWS = 30000


def rules_of(train: Any) -> list[Any]:
    """The rules mined from (at most 30,000 of) the training rows; none where this installation mines no rules."""
    mine = getattr(import_module("genus.data.rules"), "mine", None) if find_spec("genus.data.rules") else None
    return [] if mine is None else mine(train.iloc[:MOST_ROWS])


def broken(rules: list[Any], frame: Any) -> tuple[tuple[float, float, float], dict[str, float]]:
    """((share, low, high) of the rows that break some rule, {rule in words: share that break it}, most broken first)."""
    some = np.zeros(len(frame), bool)
    each = {}
    for rule in rules:
        hit = np.asarray(rule.violations(frame), bool)
        some |= hit
        each[str(rule)] = float(hit.mean())
    return wilson(float(some.sum()), len(some)), dict(sorted(each.items(), key=lambda pair: -pair[1]))
