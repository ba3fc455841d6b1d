"""Tabular: what only tables are asked: their columns, pairs and triples, their rules, their use, and what they repeat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from genus.data.split import rows
from genus.judgement import logic, sameness, tables, twosample
from genus.judgement.columns import frame_of
from genus.judgement.score import Score
from genus.judgement.use import explained

if TYPE_CHECKING:
    from genus.judgement.judge import Judge

WORST = 10
NEAR = 2000


def scores(judge: Judge, fake: Any, learn: Any, samples: Any, own: bool) -> list[Score]:
    """The scores of rows beside those that every kind of data has.

    Parameters
    ----------
    fake: as many samples as there are test rows. learn: rows that predictions are learnt from. samples: all of them.
    own: where they are training rows, which are not compared with training rows.
    """
    fake, learn = frame_of(fake), frame_of(learn)
    found = _shapes(judge, fake)
    if judge.kind != "table":
        return [*found, *_use(judge, fake)]
    found += _rules(judge, samples) + _use(judge, learn) + _repeats(judge, fake)
    return found if own else found + _against_train(judge, fake)


def _shapes(judge: Judge, fake: Any) -> list[Score]:
    """One, two and three columns at a time."""
    columns, frame = judge.columns, judge.frame
    assert columns is not None
    value, each = tables.marginals(frame, fake, columns, seed=judge.seed)
    found = [judge.score("marginals", value, "columns", len(fake), detail=each)]
    for ways, metric in ((2, "pairs"), (3, "triples")):
        if len(columns.names) >= ways and (ways == 2 or judge.kind == "table"):
            value, each = tables.joint(frame, fake, columns, ways=ways, seed=judge.seed)
            worst = dict(sorted(each.items(), key=lambda kv: kv[1])[:WORST])
            found.append(judge.score(metric, value, "columns", len(fake), detail=worst))
    return found


def _rules(judge: Judge, samples: Any) -> list[Score]:
    """How often the rules of the training rows are broken, mined when first asked."""
    if judge.train is None:
        return []
    if judge.rules is None:
        judge.rules = logic.rules_of(judge.real_train)
    if not judge.rules:
        return []
    value, each = logic.broken(judge.rules, samples)
    some = {k: v for k, v in list(each.items())[:WORST] if v > 0}
    return [judge.score("rules", value, "rows", len(samples), note=f"of {len(judge.rules)} rules mined", detail=some)]


def _use(judge: Judge, learn: Any) -> list[Score]:
    """What is learnt from the rows about the target, and about every column."""
    found = []
    columns, frame = judge.columns, judge.frame
    if judge.target is None or columns is None:
        return []
    value, what = tables.utility(learn, frame, judge.target, seed=judge.seed)
    note = f"{what} of predicting {judge.target}"
    found.append(judge.score("utility", value, note, len(learn), note=note))
    if not judge.quick:
        value, each = explained(learn, frame, columns, seed=judge.seed)
        found.append(judge.score("global_utility", value, "columns", len(learn), detail=each))
    return found


def _repeats(judge: Judge, fake: Any) -> list[Score]:
    """Rows that occur twice, and rare levels that never do."""
    found = [judge.score("duplicates", sameness.repeated(fake), "rows", len(fake))]
    if judge.real_train is not None and judge.columns is not None:
        value, lost = sameness.rare(judge.real_train, fake, judge.columns)
        if not np.isnan(value[0]):
            found.append(judge.score("rare", value, "levels", len(fake), detail={"never drawn": lost[:WORST]}))
    return found


def _against_train(judge: Judge, fake: Any) -> list[Score]:
    """The two-sample test and the nearest distances against training rows."""
    columns, train = judge.columns, judge.real_train
    if train is None or columns is None or len(train) < 10:
        return []
    rng = np.random.default_rng(judge.seed)
    some = rows(train, rng.permutation(len(train))[: len(fake)])
    cells = columns.matrix(fake), columns.matrix(some)
    verdict = twosample.detect("trees", twosample.trees(columns.categorical, seed=judge.seed), *cells, seed=judge.seed)
    near, held = judge.near(rows(fake, np.arange(min(len(fake), NEAR)))), judge.near(judge.test)
    share = sameness.nearer(near, judge.near(some), held, seed=judge.seed)
    return [
        judge.score("auc_train", verdict.auc, "items", len(fake), n_reference=len(some), note="by trees, against training rows"),
        judge.score("dcr", share, str(judge.near), len(near)),
    ]
