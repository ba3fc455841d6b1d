"""Schema: what a table's columns are, as JSON that can be written, edited by hand and given back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from genus.data.recognise import KINDS, OUT, PERSONAL
from genus.data.rules import rule_from
from genus.data.typed import numbers, plain, restored
from genus.errors import DataError, UsageError, nearest

FORMAT = 1
ROLES = ("model", "aside")
KEYS = ("kind", "role", "missing", "bounds", "decimals", "levels", "format", "personal", "note")


@dataclass
class Schema:
    """A table's columns and the rules between them.

    Every part of a column may be left out, and is then read off the data.

    Attributes
    ----------
    columns: {name: what is declared}, with these keys:
        kind: numeric, integer, boolean, category, datetime, text, identifier or personal (constant and missing are told, not
        declared). role: 'model', or 'aside' for a column to leave out of the model and make anew. missing: share of its
        cells (told only). bounds: [smallest, largest] value that may occur, either end null; instead of the data's own.
        decimals: of a number. levels: the values a category may take. format: of a date written as text. personal: which
        personal data it holds. note: anything.
    rules: between columns, each a JSON object; what they mean is not the schema's matter.

    >>> Schema({"age": {"kind": "integer", "bounds": [0, 120]}}).to_json()["columns"]["age"]["bounds"]
    [0, 120]
    """

    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    rules: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values that JSON can hold; `from_json` is the inverse."""
        return {"schema": FORMAT, "columns": self.columns, "rules": self.rules}

    @classmethod
    def from_json(cls, data: Any, where: str = "The schema") -> Self:
        """The schema in plain values, checked; `where` begins the sentence that says what is wrong with it."""
        if isinstance(data, Schema):
            data = data.to_json()
        if not isinstance(data, dict) or not isinstance(data.get("columns"), dict):
            raise UsageError(
                f'{where} holds no "columns": it is an object such as {{"columns": {{"age": {{"kind": "integer"}}}}}}.'
            )
        if data.get("schema", FORMAT) != FORMAT:
            raise UsageError(
                f"{where} has format {data['schema']!r}, this genus reads {FORMAT}: write it again with `genus data`."
            )
        _known(data, ("schema", "columns", "rules"), where)
        rules = data.get("rules") or []
        if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
            raise UsageError(f'{where}: "rules" is a list of objects.')
        columns = {str(name): _checked(part, f"{where}, column {name!r}") for name, part in data["columns"].items()}
        return cls(columns, list(rules))

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """The schema in a JSON file."""
        try:
            data = json.loads(Path(path).read_bytes())
        except FileNotFoundError:
            raise UsageError(f"{path} is no file: write a schema with `genus data FILE --schema {path}`.") from None
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
        except ValueError as error:
            raise UsageError(f"{path} is not JSON: {error}.") from None
        return cls.from_json(data, str(path))

    def text(self) -> str:
        """The schema as JSON to read and edit: one line a column, one line a rule."""
        columns = ",\n".join(f"  {_line(name)}: {_line(part)}" for name, part in self.columns.items())
        rules = "".join(f"\n  {_line(rule)}," for rule in self.rules).removesuffix(",")
        end = "\n " if rules else ""
        return f'{{"schema": {FORMAT},\n "columns": {{\n{columns}\n }},\n "rules": [{rules}{end}]}}\n'

    def check(self, names: Iterable[Any]) -> None:
        """Raise a UsageError for a column the table lacks, with the nearest name it has."""
        held = [str(name) for name in names]
        for name in self.columns:
            if name not in held:
                shown = ", ".join(held[:8]) + (" …" if len(held) > 8 else "")
                raise UsageError(f"The schema names column {name!r}, which the table lacks ({shown}).{nearest(name, held)}")

    def of(self, name: Any) -> dict[str, Any]:
        """What is declared of a column, {} where nothing is."""
        return self.columns.get(str(name), {})

    def kind(self, name: Any) -> str | None:
        """The kind declared of a column; what only the data can tell (constant, missing) is none.

        A column put aside is an identifier where nothing else is said of it.
        """
        part = self.of(name)
        kind = part.get("kind")
        if part.get("role") == "aside" and kind not in OUT:
            return "identifier"
        return kind if kind in KINDS else None


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _known(data: dict[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in data:
        if key not in keys:
            raise UsageError(f"{where} has {key!r}, which is none of {', '.join(keys)}.{nearest(str(key), keys)}")


def _checked(part: Any, where: str) -> dict[str, Any]:
    """What is declared of one column, or a UsageError."""
    if isinstance(part, str):
        part = {"kind": part}
    if not isinstance(part, dict):
        raise UsageError(f'{where} is {part!r}: it is an object such as {{"kind": "integer"}}.')
    _known(part, KEYS, where)
    for key, choices in (("kind", (*KINDS, *(k for k in OUT if k not in KINDS))), ("role", ROLES), ("personal", PERSONAL)):
        if part.get(key) is not None and part[key] not in choices:
            raise UsageError(f"{where}: {part[key]!r} is no {key} ({', '.join(choices)}).{nearest(str(part[key]), choices)}")
    bounds, levels, decimals = part.get("bounds"), part.get("levels"), part.get("decimals")
    if bounds is not None and not (isinstance(bounds, list | tuple) and len(bounds) == 2):
        raise UsageError(f"{where}: bounds are [smallest, largest], either end null, not {bounds!r}.")
    if levels is not None and not (isinstance(levels, list) and levels):
        raise UsageError(f"{where}: levels are a list of values, not {levels!r}.")
    if decimals is not None and not (isinstance(decimals, int) and 0 <= decimals <= 15):
        raise UsageError(f"{where}: decimals are a whole number from 0 to 15, not {decimals!r}.")
    return {key: value for key, value in part.items() if value is not None}


def check_levels(name: Any, codes: np.ndarray, levels: list[Any], declared: list[Any]) -> None:
    """Raise a DataError for a level (codes: of the rows) that the schema does not declare."""
    known = {str(level) for level in declared}
    for i, level in enumerate(levels):
        if str(level) not in known:
            row = int((codes == i).argmax())
            guess = nearest(str(level), known)
            raise DataError(f"Column {name!r} holds {level!r} at row {row}, which is no level of its schema.{guess}")


def bounds_of(declared: Any, form: dict[str, Any], name: Any, values: np.ndarray, missing: np.ndarray) -> tuple[Any, Any] | None:
    """The declared bounds as numbers or ticks, after a check that the data keep them."""
    if declared is None:
        return None
    ends = [None, None]
    for i, bound in enumerate(declared):
        if bound is not None:
            try:
                dtype = object if form["as"] != "number" else None
                ends[i] = plain(numbers(pd.Series([bound], name=name, dtype=dtype), form)[0][0])
            except (DataError, ValueError):
                raise UsageError(f"The schema bounds column {name!r} by {bound!r}, which is no value of its kind.") from None
    slack = 1e-9 * max(1.0, *(abs(float(end)) for end in ends if end is not None)) if values.dtype.kind == "f" else 0
    low, high = (-math.inf if ends[0] is None else ends[0] - slack), (math.inf if ends[1] is None else ends[1] + slack)
    wrong = ((values < low) | (values > high)) & ~missing
    if wrong.any():
        row = int(wrong.argmax())
        shown = restored(values[row : row + 1], np.zeros(1, dtype=bool), form | {"text": False})[0]
        raise DataError(
            f"Column {name!r} holds {shown} at row {row}, outside the bounds {declared[0]} to {declared[1]} of its schema: "
            "widen them or mend the row."
        )
    return ends[0], ends[1]


def without(X: Any, names: list[Any]) -> Any:
    """A table without some of its columns, in the schema that travels with it too."""
    left = X.drop(columns=names)
    if left.attrs.get("schema"):
        schema = Schema.from_json(left.attrs["schema"])
        columns = {name: part for name, part in schema.columns.items() if name not in map(str, names)}
        dropped = set(map(str, names))
        rules = [rule for rule in schema.rules if dropped.isdisjoint(rule_from(rule).columns)]
        left.attrs["schema"] = Schema(columns, rules).to_json()
    return left
