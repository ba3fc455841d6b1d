"""Siblings: the children of each parent as a sequence given the parent: how many, the first, and each next one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genus import dice
from genus.model import Model
from genus.relational.clock import Clock, clock_of, with_gap
from genus.relational.counts import Counts
from genus.relational.encoder import Encoder, Features
from genus.relational.history import History, Rows, earlier
from genus.relational.part import Part, columns_of
from genus.train.run import Run


@dataclass
class Siblings:
    """p(children | parent) = p(count | parent) · p(first | parent, count) · ∏ᵢ p(next | parent, count, i, earlier siblings).

    Earlier siblings are told by the one before and by the mean score (most frequent label) of all. Columns that never differ
    between siblings belong to the first and are carried on, so they never differ in samples. A column of time becomes a start
    and gaps.

    Attributes
    ----------
    count_: the Counts. first_, next_: the Parts. names_: the columns. same_: those constant among siblings. clock_: of the column
    of time. encoder_: of the children. sizes_: of counts and
    positions. alone_: share of rows whose foreign key is empty.
    """

    count_: Counts = field(default_factory=Counts)
    first_: Part = field(default_factory=Part)
    next_: Part = field(default_factory=Part)
    names_: list[Any] = field(default_factory=list)
    same_: list[Any] = field(default_factory=list)
    clock_: Clock | None = None
    encoder_: Encoder = field(default_factory=Encoder)
    sizes_: Encoder = field(default_factory=Encoder)
    alone_: float = 0.0

    # -- fitting ------------------------------------------------------------------------------------------

    def fit(
        self,
        frame: Any,
        group: np.ndarray,
        parents: Any,
        given: Features,
        time: str | None,
        make: Callable[[], Model],
        runs: Callable[[str], Run],
    ) -> Siblings:
        """Learn from the rows of `frame`, whose parents stand at `group` (n,) (negative: none known)."""
        self.names_ = list(frame.columns)
        if time is not None:
            self.clock_ = clock_of(frame, time, parents, group)
        rows = Rows(frame, group, None if self.clock_ is None else self.clock_.ticks(frame))
        self.alone_ = float((group == -1).mean())
        self.same_ = [name for name in frame.columns if name != time and rows.constant(frame[name])]
        self.encoder_ = Encoder().fit(columns_of(frame, [n for n in frame.columns if n != time]), frame.attrs.get("kinds"))
        count = np.bincount(group[group >= 0], minlength=len(parents))
        self.sizes_ = Encoder().fit(pd.DataFrame({"siblings": np.append(count, 1), "position": np.append(count, 0)}))
        self.count_.fit(count, given)
        starts, known = self._starts(rows, parents, given)
        self.first_.fit(starts, known, make, runs("first"))
        later, known = self._later(rows, given)
        if len(later):
            self.next_.fit(later, known, make, runs("next"))
        return self

    def _starts(self, rows: Rows, parents: Any, given: Features) -> tuple[pd.DataFrame, Features]:
        """(the first of each family, what is known of it)."""
        at = rows.order[rows.position == 0]
        frame = rows.frame.iloc[at].reset_index(drop=True)
        group = rows.group[at]
        if self.clock_ is not None and self.clock_.after is not None:
            start = rows.ticks[at] - self.clock_.origin(parents, group)
            frame = with_gap(frame, self.clock_, np.where(group < 0, 0, start) // self.clock_.step)
        return frame, self._known(given, group, rows.size[rows.position == 0])

    def _later(self, rows: Rows, given: Features) -> tuple[pd.DataFrame, Features]:
        """(every other child, what is known of it)."""
        late = rows.position > 0
        at = rows.order[late]
        frame = columns_of(rows.frame, [name for name in self.names_ if name not in self.same_]).iloc[at].reset_index(drop=True)
        if self.clock_ is not None:
            gaps = rows.ticks[at] - rows.ticks[rows.order[np.flatnonzero(late) - 1]]
            frame = with_gap(frame, self.clock_, gaps // self.clock_.step if gaps.dtype.kind == "i" else gaps)
        own = self.encoder_.encode(rows.frame.iloc[rows.order].reset_index(drop=True))
        before = earlier(own, rows.position, set(map(str, self.same_)))
        history = Features(
            *({k: v[late] for k, v in part.items()} for part in (before.scores, before.codes)), levels=before.levels
        )
        return frame, self._known(given, rows.group[at], rows.size[late], rows.position[late]) | history

    def _known(self, given: Features, group: np.ndarray, size: np.ndarray, position: np.ndarray | None = None) -> Features:
        """The parent's features, the number of siblings and, for later ones, the position."""
        place = np.zeros(len(size), dtype=np.int64) if position is None else position
        sizes = self.sizes_.encode(pd.DataFrame({"siblings": size, "position": place})).called("own/")
        alone = Features({}, {"own/alone": (group < 0).astype(np.int64)}, {"own/alone": 2})
        return given.take(np.maximum(group, -1)).called("parent/") | sizes | alone

    # -- drawing ------------------------------------------------------------------------------------------

    def sample(self, parents: Any, given: Features, seed: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
        """(children, the place of each one's parent, its position); rows without parent, as many as in the data, last."""
        n = len(parents)
        count = self.count_.sample(n, given, dice.derive(seed, "count"))
        alone = round(count.sum() * self.alone_ / (1 - self.alone_)) if self.alone_ < 1 else 0
        size = np.concatenate([count, np.ones(alone, dtype=np.int64)])
        owner = np.concatenate([np.arange(n), np.full(alone, -1)])
        active = np.flatnonzero(size > 0)
        history, pieces = History(len(size)), []
        for position in range(int(size.max(initial=0))):
            active = active[size[active] > position]
            piece = self._draw(position, active, owner, size, parents, given, history, dice.derive(seed, position))
            pieces.append(piece.assign(**{_ROW: active, _PLACE: position}))
        if not pieces:
            pieces = [self._empty().assign(**{_ROW: active, _PLACE: 0})]
        out = pd.concat(pieces, ignore_index=True).sort_values([_ROW, _PLACE], kind="stable", ignore_index=True)
        row, place = out.pop(_ROW).to_numpy(), out.pop(_PLACE).to_numpy()
        return out, owner[row] if len(row) else row, place

    def _draw(
        self,
        position: int,
        active: np.ndarray,
        owner: np.ndarray,
        size: np.ndarray,
        parents: Any,
        given: Features,
        history: History,
        seed: int,
    ) -> Any:
        """The siblings at one position of all families at once."""
        known = self._known(given, owner[active], size[active], np.full(len(active), position))
        if position == 0:
            drawn = self.first_.sample(len(active), known, seed)
            ticks = self._begin(drawn, parents, owner[active])
        else:
            drawn = self.next_.sample(len(active), known | history.features(active, set(map(str, self.same_))), seed)
            before = history.rows.loc[active]
            for name in self.same_:
                drawn[name] = before[name].array
            ticks = None if self.clock_ is None else history.ticks[active] + self._gap(drawn)
        if self.clock_ is not None and ticks is not None:
            drawn[self.clock_.name] = self.clock_.written(ticks)
        drawn = drawn[self.names_] if self.names_ else drawn
        history.add(active, drawn, self.encoder_.encode(drawn), ticks)
        return drawn

    def _begin(self, drawn: Any, parents: Any, owner: np.ndarray) -> np.ndarray | None:
        if self.clock_ is None:
            return None
        if self.clock_.after is None:
            return self.clock_.ticks(drawn)
        origin = self.clock_.origin(parents, np.maximum(owner, 0))
        return origin + self._gap(drawn)

    def _gap(self, drawn: Any) -> np.ndarray:
        assert self.clock_ is not None
        gap = drawn[self.clock_.name].to_numpy()
        return gap * self.clock_.step if gap.dtype.kind == "i" else gap

    def _empty(self) -> pd.DataFrame:
        known = Features({}, {}, {})
        return self.first_.sample(0, known, 0) if not self.first_.context_.codes_ else pd.DataFrame(columns=self.names_)

    # -- scoring ------------------------------------------------------------------------------------------

    def log_prob(self, frame: Any, group: np.ndarray, parents: Any, given: Features) -> np.ndarray:
        """log p(all children | parent) of each parent, (parents,), nats; rows without parent count nowhere."""
        frame, group = frame[group >= 0].reset_index(drop=True), group[group >= 0]
        total = np.zeros(len(parents))
        total += self.count_.log_prob(np.bincount(group, minlength=len(parents)), given)
        if not len(frame):
            return total
        rows = Rows(frame, group, None if self.clock_ is None else self.clock_.ticks(frame))
        first = rows.group[rows.order[rows.position == 0]]
        np.add.at(total, first, self.first_.log_prob(*self._starts(rows, parents, given)))
        later, known = self._later(rows, given)
        if len(later):
            np.add.at(total, rows.group[rows.order[rows.position > 0]], self.next_.log_prob(later, known))
        return total

    # -- keeping ------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the models below a folder; the rest as JSON is given back."""
        parts = {name: getattr(self, f"{name}_").save(folder / name) for name in ("first", "next")}
        clock = None if self.clock_ is None else vars(self.clock_)
        state = {"names": self.names_, "same": self.same_, "clock": clock, "alone": self.alone_}
        return state | {"parts": parts, "count": vars(self.count_),
                "encoder": vars(self.encoder_), "sizes": vars(self.sizes_)}  # fmt: skip

    @classmethod
    def load(cls, folder: Path, state: dict[str, Any]) -> Siblings:
        """The law that was saved."""
        parts: dict[str, Any] = {f"{name}_": Part.load(folder / name, part) for name, part in state["parts"].items()}
        clock = None if state["clock"] is None else Clock(**state["clock"])
        encoders: dict[str, Any] = {"encoder_": Encoder(**state["encoder"]), "sizes_": Encoder(**state["sizes"])}
        return cls(
            **parts,
            **encoders,
            count_=Counts(**state["count"]),
            names_=state["names"],
            same_=state["same"],
            clock_=clock,
            alone_=state["alone"],
        )


_ROW, _PLACE = "(row)", "(place)"
