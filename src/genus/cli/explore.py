"""Explore: pictures and tables of what a model's codes mean."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from rich.console import Console

from genus import store
from genus.cli.folder import Folder, read_data
from genus.data.divide import divide
from genus.data.image import is_images
from genus.data.picture import grid
from genus.data.split import rows
from genus.data.write import write
from genus.errors import UsageError
from genus.tasks.explore import Exploration, explore

MOST = 2000  # items whose codes are taken
PACE = 120  # milliseconds a frame

console = Console(stderr=True, highlight=False)


def explore_run(path: Path, source: str | None, output: Path | None, units: int, steps: int, route: str, seed: int) -> None:
    """Explore a run's codes over DATA, or over the data it was fitted on, and write what was found into a folder."""
    folder = Folder(path)
    model, description = folder.model(), folder.description
    data = read_data(source or description["data"]["source"], description["data"]["reading"])
    X, y = divide(data, description["condition"], model.codec_.kind)
    parts, _ = folder.held_out(data, X, y)
    labels = None if data.y is None else np.asarray(data.y)
    if parts is not None:
        labels = None if labels is None else labels[parts.index[2]]
        X, y = parts.test
    if len(X) > MOST:
        some = np.sort(np.random.default_rng(seed).permutation(len(X))[:MOST])
        X, y = rows(X, some), None if y is None else rows(y, some)
        labels = None if labels is None else labels[some]
    found = explore(model, X, y, labels=labels, units=units, steps=steps, path=route, seed=seed)
    place = output or path / "explore"
    if place.is_file():
        raise UsageError(f"{place} is a file; -o wants a folder.")
    for name in _kept(found, place):
        console.print(f"→ {place / name}")
    spread = ", ".join(f"{u} ({found.deviation[u]:.3g})" for u in found.units)
    console.print(f"Codes of {len(X)} items, {len(found.deviation)} numbers each; units that vary most (deviation): {spread}")


def _kept(found: Exploration, place: Path) -> list[str]:
    """Write everything; the names of the files."""
    if not is_images(found.traversals):
        write(found.table(), place / "traversals.csv")
        write(_framed(found.paths, found), place / "paths.csv")
        for name, items in found.attributes.items():
            write(_framed(items, found), place / f"attribute-{_safe(name)}.csv")
        return ["traversals.csv", "paths.csv", *(f"attribute-{_safe(name)}.csv" for name in found.attributes)]
    sheets = {"traversals": found.traversals, "paths": found.paths}
    if found.attributes:
        sheets["attributes"] = np.concatenate(list(found.attributes.values()))
    for name, images in sheets.items():
        store.write(place / f"{name}.png", _png(grid(images, columns=found.steps)))
        store.write(place / f"{name}.gif", _gif(np.asarray(images), found.steps))
    return [f"{name}.{ending}" for name in sheets for ending in ("png", "gif")]


def _png(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, format="png")
    return content.getvalue()


def _gif(images: np.ndarray, steps: int) -> bytes:
    """All rows at once, step by step there and back."""
    lanes = images.reshape(-1, steps, *images.shape[1:])
    order = [*range(steps), *range(steps - 2, 0, -1)]
    top = 1 if images.dtype == bool else max(int(images.max()), 1)
    full = np.uint8(255) if images.dtype == bool or top <= 1 else np.uint8(round(255 / top) if top <= 16 else 1)
    frames = [grid(np.maximum(lanes[:, i].astype(np.uint8) * full, 0), columns=lanes.shape[0]).convert("RGB") for i in order]
    content = io.BytesIO()
    frames[0].save(content, format="gif", save_all=True, append_images=frames[1:], duration=PACE, loop=0)
    return content.getvalue()


def _framed(items: Any, found: Exploration) -> pd.DataFrame:
    """Items with the step they belong to before them."""
    body = items if isinstance(items, pd.DataFrame) else pd.DataFrame(np.asarray(items).reshape(len(items), -1)).add_prefix("x")
    step = pd.DataFrame({"path": np.arange(len(body)) // found.steps, "step": np.arange(len(body)) % found.steps})
    return pd.concat([step, body.reset_index(drop=True)], axis=1)


def _safe(name: Any) -> str:
    return "".join(c if c.isalnum() else "-" for c in str(name))
