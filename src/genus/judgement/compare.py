"""Compare: several families fitted to the same items and judged against the same held-out ones."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genus import catalogue
from genus.capability import Conditional
from genus.data import codec_of
from genus.data.divide import divide
from genus.data.load import Dataset, load
from genus.data.split import rows as rows_of
from genus.data.split import split
from genus.errors import GenusError, UsageError
from genus.judgement.attacks import attacks
from genus.judgement.evaluate import SHOWN, about, floor_row, judged, missing_words
from genus.judgement.finding import Finding
from genus.judgement.judge import Judge
from genus.judgement.report import lines_of
from genus.judgement.row import Row, leaderboard, ranked
from genus.judgement.verdict import findings, headline
from genus.model import Model
from genus.train.interrupt import Interrupted
from genus.train.recipe import Recipe
from genus.train.run import Run

YARDSTICKS = ("resample", "marginals", "gaussian")


@dataclass
class Comparison:
    """What `compare` found.

    Parameters
    ----------
    rows: real data, baselines and models. real: held-out items to show. missing: what could not be judged.
    about: data, n, seed, feature space, versions. models: the fitted models by name.
    """

    rows: list[Row]
    real: Any
    missing: list[str]
    about: dict[str, Any] = field(default_factory=dict)
    models: dict[str, Model] = field(default_factory=dict)

    @property
    def leaderboard(self) -> pd.DataFrame:
        """One line a row, real data first, then by two-sample AUC; likelihoods in columns of their kind."""
        return leaderboard(self.rows)

    @property
    def verdicts(self) -> list[tuple[Row, list[Finding]]]:
        """(model, its findings with the worst first), the best model first."""
        return [(row, findings(row, self.rows)) for row in ranked(self.rows) if row.role == "model"]

    @property
    def headline(self) -> str:
        """The answer in one sentence: which family is nearest to real data, and how near."""
        models = [row for row in ranked(self.rows) if row.role == "model" and not row.failed]
        if not models:
            return "No family could be judged."
        best, real = models[0], next((row for row in self.rows if row.role == "real"), None)
        return f"{headline(best, real)} It is the nearest of {len(models)}."

    def __str__(self) -> str:
        found = [Finding(f[0].level, f"{row.name}: {f[0].says}") for row, f in self.verdicts if f]
        return lines_of(ranked(self.rows), self.headline, found)

    def to_json(self) -> dict[str, Any]:
        return {
            "headline": self.headline, "about": self.about, "rows": [row.to_json() for row in ranked(self.rows)],
            "findings": {row.name: [[f.word, f.says] for f in found] for row, found in self.verdicts},
        }  # fmt: skip

    def html(self, path: str | Path, command: str | None = None) -> Path:
        """Write the comparison as one file that opens without network; returns its path."""
        from genus.judgement.page import write_page

        return write_page(
            Path(path), self.headline, self.verdicts, ranked(self.rows), self.real, self.about, command, self.missing
        )


def compare(
    data: Any,
    *,
    families: Any = None,
    condition: str | None = None,
    minutes: float = 5,
    seed: int = 0,
    folder: str | Path | None = None,
    n: int | None = None,
    progress: Callable[[str], None] | bool | None = None,
) -> Comparison:
    """Fit families to one training split and judge them on one test split, which is touched once.

    Parameters
    ----------
    data: a Dataset, its name or path, or the items themselves. families: short names, classes or unfitted models;
    all that accept the data when None. condition: "labels", or columns of a table separated by commas, that every model is
    told: only families that take a condition are asked, samples are drawn at conditions drawn from the training ones, and
    likelihoods are of the rest given the condition. minutes: of training, shared equally by the families trained by steps.
    seed: of the split, the fits and the judge. folder: keeps each fit and model in folder/<family>.
    n: how many to sample from each. progress: told a line as each family begins, with the time passed and left; None
    and True print it to standard error, False is silent.

    Without a condition families are fitted without labels, so that all answer the same question. One that fails is a row with its
    sentence, and the others go on.
    """
    data = _dataset(data)
    X, y = divide(data, condition) if condition is not None else (data.X, data.y)
    (Z, labels), (V, v), (T, t) = _three(X, y, seed, data.time)
    codec = codec_of(Z).fit(Z)
    judge = Judge(T, t, Z, labels, V, None, data.modes, n or len(T), seed, name=data.name, window=getattr(codec, "span_", 256))
    models = _models(families, codec, seed, condition is not None)
    train, held, test = ((Z, labels), (V, v), (T, t)) if condition is not None else ((Z, None), (V, None), (T, None))
    _share(models, minutes)
    tell, begin = _teller(progress), time.monotonic()
    out, fitted = floor_row(judge), {}
    for place, (label, model) in enumerate(models.items()):
        left = 60 * sum(_minutes(m) for m in list(models.values())[place:]) + 4 * (len(models) - place)
        passed = time.monotonic() - begin
        tell(f"{_clock(passed)}  {label} ({place + 1} of {len(models)}), about {_clock(left)} left")
        row = _fit_and_judge(judge, label, model, train, held, test, Path(folder) / label if folder else None)
        out.append(row)
        if not row.failed:
            fitted[label] = model
        if row.failed:
            tell(f"      {label} failed: {row.failed}")
    tell(f"{_clock(time.monotonic() - begin)}  all compared")
    real = rows_of(judge.test, np.arange(min(SHOWN, len(judge.test))))
    return Comparison(
        out, real, missing_words(judge), about(judge) | {"minutes of training": minutes, "condition": condition}, fitted
    )


def _dataset(data: Any) -> Dataset:
    """Whatever the user gave, as a Dataset."""
    if isinstance(data, str | Path) and not (isinstance(data, str) and len(data) > 1000):
        data = load(data)
    return data if isinstance(data, Dataset) else Dataset(data, name="label", kind=codec_of(data).kind)


def _three(X: Any, y: Any, seed: int, when: Any) -> list[tuple[Any, Any]]:
    """Train, validation and test as (X, y) each, by seed, as `genus fit` splits; by time where a column says when."""
    parts = split(X, y, seed=seed, time=when)
    return [parts.train, parts.validation, parts.test]


def _models(families: Any, codec: Any, seed: int, told: bool) -> dict[str, Model]:
    """Unfitted models by name: the baselines first, then those asked for; where `told`, of families that take a condition."""
    accepted = [name for name in catalogue.accepting(codec) if not told or issubclass(catalogue.family(name), Conditional)]
    asked = list(families) if families is not None else accepted
    out: dict[str, Model] = {name: catalogue.family(name)(seed=seed) for name in YARDSTICKS if name in accepted}
    for one in asked:
        if isinstance(one, Model):
            label = catalogue.short_name(type(one))
            out[label if label not in out else f"{label} {len(out)}"] = one
        elif isinstance(one, type) and issubclass(one, Model):
            out[catalogue.short_name(one)] = one(seed=seed)
        elif isinstance(one, str):
            out[catalogue.short_name(catalogue.family(one))] = catalogue.family(one)(seed=seed)
        else:
            raise UsageError(
                f"families holds {one!r}: give short names, classes or unfitted models (`genus families` lists them)."
            )
    return out


def swift(judge: Judge) -> Judge:
    """The same judge, asking attacks for a quarter of their number: a comparison has many models."""
    other = copy.copy(judge)
    other.quick = True
    return other


def _share(models: dict[str, Model], minutes: float) -> None:
    """Give each model trained by steps an equal part of the minutes, unless its own budget was set."""
    open_ended = [m for m in models.values() if isinstance(m, Recipe) and m.steps is m.epochs is m.minutes is None]
    for model in open_ended:
        model.set_params(minutes=minutes / len(open_ended))  # pyright: ignore[reportAttributeAccessIssue]


def _minutes(model: Model) -> float:
    return getattr(model, "minutes", None) or 0.0


def _fit_and_judge(judge: Judge, label: str, model: Model, train: Any, held: Any, test: Any, folder: Path | None) -> Row:
    """The row of one family: fitted on train, judged on test; a failure becomes a sentence."""
    role = "baseline" if label in YARDSTICKS else "model"
    begin = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            validation = None if not isinstance(model, Recipe) else held if held[1] is not None else held[0]
            model.fit(*train, validation=validation, run=Run(folder=folder))
            if folder is not None:
                model.save(folder)
    except Interrupted:
        raise
    except (GenusError, ArithmeticError, ValueError, RuntimeError) as error:
        return Row(
            label, role, failed=" ".join(str(error).split())[:300] or type(error).__name__, fields=model.get_params(deep=False)
        )
    seconds = time.process_time() - begin
    row = judged(judge, model, label, role, *test)
    if role == "model" and not row.failed:
        row.scores += attacks(swift(judge), row.samples, model=model)
    row.seconds = {"fit": seconds} | row.seconds
    return row


def _teller(progress: Callable[[str], None] | bool | None) -> Callable[[str], None]:
    if callable(progress):
        return progress
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    return (lambda line: None) if progress is False else console.print


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
