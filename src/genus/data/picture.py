"""Picture: images side by side in one, and points of the plane as a scatter plot."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from PIL import Image

from genus.errors import UsageError

MOST = 400
WIDE = 800


def grid(images: Any, columns: int | None = None, scale: int | None = None) -> Image.Image:
    """Images (n, H, W[, C]) row by row in one picture, with a pixel of grey between them.

    Parameters
    ----------
    images: uint8 or bool; values that never exceed 1 or 16 are stretched to 255.
    columns: images in a row; about the square root of n by default. scale: screen pixels a pixel, so that small
        images are visible; chosen for a picture of about 800 pixels by default.

    >>> grid(np.zeros((6, 8, 8), np.uint8), columns=3, scale=2).size
    (52, 35)
    """
    X = stretched(np.asarray(images))
    if X.ndim not in (3, 4) or not len(X):
        raise UsageError(f"A grid shows images (n, height, width[, channels]), not an array of shape {X.shape}.")
    X = (X[..., None] if X.ndim == 3 else X)[:MOST]
    n, height, width, channels = X.shape
    across = min(n, columns or math.ceil(math.sqrt(n)))
    scale = scale or max(1, round(WIDE / (across * (width + 1))))
    X = X.repeat(scale, 1).repeat(scale, 2)
    rows = math.ceil(n / across)
    h, w = height * scale + 1, width * scale + 1
    sheet = np.full((rows * h + 1, across * w + 1, channels), 128, np.uint8)
    for i, image in enumerate(X):
        top, left = i // across * h + 1, i % across * w + 1
        sheet[top : top + h - 1, left : left + w - 1] = image
    return Image.fromarray(sheet[..., 0] if channels == 1 else sheet)


def stretched(X: np.ndarray) -> np.ndarray:
    """Images as uint8 that fill 0 to 255: booleans times 255, and 17 levels (0 to 16) times 255/16."""
    if X.dtype == np.bool_ or (X.size and X.max() <= 1):
        return X.astype(np.uint8) * np.uint8(255)
    if X.size and X.max() <= 16:
        return np.rint(X * (255 / 16)).astype(np.uint8)
    return np.clip(X, 0, 255).astype(np.uint8)


def scatter(points: Any, other: Any = None) -> Image.Image:
    """Points (n, 2) in the plane; `other`, such as the real data, lies beneath in grey."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    P = np.asarray(points, dtype=float)
    if P.ndim != 2 or P.shape[1] != 2:
        raise UsageError(f"A scatter plot shows points (n, 2), not an array of shape {P.shape}.")
    figure = Figure(figsize=(5, 5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for shown, colour, label in ((other, "0.75", "data"), (P, "tab:blue", "samples")):
        if shown is not None:
            shown = np.asarray(shown, dtype=float)
            axes.plot(*shown.T, ".", color=colour, markersize=max(1.0, min(4.0, 200 / math.sqrt(len(shown) + 1))), label=label)
    if other is not None:
        axes.legend(loc="upper right")
    axes.set_aspect("equal")
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return Image.open(content).convert("RGB")
