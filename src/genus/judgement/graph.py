"""A network drawn: causes above effects, in layers, as inline SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from genus.judgement.svg import svg
from genus.maths.graphs import layers

HEIGHT, GAP = 26.0, 66.0


def draw_graph(graph: Mapping[str, Sequence[str]], label: str = "Which column depends on which") -> str:
    """The directed graph as SVG, for a page or a file of its own: a box a variable, an arrow from each parent.

    Parameters
    ----------
    graph: the parents of each variable, by name. label: what a screen reader says.
    """
    names = list(graph)
    parents = [[names.index(p) for p in above] for above in graph.values()]
    rows = layers(parents)
    words = [name if len(name) <= 22 else name[:21] + "…" for name in names]
    sizes = [sum(9.2 if c.isupper() else 7.2 for c in word) + 18 for word in words]
    width = max((sum(sizes[i] + 16 for i in row) for row in rows), default=40.0) + 8
    place: dict[int, tuple[float, float]] = {}
    for k, row in enumerate(rows):
        slack = (width - sum(sizes[i] for i in row)) / (len(row) + 1)
        x = slack
        for i in row:
            place[i] = (x + sizes[i] / 2, 8 + HEIGHT / 2 + k * GAP)
            x += sizes[i] + slack
    arcs = [_arrow(place[p], place[i], sizes[i]) for i, above in enumerate(parents) for p in above]
    boxes = [_box(*place[i], sizes[i], words[i], names[i]) for i in range(len(names))]
    drawn = svg(width, len(rows) * GAP - GAP + HEIGHT + 16, "".join(arcs + boxes), label)
    return drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)


def _box(x: float, y: float, width: float, word: str, name: str) -> str:
    left, top = x - width / 2, y - HEIGHT / 2
    box = f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{HEIGHT:.0f}" rx="6" fill="#eef2f7" stroke="#5b6b7f"/>'
    words = f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" style="font:12px sans-serif;fill:#1c2733">'
    return f"<g><title>{escape(name)}</title>{box}{words}{escape(word)}</text></g>"


def _arrow(start: tuple[float, float], end: tuple[float, float], width: float) -> str:
    """A curve from the lower edge of a box to the upper edge of another, with a head."""
    (x0, y0), (x1, y1) = start, end
    y0, y1 = y0 + HEIGHT / 2, y1 - HEIGHT / 2
    x1 += max(-width / 3, min(width / 3, (x0 - x1) / 6))
    bend = (y1 - y0) / 2
    line = f"M{x0:.1f},{y0:.1f}C{x0:.1f},{y0 + bend:.1f} {x1:.1f},{y1 - bend:.1f} {x1:.1f},{y1 - 6:.1f}"
    head = f"M{x1 - 4:.1f},{y1 - 8:.1f}L{x1:.1f},{y1:.1f}L{x1 + 4:.1f},{y1 - 8:.1f}Z"
    return f'<path d="{line}" fill="none" stroke="#5b6b7f" stroke-width="1.2"/><path d="{head}" fill="#5b6b7f"/>'
