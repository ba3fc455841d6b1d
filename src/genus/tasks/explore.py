"""Explore: what the codes of a model mean: traversals of a unit, paths between items, directions of an attribute."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from genus.capability import Latent
from genus.data.split import rows
from genus.errors import UsageError

SPAN = (0.02, 0.98)  # quantiles of a unit between which it is moved
FEW = 32  # labels of which attributes are made


@dataclass
class Exploration:
    """What was found among a model's codes.

    Attributes
    ----------
    units: the units shown, those that vary most first. deviation: of every unit over the data, (k,).
    traversals: items in the user's own type, units × steps of them, each unit moved alone; values: (units, steps) its values.
    paths: items, pairs × steps, from one item to another. ends: (pairs, 2) their places in the data.
    attributes: {label: items, steps of them, with the attribute taken away to put in}. directions: {label: (k,)}.
    steps: of each.
    """

    units: list[int]
    deviation: np.ndarray
    traversals: Any
    values: np.ndarray
    paths: Any
    ends: np.ndarray
    attributes: dict[Any, Any] = field(default_factory=dict)
    directions: dict[Any, np.ndarray] = field(default_factory=dict)
    steps: int = 9

    def table(self) -> pd.DataFrame:
        """A row for each item of the traversals of a table or of vectors: the unit, its value, and what was decoded."""
        shown = self.traversals
        body = shown if isinstance(shown, pd.DataFrame) else pd.DataFrame(np.asarray(shown).reshape(len(shown), -1))
        head = pd.DataFrame({"unit": np.repeat(self.units, self.steps), "value": self.values.reshape(-1)})
        return pd.concat([head, body.reset_index(drop=True).add_prefix("" if isinstance(shown, pd.DataFrame) else "x")], axis=1)


def explore(
    model: Any, X: Any, y: Any = None, *, labels: Any = None, units: int = 8, steps: int = 9, pairs: int = 6,
    path: str = "spherical", strength: float = 2.0, seed: int = 0,
) -> Exploration:  # fmt: skip
    """Move through the codes of a fitted `Latent` model.

    A traversal begins at the item whose code is the most ordinary and moves one unit between its 2 % and 98 % quantiles. A path
    leads from one item to another along their codes: "linear", or "spherical", on the arc between them, which keeps to where
    a normal prior has its mass (White 2016, https://arxiv.org/abs/1609.04468). An attribute's direction is the mean code of the
    items with a label minus the mean code of the others (Larsen et al. 2016, https://arxiv.org/abs/1512.09300).

    Parameters
    ----------
    X: items to take codes of. y: their conditions, where the model has one. labels: (n,) of X, for attributes.
    units: how many are traversed. steps: items of each traversal and path. pairs: paths. strength: lengths of an attribute's
    direction that are taken away and put in.

    Raises UsageError where the model has no codes, or codes that are symbols, between which there is nothing.
    """
    if not isinstance(model, Latent):
        raise UsageError(f"{type(model).__name__} has no codes: `genus families` shows which families do (latent).")
    if path not in ("linear", "spherical"):
        raise UsageError(f"path is linear or spherical, not {path!r}.")
    if min(units, steps - 1, pairs) < 1:
        raise UsageError("units and pairs count 1 or more, steps 2 or more.")
    y = y if getattr(model, "condition_", None) is not None else None
    z = model.encode(X, y)
    if z.shape[1] == 0 or (np.rint(z) == z).all():
        raise UsageError(f"The codes of this {type(model).__name__} are symbols: between them there is nothing to explore.")
    deviation = z.std(0)
    picked = np.argsort(-deviation, kind="stable")[: min(units, z.shape[1])]
    base = int(np.square((z - z.mean(0)) / np.maximum(deviation, 1e-9)).sum(1).argmin())
    shares = np.linspace(*SPAN, steps)
    values = np.stack([np.quantile(z[:, u], shares) for u in picked])
    moved = np.repeat(z[base][None], len(picked) * steps, 0)
    moved[np.arange(len(moved)), np.repeat(picked, steps)] = values.reshape(-1)
    ends = np.random.default_rng(seed).permutation(len(z))[: 2 * min(pairs, len(z) // 2)].reshape(-1, 2)
    between = np.concatenate([route(z[a], z[b], steps, path) for a, b in ends])
    found = Exploration(
        [int(u) for u in picked], deviation, model.decode(moved, _again(y, np.full(len(moved), base))), values,
        model.decode(between, _again(y, np.repeat(ends[:, 0], steps))), ends, steps=steps,
    )  # fmt: skip
    if labels is not None:
        _attribute(found, model, z, y, np.asarray(labels), base, strength)
    return found


def route(a: np.ndarray, b: np.ndarray, steps: int, path: str) -> np.ndarray:
    """Codes (steps, k) from a to b, both included, on a line or on the arc between their directions.

    >>> route(np.array([1.0, 0.0]), np.array([0.0, 1.0]), 3, "spherical").round(3).tolist()
    [[1.0, 0.0], [0.707, 0.707], [0.0, 1.0]]
    """
    t = np.linspace(0, 1, steps)[:, None]
    size = np.linalg.norm(a) * np.linalg.norm(b)
    angle = np.arccos(np.clip(a @ b / size, -1, 1)) if size > 0 else 0.0
    if path == "linear" or np.sin(angle) < 1e-4:
        return (1 - t) * a + t * b
    return (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)


def _attribute(found: Exploration, model: Any, z: np.ndarray, y: Any, labels: np.ndarray, base: int, strength: float) -> None:
    names = [label for label in pd.unique(pd.Series(labels)) if not pd.isna(label)]
    if len(names) > FEW:
        raise UsageError(f"There are {len(names)} different labels: attributes are made of {FEW} at most.")
    for name in sorted(names, key=str):
        held = labels == name
        if held.all():
            continue
        found.directions[name] = z[held].mean(0) - z[~held].mean(0)
        along = z[base] + np.linspace(-strength, strength, found.steps)[:, None] * found.directions[name]
        found.attributes[name] = model.decode(along.astype(np.float32), _again(y, np.full(found.steps, base)))


def _again(y: Any, index: np.ndarray) -> Any:
    return None if y is None else rows(y, index)
