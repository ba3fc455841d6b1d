"""Gallery: items as something to look at on a page, whatever their kind."""

from __future__ import annotations

import base64
import io
import math
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from genus.judgement import svg
from genus.judgement.columns import frame_of, is_number, numeric, words

PIXELS = 560
SHOWN = 64


def picture(images: np.ndarray, columns: int = 10, shown: int = 50, pixels: int = PIXELS) -> str:
    """The first images, ten in a line, as one PNG in a data address; small ones are enlarged by whole pixels."""
    images = np.asarray(images)[:shown]
    top = 255 if images.dtype == np.uint8 and images.max(initial=0) > 16 else max(int(images.max(initial=1)), 1)
    x = (np.clip(images.astype(np.float64) / top, 0, 1) * 255).astype(np.uint8)
    x = x[..., None] if x.ndim == 3 else x
    columns = min(columns, len(x))
    lines, (height, width, channels) = math.ceil(len(x) / columns), x.shape[1:]
    sheet = np.full((lines * (height + 1) - 1, columns * (width + 1) - 1, channels), 90, np.uint8)
    for i, image in enumerate(x):
        r, c = (i // columns) * (height + 1), (i % columns) * (width + 1)
        sheet[r : r + height, c : c + width] = image
    sheet = sheet[..., 0] if channels in (1, 2) else sheet
    zoom = max(1, round(2 * pixels / sheet.shape[1]))
    image = Image.fromarray(sheet).resize((sheet.shape[1] * zoom, sheet.shape[0] * zoom), Image.Resampling.NEAREST)
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return f'<img class="pixels" alt="{len(x)} images" src="data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}">'


def show(items: Any, real: Any = None) -> str:
    """Items as HTML: a grid of images, the first rows, the first texts, or points over real ones."""
    if isinstance(items, pd.DataFrame):
        return (
            '<div class="wide">'
            + items.head(8).to_html(index=False, border=0, classes="cells", max_cols=16, float_format=lambda v: f"{v:.5g}")
            + "</div>"
        )
    if isinstance(items, str):
        return f"<pre>{escape(items[:800])}</pre>"
    if isinstance(items, list | tuple) or getattr(items, "dtype", np.dtype(float)).kind in "UO":
        long = max((len(t) for t in items[:20]), default=0) > 60
        between = chr(10) + "—" * 12 + chr(10) if long else chr(10)
        return f'<pre class="texts">{escape(between.join(items[: 3 if long else 14]))}</pre>'
    a = np.asarray(items)
    if a.dtype in (np.uint8, np.bool_) and a.ndim in (3, 4):
        return picture(a)
    flat = a.reshape(len(a), -1)
    if real is not None and flat.shape[1] == 2:
        return svg.scatter(np.asarray(real, float).reshape(-1, 2), flat.astype(float), "samples over real points")
    return show(pd.DataFrame(flat[:8, :12], columns=[f"x{i}" for i in range(min(12, flat.shape[1]))]))


def marginal_plots(real: Any, fake: Any, agreement: dict[str, float], most: int = 24) -> list[tuple[str, float, str]]:
    """(column, agreement, chart) of each column, the worst first; empty where the data have no columns."""
    a, b = (frame_of(x) if not isinstance(x, list | str) else None for x in (real, fake))
    if a is None or b is None:
        return []
    out = []
    for name, value in sorted(agreement.items(), key=lambda kv: kv[1])[:most]:
        out.append((name, value, column_plot(a, b, name)))
    return out


def column_plot(real: Any, fake: Any, name: str) -> str:
    """One column of samples over the real one: a histogram of numbers, shares of the commonest where values are few."""
    a, b = frame_of(real), frame_of(fake)
    if a is None or b is None:
        return ""
    column = next(c for c in a.columns if str(c) == name)
    x, z = a[column], b[column]
    if is_number(x) and is_number(z):
        u, v = numeric(x), numeric(z)
        return svg.histogram(u[~np.isnan(u)], v[~np.isnan(v)], name)
    return svg.shares(words(x).tolist(), words(z).tolist(), name)
