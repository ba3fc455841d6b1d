"""Sections: the parts of a page about a table: each score beside its floor and its controls, and what lies behind it."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from genus.judgement import gallery
from genus.judgement.finding import Finding
from genus.judgement.glossary import GLOSSARY
from genus.judgement.row import Row
from genus.judgement.score import Score, number
from genus.judgement.suspicion import ATTACKS

VISIBLE = 0.52  # AUC of trees that see one column alone, below which its own law is right
ARROWS = {"higher": "↑", "lower": "↓", "none": ""}
PARTS = {
    "Detection": ("auc", "auc_train", "accuracy", "mmd", "frechet"),
    "Columns, pairs, triples": ("marginals", "pairs", "triples"),
    "Logic": ("rules",),
    "Use": ("utility", "global_utility"),
    "Density": ("log_likelihood", "gap"),
    "Diversity": ("precision", "recall", "density", "coverage", "rare", "duplicates"),
    "Copying": ("copies", "near_copies", "closeness", "copying_z"),
}
CAPTIONS = {
    "Detection": "Boosted trees and logistic regression try to tell samples from real rows: five folds, equal numbers, against "
                 "held-out and against training rows.",
    "Columns, pairs, triples": "1 − total variation of ten-bin tables. Columns one by one say little: independence agrees there.",
    "Logic": "Rules that hold in the training rows, mined from them.",
    "Use": "Trained on samples, tested on real held-out rows; the floor is trained on as many real rows.",
    "Density": "The model's own log-probabilities; the gap between training and held-out rows is what it knows by heart.",
    "Diversity": "Neighbourhoods (k = 5), rare levels and repeated rows.",
    "Copying": "How close samples lie to training rows, against how close new rows lie.",
}  # fmt: skip


def sections(row: Row, rows: list[Row]) -> list[dict[str, Any]]:
    """One table a part: metrics down; the model, the floor, the copy and independence across."""
    if row.get("auc_train") is None and row.get("duplicates") is None:
        return []
    beside = [next((r for r in rows if test(r)), None) for test in (
        lambda r: r.role == "real", lambda r: r.name == "resample", lambda r: r.name == "marginals")]  # fmt: skip
    out = []
    for name, metrics in PARTS.items():
        lines = [_line(m, row, beside) for m in metrics if row.get(m)]
        if lines:
            out.append({"name": name, "caption": CAPTIONS[name], "lines": lines})
    return out


def _line(metric: str, row: Row, beside: list[Row | None]) -> dict[str, Any]:
    mine = row.get(metric)
    assert mine is not None
    others = [r.get(metric, mine.kind) if r is not None else None for r in beside]
    if metric == "auc_train" and others[0] is None and beside[0] is not None:
        others[0] = beside[0].get("auc")  # training rows against held-out ones are the floor of both
    meaning = GLOSSARY[metric]
    css = _shade(mine, others[0])
    note = mine.note if metric in ("utility", "rules", "gap") else ""
    return {"meaning": meaning, "arrow": ARROWS[mine.direction], "note": note,
            "cells": [_cell(mine) | {"css": css}, *(_cell(s) for s in others)]}  # fmt: skip


def _shade(mine: Score, floor: Score | None) -> str:
    """Good where the floor's interval is reached, bad where the value is worse by more than both intervals."""
    if floor is None or mine.direction == "none":
        return ""
    worse = mine.high < floor.low if mine.direction == "higher" else mine.low > floor.high
    return "worse" if worse else "equal"


def _cell(score: Score | None) -> dict[str, str]:
    if score is None:
        return {"value": "–", "range": "", "hint": "not measured", "css": ""}
    value, _, interval = score.written().partition(" [")
    hint = f"n = {score.n} against {score.n_reference} {score.reference}; {score.note or score.space}; seed {score.seed}"
    return {"value": value, "range": interval.rstrip("]"), "hint": hint, "css": ""}


def attacked(verdicts: list[tuple[Row, list[Finding]]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """(model, its attacks, each beside the copy and the unrelated rows)."""
    out = []
    for row, _ in verdicts:
        lines = [_attack(s) for m in ATTACKS if (s := row.get(m)) and "copy" in s.detail]
        if lines:
            out.append((row.name, lines))
    return out


def _attack(score: Score) -> dict[str, Any]:
    digits, detail = GLOSSARY[score.metric].digits, score.detail
    spans = [(score.value, score.low, score.high), detail["copy"], detail["control"]]
    cells = [{"value": number(v, digits), "range": f"{number(a, digits)}, {number(b, digits)}"} for v, a, b in spans]
    rate = [number(detail[k][0], digits) if k in detail else "" for k in ("tpr", "copy_tpr", "control_tpr")]
    word = (
        "says nothing here: the copy is not caught" if not detail["sound"] else "leaks" if detail["caught"] else "nothing found"
    )
    css = "doubtful" if not detail["sound"] else "bad" if detail["caught"] else "good"
    return {"meaning": GLOSSARY[score.metric], "cells": cells, "rate": rate, "word": word, "css": css}


def betrayals(verdicts: list[tuple[Row, list[Finding]]], real: Any, rows: list[Row]) -> list[dict[str, Any]]:
    """For each model that is told from real rows: the columns that gave it away, with a picture and words, and the pairs."""
    held = next((r.samples for r in rows if r.role == "real"), real)
    floor = next((s for r in rows if r.role == "real" and (s := r.get("auc"))), None)
    out = []
    for row, _ in verdicts:
        auc = row.get("auc")
        columns = [c for c in (auc.detail.get("columns", []) if auc else []) if c["lost"] > 0.003 or c["alone"] > 0.53]
        pairs = auc.detail.get("pairs", [])[:6] if auc else []
        chance = floor.high if floor is not None else 0.5
        if auc is None or auc.low <= chance or not (columns or pairs):
            continue
        top = max((c["lost"] for c in columns), default=1.0)
        shown = [
            c | {"width": round(100 * max(c["lost"], 0) / max(top, 1e-9)), "words": _words(c),
                 "plot": Markup(gallery.column_plot(held, row.samples, c["column"]))}
            for c in columns
        ]  # fmt: skip
        out.append({"name": row.name, "columns": shown, "pairs": pairs})
    return out


def _words(column: dict[str, Any]) -> str:
    """How a column differs, or that it does so only beside others."""
    if column["alone"] > VISIBLE and column["says"]:
        return column["says"]
    return "right by itself; it betrays the samples beside other columns"


def behind(row: Row) -> list[dict[str, Any]]:
    """Details for the curious: worst pairs and triples, rules broken, columns predicted, nats by column, each as a small list."""
    wanted = {
        "pairs": ("Pairs that agree least", 3), "triples": ("Triples that agree least", 3), "rules": ("Rules broken most", 4),
        "global_utility": ("Variance explained, by column", 3),
    }  # fmt: skip
    out = []
    for metric, (title, digits) in wanted.items():
        score = row.get(metric)
        if score is not None and score.detail:
            lines = sorted(score.detail.items(), key=lambda kv: kv[1], reverse=metric == "rules")
            out.append({"title": title, "lines": [(k, [number(v, digits)]) for k, v in lines], "heads": []})
    gap = row.get("gap")
    if gap is not None and gap.detail:
        lines = [(k, [number(a, 3), number(b, 3)]) for k, (a, b) in gap.detail.items()]
        out.append({"title": "Nats by column", "lines": lines, "heads": ["held out ↑", "train − held out"]})
    return out


def costs(rows: list[Row]) -> list[tuple[str, dict[str, str]]]:
    """What each model took: CPU-seconds, memory and size."""
    out = []
    for row in rows:
        if row.role != "model" or row.failed:
            continue
        line = {f"{k}, CPU s": f"{v:.1f}" for k, v in row.seconds.items()}
        line |= {"parameters": f"{row.cost['parameters']:,.0f}", "model, MB": f"{row.cost['MB']:.1f}",
                 "process peak, MB": f"{row.cost['peak MB']:,.0f}"} if "MB" in row.cost else {}  # fmt: skip
        out.append((row.name, line))
    return out
