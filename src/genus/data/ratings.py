"""Ratings: who gave what how many points; one item of data is one user with all of his or her ratings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from genus.data.codec import Codec
from genus.errors import DataError, UsageError, nearest
from genus.maths.quantise import Packed
from genus.space import AnySpace, Record, Space

MOST = 64  # different ratings
ROLES = {
    "user": ("user", "userid", "user_id", "reviewer", "customer", "uid", "member"),
    "item": ("item", "itemid", "item_id", "movie", "movieid", "movie_id", "product", "product_id", "book", "song", "iid"),
    "rating": ("rating", "ratings", "score", "stars", "points", "value"),
}


@dataclass
class Ratings:
    """Ratings as three columns; its length is the number of users, and indexing takes users.

    Parameters
    ----------
    frame: columns user, item, rating, one row a rating, sorted by nothing. users: in order, all who rated when None.
    scale: the ratings there are, ascending; those that occur when None.

    Raises DataError, one sentence, for a pair of user and item that occurs twice, a rating that is missing or no number,
    and a rating outside `scale`.
    """

    frame: Any
    users: list[Any] | None = None
    scale: list[float] | None = None
    row: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        lacking = [name for name in ROLES if name not in self.frame.columns]
        if lacking:
            raise DataError(f"Ratings lack a column {lacking[0]!r}: give user, item and rating.")
        number: Any = pd.to_numeric(self.frame["rating"], errors="coerce")
        value = number.to_numpy(dtype=np.float64, na_value=np.nan)
        if np.isnan(value).any():
            at = int(np.isnan(value).argmax())
            raise DataError(f"The rating in row {at} is {self.frame['rating'].iloc[at]!r}, which is no number.")
        twice = self.frame.duplicated(["user", "item"]).to_numpy()
        if twice.any():
            at = int(twice.argmax())
            user, item = self.frame["user"].iloc[at], self.frame["item"].iloc[at]
            raise DataError(
                f"User {user!r} rates item {item!r} a second time in row {at} ({int(twice.sum())} rows do so): keep one of them."
            )
        self.scale = sorted(set(value.tolist())) if self.scale is None else sorted(float(v) for v in self.scale)
        outside = ~np.isin(value, self.scale)
        if outside.any():
            at = int(outside.argmax())
            shown = ", ".join(f"{v:g}" for v in self.scale[:10])
            raise DataError(f"The rating {value[at]:g} in row {at} lies outside the scale ({shown}).")
        if len(self.scale) > MOST:
            raise DataError(f"There are {len(self.scale)} different ratings (at most {MOST}): round them to a scale.")
        if self.users is None:
            self.users = list(pd.unique(self.frame["user"]))
        self.row = pd.Index(self.users).get_indexer(self.frame["user"])

    def __len__(self) -> int:
        return len(self.users or [])

    @property
    def iloc(self) -> _Users:
        """Users by position, as a DataFrame's rows."""
        return _Users(self)

    def of(self, user: Any) -> Ratings:
        """One user's ratings; one sentence with the nearest name where there is no such user."""
        users = self.users or []
        found = [u for u in users if u == user] or [u for u in users if str(u) == str(user)]
        if not found:
            raise UsageError(f"There is no user {user!r} among {len(users)}.{nearest(str(user), map(str, users))}")
        return Ratings(self.frame[self.frame["user"] == found[0]], [found[0]], self.scale)


@dataclass
class _Users:
    ratings: Ratings

    def __getitem__(self, index: Any) -> Ratings:
        index = np.arange(len(self.ratings))[index]
        users = [(self.ratings.users or [])[i] for i in np.atleast_1d(index)]
        return Ratings(self.ratings.frame[np.isin(self.ratings.row, index)], users, self.ratings.scale)


def is_ratings(X: Any) -> bool:
    """Ratings."""
    return isinstance(X, Ratings)


def ratings_of(frame: Any) -> Ratings:
    """The Ratings in a table whose columns are named so (user, item or movie or product …, rating), else its first three."""
    lower = {str(name).lower().strip(): name for name in frame.columns}
    found = {role: next((lower[word] for word in words if word in lower), None) for role, words in ROLES.items()}
    if any(name is None for name in found.values()):
        if frame.shape[1] < 3:
            raise DataError(f"Ratings need three columns (user, item, rating), but there are {frame.shape[1]}.")
        found = dict(zip(ROLES, frame.columns[:3], strict=True))
    return Ratings(pd.DataFrame({role: frame[name] for role, name in found.items()}))


class RatingsCodec(Codec):
    """Ratings ⇄ `record`: a cell for each item of the catalogue, whose last level means that it was not rated.

    Attributes
    ----------
    items_: the catalogue, the most rated first. scale_: the ratings there are. share_: of the users who rated each item.
    """

    kind: ClassVar[str] = "ratings"

    def fit(self, X: Any) -> Self:
        if len(X) < 2:
            raise DataError(f"There is {len(X)} user (n_samples = {len(X)}): a distribution needs at least 2.")
        counts = X.frame["item"].value_counts()
        self.items_ = [value.item() if hasattr(value, "item") else value for value in counts.index]
        self.share_ = (counts / len(X)).to_numpy(dtype=np.float64)
        self.scale_ = list(X.scale)
        self.average_ = float(len(X.frame) / len(X))
        return self

    def views(self) -> tuple[AnySpace, ...]:
        k = len(self.scale_)
        return (Record(tuple((str(item), Space("levels", (), k + 1, missing=k)) for item in self.items_)),)

    def dims(self) -> int:
        return max(1, round(self.average_))

    def exact(self, view: AnySpace) -> bool:
        return True

    def pack(self, X: Any, view: AnySpace) -> Packed:
        out = torch.full((len(X), len(self.items_)), len(self.scale_), dtype=torch.int64)
        column = pd.Index(self.items_).get_indexer(X.frame["item"])
        level = np.searchsorted(self.scale_, X.frame["rating"].to_numpy(dtype=np.float64))
        kept = (column >= 0) & (level < len(self.scale_))
        held = np.asarray(self.scale_)[np.minimum(level, len(self.scale_) - 1)]
        off = kept & (held != X.frame["rating"].to_numpy(dtype=np.float64))
        if off.any():
            at = int(off.argmax())
            raise DataError(f"The rating {X.frame['rating'].iloc[at]} in row {at} lies outside the scale of training.")
        out[torch.from_numpy(X.row[kept]), torch.from_numpy(column[kept])] = torch.from_numpy(level[kept])
        return out

    def unpack(self, x: Tensor, view: AnySpace, *, whole: bool = False) -> Any:
        user, item = torch.nonzero(x < len(self.scale_), as_tuple=True)
        frame = pd.DataFrame({
            "user": user.numpy(), "item": pd.Index(self.items_).take(item.numpy()),
            "rating": np.asarray(self.scale_)[x[user, item].numpy()],
        })  # fmt: skip
        return Ratings(frame, list(range(len(x))), self.scale_)

    def log_volume(self, x: Tensor, view: AnySpace) -> Tensor:
        return torch.zeros(len(x), dtype=torch.float64)

    def known(self, X: Any, view: AnySpace) -> tuple[Packed, Tensor]:
        packed = self.pack(X, view)
        assert isinstance(packed, Tensor)
        return packed, packed < len(self.scale_)

    def merge(self, X: Any, filled: Any, view: AnySpace) -> Any:
        frame = filled.frame.copy()
        frame["user"] = pd.Index(X.users).take(frame["user"].to_numpy())
        return Ratings(frame, X.users, self.scale_)

    def template(self, n: int, given: Any) -> Any:
        """given = {item: rating}."""
        texts = {str(item): item for item in self.items_}
        rows = []
        for word, value in dict(given).items():
            if str(word) not in texts:
                raise UsageError(f"There is no item {word!r} in the catalogue.{nearest(str(word), texts)}")
            rows += [(user, texts[str(word)], float(value)) for user in range(n)]
        return Ratings(pd.DataFrame(rows, columns=["user", "item", "rating"]), list(range(n)), self.scale_)
