"""Embedded: the datasets that come with genus; the list is readable without importing anything heavy."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genus.data.load import Dataset

SHIPPED = Path(__file__).with_name("shipped")
POINTS = 10_000
UCI = "CC BY 4.0 (UCI repository)"
DRAWN = "none needed: drawn by seed 0"

EMBEDDED: dict[str, tuple[str, int, str, str, str]] = {
    "digits": ("image", 1797, "8×8, 17 levels", UCI, "handwritten digits, labelled 0 to 9"),
    "iris": ("table", 150, "4 columns", UCI, "lengths of flowers, labelled by species"),
    "wine": ("table", 178, "13 columns", UCI, "chemical analyses of wines, labelled by cultivar"),
    "breast_cancer": ("table", 569, "30 columns", UCI, "shapes of cell nuclei, labelled benign or malignant"),
    "moons": ("array", POINTS, "2", DRAWN, "two interleaved half circles, labelled, density known"),
    "rings": ("array", POINTS, "2", DRAWN, "three concentric rings, labelled, density known"),
    "eight_gaussians": ("array", POINTS, "2", DRAWN, "eight modes on a circle, labelled, density known"),
    "twentyfive_gaussians": ("array", POINTS, "2", DRAWN, "25 modes on a grid, labelled, density known"),
    "checkerboard": ("array", POINTS, "2", DRAWN, "eight squares of a 4×4 board, density known"),
    "shakespeare": ("text", 1_115_394, "characters, one running text", "public domain; MIT (char-rnn)", "plays of Shakespeare"),
    "names": ("text", 32_033, "one name a line", "public domain; MIT (makemore)", "first names"),
}
"""name → (kind, items, shape in words, licence, caption)."""


def embedded(name: str) -> Dataset:
    """The embedded dataset called `name`.

    Digits, iris, wine and breast_cancer are read from scikit-learn's own copies (UCI Machine Learning Repository,
    https://archive.ics.uci.edu); shakespeare and names are shipped, their licences beside them.
    """
    from genus.data.load import Dataset

    kind, _, _, licence, caption = EMBEDDED[name]
    common: dict[str, Any] = {"name": name, "kind": kind, "source": name, "licence": licence, "note": caption}
    if kind == "text":
        return Dataset(X=_text(name), **common)
    if kind == "array":
        from genus.data.toys import TOYS

        toy = TOYS[name]
        X, y = toy.draw(POINTS, seed=0)
        return Dataset(X=X, y=y, density=toy.log_density, modes=toy.modes, **common)
    X, y = _sklearn(name)
    return Dataset(X=X, y=y, **common)


def _text(name: str) -> Any:
    text = gzip.decompress((SHIPPED / f"{name}.txt.gz").read_bytes()).decode()
    return text.removesuffix("\n").split("\n") if name == "names" else text


def _sklearn(name: str) -> tuple[Any, Any]:
    from sklearn import datasets

    bunch: Any = getattr(datasets, f"load_{name}")(as_frame=name != "digits")
    if name == "digits":
        return bunch.images.astype("uint8"), bunch.target
    return bunch.data, bunch.target_names.astype(object)[bunch.target]
