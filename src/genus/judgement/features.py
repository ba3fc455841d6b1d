"""Feature spaces: where distances are measured, each with a name and the hash of what it learnt."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from genus.data import codec_of
from genus.judgement import texts, vision
from genus.judgement.columns import Columns

WIDTH = 64
MOST_CLASSES = 200


@dataclass
class Features:
    """A map from items to vectors (n, d), fitted to one reference set and named for what it is.

    Attributes
    ----------
    name: what it is, in a word. sha256: of every number it learnt. words: how it was made, for the report.
    reader: for images with labels, the class a net sees in each item; None otherwise.
    """

    name: str
    sha256: str
    words: str
    embed: Callable[[Any], np.ndarray] = field(repr=False)
    reader: Callable[[Any], np.ndarray] | None = field(default=None, repr=False)

    def __call__(self, X: Any) -> np.ndarray:
        return self.embed(X)

    def __str__(self) -> str:
        return f"{self.name} sha256:{self.sha256[:12]}"


def kind_of(X: Any) -> str:
    """table, image, text or array."""
    return codec_of(X).kind


def plain_features(X: Any) -> Features:
    """The features that need no labels: standardised entries, quantile-coded cells, pixels or n-grams, at most 64 wide."""
    kind = kind_of(X)
    if kind == "table":
        columns = Columns.of(X)
        return _projected("cells", "ranks and one-hot categories", X, columns.dense, [repr(vars(columns)).encode()], scale=False)
    if kind == "text":
        return _projected("ngrams", "hashed strings of 1 to 3 characters", X, texts.hashed, [], scale=False)
    if kind == "image":
        top = float(X.max()) or 1.0
        return _projected("pixels", "pixels", X, lambda a: np.asarray(a, np.float64).reshape(len(a), -1) / top, [], scale=False)
    return _projected("values", "standardised values", X, lambda a: np.asarray(a, np.float64).reshape(len(a), -1), [], scale=True)


def _projected(name: str, words: str, X: Any, flat: Callable[[Any], Any], learnt: list[bytes], *, scale: bool) -> Features:
    """`flat`, standardised if asked, and turned onto its 64 widest directions where it is wider."""
    x = flat(X)
    dense = isinstance(x, np.ndarray)
    mean = x.mean(0) if dense else np.zeros(x.shape[1])
    sd = x.std(0) if scale else np.ones(1)
    sd = np.where(sd > 0, sd, 1.0)
    turn = None
    if x.shape[1] > WIDTH:
        turn = _directions((x - mean) / sd if dense else x)
        name, words = f"{name}-{turn.shape[1]}", f"{words}, first {turn.shape[1]} principal directions"

    def embed(items: Any) -> np.ndarray:
        z = flat(items)
        z = (z - mean) / sd if dense else z
        return np.asarray(z if turn is None else z @ turn)

    parts = [*learnt, *(np.ascontiguousarray(a).tobytes() for a in (mean, sd, turn) if a is not None)]
    return Features(name, hashlib.sha256(b"".join(parts)).hexdigest(), words, embed)


def _directions(x: Any) -> np.ndarray:
    """The widest directions (columns) of at most 5000 items, (d, 64), by a seeded randomised decomposition."""
    from sklearn.utils.extmath import randomized_svd

    rows = x[np.random.default_rng(0).permutation(x.shape[0])[:5000]]
    width = min(WIDTH, min(rows.shape) - 1)
    return randomized_svd(rows, width, random_state=0)[2].T


def label_features(X: Any, y: Any, *, name: str = "label", seed: int = 0, steps: int = 200) -> Features | None:
    """The hidden layer of a net that learnt to read the labels y of images X; None where y is no label."""
    labels = np.asarray(y) if y is not None else None
    if labels is None or labels.ndim != 1 or labels.dtype.kind == "f" or not 2 <= len(np.unique(labels)) <= MOST_CLASSES:
        return None
    top = float(X.max()) or 1.0
    codes = np.unique(labels, return_inverse=True)[1]
    net = vision.train(vision.tensor(X, top), codes, steps=steps, seed=seed)
    content = b"".join(p.detach().numpy().tobytes() for p in net.parameters())
    return Features(
        f"{name}net-{vision.WIDTH}",
        hashlib.sha256(content).hexdigest(),
        f"hidden layer of a small convolutional net that reads the {len(np.unique(labels))} labels, trained here, seed {seed}",
        lambda a: vision.embed(net, vision.tensor(a, top)),
        lambda a: vision.read(net, vision.tensor(a, top)),
    )
