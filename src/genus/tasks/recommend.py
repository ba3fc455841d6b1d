"""Recommend: what a user would rate highest of what he or she has not rated, beside what everybody likes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from genus import dice
from genus.capability import Partial
from genus.data.ratings import Ratings, RatingsCodec
from genus.errors import UsageError

DRAWS = 32


class Biases:
    """The baseline every recommender must beat: mean + what the user adds + what the item adds, both shrunk.

    Parameters
    ----------
    shrink: ratings of no deviation added to each item and user.

    Reference: Y. Koren, R. Bell and C. Volinsky 2009, Matrix factorization techniques for recommender systems,
    https://doi.org/10.1109/MC.2009.263
    """

    def __init__(self, shrink: float = 5.0) -> None:
        self.shrink = shrink

    def fit(self, X: Ratings) -> Biases:
        """Learn the mean and the items' deviations."""
        self.mean = float(X.frame["rating"].mean())
        rest = X.frame["rating"] - self.mean
        group = rest.groupby(X.frame["item"])
        self.item = group.sum() / (group.count() + self.shrink)
        self.count = group.count()
        return self

    def predict(self, known: Ratings, items: list[Any]) -> np.ndarray:
        """Expected ratings (users, items) of users with these known ratings."""
        rest = known.frame["rating"] - self.mean - known.frame["item"].map(self.item).fillna(0.0)
        sums = np.bincount(known.row, rest.to_numpy(dtype=np.float64), minlength=len(known))
        user = sums / (np.bincount(known.row, minlength=len(known)) + self.shrink)
        return self.mean + user[:, None] + self.item.reindex(items).fillna(0.0).to_numpy()[None]


def expected_ratings(model: Any, known: Ratings, *, seed: int = 0) -> np.ndarray:
    """E[rating of each item of the catalogue | a user's known ratings], (users, items), the known ones as they are.

    Exact expectations where the family has them (`predictive`), else means of 32 completions.
    """
    if not isinstance(getattr(model, "codec_", None), RatingsCodec):
        raise UsageError("recommend wants a model fitted on ratings: genus fit ratings.csv --kind ratings --family rbm.")
    scale = torch.tensor(model.codec_.scale_, dtype=torch.float64)
    if hasattr(model, "predictive"):
        return (model.predictive(known)[..., : len(scale)] @ scale.numpy()).astype(np.float64)
    if not isinstance(model, Partial):
        raise UsageError(f"{type(model).__name__} cannot complete, so it cannot recommend: try rbm, categorical or marginals.")
    total = np.zeros((len(known), model.space_.size))
    for i in range(DRAWS):
        filled = model.complete(known, seed=dice.derive(seed, f"draw {i}"))
        packed = model.codec_.pack(filled, model.space_)
        assert isinstance(packed, torch.Tensor)
        total += scale[packed.clamp(max=len(scale) - 1)].numpy()
    return total / DRAWS


def recommend(model: Any, known: Ratings, *, n: int = 10, train: Ratings | None = None, seed: int = 0) -> pd.DataFrame:
    """The n unrated items that each user of `known` is expected to rate highest.

    Parameters
    ----------
    model: fitted on ratings. known: ratings of users, old or new, without retraining. n: how many.
    train: with it, what the baselines expect stands beside: `bias` and how often an item is rated (`popularity`).

    Returns a table with columns user, rank, item, expected (and bias, popularity).
    """
    items = list(model.codec_.items_)
    value = expected_ratings(model, known, seed=seed)
    place = pd.Index(items).get_indexer(known.frame["item"])
    value[known.row[place >= 0], place[place >= 0]] = -np.inf
    best = np.argsort(-value, axis=1, kind="stable")[:, :n]
    rows = [(user, rank + 1, items[j], value[i, j]) for i, user in enumerate(known.users or [])
            for rank, j in enumerate(best[i]) if np.isfinite(value[i, j])]  # fmt: skip
    out = pd.DataFrame(rows, columns=["user", "rank", "item", "expected"])
    if train is not None:
        baseline = Biases().fit(train)
        whole = pd.DataFrame(baseline.predict(known, items), index=pd.Index(known.users), columns=pd.Index(items))
        out["bias"] = [whole.at[user, item] for user, item in zip(out["user"], out["item"], strict=True)]
        out["popularity"] = baseline.count.reindex(out["item"]).fillna(0).to_numpy(dtype=int)
    return out
