"""Tables: the joint law of several tables linked by keys, each by a family of one's choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from genus import dice, store
from genus.catalogue import family as find_family
from genus.data.keys import NULL, Frames, Keys, find, link
from genus.data.typed import dtype_from, dtype_state
from genus.errors import DataError, RunError, UsageError, nearest
from genus.model import Model
from genus.relational.encoder import Encoder, Features
from genus.relational.matching import Matching
from genus.relational.naming import named, naming_of
from genus.relational.part import Part, columns_of
from genus.relational.sequence import OWNERS, ROWS, Sequence
from genus.relational.siblings import Siblings
from genus.train.run import Run

FORMAT = 1
FILE = "tables.json"


@dataclass
class Law:
    """What is learnt of one table.

    Attributes
    ----------
    rows: in training. dtypes: {column: dtype} in the user's order. own: columns that are no keys. main: the foreign key whose
    parent the rows are children of, or None. root: the law of a table without parents. siblings: of one with. matchings: of its
    other foreign keys. encoder: what its rows tell to their children. naming: of new keys.
    """

    rows: int
    dtypes: dict[Any, dict[str, Any]]
    own: list[Any]
    main: tuple[str, ...] | None
    root: Part | None = None
    siblings: Siblings | None = None
    matchings: list[Matching] = field(default_factory=list)
    encoder: Encoder = field(default_factory=Encoder)
    naming: dict[str, Any] | None = None


class Tables:
    """Several tables linked by keys: p(tables) = ∏ p(roots) · ∏ p(children | parent), down the foreign keys.

    A table without parents is learnt by the family as it is. Children are a sequence given their parent and its forebears (see
    `Siblings`): how many, the first, each next given the earlier. A second foreign key is matched (see `Matching`). Keys are made
    anew, so that every foreign key of a sample names exactly one row. All parents are drawn at once, sibling by sibling.

    Parameters
    ----------
    family: short name of a family that takes a condition and tables, e.g. "made", "tree", "transformer"; or {table: name}.
    seed: of everything drawn while fitting. fields: hyper-parameters of the family, e.g. {"steps": 500}.

    Attributes
    ----------
    keys_: the Keys. laws_: {table: Law}, every table after its parents. sequence_: how one flat table was two, or None.

    Reference: N. Patki, R. Wedge and K. Veeramachaneni 2016, The synthetic data vault, https://doi.org/10.1109/DSAA.2016.49, for
    the recursion over foreign keys (there by aggregates of the children, here by the children themselves).
    """

    def __init__(self, family: str | dict[str, str] = "tree", *, seed: int = 0, fields: dict[str, Any] | None = None) -> None:
        self.family, self.seed, self.fields = family, seed, dict(fields or {})

    # -- fitting ------------------------------------------------------------------------------------------

    def fit(
        self,
        tables: Any,
        keys: Keys | dict[str, Any] | None = None,
        *,
        key: str | None = None,
        time: str | None = None,
        run: Run | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> Self:
        """Learn the tables.

        Parameters
        ----------
        tables: {name: frame}, or one frame with `key` (and `time`): the sequences of its keys.
        keys: as `Keys` or its JSON; found in the data when None. key, time: of a single frame. run: how to show progress, and
        where to keep checkpoints. tell: is given a line before each part.
        """
        self.sequence_ = None
        if isinstance(tables, pd.DataFrame):
            if key is None:
                raise UsageError('One table has no links: give key="column" to learn its sequences, or {name: frame} of several.')
            self.sequence_ = Sequence.of(tables, key, time)
            tables, keys = self.sequence_.parted(tables)
        for name, frame in tables.items():
            if frame.columns.has_duplicates:
                raise DataError(f"{name} has two columns called {frame.columns[frame.columns.duplicated()][0]!r}: rename one.")
            if not len(frame):
                raise DataError(f"{name} has no rows: leave it out.")
        self.keys_ = find(tables) if keys is None else keys if isinstance(keys, Keys) else Keys.from_json(keys)
        self.keys_.check(tables)
        if not any(self.keys_.of(name).parents for name in tables) and len(tables) > 1:
            raise DataError('No table names rows of another: declare the keys, as {"tables": {…}}, or fit each table by itself.')
        self.laws_: dict[str, Law] = {}
        frames = {name: frame.reset_index(drop=True) for name, frame in tables.items()}
        told: dict[str, Features] = {}
        for name in self.keys_.order(list(frames)):
            say = tell or (lambda line: None)
            self.laws_[name] = self._learn(name, frames, told, run or Run(), say)
        return self

    def _learn(self, name: str, frames: Frames, told: dict[str, Features], run: Run, say: Callable[[str], None]) -> Law:
        """One table's law; `told` holds what the rows of its parents tell, and gets what its own do."""
        frame, table = frames[name], self.keys_.of(name)
        own = [column for column in frame.columns if column not in table.columns]
        main = next(iter(table.parents), None)
        law = Law(len(frame), {c: dtype_state(frame[c].dtype) for c in frame.columns}, own, main)
        law.naming = naming_of(name, frame, table)
        make, runs = self._maker(name), lambda part: _beside(run, name, part)
        body = columns_of(frame, own)
        law.encoder = Encoder().fit(body, body.attrs.get("kinds"))
        told[name] = law.encoder.encode(body)
        say(f"{name}: {len(frame):,} rows" + ("" if main is None else f", children of {table.parents[main]}"))
        if main is None:
            law.root = Part().fit(body, Features(), make, runs("rows"))
            return law
        for columns, parent in list(table.parents.items())[1:]:
            matching = Matching(columns, parent)
            places = link(frame, columns, frames[parent], self.keys_.of(parent).key)
            elder = columns_of(frames[parent], self.laws_[parent].own)
            expected = matching.fit(body, places, elder, told[parent])
            body = _beside_each_other(body, expected)
            law.matchings.append(matching)
        parent = table.parents[main]
        places = link(frame, main, frames[parent], self.keys_.of(parent).key)
        law.siblings = Siblings().fit(body, places, frames[parent], told[parent], table.time, make, runs)
        told[name] = told[name] | told[parent].take(np.maximum(places, -1)).called("up/")
        return law

    def _maker(self, name: str) -> Callable[[], Model]:
        chosen = self.family if isinstance(self.family, str) else self.family.get(name, "tree")
        cls = find_family(chosen)
        if self.fields.get("epsilon") is not None:
            raise UsageError("Differential privacy counts rows of one table, not what hangs on a row by keys: leave epsilon out.")
        wrong = [word for word in self.fields if word not in cls.__dataclass_fields__]
        if wrong:
            raise UsageError(f"{cls.__name__} has no field {wrong[0]!r}.{nearest(wrong[0], cls.__dataclass_fields__)}")
        return lambda: cls(**({"seed": dice.derive(self.seed, name)} | self.fields))

    # -- drawing ------------------------------------------------------------------------------------------

    def sample(self, scale: float = 1.0, *, n: int | dict[str, int] | None = None, seed: int | None = None) -> Any:
        """New tables, {name: frame}; one flat table where one was fitted.

        Parameters
        ----------
        scale: of the number of rows of tables without parents. n: their number instead, {table: rows}, or one for all.
        seed: None draws afresh.
        """
        self._fitted()
        seed = dice.fresh() if seed is None else seed
        counts = self._counts(scale, n)
        out: Frames = {}
        told: dict[str, Features] = {}
        for name, law in self.laws_.items():
            draw = dice.derive(seed, name)
            if law.main is None:
                assert law.root is not None
                body, places, position = law.root.sample(counts[name], Features(), draw), None, None
                told[name] = law.encoder.encode(body)
            else:
                parent = self.keys_.of(name).parents[law.main]
                assert law.siblings is not None
                body, places, position = law.siblings.sample(out[parent], told[parent], draw)
                told[name] = law.encoder.encode(body) | told[parent].take(places).called("up/")
            out[name] = self._keyed(name, law, body, places, position, out, told, draw)
        return out if self.sequence_ is None else self.sequence_.joined(out)

    def _counts(self, scale: float, n: int | dict[str, int] | None) -> dict[str, int]:
        roots = [name for name, law in self.laws_.items() if law.main is None]
        if not scale >= 0 or (isinstance(n, int) and n < 0):
            raise UsageError(f"sample wants a scale or n of 0 or more, not {scale if n is None else n}.")
        if isinstance(n, int):
            return dict.fromkeys(roots, n)
        for name in n or {}:
            if name not in roots:
                why = "has parents, whose number decides its own" if name in self.laws_ else "is no table of the model"
                raise UsageError(f"n names {name!r}, which {why}: give n of {', '.join(roots)}.{nearest(name, roots)}")
        return {name: (n or {}).get(name, round(scale * self.laws_[name].rows)) for name in roots}

    def _keyed(
        self,
        name: str,
        law: Law,
        body: pd.DataFrame,
        places: np.ndarray | None,
        position: np.ndarray | None,
        out: Frames,
        told: dict[str, Features],
        seed: int,
    ) -> pd.DataFrame:
        """The table with its keys, in the user's order of columns."""
        table, columns = self.keys_.of(name), {column: body[column] for column in law.own}
        if law.main is not None and places is not None:
            columns |= self._foreign(law.main, table.parents[law.main], places, law, out)
        for matching in law.matchings:
            elder = out[matching.parent]
            chosen = matching.choose(body, elder, told[matching.parent], dice.derive(seed, *matching.columns))
            columns |= self._foreign(matching.columns, matching.parent, chosen, law, out)
        if law.naming is not None:
            columns[law.naming["column"]] = named(law.naming, len(body), position, dice.derive(seed, "key"))
        frame = pd.DataFrame({c: columns[c] for c in law.dtypes}, index=pd.RangeIndex(len(body)))
        return frame.astype({c: dtype_from(law.dtypes[c]) for c in law.own if len(frame) == 0})

    def _foreign(self, columns: tuple[str, ...], parent: str, places: np.ndarray, law: Law, out: Frames) -> dict[str, Any]:
        """The parents' keys as the child's columns."""
        found = {}
        for column, key in zip(columns, self.keys_.of(parent).key, strict=True):
            values = out[parent][key].astype(object).reset_index(drop=True).reindex(places).reset_index(drop=True)
            found[column] = values.where(places >= 0, None).astype(dtype_from(law.dtypes[column]))
        return found

    # -- scoring ------------------------------------------------------------------------------------------

    def log_prob(self, tables: Any) -> dict[str, np.ndarray]:
        """Exact log p of every family of rows, {root table: (rows,)}, nats: a row of the root, with all rows below it.

        Raises UsageError where a table has a second foreign key, whose matching has no density, or a family is not exact.
        """
        self._fitted()
        if isinstance(tables, pd.DataFrame):
            if self.sequence_ is None:
                raise UsageError("The model was fitted on several tables: give all of them, {name: frame}.")
            tables = self.parted(tables)
        matched = [name for name, law in self.laws_.items() if law.matchings]
        if matched:
            raise UsageError(
                f"{matched[0]} has a second foreign key, which is matched and has no density: log_prob is not known."
            )
        lacking = [name for name in self.laws_ if name not in tables]
        if lacking:
            raise DataError(f"The table {lacking[0]!r} is missing: give every table the model was fitted on.")
        self.keys_.check({name: tables[name] for name in self.laws_})
        frames = {name: tables[name].reset_index(drop=True) for name in self.laws_}
        told, places = self._tell(frames)
        total = {name: np.zeros(len(frame)) for name, frame in frames.items()}
        for name, law in reversed(self.laws_.items()):
            body = columns_of(frames[name], law.own)
            if law.root is not None:
                total[name] += law.root.log_prob(body, Features())
            elif law.siblings is not None and law.main is not None:
                parent = self.keys_.of(name).parents[law.main]
                total[parent] += law.siblings.log_prob(body, places[name], frames[parent], told[parent])
                held = places[name] >= 0
                np.add.at(total[parent], places[name][held], total[name][held])
        return {name: total[name] for name, law in self.laws_.items() if law.main is None}

    def parted(self, frame: Any) -> Frames:
        """A flat table as the two that were learnt."""
        if self.sequence_ is None:
            raise UsageError("Only the sequences of one table are parted: these Tables were fitted on several.")
        owners = list(self.laws_[OWNERS].dtypes)
        firsts = frame[owners].drop_duplicates(self.sequence_.key).reset_index(drop=True)
        return {OWNERS: firsts, ROWS: frame[list(self.laws_[ROWS].dtypes)]}

    def _tell(self, frames: Frames) -> tuple[dict[str, Features], dict[str, np.ndarray]]:
        """What the rows of each table tell their children, and where the parent of each stands."""
        told, places = {}, {}
        for name, law in self.laws_.items():
            told[name] = law.encoder.encode(frames[name])
            if law.main is not None:
                parent = self.keys_.of(name).parents[law.main]
                places[name] = link(frames[name], law.main, frames[parent], self.keys_.of(parent).key)
                told[name] = told[name] | told[parent].take(np.maximum(places[name], NULL)).called("up/")
        return told, places

    # -- keeping ------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write `tables.json`, and one folder a table with its models, into the folder `path`."""
        self._fitted()
        folder = Path(path)
        laws = {name: _saved(law, folder / name) for name, law in self.laws_.items()}
        tensors: dict[str, Any] = {}
        body: dict[str, Any] = {
            "genus": FORMAT, "family": self.family, "seed": self.seed, "fields": self.fields, "keys": self.keys_.to_json(),
            "sequence": None if self.sequence_ is None else vars(self.sequence_),
            "laws": store.freeze(laws, tensors, "laws"),
        }  # fmt: skip
        content = store.pack_tensors(tensors)
        body["sha256"] = store.digest(content)
        store.write(folder / "tables.safetensors", content)
        store.write(folder / FILE, store.to_json(body))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The tables saved in the folder `path`."""
        folder = Path(path)
        if not (folder / FILE).is_file():
            raise RunError(f"{folder} holds no tables (no {FILE}): give the folder that `genus fit FOLDER -o` wrote.")
        body = store.from_json(store.read(folder / FILE), str(folder / FILE))
        if not isinstance(body, dict) or body.get("genus") != FORMAT:
            raise RunError(f"{folder / FILE} is not a model of tables of this genus (format {FORMAT}).")
        content = store.read(folder / "tables.safetensors")
        if store.digest(content) != body.get("sha256"):
            raise RunError(
                f"{folder / 'tables.safetensors'} has changed since it was written: restore it from a copy, or fit again."
            )
        model = cls(body["family"], seed=body["seed"], fields=body["fields"])
        model.keys_ = Keys.from_json(body["keys"])
        model.sequence_ = None if body["sequence"] is None else Sequence(**body["sequence"])
        laws = store.thaw(body["laws"], store.unpack_tensors(content, "tables.safetensors"))
        model.laws_ = {name: _loaded(state, folder / name) for name, state in laws.items()}
        return model

    def _fitted(self) -> None:
        if not hasattr(self, "laws_"):
            raise UsageError("These Tables are not fitted: call fit(tables) first.")


def _saved(law: Law, folder: Path) -> dict[str, Any]:
    state = dict(vars(law))
    state["root"] = None if law.root is None else law.root.save(folder / "rows")
    state["siblings"] = None if law.siblings is None else law.siblings.save(folder)
    state["matchings"] = [m.save() for m in law.matchings]
    return state | {"encoder": vars(law.encoder)}


def _loaded(state: dict[str, Any], folder: Path) -> Law:
    fields: dict[str, Any] = state | {"encoder": Encoder(**state["encoder"])}
    law = Law(**fields)
    law.root = None if state["root"] is None else Part.load(folder / "rows", state["root"])
    law.siblings = None if state["siblings"] is None else Siblings.load(folder, state["siblings"])
    law.matchings = [Matching.load(m) for m in state["matchings"]]
    return law


def _beside(run: Run, *words: str) -> Run:
    """A run of one part, below the folder of the whole."""
    return replace(run, folder=None if run.folder is None else run.folder.joinpath(*words))


def _beside_each_other(left: Any, right: Any) -> pd.DataFrame:
    out = pd.concat([left, right], axis=1)
    out.attrs = dict(left.attrs)
    return out
