"""Keys: which columns name the rows of a table, and which name rows of another; declared in JSON, or found in the data."""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from genus.data.identifier import NAMED
from genus.errors import DataError, UsageError, nearest

Frames = dict[str, Any]
NULL, ORPHAN = -1, -2
INCLUDED = 0.95
DISTINCT = 8
EXAMPLE = '{"tables": {"orders": {"key": "id", "parents": {"customer_id": "customers"}}}}'


@dataclass
class Table:
    """What is known of one table's keys.

    Attributes
    ----------
    key: the columns that name its rows, () where nothing does. parents: {its columns: the table whose key they hold}, the
    first being the parent whose children the rows are. time: the column by which siblings are ordered, or None.
    """

    key: tuple[str, ...] = ()
    parents: dict[tuple[str, ...], str] = field(default_factory=dict)
    time: str | None = None

    @property
    def columns(self) -> set[str]:
        """Every column that is part of a key."""
        return {*self.key, *(name for names in self.parents for name in names)}


@dataclass
class Keys:
    """The keys of several tables.

    As JSON, `{"tables": {"orders": {"key": "id", "parents": {"customer_id": "customers"}, "time": "date"}}}`; a key of several
    columns is a list, and the columns of a foreign key to it are joined by commas.

    Attributes
    ----------
    tables: {name: Table}. found: one sentence about each key that was found rather than declared.
    """

    tables: dict[str, Table] = field(default_factory=dict)
    found: list[str] = field(default_factory=list)

    @classmethod
    def from_json(cls, data: Any, where: str = "keys") -> Self:
        """The keys in plain values, or a sentence about what is wrong with them."""
        tables = data.get("tables") if isinstance(data, dict) else None
        if not isinstance(tables, dict) or not all(isinstance(part, dict) for part in tables.values()):
            raise UsageError(f"{where} is no object such as {EXAMPLE}.")
        return cls({str(name): _table(part, f"{where}, table {name!r}") for name, part in tables.items()})

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """The keys in a JSON file."""
        try:
            return cls.from_json(json.loads(Path(path).read_bytes()), str(path))
        except OSError as error:
            raise UsageError(f"{path} cannot be read ({error.strerror}): it holds an object such as {EXAMPLE}.") from None
        except ValueError as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"{path} is not JSON: {error}.") from None

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` is the inverse."""
        out = {}
        for name, table in self.tables.items():
            part: dict[str, Any] = {}
            if table.key:
                part["key"] = table.key[0] if len(table.key) == 1 else list(table.key)
            if table.parents:
                part["parents"] = {",".join(columns): parent for columns, parent in table.parents.items()}
            out[name] = part | ({"time": table.time} if table.time else {})
        return {"tables": out}

    def of(self, name: str) -> Table:
        """The keys of one table, none where nothing is known."""
        return self.tables.get(name, Table())

    def order(self, names: list[str]) -> list[str]:
        """The tables, every one after its parents; DataError where they go in a circle."""
        done: list[str] = []

        def visit(name: str, path: list[str]) -> None:
            if name in path:
                circle = " → ".join([*path[path.index(name) :], name])
                raise DataError(
                    f"The keys go in a circle ({circle}): leave one of them out of the keys; its column is then learnt as values."
                )
            if name not in done:
                for parent in self.of(name).parents.values():
                    visit(parent, [*path, name])
                done.append(name)

        for name in names:
            visit(name, [])
        return done

    def check(self, tables: Frames) -> None:
        """Raise one sentence for keys that the tables do not bear out; warn of foreign keys without a parent."""
        for name, table in self.tables.items():
            if name not in tables:
                raise UsageError(f"The keys name the table {name!r}, which is not there.{nearest(name, tables)}")
            _check_columns(name, tables[name], sorted(table.columns | ({table.time} if table.time else set())))
            _check_key(name, tables[name], table)
            for columns, parent in table.parents.items():
                self._check_parent(name, columns, parent, tables)
        self.order(list(tables))
        for name, table in self.tables.items():
            for columns, parent in table.parents.items():
                _check_link(name, columns, parent, tables, self.of(parent).key)

    def _check_parent(self, name: str, columns: tuple[str, ...], parent: str, tables: Frames) -> None:
        if parent not in tables:
            raise UsageError(f"{name}.{_words(columns)} names rows of {parent!r}, which is not there.{nearest(parent, tables)}")
        key = self.of(parent).key
        if not key:
            raise UsageError(f"{name}.{_words(columns)} names rows of {parent}, which has no key: declare one, as in {EXAMPLE}.")
        if len(key) != len(columns):
            raise UsageError(
                f"{name}.{_words(columns)} is {len(columns)} column, but the key of {parent} is {len(key)} ({_words(key)}): "
                "join as many names by commas."
            )


def _words(columns: tuple[str, ...]) -> str:
    return ",".join(columns)


def _table(part: dict[str, Any], where: str) -> Table:
    wrong = [word for word in part if word not in ("key", "parents", "time")]
    if wrong:
        raise UsageError(f"{where} has {wrong[0]!r}, which is none of key, parents, time.{nearest(wrong[0], ('key', 'parents'))}")
    key, parents, time = part.get("key", ()), part.get("parents", {}), part.get("time")
    if not isinstance(parents, dict) or not isinstance(key, str | list | tuple) or not isinstance(time, str | None):
        raise UsageError(f"{where} is no object such as {EXAMPLE}.")
    links = {tuple(word.strip() for word in str(columns).split(",")): str(parent) for columns, parent in parents.items()}
    return Table((key,) if isinstance(key, str) else tuple(map(str, key)), links, time)


# -- checking ---------------------------------------------------------------------------------------------


def plain(frame: Any, columns: tuple[str, ...]) -> pd.Index:
    """Key columns as an index in which 3, 3.0 and "3" are one value, empty cells None."""
    parts = [_plain(frame[name]) for name in columns]
    return parts[0] if len(parts) == 1 else pd.Index(list(zip(*parts, strict=True)), dtype=object, tupleize_cols=False)


def _plain(series: Any) -> pd.Index:
    held = series.notna().to_numpy(dtype=bool)
    if pd.api.types.is_float_dtype(series.dtype):
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
        if (np.rint(values[held]) == values[held]).all():
            series = pd.Series(np.where(held, values, 0).astype(np.int64))
    text = series.astype(object).astype(str).to_numpy(dtype=object)
    text[~held] = None
    return pd.Index(text, dtype=object)


def empty(frame: Any, columns: tuple[str, ...]) -> np.ndarray:
    """Which rows lack a part of these columns, (n,)."""
    return frame[list(columns)].isna().any(axis=1).to_numpy(dtype=bool)


def link(child: Any, columns: tuple[str, ...], parent: pd.DataFrame, key: tuple[str, ...]) -> np.ndarray:
    """The place of each child's parent, (n,); −1 where the foreign key is empty, −2 where no parent has it."""
    found = plain(parent, key).get_indexer(plain(child, columns))
    return np.where(empty(child, columns), NULL, np.where(found < 0, ORPHAN, found))


def _check_columns(name: str, frame: Any, columns: list[str]) -> None:
    for column in columns:
        if column not in frame.columns:
            shown = ", ".join(map(str, frame.columns[:8]))
            guess = nearest(column, map(str, frame.columns))
            raise UsageError(f"The keys name column {column!r}, which {name} lacks ({shown}).{guess}")


def _check_key(name: str, frame: Any, table: Table) -> None:
    if not table.key:
        return
    gaps = empty(frame, table.key)
    if gaps.any():
        raise DataError(
            f"{name}.{_words(table.key)} is to name the rows, but is empty in {int(gaps.sum())} of them "
            f"(first at row {int(gaps.argmax())}): fill them or drop the rows."
        )
    values = plain(frame, table.key)
    if not values.is_unique:
        twice = values[values.duplicated()]
        raise DataError(
            f"{name}.{_words(table.key)} is to name the rows, but {twice.nunique()} values occur more than once "
            f"(such as {twice[0]}): name another column, or drop the duplicates."
        )
    for column in table.key:
        series = frame[column]
        if pd.api.types.is_float_dtype(series.dtype) and not (np.rint(series) == series).all():
            raise DataError(f"{name}.{column} is to name the rows, but holds fractions: a key is whole numbers or text.")


def _check_link(name: str, columns: tuple[str, ...], parent: str, tables: Frames, key: tuple[str, ...]) -> None:
    found = link(tables[name], columns, tables[parent], key)
    lost = np.flatnonzero(found == ORPHAN)
    if len(lost) and len(lost) == (found != NULL).sum():
        raise DataError(f"No value of {name}.{_words(columns)} occurs in {parent}.{_words(key)}: is it another column?")
    if len(lost):
        example = ", ".join(str(tables[name][column].iloc[lost[0]]) for column in columns)
        warnings.warn(
            f"{len(lost)} of {len(found)} rows of {name} name no row of {parent} "
            f"({_words(columns)} = {example} at row {lost[0]}): "
            "they are learnt from as rows of an unknown parent; in samples every row has one.",
            stacklevel=3,
        )


# -- finding ----------------------------------------------------------------------------------------------


def find(tables: Frames) -> Keys:
    """The keys that the tables show: unique columns that are named or counted as keys, and columns whose values are among them.

    A column of whole numbers is a foreign key only where its name says so too (customer_id, customer, customers_id; or the
    key's own name), since small numbers are among others by chance; text needs its values alone.
    """
    keys = Keys()
    for name, frame in tables.items():
        column = _key_of(name, frame)
        keys.tables[name] = Table(() if column is None else (column,))
        if column is not None:
            keys.found.append(f"{name}.{column} names the rows of {name}: all {len(frame):,} values differ.")
    for name, frame in tables.items():
        links = [found for column in frame.columns if (found := _parent_of(str(column), name, tables, keys))]
        for column, parent, sentence in sorted(links, key=lambda found: -len(tables[found[1]])):
            keys.tables[name].parents[(column,)] = parent
            keys.found.append(sentence)
        if keys.tables[name].parents and (time := _time_of(frame, keys.tables[name].columns)):
            keys.tables[name].time = time
            keys.found.append(f"{name}.{time} orders the rows of {name} that share a parent: it is its only time.")
    return keys


def _singular(name: str) -> str:
    word = re.sub(r"[\W_]+", "", name.lower())
    return word[:-3] + "y" if word.endswith("ies") else word.removesuffix("s")


def _key_of(name: str, frame: Any) -> str | None:
    """The column that names the rows: unique, and called so or first and counting."""
    unique = [str(c) for c in frame.columns if _nameable(frame[c]) and frame[c].notna().all() and frame[c].is_unique]
    stem = _singular(name)

    def rank(column: str) -> int:
        word = re.sub(r"[\W_]+", "", column.lower())
        if word in ("id", "key", f"{stem}id", f"{name.lower()}id", stem, f"{stem}key", f"{stem}no", f"{stem}number"):
            return 0
        if NAMED.search(column):
            return 1
        return 2 if column == str(frame.columns[0]) else 3

    best = min(unique, key=rank, default=None)
    return best if best is not None and len(frame) > 1 and rank(best) < 3 else None


def _nameable(series: Any) -> bool:
    """Whole numbers or text."""
    if pd.api.types.is_bool_dtype(series.dtype) or pd.api.types.is_datetime64_any_dtype(series.dtype):
        return False
    if pd.api.types.is_integer_dtype(series.dtype):
        return True
    return isinstance(series.dtype, pd.StringDtype) or pd.api.types.infer_dtype(series, skipna=True) == "string"


def _parent_of(column: str, name: str, tables: Frames, keys: Keys) -> tuple[str, str, str] | None:
    """(column, parent, sentence) of the table whose key holds this column's values, or None."""
    best: tuple[float, str, str] | None = None
    series = tables[name][column]
    held = series.dropna()
    whole = pd.api.types.is_float_dtype(series.dtype) and bool((np.rint(held) == held).all())
    if not len(held) or not (_nameable(series) or whole):
        return None
    for parent, frame in tables.items():
        key = keys.of(parent).key
        if parent == name or not key:
            continue
        named = _names(column, parent, key[0]) and (column,) != keys.of(name).key
        text = isinstance(series.dtype, pd.StringDtype) or series.dtype == object
        same = _names(column, parent, key[0]) and (column,) == keys.of(name).key and len(frame) > len(series)
        if not (named or same or (text and held.nunique() >= DISTINCT)):
            continue
        values = plain(tables[name].loc[held.index], (column,))
        inside = values.isin(plain(frame, key))
        share = float(np.mean(inside))
        if share >= INCLUDED and (best is None or share + named > best[0]):
            lost = int((~inside).sum())
            gaps = len(series) - len(held)
            word = f"all {len(held):,} values" if not lost else f"all but {lost:,} of {len(held):,} values"
            sentence = f"{name}.{column} names rows of {parent}: {word} occur in {parent}.{key[0]}"
            best = (share + named, parent, sentence + (f"; {gaps:,} are empty." if gaps else "."))
    return None if best is None else (column, best[1], best[2])


def _names(column: str, parent: str, key: str) -> bool:
    """Whether a column's name speaks of the parent, or is its key's own name."""
    word, stem = re.sub(r"[\W_]+", "", column.lower()), _singular(parent)
    own = re.sub(r"[\W_]+", "", key.lower())
    return (word == own and own not in ("id", "key", "index", "no")) or word.removesuffix(own).removesuffix("id").rstrip(
        "s"
    ).endswith(stem)


def _time_of(frame: Any, keys: set[str]) -> str | None:
    """The only column of times, complete, or None."""
    from genus.data.recognise import recognise

    times = [str(c) for c in frame.columns if c not in keys and recognise(frame[c]) == "datetime"]
    return times[0] if len(times) == 1 and frame[times[0]].notna().all() else None
