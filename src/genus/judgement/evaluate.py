"""Evaluate: one fitted model against held-out items, beside real data and trivial baselines."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np

from genus import dice
from genus.capability import Graphical
from genus.catalogue import family, short_name
from genus.data.split import rows
from genus.errors import GenusError, UsageError
from genus.judgement.answers import answers
from genus.judgement.attacks import attacks
from genus.judgement.controls import control
from genus.judgement.cost import peak, size_of
from genus.judgement.judge import Judge
from genus.judgement.likelihood import likelihood_or_reason
from genus.judgement.memory import memorised
from genus.judgement.report import Report, versions
from genus.judgement.row import Row
from genus.judgement.sameness import overlap
from genus.train.interrupt import Interrupted

SHOWN = 64
BASELINES = ("resample", "marginals", "gaussian")
CONTROLS = BASELINES[:2]  # of tables


def evaluate(
    model: Any,
    X: Any,
    y: Any = None,
    *,
    train: Any = None,
    validation: Any = None,
    target: Any = None,
    modes: Any = None,
    n: int | None = None,
    seed: int = 0,
    quick: bool = False,
    name: str = "label",
) -> Report:
    """Judge a fitted model by its samples and its likelihoods.

    Parameters
    ----------
    model: fitted. X, y: held-out test items, never seen in fitting or choosing, and their labels or condition.
    train: what the model was fitted on, X or (X, y); without it copying and baselines cannot be judged.
    validation: other held-out items, X or (X, y), for the real-against-real floor; training items stand in otherwise.
    target: the column whose prediction tests the samples' use, the last one when None. modes: known centres (k, d).
    n: how many to sample; as many as test items when None. seed: of everything drawn. quick: at most 1000 items.
    name: of the data, for the feature space's name.

    Raises UsageError for an unfitted model, DataError for a test set of fewer than 10 items.
    """
    if getattr(model, "codec_", None) is None:
        raise UsageError(f"This {type(model).__name__} is not fitted: call fit(X) first.")
    (Z, labels), (V, _) = _pair(train), _pair(validation)
    judge = Judge(X, y, Z, labels, V, target, modes, n, seed, quick, name, getattr(model.codec_, "span_", 256))
    row = judged(judge, model, type(model).__name__, "model", X, y)
    if row.failed:
        raise UsageError(f"{row.name} could not be judged: {row.failed}")
    row.scores += attacks(judge, row.samples, model=model)
    wanted = CONTROLS if judge.kind == "table" else BASELINES
    names = tuple(name for name in wanted if name != short_name(type(model)) or judge.kind == "table")
    others = [*floor_row(judge), *baseline_rows(judge, Z, X, names)]
    real = rows(judge.test, np.arange(min(SHOWN, len(judge.test))))
    return Report(row, others, real, missing_words(judge) + ([row.silent] if row.silent else []), about(judge))


def judged(judge: Judge, model: Any, name: str, role: Any, X: Any, y: Any = None) -> Row:
    """The row of a fitted model: its samples judged, its likelihoods taken; a failure becomes a sentence."""
    row = Row(name, role, fields=model.get_params(deep=False), history=list(getattr(model, "history_", []) or []))
    row.graph = model.graph() if isinstance(model, Graphical) else {}
    begin = time.process_time()
    try:
        row.samples = control(judge, name) if role == "baseline" else None
        if row.samples is None:
            row.samples = model.sample(judge.draws, asked(judge, model, y), seed=dice.derive(judge.seed, "samples"))
        row.seconds["sample"] = time.process_time() - begin
        begin = time.process_time()
        row.scores = judge.judge(row.samples, explain=role == "model")
    except Interrupted:
        raise
    except (GenusError, ArithmeticError, ValueError, RuntimeError, np.linalg.LinAlgError) as error:
        row.failed = " ".join(str(error).split())[:300]
        return row
    found, row.silent = likelihood_or_reason(model, judge.likely(X), judge.likely(y), seed=judge.seed, reference="test")
    row.scores += answers(judge, model, X, y) + found + (memorised(judge, model) if name != "resample" else [])
    row.cost = size_of(model) | {"peak MB": peak()} if role == "model" else {}
    row.seconds["judge"] = time.process_time() - begin
    return row


def asked(judge: Judge, model: Any, y: Any) -> Any:
    """Held-out conditions to draw under, where the model reads them as texts: at those of training a right answer is a copy."""
    if y is None or not getattr(model, "texts_y", ()):
        return None
    rng = np.random.default_rng(dice.derive(judge.seed, "asked"))
    return rows(y, np.resize(rng.permutation(len(y)), judge.draws))


def floor_row(judge: Judge) -> list[Row]:
    """Real items judged as if they were samples: what even a perfect model would score."""
    held = judge.floor_set()
    if held is None:
        return []
    items, which = held
    row = Row(f"real ({which})", "real", samples=items)
    learn = judge.floor_learn()
    row.scores = judge.judge(items, own=which == "train", learn=learn, explain=False)
    if judge.kind == "table" and judge.train is not None:
        value, detail = overlap(judge.train, judge.X)
        row.scores.append(judge.score("overlap", value, "rows", len(judge.X), n_reference=len(judge.train), detail=detail))
    return [row]


def baseline_rows(judge: Judge, train: Any, X: Any, names: tuple[str, ...] = BASELINES) -> list[Row]:
    """The baselines, fitted on the same training items; one that does not accept the data is a failed row."""
    if train is None:
        return []
    out = []
    for name in names:
        begin = time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = family(name)(seed=judge.seed).fit(train)
        except Interrupted:
            raise
        except GenusError as error:
            out.append(Row(name, "baseline", failed=str(error)))
            continue
        seconds = time.process_time() - begin
        row = judged(judge, model, name, "baseline", X)
        row.seconds = {"fit": seconds} | row.seconds
        out.append(row)
    return out


def missing_words(judge: Judge) -> list[str]:
    """What this judgement could not look at, and how to make it."""
    out = []
    if judge.train is None:
        out.append(
            "No training data were given, so copying was not looked for and no baseline stands beside the numbers: pass train=."
        )
        if judge.validation is None:
            out.append("There is no real-against-real floor: pass train= or validation=.")
    if len(judge.test) < 500:
        out.append(f"Only {len(judge.test)} test items: the intervals are wide, and small flaws cannot be seen.")
    return out


def about(judge: Judge) -> dict[str, Any]:
    """What a reader needs to repeat the judgement."""
    return {
        "data": judge.name if judge.name != "label" else judge.kind, "kind": judge.kind, "seed": judge.seed, "n": judge.n,
        "test items": len(judge.test), "training items": None if judge.train is None else len(judge.train),
        "feature space": str(judge.space), "it is": judge.space.words, "space of copying": str(judge.near),
        "prediction target": None if judge.target is None else str(judge.target), "versions": versions(),
    }  # fmt: skip


def _pair(data: Any) -> tuple[Any, Any]:
    """X or (X, y) as (X, y)."""
    if isinstance(data, tuple) and len(data) == 2 and not isinstance(data[1], str | float | int):
        return data
    return data, None
