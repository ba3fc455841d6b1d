"""Logic: rules that hold in the training rows, and how often samples break them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np

from genus.data.rules import Rule, mine
from genus.errors import UsageError
from genus.judgement.interval import wilson

MOST_ROWS = 30000


def rules_of(train: Any) -> list[Rule]:
    """The rules mined from (at most 30,000 of) the training rows, each with the cases it knows from them."""
    some = train.iloc[:MOST_ROWS].set_axis([str(name) for name in train.columns], axis=1)
    rules = []
    for rule in mine(some):
        with suppress(UsageError):  # of more cases than a rule may know
            rule.learn(some)
            rules.append(rule)
    return rules


def broken(rules: list[Rule], frame: Any) -> tuple[tuple[float, float, float], dict[str, float]]:
    """((share, low, high) of the rows that break some rule, {rule in words: share that break it}, most broken first)."""
    some = np.zeros(len(frame), bool)
    each = {}
    for rule in rules:
        hit = np.asarray(rule.violations(frame), bool)
        some |= hit
        each[str(rule)] = float(hit.mean())
    return wilson(float(some.sum()), len(some)), dict(sorted(each.items(), key=lambda pair: -pair[1]))
