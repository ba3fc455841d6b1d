"""Part: the law of some columns given a context, by any family; also of none, and of columns that never vary."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genus.capability import Conditional, Density
from genus.data.schema import without
from genus.errors import UsageError
from genus.families.baseline import Marginals
from genus.model import Model
from genus.relational.context import Context
from genus.relational.encoder import Features
from genus.train.run import Run

PAD = "(pad)"
ENOUGH = 40


class Part:
    """p(columns | context): a model, or None where there is no column.

    Attributes
    ----------
    model_: the fitted Model or None. context_: what it is given. padded_: a column that says nothing was added, because
    all the others are constant or identifiers; its law counts for nothing in `log_prob`.
    """

    model_: Model | None = None
    padded_: bool = False

    def __init__(self) -> None:
        self.context_ = Context()

    def fit(self, frame: Any, given: Features, make: Callable[[], Model], run: Run) -> Part:
        """Learn the columns of `frame` given the features of its rows; too few rows are learnt as independent columns."""
        if not frame.shape[1]:
            return self
        if len(frame) < ENOUGH:
            make = Marginals
        model = make()
        self.context_ = Context().fit(given)
        y = self.context_.frame(given) if not isinstance(model, Marginals) else None
        if y is None:
            self.context_ = Context()
        elif not isinstance(model, Conditional):
            raise UsageError(
                f"{type(model).__name__} takes no condition, and children are drawn given their parent: "
                "choose a family that is Conditional, such as made or tree."
            )
        frame = frame if len(frame) > 1 else pd.concat([frame, frame], ignore_index=True)
        self.padded_ = not any(_varies(frame[name]) for name in frame.columns) or not _modelled(frame)
        if self.padded_:
            frame, model, y, self.context_ = frame.assign(**{PAD: np.arange(len(frame)) % 2}), Marginals(), None, Context()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Left out of the model")
            self.model_ = model.fit(frame.reset_index(drop=True), y, run=run)
        if model.condition_ is not None:
            model.condition_.rows_, model.condition_.counts_ = model.condition_.rows_[:1] * 0, model.condition_.counts_[:1]
        return self

    def sample(self, n: int, given: Features, seed: int) -> pd.DataFrame:
        """n rows given the features of each."""
        if self.model_ is None:
            return pd.DataFrame(index=pd.RangeIndex(n))
        drawn = self.model_.sample(n, self.context_.frame(given), seed=seed)
        return drawn.drop(columns=PAD) if self.padded_ else drawn

    def log_prob(self, frame: Any, given: Features) -> np.ndarray:
        """log p(row | context), (n,), nats; UsageError where the family does not know it exactly."""
        if self.model_ is None or self.padded_ or not len(frame):
            return np.zeros(len(frame))
        if not isinstance(self.model_, Density):
            raise UsageError(
                f"{type(self.model_).__name__} has no exact log_prob: fit the tables with a family that has (made, tree)."
            )
        return self.model_.log_prob(frame.reset_index(drop=True), self.context_.frame(given))

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the model into a folder; the rest as JSON is given back."""
        if self.model_ is not None:
            self.model_.save(folder)
        return {"model": self.model_ is not None, "padded": self.padded_, "context": vars(self.context_)}

    @classmethod
    def load(cls, folder: Path, state: dict[str, Any]) -> Part:
        """The part that was saved."""
        part = cls()
        part.padded_, part.context_ = state["padded"], Context(**state["context"])
        part.model_ = Model.load(folder) if state["model"] else None
        return part


def _varies(series: Any) -> bool:
    return series.nunique(dropna=False) > 1


def _modelled(frame: Any) -> bool:
    """Whether any column is one that a codec models."""
    from genus.data.recognise import OUT, recognise
    from genus.data.schema import Schema

    kinds = frame.attrs.get("kinds") or {}
    schema = Schema.from_json(frame.attrs["schema"]) if frame.attrs.get("schema") else Schema()
    return any(recognise(frame[name], kinds.get(name) or schema.kind(name)) not in OUT for name in frame.columns)


def columns_of(frame: Any, names: list[Any]) -> pd.DataFrame:
    """Some columns of a table, with what its attrs declare of them."""
    kept = without(frame, [name for name in frame.columns if name not in names])[names]
    kinds = {name: kind for name, kind in (frame.attrs.get("kinds") or {}).items() if name in names}
    kept.attrs = dict(kept.attrs) | ({"kinds": kinds} if kinds else {})
    return kept
