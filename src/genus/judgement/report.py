"""Report: one model judged, with its yardsticks; for the terminal, as HTML and as JSON."""

from __future__ import annotations

import importlib.metadata
import io
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from genus.judgement.row import ORDER, Row, leaderboard, ranked
from genus.judgement.score import Score
from genus.judgement.verdict import Finding, findings, headline


@dataclass
class Report:
    """What `evaluate` found.

    Parameters
    ----------
    row: of the model. others: the real floor and the baselines. real: held-out items beside the samples.
    missing: what could not be judged, and why. about: data, n, seed, feature space, versions.
    """

    row: Row
    others: list[Row]
    real: Any
    missing: list[str]
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def scores(self) -> list[Score]:
        """The model's scores, likelihoods included."""
        return self.row.scores

    @property
    def samples(self) -> Any:
        """What was drawn and judged, in the user's own type."""
        return self.row.samples

    @property
    def rows(self) -> list[Row]:
        return ranked([self.row, *self.others])

    @property
    def findings(self) -> list[Finding]:
        """What to know about the model, the worst first."""
        return findings(self.row, self.others, self.missing)

    @property
    def headline(self) -> str:
        return headline(self.row, next((r for r in self.others if r.role == "real"), None))

    @property
    def leaderboard(self) -> pd.DataFrame:
        """The model beside real data and baselines, one line each."""
        return leaderboard(self.rows)

    def __getitem__(self, metric: str) -> Score:
        """The model's score of one metric, e.g. `report["auc"]`."""
        score = self.row.get(metric)
        if score is None:
            raise KeyError(f"{metric!r} was not measured; measured: {', '.join(s.metric for s in self.scores)}.")
        return score

    def __str__(self) -> str:
        return table_of([self.row, *self.others], self.headline, self.findings)

    def to_json(self) -> dict[str, Any]:
        return {
            "headline": self.headline, "findings": [[f.word, f.says] for f in self.findings], "about": self.about,
            "rows": [row.to_json() for row in self.rows],
        }  # fmt: skip

    def html(self, path: str | Path, command: str | None = None, history: list[dict[str, Any]] | None = None) -> Path:
        """Write the report as one file that opens without network; returns its path."""
        from genus.judgement.page import write_page

        if history is not None:
            self.row.history = history
        verdicts = [(self.row, self.findings)]
        return write_page(Path(path), self.headline, verdicts, self.rows, self.real, self.about, command, self.missing)


def versions() -> dict[str, str]:
    """Of what the numbers depend on."""
    names = ("genus", "torch", "numpy", "scikit-learn", "pandas")
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in names}


def table_of(rows: list[Row], title: str, found: list[Finding]) -> str:
    """The verdict and the scores as text for a terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(show_edge=False, pad_edge=False)
    table.add_column("")
    for row in rows:
        table.add_column(row.name, justify="right")
    metrics = [m for m in ORDER if any(r.get(m) for r in rows)]
    for metric in metrics:
        first = next(s for r in rows if (s := r.get(metric)))
        arrow = {"higher": " ↑", "lower": " ↓", "none": ""}[first.direction]
        cells = [s.written(interval=row is rows[0]) if (s := row.get(metric)) else "–" for row in rows]
        table.add_row(first.label + arrow, *cells)
    for metric in ("log_likelihood", "bits_per_dim"):
        for kind in ("exact", "bound", "estimate"):
            held = [row.get(metric, kind) for row in rows]
            if any(held):
                name = next(s for s in held if s).label
                table.add_row(f"{name}, {kind}", *[s.written(interval=i == 0) if s else "–" for i, s in enumerate(held)])
    out = io.StringIO()
    console = Console(file=out, width=max(100, 34 + 18 * len(rows)), color_system=None)
    console.print(title + "\n", highlight=False)
    for finding in found:
        console.print(f"  {'✗!✓'[finding.level]} {finding.says}", highlight=False)
    console.print()
    console.print(table)
    return out.getvalue()
