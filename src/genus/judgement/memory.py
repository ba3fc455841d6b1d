"""Memory: how much better a model knows its training items than new ones, in nats; and what each column costs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from genus.errors import GenusError
from genus.judgement.judge import Judge
from genus.judgement.likelihood import claims, values_of
from genus.judgement.score import Kind, Score, number


def memorised(judge: Judge, model: Any) -> list[Score]:
    """The gap between the mean log-likelihoods of training and of held-out items, with its normal interval; by column where the
    model factors. Nothing where the model gives neither log p nor a bound, or an item is impossible."""
    kinds: list[tuple[Kind, str]] = [(kind, verb) for kind, verb in claims(model) if kind in ("exact", "bound")]
    if judge.train is None or isinstance(judge.X, str) or not kinds:
        return []
    kind, verb = kinds[0]
    told = getattr(model, "condition_", None) is not None
    sets = [(judge.likely(X), judge.likely(y) if told else None) for X, y in ((judge.train, judge.y_train), (judge.X, judge.y))]
    try:
        train, test = (values_of(model, verb, X, y, judge.seed)[0] for X, y in sets)
    except GenusError:
        return []
    if not (np.isfinite(train).all() and np.isfinite(test).all()) or min(len(train), len(test)) < 2:
        return []
    value = float(train.mean() - test.mean())
    wide = 1.96 * math.sqrt(float(train.var(ddof=1)) / len(train) + float(test.var(ddof=1)) / len(test))
    note = f"{number(train.mean(), 2)} on training items, {number(test.mean(), 2)} on held-out ones"
    return [
        Score("gap", value, value - wide, value + wide, kind=kind, n=len(train), n_reference=len(test),
              reference="train and test", space=f"{judge.kind} in its own units", seed=judge.seed, note=note,
              detail=_columns(model, sets) if judge.kind == "table" else {})
    ]  # fmt: skip


def _columns(model: Any, sets: list[Any]) -> dict[str, list[float]]:
    """{column: [mean nats of a held-out cell, gap]} where the model has log_prob_by, the largest gap first."""
    if not hasattr(model, "log_prob_by"):
        return {}
    try:
        train, test = (np.asarray(model.log_prob_by(X, y), float) for X, y in sets)
        names = list(model.log_prob_by(sets[1][0][:2], None if sets[1][1] is None else sets[1][1][:2]).columns)
    except GenusError:
        return {}
    held, gap = test.mean(0), train.mean(0) - test.mean(0)
    each = {str(n): [float(h), float(g)] for n, h, g in zip(names, held, gap, strict=True)}
    return dict(sorted(each.items(), key=lambda pair: -pair[1][1]))
