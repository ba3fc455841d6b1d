"""The page of a posterior: the verdict, a table of its numbers, traces and rank plots, in one HTML file that fetches nothing."""

from __future__ import annotations

import datetime
from importlib.resources import files
from pathlib import Path

import jinja2
import numpy as np
from markupsafe import Markup

from genus import store
from genus.judgement import svg
from genus.maths.draws import ENOUGH, Draws

CHAINS, BUNDLES, POINTS, BINS = 6, 4, 200, 20
WORDS = {
    "mean": "mean", "mcse_mean": "MCSE", "sd": "sd", "mcse_sd": "MCSE", "q5": "5 %", "median": "median", "q95": "95 %",
    "ess_bulk": "ESS, bulk", "ess_tail": "ESS, tails", "r_hat": "R-hat",
}  # fmt: skip


def write_posterior(path: Path, chains: Draws, *, title: str = "Posterior", command: str | None = None, most: int = 12) -> Path:
    """Render and write the page; returns its path.

    Parameters
    ----------
    title: the headline. command: what made it. most: numbers that get charts.
    """
    source = files("genus.judgement").joinpath("posterior.html").read_text(encoding="utf-8")
    page = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(source)
    count, side, d = chains.draws_.shape
    about = f"{count:,} draws of each of {side} chains by {chains.kernel_}, {d} number{'s' * (d > 1)}."
    html = page.render(
        title=title, reasons=chains.reasons_, about=about, head=["", *WORDS.values()], rows=_rows(chains), command=command,
        charts=[(name, Markup(trace(chains.draws_[:, :, i], name)), Markup(ranks(chains.draws_[:, :, i], name)))
                for i, name in enumerate(chains.names_[:most])],
        left=max(0, d - most), date=datetime.datetime.now().strftime("%Y-%m-%d %H:%M"),
    )  # fmt: skip
    store.write(path, html.encode())
    return path


def _rows(chains: Draws) -> list[list[tuple[str, bool]]]:
    """(text, whether it is an alarm) of every cell."""
    rows = []
    for name, row in chains.summary().iterrows():
        cells = [(str(name), False)]
        for column in WORDS:
            value = float(row.to_dict()[column])
            if column == "r_hat":
                cells.append((f"{value:.3f}", not value < 1.01))
            elif column.startswith("ess"):
                cells.append((f"{value:,.0f}", not value >= ENOUGH))
            else:
                cells.append((f"{value:.3g}" if column.startswith("mcse") else f"{value:.4g}", False))
        rows.append(cells)
    return rows


def trace(values: np.ndarray, name: str) -> str:
    """The first chains of values (draws, chains), step by step."""
    some = np.linspace(0, len(values) - 1, min(POINTS, len(values))).astype(int)
    shown = values[some, :CHAINS]
    low, high = float(shown.min()), float(shown.max())
    spare = 0.03 * (high - low) or 1.0
    return panel(some, shown.T, low - spare, high + spare, f"trace of {name}", "step")


def ranks(values: np.ndarray, name: str) -> str:
    """How often each bundle of chains holds draws of each rank among all, 1 where evenly.

    Reference: A. Vehtari et al. 2021, Rank-normalization, folding, and localization, https://doi.org/10.1214/20-BA1221
    """
    place = values.ravel().argsort(kind="stable").argsort().reshape(values.shape)
    edges = np.linspace(0, values.size, BINS + 1)
    parts = np.array_split(place, min(BUNDLES, values.shape[1]), axis=1)
    share = np.stack([np.histogram(part, edges)[0] / part.size * BINS for part in parts])
    return panel((edges[1:] + edges[:-1]) / 2, share, 0.0, max(2.0, float(share.max())), f"ranks of {name}", "rank")


def panel(x: np.ndarray, lines: np.ndarray, low: float, high: float, label: str, below: str) -> str:
    """Thin lines (lines, points) over x in one frame, `below` the word under it."""
    width, height, left, bottom = 430.0, 190.0, 52.0, 30.0
    u = left + (x - x[0]) / max(float(x[-1] - x[0]), 1e-12) * (width - left - 8)
    v = 8 + (high - lines) / max(high - low, 1e-12) * (height - bottom - 8)
    parts = []
    for tick in np.linspace(low, high, 5):
        y = 8 + (high - tick) / max(high - low, 1e-12) * (height - bottom - 8)
        parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{width - 8}" y2="{y:.1f}" class="grid"/>')
        parts.append(svg.text(left - 6, y + 4, f"{tick:.3g}", "end"))
    parts.append(svg.text((left + width) / 2, height - 10, below, "middle"))
    for k, line in enumerate(v):
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(u, line, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{svg.COLOURS[k]}" stroke-width="0.9" opacity="0.85"/>')
    return svg.svg(width, height, "".join(parts), label)
