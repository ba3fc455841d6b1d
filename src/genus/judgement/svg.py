"""Small charts as inline SVG: intervals on one axis, curves, and two distributions side by side."""

from __future__ import annotations

import math
from html import escape

import numpy as np

COLOURS = ("var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)", "var(--c6)", "var(--c7)", "var(--c8)")


def svg(width: float, height: float, body: str, label: str) -> str:
    """A drawing that scales down to its frame, with words for those who do not see it."""
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(label)}" '
        f'style="max-width:{width:.0f}px">{body}</svg>'
    )


def text(x: float, y: float, words: str, anchor: str = "start", css: str = "") -> str:
    """Words at a place, anchored at their start, middle or end."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{css}">{escape(words)}</text>'


def intervals(
    lines: list[tuple[str, str, float, float, float]], band: tuple[float, float] | None, low: float, high: float, label: str
) -> str:
    """One dot with its interval a line, (name, role, value, low, high), and a band for what real data score."""
    left, width, step = 170.0, 760.0, 30.0
    height = step * len(lines) + 40
    span = max(high - low, 1e-9)

    def at(v: float) -> float:
        return left + (min(max(v, low), high) - low) / span * (width - left - 70)

    parts = []
    if band is not None:
        parts.append(
            f'<rect x="{at(band[0]):.1f}" y="6" width="{max(at(band[1]) - at(band[0]), 2):.1f}" '
            f'height="{height - 34:.0f}" class="band"/>'
        )
    for tick in np.arange(math.ceil(round(low * 10, 6)), math.floor(round(high * 10, 6)) + 1) / 10:
        parts.append(f'<line x1="{at(tick):.1f}" y1="6" x2="{at(tick):.1f}" y2="{height - 28:.0f}" class="grid"/>')
        parts.append(text(at(tick), height - 12, f"{tick:.2g}", "middle", "axis"))
    for i, (name, role, value, lo, hi) in enumerate(lines):
        y = 6 + step * (i + 0.5)
        parts.append(text(left - 14, y + 5, name, "end", f"name {role}"))
        if not math.isnan(value):
            parts.append(f'<line x1="{at(lo):.1f}" y1="{y:.1f}" x2="{at(hi):.1f}" y2="{y:.1f}" class="whisker {role}"/>')
            parts.append(f'<circle cx="{at(value):.1f}" cy="{y:.1f}" r="5.5" class="dot {role}"/>')
            parts.append(text(max(at(hi), at(value)) + 12, y + 5, f"{value:.3f}", "start", "value"))
    return svg(width, height, "".join(parts), label)


def curves(lines: dict[str, tuple[list[float], list[float]]], label: str, log_x: bool = False) -> str:
    """Named curves (x, y) in one frame; the range of y leaves out the first and wildest values."""
    width, height, left, bottom = 380.0, 220.0, 52.0, 30.0
    ys = np.concatenate([np.asarray(y, float) for _, y in lines.values()])
    ys, xs = ys[np.isfinite(ys)], np.concatenate([np.asarray(x, float) for x, _ in lines.values()])
    if len(ys) < 2:
        return ""
    low, high = np.quantile(ys, [0.0, 0.97]).tolist()
    low, high = (low - 0.05 * (high - low), high + 0.05 * (high - low)) if high > low else (low - 1, high + 1)
    first, last = float(xs.min()), float(xs.max()) or 1.0

    def place(x: float, y: float) -> str:
        u = left + (x - first) / max(last - first, 1e-9) * (width - left - 12)
        v = 10 + (high - min(max(y, low), high)) / (high - low) * (height - bottom - 10)
        return f"{u:.1f},{v:.1f}"

    parts = []
    for tick in np.linspace(low, high, 4):
        v = float(place(first, tick).split(",")[1])
        parts.append(f'<line x1="{left}" y1="{v:.1f}" x2="{width - 12}" y2="{v:.1f}" class="grid"/>')
        parts.append(text(left - 6, v + 4, f"{tick:.3g}", "end", "axis"))
    for tick in (first, (first + last) / 2, last):
        parts.append(text(float(place(tick, low).split(",")[0]), height - 12, f"{tick:.0f}", "middle", "axis"))
    for i, (name, (x, y)) in enumerate(lines.items()):
        points = " ".join(place(u, v) for u, v in zip(x, y, strict=True) if np.isfinite(v))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[i % len(COLOURS)]}" stroke-width="1.8"/>')
        parts.append(
            f'<text x="{width - 16}" y="{22 + 15 * i}" text-anchor="end" class="axis" '
            f'style="fill:{COLOURS[i % len(COLOURS)]}">{escape(name)}</text>'
        )
    return svg(width, height, "".join(parts), label)


def histogram(real: np.ndarray, fake: np.ndarray, label: str, bins: int = 24) -> str:
    """Real values as filled bars, samples as a line, over the middle 98 percent of both."""
    both = np.concatenate([real, fake])
    low, high = np.quantile(both, [0.01, 0.99]).tolist()
    if high <= low:
        low, high = float(both.min()), float(both.max())
    if high <= low:
        return ""
    edges = np.linspace(low, high, bins + 1)
    p, q = (np.histogram(v, edges)[0] / max(len(v), 1) for v in (real, fake))
    width, height, top = 220.0, 96.0, max(p.max(), q.max()) or 1.0
    step = width / bins
    bars = "".join(
        f'<rect x="{i * step:.1f}" y="{76 * (1 - v / top):.1f}" width="{step - 0.6:.1f}" '
        f'height="{76 * v / top:.1f}" class="bar"/>'
        for i, v in enumerate(p)
    )
    path = "".join(
        f"{'M' if i == 0 else 'L'}{i * step:.1f},{76 * (1 - v / top):.1f}L{(i + 1) * step:.1f},{76 * (1 - v / top):.1f}"
        for i, v in enumerate(q)
    )
    ends = text(0, 92, f"{low:.4g}", "start", "axis") + text(width, 92, f"{high:.4g}", "end", "axis")
    return svg(width, height, f'{bars}<path d="{path}" class="outline"/>{ends}', label)


def shares(real: list[str], fake: list[str], label: str, most: int = 6) -> str:
    """The commonest categories: real shares as bars, samples' shares as ticks."""
    names, counts = np.unique(np.asarray(real, dtype=object).astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    seen = np.asarray(fake, dtype=object).astype(str)
    lines = [(str(names[i]), counts[i] / len(real), float(np.mean(seen == names[i]))) for i in order]
    top, width, step = max(max(p, q) for _, p, q in lines), 220.0, 16.0
    parts = []
    for i, (name, p, q) in enumerate(lines):
        y = i * step
        parts.append(text(78, y + 12, name if len(name) < 13 else name[:12] + "…", "end", "axis"))
        parts.append(f'<rect x="84" y="{y + 2:.0f}" width="{132 * p / top:.1f}" height="11" class="bar"/>')
        parts.append(
            f'<line x1="{84 + 132 * q / top:.1f}" y1="{y:.0f}" x2="{84 + 132 * q / top:.1f}" y2="{y + 15:.0f}" class="outline"/>'
        )
    return svg(width, step * len(lines) + 4, "".join(parts), label)


def scatter(real: np.ndarray, fake: np.ndarray, label: str) -> str:
    """Real points (n, 2) under samples."""
    low, high = np.quantile(np.concatenate([real, fake]), [0.002, 0.998], axis=0)
    side, parts = 320.0, []
    for points, css in ((real, "real-point"), (fake, "fake-point")):
        z = (points[:1000] - low) / np.maximum(high - low, 1e-9)
        z = z[((z >= 0) & (z <= 1)).all(1)] * (side - 12) + 6
        parts.append("".join(f'<circle cx="{x:.1f}" cy="{side - y:.1f}" r="1.8" class="{css}"/>' for x, y in z))
    return svg(side, side, "".join(parts), label)
