"""Page: a judgement as one HTML file that fetches nothing."""

from __future__ import annotations

import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from genus import store
from genus.judgement import gallery, sections, svg
from genus.judgement.finding import Finding
from genus.judgement.glossary import GLOSSARY
from genus.judgement.graph import draw_graph
from genus.judgement.row import ORDER, Row

KINDS = {
    "exact": "the model's own log-probability, nothing left out",
    "bound": "a lower bound of it: the truth is better by an unknown amount",
    "estimate": "a numerical estimate of it, with an error of its own",
}


DRAWN = 120  # variables of the largest graph that is drawn


def write_page(
    path: Path, headline: str, verdicts: list[tuple[Row, list[Finding]]], rows: list[Row], real: Any, about: dict[str, Any],
    command: str | None, missing: list[str],
) -> Path:  # fmt: skip
    """Render and write the page; returns its path."""
    source = files("genus.judgement").joinpath("report.html").read_text(encoding="utf-8")
    page = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(source)
    html = page.render(
        headline=headline, verdicts=verdicts, rows=rows, real=Markup(gallery.show(real, real)), about=about, command=command,
        missing=missing, boards=boards(rows), likelihoods=likelihoods(rows), kinds=KINDS, whiskers=Markup(whiskers(rows)),
        pictures=[(row, Markup(gallery.show(row.samples, real))) 
                  for row in rows if row.samples is not None and row.role != "real"],
        graphs=[(row.name, Markup(draw_graph(row.graph))) for row, _ in verdicts if 1 < len(row.graph) <= DRAWN],
        curves=[(row.name, Markup(chart)) for row in rows if (chart := learning(row))], apart=not_comparable(rows),
        parts=sections.sections(verdicts[0][0], rows) if len(verdicts) == 1 else [],
        attacks=sections.attacked(verdicts), betrayals=sections.betrayals(verdicts, real, rows), costs=sections.costs(rows),
        behind=[(row.name, held) for row, _ in verdicts if (held := sections.behind(row))],
        footnote=[(row.name, s) for row in rows if row.role == "model" and (s := row.get("dcr"))],
        marginals=marginals(verdicts, real, rows), away=gave_away(verdicts), grams=grams(verdicts),
        glossary=[(GLOSSARY[m], m) for m in metrics(rows)],
        date=datetime.datetime.now().strftime("%Y-%m-%d %H:%M"),
    )  # fmt: skip
    store.write(path, html.encode())
    return path


def metrics(rows: list[Row]) -> list[str]:
    """The metrics that at least one row has, in order."""
    return [m for m in ORDER if any(row.get(m) for row in rows)]


GROUPS = {
    "Likeness": ("auc", "auc_train", "mmd", "frechet", "precision", "recall", "density", "coverage", "classes"),
    "Parts, use and memory": ("marginals", "pairs", "triples", "rules", "utility", "global_utility", "gap", "rare", "duplicates"),
    "Parts and copying": ("exact_answers", "chrf", "ngrams", "lengths", "modes", "good", "mode_kl",
                               "copies", "near_copies", "closeness", "copying_z"),
}  # fmt: skip


def boards(rows: list[Row]) -> list[dict[str, Any]]:
    """The leaderboard in groups of columns that fit a page side by side."""
    present = metrics(rows)
    groups = {name: [m for m in group if m in present] for name, group in GROUPS.items()}
    return [{"name": name, **board(rows, shown)} for name, shown in groups.items() if shown]


def board(rows: list[Row], shown: list[str]) -> dict[str, Any]:
    """The head and lines of the metrics `shown`; each cell has a value, an interval, a hint and how good it is."""
    best = {m: _best([s for row in rows if row.role == "model" and (s := row.get(m))]) for m in shown}
    lines = []
    for row in rows:
        cells = []
        for m in shown:
            score = row.get(m)
            if score is None:
                cells.append({"value": "–", "range": "", "hint": "not measured", "css": "none"})
                continue
            full = score.written()
            value, _, interval = full.partition(" [")
            hint = f"n = {score.n} against {score.n_reference} {score.reference} items; {score.note or score.space}"
            hint += "".join(f"; {flag}" for flag in score.flags)
            css = "best" if row.role == "model" and best[m] is not None and score.value == best[m] else ""
            cells.append(
                {"value": value, "range": interval.rstrip("]"), "hint": hint, "css": f"{css} {'flag' if score.flags else ''}"}
            )
        lines.append({"row": row, "cells": cells})
    return {
        "metrics": [(GLOSSARY[m], {"higher": "↑", "lower": "↓", "none": ""}[GLOSSARY[m].direction]) for m in shown],
        "lines": lines,
    }


def _best(scores: list[Any]) -> float | None:
    """The best value of at least two comparable scores that differ, or None."""
    if len(scores) < 2 or scores[0].direction == "none" or any(scores[0].comparable(s) for s in scores):
        return None
    values = [s.value for s in scores]
    if len(set(values)) == 1:
        return None
    return max(values) if scores[0].direction == "higher" else min(values)


def likelihoods(rows: list[Row]) -> list[dict[str, Any]]:
    """One table a kind of likelihood; kinds never share a column."""
    out = []
    for kind in KINDS:
        held = [
            (row, row.get("log_likelihood", kind), row.get("bits_per_dim", kind) or row.get("bits_per_byte", kind))
            for row in rows
        ]
        held = [(row, a, b) for row, a, b in held if a is not None and b is not None]
        if held:
            out.append({"kind": kind, "lines": sorted(held, key=lambda line: -line[1].value)})
    return out


def not_comparable(rows: list[Row]) -> list[str]:
    """What on this page must not be compared, and why."""
    out = []
    kinds = {s.kind: row.name for row in rows for s in row.scores if s.metric == "log_likelihood"}
    if len(kinds) > 1:
        out.append(f"Likelihoods of different kinds ({', '.join(kinds)}): a bound may hide a better model.")
    for kind in kinds:
        spaces = {s.space for row in rows for s in row.scores if s.kind == kind}
        if len(spaces) > 1:
            out.append(f"{kind.capitalize()} likelihoods over different units: {'; '.join(sorted(spaces))}.")
    out += [f"{row.name}: {row.silent}" for row in rows if row.silent]
    spaces = sorted({s.space for row in rows for s in row.scores if s.metric == "frechet"})
    out += [
        f"Distances measured in {space} with any number from another feature space, another n, or published as FID."
        for space in spaces
    ]
    flagged = sorted({f"{s.label}: {flag}" for row in rows for s in row.scores for flag in s.flags if "impossible" not in flag})
    return out + [f"{text}; compare it only with the other rows of this page." for text in flagged]


def whiskers(rows: list[Row]) -> str:
    """The two-sample AUC of every row, with the band of real data."""
    lines = [(r.title, r.role, s.value, s.low, s.high) for r in rows if (s := r.get("auc"))]
    if not lines:
        return ""
    real = next((r.get("auc") for r in rows if r.role == "real"), None)
    low = min(0.45, *(line[3] for line in lines))
    return svg.intervals(lines, (real.low, real.high) if real else None, np.floor(low * 20) / 20, 1.0, "two-sample AUC")


def learning(row: Row) -> str:
    """The learning curves a model's history holds: everything logged against the step, losses together."""
    points = [h for h in row.history if isinstance(h, dict)]
    steps = [float(h.get("step", i)) for i, h in enumerate(points)]
    names = [k for k in dict.fromkeys(k for h in points for k in h) if _curve(k, points)]
    lines = {}
    for name in names[:4]:
        held = [(s, float(h[name])) for s, h in zip(steps, points, strict=True) if isinstance(h.get(name), int | float)]
        if len(held) > 1:
            lines[name] = ([s for s, _ in held], [v for _, v in held])
    return svg.curves(lines, f"learning curves of {row.name}") if lines else ""


def _curve(name: str, points: list[dict[str, Any]]) -> bool:
    """True for what is worth drawing: losses and likelihoods, not the clock or the learning rate."""
    wanted = any(
        word in name
        for word in ("loss", "validation", "valid", "log_prob", "bound", "nll", "generator", "critic", "discriminator")
    )
    return wanted and any(isinstance(h.get(name), int | float) for h in points)


def marginals(verdicts: list[tuple[Row, list[Finding]]], real: Any, rows: list[Row]) -> list[tuple[str, list[Any]]]:
    """For the best judged model: its columns against the real ones, worst first."""
    row = next((row for row, _ in verdicts if row.get("marginals")), None)
    if row is None:
        return []
    held = next((r.samples for r in rows if r.role == "real"), real)
    score = row.get("marginals")
    plots = gallery.marginal_plots(held, row.samples, score.detail if score else {})
    return [(row.name, [(name, value, Markup(chart)) for name, value, chart in plots if chart])] if plots else []


def gave_away(verdicts: list[tuple[Row, list[Finding]]]) -> list[tuple[str, list[tuple[str, float]]]]:
    """(model, [(column, AUC lost without it)]) where trees judged columns."""
    out = []
    for row, _ in verdicts:
        auc = row.get("auc")
        told = auc.detail.get("gave it away", []) if auc and not auc.detail.get("columns") else []
        seen = [(name, lost) for name, lost in told if lost > 0.003][:5]
        if seen:
            out.append((row.name, seen))
    return out


def grams(verdicts: list[tuple[Row, list[Finding]]]) -> list[tuple[str, dict[str, Any]]]:
    """(model, the strings it writes too often and too rarely) of texts."""
    return [(row.name, score.detail) for row, _ in verdicts if (score := row.get("ngrams"))]
