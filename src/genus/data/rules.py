"""Rules between the columns of a table: what each says, which rows break it, and what follows from it."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from genus.data.compare import among, comparable, keys, like, spelt
from genus.data.typed import plain
from genus.errors import UsageError, nearest

PAIRS = 20_000


@dataclass(kw_only=True)
class Rule(ABC):
    """A statement about every row; a row in which one of its columns is missing keeps it.

    Attributes
    ----------
    support: rows of the data that say something about it. exceptions: those that break it. strength: −log10 of the chance
    that columns independent of one another would keep it as well. Told when mined; None when declared.
    """

    kind: ClassVar[str]

    support: int | None = None
    exceptions: int | None = None
    strength: float | None = None

    @property
    @abstractmethod
    def columns(self) -> list[str]:
        """The columns it is about."""

    @abstractmethod
    def breaks(self, X: pd.DataFrame) -> np.ndarray:
        """Mask (n,) of the rows that break it, from columns named by text."""

    def speaks(self, X: pd.DataFrame) -> np.ndarray:
        """Mask (n,) of the rows that it says something about."""
        return _whole(X, self.columns)

    @abstractmethod
    def __str__(self) -> str: ...

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """What it says, as in a schema."""

    def learn(self, X: pd.DataFrame) -> None:
        """Take from the data what it needs to be enforced; nothing, for most."""
        return

    def derive(self, X: Any) -> Any:
        """X with what follows from it put in place."""
        return X

    def violations(self, X: Any) -> np.ndarray:
        """Mask (n,) of the rows of a table that break it."""
        return self.breaks(X.set_axis([str(name) for name in X.columns], axis=1))

    def told(self) -> dict[str, Any]:
        """`to_json` and what was counted."""
        counts = {"support": self.support, "exceptions": self.exceptions, "strength": self.strength}
        return self.to_json() | {key: value for key, value in counts.items() if value is not None}


@dataclass(kw_only=True)
class Determines(Rule):
    """A functional dependency: rows alike in `given` are alike in `then`.

    Attributes
    ----------
    pairs: [[…values of given, value of then], …] of training, the most frequent `then` of each; empty until learnt.
    """

    kind: ClassVar[str] = "determines"

    given: list[str]
    then: str
    pairs: list[list[Any]] = field(default_factory=list)

    @property
    def columns(self) -> list[str]:
        return [*self.given, self.then]

    def _usual(self, X: Any) -> Any:
        """The most frequent `then` of each combination of `given`."""
        held = X[self.columns].dropna()
        counts = held.value_counts(sort=False).rename("count of it").reset_index()
        counts = counts.sort_values("count of it", ascending=False, kind="stable")
        return counts.drop_duplicates(self.given)[self.columns]

    def learn(self, X: pd.DataFrame) -> None:
        usual = self._usual(X)
        if len(usual) > PAIRS:
            raise UsageError(f"The rule that {self} has {len(usual):,} cases, more than {PAIRS:,}: leave it out of the schema.")
        self.pairs = [[plain(v) if not isinstance(v, pd.Timestamp) else str(v) for v in row] for row in usual.to_numpy(object)]

    def _expected(self, X: pd.DataFrame) -> pd.Series:
        """What `then` has to be in each row; missing where nothing is known."""
        usual = self._usual(X) if not self.pairs else pd.DataFrame(self.pairs, columns=pd.Index(self.columns))
        cases = [keys(X[name]) for name in self.given]
        known = list(zip(*(keys(usual[name]) for name in self.given), strict=True))
        table = dict(zip(reversed(known), reversed(usual[self.then].tolist()), strict=True))
        codes, distinct = pd.factorize(pd.Series(list(zip(*cases, strict=True)), dtype=object))
        found = np.array([table.get(key, np.nan) for key in list(distinct)], dtype=object)
        return pd.Series(found[codes], index=X.index, dtype=object)

    def breaks(self, X: pd.DataFrame) -> np.ndarray:
        expected = self._expected(X)
        differs = (keys(expected) != keys(X[self.then])).to_numpy()
        return differs & expected.notna().to_numpy() & X[self.then].notna().to_numpy()

    def derive(self, X: Any) -> Any:
        wrong = self.breaks(X)
        if not wrong.any():
            return X
        mended = X[self.then].astype(object).mask(pd.Series(wrong, index=X.index), self._expected(X))
        return X.assign(**{self.then: mended.astype(X[self.then].dtype)})

    def __str__(self) -> str:
        return f"{' and '.join(self.given)} determine{'s' * (len(self.given) == 1)} {self.then}"

    def to_json(self) -> dict[str, Any]:
        return {"rule": self.kind, "if": self.given, "then": self.then}


@dataclass(kw_only=True)
class Implies(Rule):
    """Where every column of `given` holds one of its values, so does each column of `then`."""

    kind: ClassVar[str] = "implies"

    given: dict[str, list[Any]]
    then: dict[str, list[Any]]

    @property
    def columns(self) -> list[str]:
        return [*self.given, *self.then]

    def speaks(self, X: pd.DataFrame) -> np.ndarray:
        holds = _whole(X, list(self.then))
        for name, values in self.given.items():
            holds = holds & among(X[name], values)
        return holds

    def breaks(self, X: pd.DataFrame) -> np.ndarray:
        holds = np.ones(len(X), dtype=bool)
        for name, values in self.given.items():
            holds &= among(X[name], values)
        kept = np.ones(len(X), dtype=bool)
        for name, values in self.then.items():
            kept &= among(X[name], values) | X[name].isna().to_numpy()
        return holds & ~kept

    def __str__(self) -> str:
        return f"{spelt(self.given)} ⇒ {spelt(self.then)}"

    def to_json(self) -> dict[str, Any]:
        return {"rule": self.kind, "if": self.given, "then": self.then}


@dataclass(kw_only=True)
class Order(Rule):
    """low ≤ high, of numbers or times; < where it is strict."""

    kind: ClassVar[str] = "order"

    low: str
    high: str
    strict: bool = False

    @property
    def columns(self) -> list[str]:
        return [self.low, self.high]

    def breaks(self, X: pd.DataFrame) -> np.ndarray:
        a, b = comparable(X[self.low]), comparable(X[self.high])
        wrong = a >= b if self.strict else a > b
        return np.asarray(wrong) & ~np.isnan(a) & ~np.isnan(b)

    def __str__(self) -> str:
        return f"{self.low} {'<' if self.strict else '≤'} {self.high}"

    def to_json(self) -> dict[str, Any]:
        return {"rule": self.kind, "low": self.low, "high": self.high} | ({"strict": True} if self.strict else {})


@dataclass(kw_only=True)
class Sum(Rule):
    """total = Σ terms, but for `within`, the rounding of the data."""

    kind: ClassVar[str] = "sum"

    terms: list[str]
    total: str
    within: float = 0.0

    @property
    def columns(self) -> list[str]:
        return [*self.terms, self.total]

    def _sum(self, X: pd.DataFrame) -> np.ndarray:
        return np.sum([comparable(X[name]) for name in self.terms], axis=0)

    def breaks(self, X: pd.DataFrame) -> np.ndarray:
        total = comparable(X[self.total])
        gap = np.abs(self._sum(X) - total)
        return gap > self.within + 1e-9 * (1 + np.abs(total))

    def derive(self, X: Any) -> Any:
        wrong = self.breaks(X)
        if not wrong.any():
            return X
        held: Any = X[self.total]
        values = self._sum(X)
        finite = np.where(np.isnan(values), 0.0, values)
        new = pd.Series(finite, index=X.index)
        if pd.api.types.is_integer_dtype(held.dtype):
            new = new.round()
        return X.assign(**{self.total: held.mask(pd.Series(wrong, index=X.index), new.astype(held.dtype))})

    def __str__(self) -> str:
        return f"{' + '.join(self.terms)} = {self.total}" + (f" within {self.within:g}" if self.within else "")

    def to_json(self) -> dict[str, Any]:
        return {"rule": self.kind, "terms": self.terms, "total": self.total} | ({"within": self.within} if self.within else {})


@dataclass(kw_only=True)
class Range(Rule):
    """low ≤ column ≤ high; either end may be None."""

    kind: ClassVar[str] = "range"

    column: str
    low: Any = None
    high: Any = None

    @property
    def columns(self) -> list[str]:
        return [self.column]

    def ends(self, X: pd.DataFrame) -> tuple[float, float]:
        """Both ends as numbers that compare with the column's."""
        pair = []
        for end, none in ((self.low, -np.inf), (self.high, np.inf)):
            pair.append(none if end is None else float(comparable(like(X[self.column], end))[0]))
        return pair[0], pair[1]

    def breaks(self, X: pd.DataFrame) -> np.ndarray:
        values = comparable(X[self.column])
        low, high = self.ends(X)
        return (values < low) | (values > high)

    def __str__(self) -> str:
        left = "" if self.low is None else f"{self.low} ≤ "
        return f"{left}{self.column}" + ("" if self.high is None else f" ≤ {self.high}")

    def to_json(self) -> dict[str, Any]:
        return {"rule": self.kind, "column": self.column} | {k: v for k in ("low", "high") if (v := getattr(self, k)) is not None}


@dataclass(kw_only=True)
class Unique(Rule):
    """No two rows agree in all of its columns."""

    kind: ClassVar[str] = "unique"

    of: list[str]

    @property
    def columns(self) -> list[str]:
        return self.of

    def breaks(self, X: pd.DataFrame) -> np.ndarray:
        return X.duplicated(self.of).to_numpy() & _whole(X, self.of)

    def __str__(self) -> str:
        return f"{' and '.join(self.of)} {'is' if len(self.of) == 1 else 'are together'} unique"

    def to_json(self) -> dict[str, Any]:
        return {"rule": self.kind, "of": self.of}


KINDS: dict[str, type[Rule]] = {cls.kind: cls for cls in (Determines, Implies, Order, Sum, Range, Unique)}
EXAMPLES = {
    "determines": '{"rule": "determines", "if": ["zip"], "then": "city"}',
    "implies": '{"rule": "implies", "if": {"pregnant": ["yes"]}, "then": {"sex": ["Female"]}}',
    "order": '{"rule": "order", "low": "start", "high": "end"}',
    "sum": '{"rule": "sum", "terms": ["net", "tax"], "total": "gross"}',
    "range": '{"rule": "range", "column": "age", "low": 0, "high": 120}',
    "unique": '{"rule": "unique", "of": ["id"]}',
}


def rule_from(data: dict[str, Any], names: list[str] | None = None) -> Rule:
    """A rule from its JSON; a UsageError says what is wrong, for columns that a table of these names lacks too.

    >>> print(rule_from({"rule": "order", "low": "start", "high": "end"}))
    start ≤ end
    """
    kind = data.get("rule")
    if kind not in KINDS:
        raise UsageError(f'{data!r} is no rule: its "rule" is one of {", ".join(KINDS)}.{nearest(str(kind), KINDS)}')
    words = {"if": "given", "else": ""}
    fields = {words.get(key, key): value for key, value in data.items() if key != "rule"}
    known = set(KINDS[kind].__dataclass_fields__)
    unknown = [key for key in fields if key not in known]
    try:
        if unknown:
            raise TypeError(unknown[0])
        rule = KINDS[kind](**_listed(kind, fields))
        columns = rule.columns
    except (TypeError, AttributeError, ValueError):
        raise UsageError(f"The rule {data!r} is not understood: write it as {EXAMPLES[kind]}.") from None
    for name in columns if names is not None else []:
        if name not in (names or []):
            raise UsageError(f"The rule {rule} names column {name!r}, which the table lacks.{nearest(name, names or [])}")
    return rule


def _listed(kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Single words where lists are meant, as lists."""
    out = dict(fields)
    for key in {"determines": ("given",), "sum": ("terms",), "unique": ("of",)}.get(kind, ()):
        out[key] = [out[key]] if isinstance(out[key], str) else [str(v) for v in out[key]]
    if kind == "implies":
        for key in ("given", "then"):
            out[key] = {str(k): list(v) if isinstance(v, list | tuple | set) else [v] for k, v in dict(out[key]).items()}
            if not out[key]:
                raise ValueError
    return out


def _whole(X: Any, names: list[str]) -> np.ndarray:
    """Mask (n,) of the rows with none of these columns missing."""
    return np.logical_and.reduce([X[name].notna().to_numpy() for name in names])


def fitted_rules(declared: list[dict[str, Any]], X: pd.DataFrame) -> list[dict[str, Any]]:
    """The declared rules with what they need of the training rows; one that the rows break is said in a warning."""
    X = X.set_axis([str(name) for name in X.columns], axis=1)
    out = []
    for data in declared:
        rule = rule_from(data, list(X.columns))
        for name in rule.columns if isinstance(rule, Order | Sum | Range) else []:
            _numeric(rule, X[name])
        wrong = rule.breaks(X)
        rule.learn(X)
        if wrong.any():
            warnings.warn(broken(rule, X, wrong), stacklevel=4)
        out.append({"kind": rule.kind} | asdict(rule))
    return out


def _numeric(rule: Rule, series: Any) -> None:
    """Raise a UsageError for a column of labels where numbers or times are compared."""
    held = comparable(series)
    wrong = np.isnan(held) & series.notna().to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise UsageError(
            f"The rule {rule} compares {series.name!r}, which holds {series.iloc[row]!r} at row {row}: no number or time."
        )


def rules_of(states: list[dict[str, Any]]) -> list[Rule]:
    """The rules that `fitted_rules` made."""
    return [KINDS[state["kind"]](**{k: v for k, v in state.items() if k != "kind"}) for state in states]


def broken(rule: Rule, X: pd.DataFrame, wrong: np.ndarray) -> str:
    """How often the rows break a rule, with one of them."""
    row = int(wrong.argmax())
    shown = ", ".join(f"{name} {X[name].iloc[row]}" for name in rule.columns)
    share = 100 * float(wrong.mean())
    return (
        f"{int(wrong.sum()):,} of {len(X):,} rows ({share:.2g} %) break the rule {rule}, such as row {row} ({shown}): "
        "they stay in the data, samples keep the rule."
    )


def mine(X: pd.DataFrame, *, seed: int = 0) -> list[Rule]:
    """The rules that the rows of X keep, or all but one in a thousand of them, and chance would not; see `mining`."""
    from genus.data.mining import found

    return found(X, seed)
