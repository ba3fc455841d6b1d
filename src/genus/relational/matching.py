"""Matching: a second parent for every child, chosen by what the child was drawn to expect of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch

from genus import dice
from genus.data.recognise import OUT, recognise
from genus.relational.counts import Counts
from genus.relational.encoder import Encoder, Features
from genus.relational.part import columns_of

CANDIDATES = 64
COLUMNS = 6
ROWS = 8192


@dataclass
class Matching:
    """The law of a second foreign key: some columns of its table are drawn with the child, and a row that has them is found.

    Candidates are drawn in proportion to how many children each row is to have (a count law given its columns), and the one
    whose columns differ least from those expected is taken, so that popular rows stay popular and every key exists.

    Attributes
    ----------
    columns: the child's, that hold the key. parent: the table. profile_: {its column: its name among the child's columns}.
    flag_: the name of the child's column that says whether there is a parent at all, None where there always is.
    """

    columns: tuple[str, ...]
    parent: str
    profile_: dict[str, str] = field(default_factory=dict)
    flag_: str | None = None
    count_: Counts = field(default_factory=Counts)
    encoder_: Encoder = field(default_factory=Encoder)

    def fit(self, child: Any, link: np.ndarray, parents: Any, given: Features) -> pd.DataFrame:
        """Learn how often rows are named; returns what the child expects of its second parent, as columns."""
        self.count_.fit(np.bincount(link[link >= 0], minlength=len(parents)), given)
        told = [name for name in parents.columns if recognise(parents[name]) not in OUT][:COLUMNS]
        stem = ",".join(self.columns)
        self.profile_ = {str(name): _free(f"{stem}/{name}", child) for name in told}
        self.encoder_ = Encoder().fit(columns_of(parents, told), parents.attrs.get("kinds"))
        expected = parents[told].reset_index(drop=True).reindex(np.where(link >= 0, link, -1)).set_axis(range(len(child)))
        expected.columns = pd.Index(list(self.profile_.values()))
        if (link == -1).any():
            self.flag_ = _free(f"{stem}/known", child)
            expected[self.flag_] = np.where(link == -1, "no", "yes")
        return expected

    def choose(self, child: Any, parents: Any, given: Features, seed: int) -> np.ndarray:
        """The place of each child's second parent, (n,); −1 for none."""
        n = len(child)
        if not len(parents) or not n:
            return np.full(n, -1)
        weight = self.count_.sample(len(parents), given, dice.derive(seed, "count")).astype(np.float64)
        weight = weight if weight.sum() > 0 else np.ones(len(parents))
        wanted = self.encoder_.encode(child[list(self.profile_.values())].set_axis(list(self.profile_), axis=1))
        offered = self.encoder_.encode(parents[list(self.profile_)])
        out = np.empty(n, dtype=np.int64)
        with dice.private(dice.derive(seed, "candidates")):
            for start in range(0, n, ROWS):
                rows = np.arange(start, min(start + ROWS, n))
                drawn = torch.multinomial(torch.from_numpy(weight), len(rows) * CANDIDATES, replacement=True)
                places = drawn.view(len(rows), CANDIDATES).numpy()
                out[rows] = places[np.arange(len(rows)), _distance(wanted.take(rows), offered, places).argmin(1)]
        if self.flag_ is not None:
            out[child[self.flag_].to_numpy() == "no"] = -1
        return out

    def save(self) -> dict[str, Any]:
        """Everything as plain values and arrays."""
        return {"columns": self.columns, "parent": self.parent, "profile": self.profile_, "flag": self.flag_,
                "count": vars(self.count_), "encoder": vars(self.encoder_)}  # fmt: skip

    @classmethod
    def load(cls, state: dict[str, Any]) -> Matching:
        """The law that was saved."""
        count, encoder = Counts(**state["count"]), Encoder(**state["encoder"])
        return cls(state["columns"], state["parent"], state["profile"], state["flag"], count, encoder)


def _distance(wanted: Features, offered: Features, places: np.ndarray) -> np.ndarray:
    """How far each candidate is from what is wanted, (n, candidates): labels that differ, and differences of scores."""
    total = np.zeros(places.shape)
    for name, codes in wanted.codes.items():
        total += offered.codes[name][places] != codes[:, None]
    for name, score in wanted.scores.items():
        total += np.abs(offered.scores[name][places] - score[:, None])
    return total


def _free(name: str, frame: Any) -> str:
    while name in frame.columns:
        name += "'"
    return name
