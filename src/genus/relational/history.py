"""History: the rows of a table by family, and what a family's earlier rows say of the next one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from genus.relational.encoder import Features

GROUPS = 10  # families of two or more that must agree before a column counts as constant among siblings


class Rows:
    """Rows in the order of their families: `order` (n,), and beside it each one's position and its family's size."""

    def __init__(self, frame: Any, group: np.ndarray, ticks: np.ndarray | None) -> None:
        self.frame, self.group = frame, group
        self.ticks = np.zeros(len(frame), dtype=np.int64) if ticks is None else ticks
        own = np.where(group < 0, group.max(initial=0) + 1 + np.arange(len(group)), group)
        self.order = np.lexsort((np.arange(len(frame)), self.ticks, own)) if ticks is not None else np.argsort(own, kind="stable")
        held = own[self.order]
        new = np.append(True, held[1:] != held[:-1]) if len(held) else np.zeros(0, dtype=bool)
        start = np.flatnonzero(new)
        self.family = np.cumsum(new) - 1
        self.position = np.arange(len(held)) - start[self.family] if len(held) else np.zeros(0, dtype=np.int64)
        self.size = np.bincount(self.family)[self.family] if len(held) else np.zeros(0, dtype=np.int64)

    def constant(self, series: Any) -> bool:
        """Whether a column never differs between siblings, in enough families, though it varies."""
        codes = pd.factorize(series, use_na_sentinel=False)[0][self.order]
        late = self.position > 0
        same = codes[1:][late[1:]] == codes[:-1][late[1:]] if len(codes) > 1 else np.zeros(0, dtype=bool)
        return bool(((self.size > 1) & (self.position == 0)).sum() >= GROUPS and same.all() and len(np.unique(codes)) > 1)


def earlier(own: Features, position: np.ndarray, same: set[str]) -> Features:
    """Of rows in the order of their families: the one before, and the mean score and most frequent code of all before."""
    out = Features()
    start = np.arange(len(position)) - position
    for name, score in own.scores.items():
        out.scores[f"last/{name}"] = np.where(position > 0, np.roll(score, 1), 0.0)
        if name not in same:
            total = np.concatenate([[0.0], np.cumsum(score)])
            out.scores[f"mean/{name}"] = _shrunk(total[:-1] - total[start], position)
    for name, codes in own.codes.items():
        out.codes[f"last/{name}"], out.levels[f"last/{name}"] = np.where(position > 0, np.roll(codes, 1), -1), own.levels[name]
        if name not in same:
            one = np.zeros((len(codes) + 1, own.levels[name]), dtype=np.int32)
            one[np.arange(len(codes)) + 1, codes] = 1
            seen = np.cumsum(one, 0)
            out.codes[f"mode/{name}"] = (seen[:-1] - seen[start]).argmax(1)
            out.levels[f"mode/{name}"] = own.levels[name]
    return out


def _shrunk(total: np.ndarray, n: np.ndarray) -> np.ndarray:
    """A mean of n scores drawn a little towards 0, so that one sibling says less than ten."""
    return total / np.sqrt(np.maximum(n, 1) * (np.maximum(n, 1) + 1.0))


class History:
    """What has been drawn of each family so far."""

    def __init__(self, n: int) -> None:
        self.n, self.own, self.rows = n, Features(), pd.DataFrame()
        self.total: dict[str, np.ndarray] = {}
        self.seen: dict[str, np.ndarray] = {}
        self.count = np.zeros(n, dtype=np.int64)
        self.ticks: np.ndarray = np.zeros(n, dtype=np.int64)

    def add(self, active: np.ndarray, drawn: Any, own: Features, ticks: np.ndarray | None) -> None:
        """Remember the siblings just drawn."""
        self.rows = drawn.set_axis(active)
        if ticks is not None:
            if ticks.dtype != self.ticks.dtype:
                self.ticks = self.ticks.astype(ticks.dtype)
            self.ticks[active] = ticks
        self.own = own
        self.place = np.full(self.n, -1)
        self.place[active] = np.arange(len(active))
        for name, score in own.scores.items():
            self.total.setdefault(name, np.zeros(self.n))[active] += score
        for name, codes in own.codes.items():
            self.seen.setdefault(name, np.zeros((self.n, own.levels[name]), dtype=np.int32))[active, codes] += 1
        self.count[active] += 1

    def features(self, active: np.ndarray, same: set[str]) -> Features:
        """As `earlier`, for the next sibling of these families."""
        last = self.own.take(self.place[active]).called("last/")
        scores = {f"mean/{k}": _shrunk(v[active], self.count[active]) for k, v in self.total.items() if k not in same}
        codes = {f"mode/{k}": v[active].argmax(1) for k, v in self.seen.items() if k not in same}
        return last | Features(scores, codes, {f"mode/{k}": v.shape[1] for k, v in self.seen.items() if k not in same})
