"""Row: one model, baseline or set of real items on the leaderboard, with all that was found about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from genus.judgement.score import Score

Role = Literal["model", "baseline", "real"]
ORDER = ("auc", "auc_train", "mmd", "frechet", "precision", "recall", "density", "coverage", "marginals", "pairs", "triples",
         "rules", "utility", "global_utility", "gap", "rare", "duplicates", "exact_answers", "chrf", "ngrams", "lengths",
         "classes", "modes", "good", "mode_kl", "copies", "near_copies", "closeness", "copying_z", "dcr", "distance_attack",
         "density_attack", "likelihood_attack", "singling_out", "inference", "exact_rows", "overlap")  # fmt: skip
TITLES = {"resample": "copy", "marginals": "independence"}


@dataclass
class Row:
    """Scores and samples under one name.

    Parameters
    ----------
    name: on the leaderboard. role: whether it is judged, a yardstick, or real data. scores: all of them.
    samples: some, in the user's type. history: of training. seconds: {"fit": …, "sample": …, "judge": …}.
    fields: the hyper-parameters. failed: the sentence it failed with, or empty. silent: why it has no likelihood.
    cost: {"parameters", "MB", "peak MB"}. graph: the parents of each variable, of a model that lies on a graph.
    """

    name: str
    role: Role
    scores: list[Score] = field(default_factory=list)
    samples: Any = None
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    failed: str = ""
    silent: str = ""
    cost: dict[str, float] = field(default_factory=dict)
    graph: dict[str, list[str]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What a row stands for: the controls by what they do, the others by their name."""
        return TITLES.get(self.name, self.name) if self.role == "baseline" else self.name

    def get(self, metric: str, kind: str | None = None) -> Score | None:
        """The score of that metric (and kind), or None."""
        return next((s for s in self.scores if s.metric == metric and (kind is None or s.kind == kind)), None)

    def value(self, metric: str, default: float = float("nan")) -> float:
        """The number of that metric, `default` where it was not measured."""
        score = self.get(metric)
        return default if score is None else score.value

    def to_json(self) -> dict[str, Any]:
        """Everything but the samples, as JSON."""
        return {
            "name": self.name, "role": self.role, "failed": self.failed, "silent": self.silent, "seconds": self.seconds,
            "cost": self.cost, "graph": self.graph,
            "fields": {k: v if isinstance(v, bool | int | float | str | None) else str(v) for k, v in self.fields.items()},
            "scores": [s.to_json() for s in self.scores], "history": self.history,
        }  # fmt: skip


def ranked(rows: Iterable[Row]) -> list[Row]:
    """Real data first, then by two-sample AUC, the failed last."""
    return sorted(rows, key=lambda r: (r.role != "real", bool(r.failed), r.value("auc", 2.0)))


def leaderboard(rows: Iterable[Row]) -> pd.DataFrame:
    """One line a row; likelihoods of different kinds in columns of their own."""
    lines = []
    for row in ranked(rows):
        line: dict[str, Any] = {"name": row.name, "role": row.role}
        for metric in ORDER:
            if (score := row.get(metric)) is not None:
                line[metric] = score.value
        for score in row.scores:
            if score.kind != "statistic":
                line[f"{score.metric} ({score.kind})"] = score.value
        line |= {f"{k} s": round(v, 2) for k, v in row.seconds.items()}
        lines.append(line | {"failed": row.failed})
    frame = pd.DataFrame(lines)
    present = [m for m in ORDER if m in frame]
    rest = [c for c in frame.columns if c not in present and c not in ("name", "role", "failed")]
    return frame.loc[:, ["name", "role", *present, *rest, "failed"]]
