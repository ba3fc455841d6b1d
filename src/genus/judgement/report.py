"""Report: one model judged, with its yardsticks; for the terminal, as HTML and as JSON."""

from __future__ import annotations

import importlib.metadata
import io
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from genus.judgement.finding import Finding
from genus.judgement.glossary import GLOSSARY
from genus.judgement.row import ORDER, Row, leaderboard, ranked
from genus.judgement.score import Score
from genus.judgement.verdict import findings, headline

WIDE = 100  # columns of a terminal
ARROWS = {"higher": "↑", "lower": "↓", "none": ""}
SHORT = {"auc": "AUC", "frechet": "Fréchet", "precision": "prec.", "coverage": "cover.", "near_copies": "copies",
         "marginals": "columns", "pairs": "pairs", "utility": "use", "ngrams": "3-grams", "good": "good",
         "exact_answers": "exact", "chrf": "chrF"}  # fmt: skip


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
    from rich.table import Table

    table = Table(show_edge=False, pad_edge=False, box=None, padding=(0, 1))
    table.add_column("")
    for row in rows:
        table.add_column(row.title, justify="right")
    metrics = [m for m in ORDER if any(r.get(m) for r in rows)]
    for metric in metrics:
        first = next(s for r in rows if (s := r.get(metric)))
        arrow = f" {ARROWS[first.direction]}".rstrip()
        cells = [s.written(interval=row is rows[0]) if (s := row.get(metric)) else "–" for row in rows]
        table.add_row(first.label + arrow, *cells)
    for metric in ("log_likelihood", "bits_per_dim", "bits_per_byte"):
        for kind in ("exact", "bound", "estimate"):
            held = [row.get(metric, kind) for row in rows]
            if any(held):
                name = next(s for s in held if s).label
                table.add_row(f"{name}, {kind}", *[s.written(interval=i == 0) if s else "–" for i, s in enumerate(held)])
    return _printed(table, title, found)


LINE = ("auc", "exact_answers", "chrf", "mmd", "frechet", "precision", "recall", "coverage", "marginals", "pairs", "utility",
        "ngrams", "modes", "good", "near_copies")  # fmt: skip
MOST = 6


def lines_of(rows: list[Row], title: str, found: list[Finding]) -> str:
    """The verdicts and a line a row as text for a terminal of 100 columns: the main scores, nats and seconds of fitting.

    Nats carry a sign of their kind: none exact, ≥ a lower bound, ≈ an estimate. They are not one scale.
    """
    from rich.table import Table

    table = Table(show_edge=False, pad_edge=False, box=None, padding=(0, 1))
    table.add_column("", no_wrap=True)
    drop = {"mmd"} if any(row.get("frechet") for row in rows) else set()
    metrics = [m for m in LINE if m not in drop and any(row.get(m) for row in rows)][:MOST]
    for metric in metrics:
        meaning = GLOSSARY[metric]
        table.add_column(f"{SHORT.get(metric, meaning.label)} {ARROWS[meaning.direction]}", justify="right", no_wrap=True)
    table.add_column("nats ↑", justify="right", no_wrap=True)
    table.add_column("fit, s", justify="right", no_wrap=True)
    for row in rows:
        cells = [_cell(s) if (s := row.get(m)) else "–" for m in metrics]
        nats = row.get("log_likelihood")
        seconds = f"{row.seconds['fit']:.0f}" if "fit" in row.seconds else "–"
        table.add_row("real" if row.role == "real" else row.title, *(cells if not row.failed else ["failed"]), *(
            [nats.written(interval=False) if nats else "–", seconds] if not row.failed else []))  # fmt: skip
    return _printed(table, title, found)


def _cell(score: Score) -> str:
    """The AUC with half its interval, the others bare."""
    half = f" ±{(score.high - score.low) / 2:.3f}" if score.metric == "auc" else ""
    return score.written(interval=False) + half


def _printed(table: Any, title: str, found: list[Finding]) -> str:
    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, width=WIDE, color_system=None)
    console.print(title + "\n", highlight=False)
    for finding in found:
        console.print(f"  {'✗!✓'[finding.level]} {finding.says}", highlight=False)
    console.print()
    console.print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
