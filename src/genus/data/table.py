"""Tables: DataFrames ⇄ a record of cells, or a real vector of one standard normal a column."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from genus.data.aside import persons, put_back, set_aside, told_aside
from genus.data.cells import cells, filled_in, from_cells
from genus.data.codec import Codec
from genus.data.column import Column, numeric_column
from genus.data.given import meant_by, merged
from genus.data.levels import along, category_column
from genus.data.mixed import by_leaf, entry, found, log_volumes, mixed_space, placing
from genus.data.part import Part, Place, Plain
from genus.data.parts import joined, part_from
from genus.data.recognise import OUT, describe_columns, recognise
from genus.data.rules import fitted_rules
from genus.data.schema import Schema, bounds_of, check_levels
from genus.data.tail import text_tail
from genus.data.typed import dtype_state, form_of, labels, numbers, plain, restored
from genus.errors import DataError, UsageError, nearest
from genus.maths.quantise import Fuzzy, Packed
from genus.space import AnySpace, Mixed, Record, Space

LABELS = ("category", "boolean")
RECORD, REAL, MIXED = Record(()), Space("real"), Mixed(())
SHOWN = 64


def is_table(X: Any) -> bool:
    """A pandas DataFrame."""
    return isinstance(X, pd.DataFrame)


class TableCodec(Codec):
    """DataFrames ⇄ `record` (exact), `real` or `mixed` (n, columns), column by column.

    **record**: one cell a column. Frequent values (spikes, zeros, caps; all of them when few), levels and
    "missing" are tokens of their own; the other values fall into at most 64 quantile bins, in which they are
    taken as even. Columns that are continuous in effect have a second cell `name/fine`: the sub-quantile.
    A density over packed rows is exact for user rows: a mass for categories, integers, times and rounded
    numbers, a density for continuous ones.

    **real**: u = F(x−) + U·(F(x) − F(x−)), z = Φ⁻¹(u), with F the piecewise-linear distribution function of the
    column (the distributional transform, Rüschendorf 2009, "On the distributional transform, Sklar's theorem,
    and the empirical copula process", https://doi.org/10.1016/j.jspi.2009.05.030). U is drawn afresh at each
    read for every value that has a mass, so that a density over z, minus `log_volume`, is an exact density where
    all columns are continuous, and else bounds from below, in expectation over U, the log-probability (density
    for the continuous columns) of a row. Independent standard normals give back the marginals.

    **mixed**: labels, and numbers of at most twelve values, by the number of their leaf; numbers that are continuous without long
    tails in their own unit, standardised (draws beyond the range of training are folded back at its ends); others as in **real**.

    Levels are placed in u by where their rows lie in the numeric columns (first principal direction of the
    levels' mean ranks), else by frequency. Values outside the range of training are read as the nearest inside
    it, levels unseen in training as a rare one; both are said in a warning.

    Parameters
    ----------
    kinds: {column: kind} where the recognition is to be overruled; kinds are numeric, integer, boolean,
        category, datetime, identifier. schema: a `Schema` (or its JSON) that declares more of the columns, or None.

    Attributes
    ----------
    names_, dtypes_: of the user's columns, in order. kinds_: {column: kind}.
    columns_: {column: the state of its `Column`}, those in the model. left_out_: {column: how to put it back}.
    rows_: of training. rules_: the rules declared, with what they need of the training rows.
    """

    kind: ClassVar[str] = "table"

    def __init__(self, kinds: dict[Any, str] | None = None, schema: Any = None):
        self.kinds = dict(kinds or {})
        self.declared = {} if schema is None else Schema.from_json(schema).to_json()

    # -- fitting ------------------------------------------------------------------------------------------

    def fit(self, X: Any) -> Self:
        _check_frame(X)
        if len(X) < 2:
            raise DataError(f"The table has {len(X)} row (n_samples = {len(X)}): a distribution needs at least 2.")
        unknown = [name for name in self.kinds if name not in X.columns]
        if unknown:
            guess = nearest(str(unknown[0]), map(str, X.columns))
            raise UsageError(f"kinds names column {unknown[0]!r}, which the table lacks.{guess}")
        schema = self._declared
        schema.check(X.columns)
        self.names_ = [plain(name) for name in X.columns]
        self.dtypes_ = [dtype_state(X.iloc[:, i].dtype) for i in range(X.shape[1])]
        self.kinds_ = {
            name: recognise(X.iloc[:, i], self.kinds.get(name) or schema.kind(name)) for i, name in enumerate(self.names_)
        }
        self.left_out_ = {
            name: set_aside(X[name], kind, schema.of(name).get("personal")) for name, kind in self.kinds_.items() if kind in OUT
        }
        if len(self.left_out_) == len(self.names_):
            raise DataError(
                "Every column is constant, empty, an identifier or personal: there is no distribution to learn; "
                "of columns of texts learn one given the others, with --condition NAME (in Python fit(texts, y))."
            )
        self.columns_, self.parts_ = {}, []
        ranks = self._fit_numbers(X)
        for name, kind in self.kinds_.items():
            if kind in LABELS:
                self.columns_[name] = asdict(_fit_labels(X[name], name, kind, ranks, schema.of(name).get("levels")))
        tails = [text_tail(X[name], name, ranks) for name, kind in self.kinds_.items() if kind == "text"]
        self.columns_ |= {tail.names[0]: asdict(tail.columns[0]) for tail in tails}
        self.columns_ = {name: self.columns_[name] for name in self.names_ if name in self.columns_}
        fitted = {column.name: column for column in self._columns if column.kind != "text"}
        self.parts_ = [part.to_state() for part in (*tails, *joined(X, fitted, ranks))]
        self.rows_ = len(X)
        self.rules_ = fitted_rules(schema.rules, X)
        if self.left_out_:
            told = [(name, kind, "") for name, kind in self.kinds_.items() if name in self.left_out_]
            warnings.warn(describe_columns(told), stacklevel=3)
        return self

    def _fit_numbers(self, X: pd.DataFrame) -> np.ndarray:
        """Fit numeric and time columns; returns the standardised ranks of their rows, (n, columns)."""
        ranks = []
        for name, kind in self.kinds_.items():
            if kind in ("numeric", "integer", "datetime"):
                form = form_of(X[name], kind)
                values, missing = numbers(X[name], form)
                bounds = bounds_of(self._declared.of(name).get("bounds"), form, name, values, missing)
                single = str(X[name].dtype).lower().startswith("float32")
                self.columns_[name] = asdict(numeric_column(name, kind, form, values, missing, single, bounds))
                rank = pd.Series(values).rank().to_numpy()
                ranks.append(np.where(missing, 0.0, (rank - rank.mean()) / len(rank)))
        return np.stack(ranks, 1) if ranks else np.zeros((len(X), 0))

    @property
    def _declared(self) -> Schema:
        return Schema.from_json(self.declared) if getattr(self, "declared", None) else Schema()

    @property
    def schema_(self) -> Schema:
        """What the columns were found to be, and the rules declared: to be written, edited and given back."""
        fitted = {column.name: column for column in self._columns}
        parts = {str(name): self._told(name, fitted.get(name)) for name in self.names_}
        return Schema(parts, self._declared.rules)

    def _told(self, name: Any, column: Column | None) -> dict[str, Any]:
        told: dict[str, Any] = {"kind": self.kinds_[name], "role": "aside" if column is None else "model"}
        if column is None:
            personal = self.left_out_[name].get("personal")
            return told | ({"personal": personal} if personal else {})
        told["missing"] = round(float(column.mass[column.missing]), 6) if column.missing >= 0 else 0.0
        if column.kind == "text":
            return told
        if column.levels:
            return told | ({"levels": list(column.levels)} if len(column.levels) <= SHOWN else {})
        told["bounds"] = [plain(v) if isinstance(plain(v), int | float) else str(v) for v in self._ends(column)]
        if column.form["as"] == "number" and column.decimals >= 0:
            told["decimals"] = column.decimals
        return told | ({"format": column.form["format"]} if column.form.get("format") else {})

    def _ends(self, column: Column) -> Any:
        """The smallest and largest value, in the user's type."""
        ends = np.concatenate([column.atoms, column.values_at_ends()])
        form = column.form | {"text": False, "dtype": _shown(column.form)}
        return restored(column.values(np.array([ends.min(), ends.max()])), np.zeros(2, bool), form)

    @property
    def _columns(self) -> list[Column]:
        """The fitted columns, each by itself."""
        return [Column(**state) for state in self.columns_.values()]

    def _parts(self, view: AnySpace) -> list[Part]:
        """What is coded in the view, in order: columns by themselves, and those that are coded together or in pieces."""
        special = [part_from(state) for state in getattr(self, "parts_", [])]
        of = {name: part for part in special if view.kind in part.views for name in part.names}
        parts = [of.get(column.name) or Plain(names=[column.name], columns=[column]) for column in self._columns]
        return [part for i, part in enumerate(parts) if not any(part is before for before in parts[:i])]

    def _coded(self, view: AnySpace) -> list[tuple[Column, int]]:
        """The columns that are coded in the view, each with the place in `names_` of the user's column it counts to."""
        return [(column, self.names_.index(part.names[0])) for part in self._parts(view) for column in part.columns]

    # -- what it packs into -------------------------------------------------------------------------------

    def views(self) -> tuple[AnySpace, ...]:
        fields: list[tuple[str, Space]] = []
        taken = {str(name) for name in self.names_}
        for column, _ in self._coded(RECORD):
            name = str(column.name)
            kind = "category" if column.levels and not column.form["dtype"].get("ordered") else "levels"
            missing = column.tokens - 1 if column.missing >= 0 else None
            fields.append((name, Space(kind, (), column.tokens, missing=missing)))
            if column.fine:
                fine = f"{name}/fine"
                while fine in taken:
                    fine += "/"
                fields.append((fine, Space(kind, (), column.fine + column.blank)))
        mixed = mixed_space([column for column, _ in self._coded(MIXED)])
        return Record(tuple(fields)), mixed, Space("real", (len(self._coded(REAL)),))

    def dims(self) -> int:
        return len(self.columns_)

    def exact(self, view: AnySpace) -> bool:
        return view.kind == "record" or all(column.smooth or by_leaf(column, view) for column, _ in self._coded(view))

    def describe(self) -> list[tuple[Any, str, str]]:
        """(name, kind, summary) of every column."""
        fitted = {column.name: column for column in self._columns}
        return [(name, self.kinds_[name], self._summary(name, fitted.get(name))) for name in self.names_]

    def _summary(self, name: Any, column: Column | None) -> str:
        if column is None:
            return told_aside(self.left_out_[name])
        gaps = f", {100 * column.mass[column.missing]:.3g} % missing" if column.missing >= 0 else ""
        if column.kind == "text":
            return f"free text, {len(column.levels) - 1} frequent ones kept whole{gaps}"
        if column.levels:
            shown = ", ".join(map(str, sorted(column.levels, key=str)[:6])) + (" …" if len(column.levels) > 6 else "")
            return f"{len(column.levels)} levels ({shown}){gaps}"
        low, high = self._ends(column)
        spikes = f", {len(column.atoms)} frequent value{'s' * (len(column.atoms) > 1)}" if len(column.atoms) else ""
        return f"{low} to {high}{spikes}{gaps}"

    # -- packing ------------------------------------------------------------------------------------------

    def pack(self, X: Any, view: AnySpace) -> Packed:
        return self._pack(self._frame(X), view, holes=False)[0]

    def known(self, X: Any, view: AnySpace) -> tuple[Packed, Tensor]:
        return self._pack(self._frame(X), view, holes=True)

    def _frame(self, X: Any) -> pd.DataFrame:
        if not is_table(X) and getattr(X, "ndim", 0) == 2 and X.shape[1] == len(self.names_):
            X = pd.DataFrame(X, columns=pd.Index(self.names_))
        _check_frame(X)
        lacking = [name for name in self.names_ if name not in X.columns]
        if lacking:
            raise DataError(f"The table lacks column {lacking[0]!r}.{nearest(str(lacking[0]), map(str, X.columns))}")
        return X

    def _pack(self, X: pd.DataFrame, view: AnySpace, holes: bool) -> tuple[Packed, Tensor]:
        """(packed, mask of the known entries); with `holes`, missing cells are unknown instead of a value."""
        tokens, masks, lows, extents = [], [], [], []
        for part in self._parts(view):
            for column, (leaf, at, extent, missing) in zip(part.columns, part.read(X, holes), strict=True):
                if view.kind == "record":
                    tokens += cells(column, leaf)
                    masks += [~missing] * (1 + bool(column.fine))
                else:
                    low, width = entry(column, view, leaf, at, extent)
                    lows.append(low)
                    extents.append(width)
                    masks.append(~missing)
        known = torch.from_numpy(np.stack(masks, 1))
        if view.kind == "record":
            return torch.from_numpy(np.stack(tokens, 1)), known
        low, width = (torch.from_numpy(np.stack(a, 1)) for a in (lows, extents))
        place = placing([column for column, _ in self._coded(view)], view)
        return (place(low).float() if self.exact(view) else Fuzzy(low, width.float(), place)), known

    # -- unpacking ----------------------------------------------------------------------------------------

    def unpack(self, x: Tensor, view: AnySpace, *, whole: bool = False, within: Any = None) -> Any:
        """Packed items as a table; within: {column: leaves ↦ positions in them}, where not all of a leaf is allowed."""
        n, field, columns = len(x), 0, {}
        waiting: list[tuple[Part, list[Place]]] = []
        for part in self._parts(view):
            places = []
            for column in part.columns:
                if view.kind == "record":
                    leaf, position = from_cells(column, x[:, field], x[:, field + 1] if column.fine else None)
                else:
                    leaf, position = found(column, view, x[:, field])
                position = within[column.name](leaf) if within and column.name in within else position
                field += 1 + (view.kind == "record" and bool(column.fine))
                places.append((filled_in(column, leaf) if whole and column.missing >= 0 else leaf, position))
            waiting.append((part, places))
        while waiting:
            ready = next(i for i, (part, _) in enumerate(waiting) if all(name in columns for name in part.needs))
            part, places = waiting.pop(ready)
            columns |= part.write(places, columns)
        columns |= persons(self.left_out_, dict(zip(self.names_, self.dtypes_, strict=True)), n)
        for name, dtype in zip(self.names_, self.dtypes_, strict=True):
            if name in self.left_out_ and name not in columns:
                columns[name] = put_back(self.left_out_[name], n, dtype)
        frame = pd.DataFrame({i: columns[name] for i, name in enumerate(self.names_)}, index=pd.RangeIndex(n))
        frame.columns = pd.Index(self.names_)
        return frame

    def owners(self, view: AnySpace) -> list[int]:
        """The place in `names_` of the column each cell (or real) of the view belongs to."""
        record = view.kind == "record"
        return [owner for column, owner in self._coded(view) for _ in range(1 + (record and bool(column.fine)))]

    def labels(self, view: AnySpace) -> list[str]:
        return [self.names_[i] for i in self.owners(view)]

    def log_volume(self, x: Tensor, view: AnySpace) -> Tensor:
        return self.log_volumes(x, view).sum(1)

    def log_volumes(self, x: Tensor, view: AnySpace) -> Tensor:
        """`log_volume` by column of the user's table, (n, columns); 0 for those left out."""
        total = np.zeros((len(x), len(self.names_)))
        field = 0
        for column, owner in self._coded(view):
            if view.kind == "record":
                start, count = column.starts
                token = x[:, field].long().cpu().numpy()
                sub = np.minimum(x[:, field + 1].long().cpu().numpy(), count[token] - 1) if column.fine else 0
                total[:, owner] += column.volume[start[token] + sub]
                field += 1 + bool(column.fine)
            else:
                total[:, owner] += log_volumes(column, view, x[:, field])
                field += 1
        return torch.from_numpy(total)

    def log_tails(self, X: Any, view: AnySpace) -> Tensor:
        X = self._frame(X)
        total = np.zeros((len(X), len(self.names_)))
        for part in self._parts(view):
            tail = part.log_tail(X)
            if tail is not None:
                total[:, self.names_.index(part.names[0])] += tail
        return torch.from_numpy(total)

    # -- completing ---------------------------------------------------------------------------------------

    def merge(self, X: Any, filled: Any, view: AnySpace) -> Any:
        X = self._frame(X)
        filled = filled.set_axis(X.index)
        for part in self._parts(view):
            filled = part.mend(X, filled)
        out = {}
        for i, name in enumerate(self.names_):
            new, old = filled.iloc[:, i], X[name]
            out[i] = merged(old, new)
        frame = pd.DataFrame(out, index=X.index)
        frame.columns = pd.Index(self.names_)
        return frame

    def template(self, n: int, given: Any) -> Any:
        """given = {column: value for all, or n values}, or a DataFrame of n rows."""
        given = {name: given[name] for name in (given.columns if is_table(given) else given)}
        texts = {str(name): name for name in self.names_}
        frame = {name: pd.Series([None] * n, dtype=object) for name in self.names_}
        fitted = {column.name: column for column in self._columns}
        for word, value in given.items():
            if str(word) not in texts:
                shown = ", ".join(list(texts)[:8])
                raise UsageError(f"given names column {word!r}, which the table lacks ({shown}).{nearest(str(word), texts)}")
            name = texts[str(word)]
            many = isinstance(value, list | tuple | np.ndarray | pd.Series | pd.api.extensions.ExtensionArray)
            if many and len(value) != n:
                raise UsageError(f"given has {len(value)} values of {name!r} for {n} rows: give one, or {n}.")
            meant = [meant_by(v, fitted.get(name), name) for v in (value if many else [value])]
            frame[name] = pd.Series(meant if many else meant * n, dtype=object)
        out = pd.DataFrame({i: frame[name] for i, name in enumerate(self.names_)}, index=pd.RangeIndex(n))
        out.columns = pd.Index(self.names_)
        return out


def _check_frame(X: Any) -> None:
    if not is_table(X):
        raise DataError(f"Expected a table (pandas DataFrame), got {type(X).__name__}.")
    if not X.shape[1] or not len(X):
        empty = f"{X.shape[0]} sample(s), {X.shape[1]} feature(s)"
        raise DataError(f"The table is empty ({empty}): give at least one column and two rows.")
    if X.columns.has_duplicates:
        name = X.columns[X.columns.duplicated()][0]
        raise DataError(f"Two columns are called {name!r}: rename one.")
    if X.columns.nlevels > 1:
        raise DataError("The table has columns of several levels: join their names into one, as in frame.columns.map('_'.join).")


def _shown(form: dict[str, Any]) -> dict[str, Any]:
    return {"name": "object"} if "categories" in form["dtype"] else form["dtype"]


def _fit_labels(series: pd.Series, name: Any, kind: str, ranks: np.ndarray, declared: list[Any] | None) -> Column:
    codes, levels = labels(series)
    missing = int((codes < 0).sum())
    counts = np.bincount(codes[codes >= 0], minlength=len(levels))
    if declared:
        check_levels(name, codes, levels, declared)
    dtype = series.dtype
    if kind == "boolean" or (isinstance(dtype, pd.CategoricalDtype) and dtype.ordered):
        known = list(dtype.categories) if isinstance(dtype, pd.CategoricalDtype) else sorted(levels)
        order = np.array([known.index(v) for v in levels], dtype=float)
    else:
        order = along(codes, counts, ranks)
    return category_column(name, kind, form_of(series, "category"), levels, counts, order, missing)
