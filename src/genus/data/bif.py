"""BIF: Bayesian networks as text, the interchange format of the networks in the literature; .gz too."""

from __future__ import annotations

import gzip
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from genus import store
from genus.errors import DataError, nearest
from genus.maths.network import Network

TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<string>"[^"\n]*")
    |(?P<mark>[{}()\[\];|,])
    |(?P<word>[^\s{}()\[\];|,"]+)""",
    re.DOTALL | re.VERBOSE,
)


class Token(NamedTuple):
    """A word or mark and the line it stands in; `quoted` words are never keywords."""

    text: str
    line: int
    quoted: bool = False


def read_bif(path: str | Path) -> Network:
    """The network in a .bif or .bif.gz file.

    Raises DataError with the file's line for a syntax error, an unknown name or state, and rows that do not sum to one.

    Reference: F. Cozman 1998, The interchange format for Bayesian networks,
    http://www.cs.cmu.edu/afs/cs/user/fgcozman/www/Research/InterchangeFormat/
    """
    content = store.read(Path(path))
    try:
        raw = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
        text = raw.decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a BIF file: {error}.") from None
    return parse_bif(text, str(path))


def parse_bif(text: str, name: str = "the text") -> Network:
    """The network in BIF text; `name` is for messages.

    >>> parse_bif("variable a { type discrete [2] {no, yes}; } probability (a) { table 0.3, 0.7; }").posterior("a")
    {'no': 0.3, 'yes': 0.7}
    """
    reader = _Reader(text, name)
    reader.read()
    return reader.network()


class _Reader:
    """A recursive-descent parser; what it has read so far is in `states`, `parents` and `tables`."""

    def __init__(self, text: str, name: str):
        self.name = name
        self.tokens = list(self._tokens(text))
        self.at = 0
        self.states: dict[str, list[str]] = {}
        self.parents: dict[str, list[str]] = {}
        self.tables: dict[str, Tensor] = {}

    def _tokens(self, text: str) -> Iterator[Token]:
        line, at = 1, 0
        while at < len(text):
            found = TOKEN.match(text, at)
            if found is None:
                raise DataError(f"{self.name}, line {line}: {text[at]!r} begins a string that does not end.")
            if found.lastgroup != "skip":
                quoted = found.lastgroup == "string"
                yield Token(found[0][1:-1] if quoted else found[0], line, quoted)
            line += found[0].count("\n")
            at = found.end()
        yield Token("", line)

    def fail(self, line: int, what: str) -> None:
        raise DataError(f"{self.name}, line {line}: {what}.")

    # -- tokens -------------------------------------------------------------------------------------------

    def take(self, expected: str | None = None, what: str = "") -> Token:
        """The next token, which must be `expected` where that is given."""
        token = self.tokens[min(self.at, len(self.tokens) - 1)]
        shown = repr(token.text) if token.text or token.quoted else "the end of the file"
        mark = not token.quoted and (token.text == "" or token.text in "{}()[];|,")
        if (expected is not None and (token.text != expected or token.quoted)) or (expected is None and mark):
            self.fail(token.line, f"expected {repr(expected) if expected else what}, found {shown}")
        self.at += 1
        return token

    def sees(self, text: str) -> bool:
        token = self.tokens[min(self.at, len(self.tokens) - 1)]
        return token.text == text and not token.quoted

    def words(self, what: str, close: str) -> list[Token]:
        """Words parted by commas (or by nothing) up to and with the mark `close`."""
        found = []
        while not self.sees(close):
            found.append(self.take(what=what))
            if self.sees(","):
                self.take(",")
        self.take(close)
        return found

    def numbers(self) -> tuple[list[float], int]:
        """Numbers up to a semicolon, and their line."""
        found, line = [], self.tokens[self.at].line
        for token in self.words("a number or ';'", ";"):
            try:
                found.append(float(token.text))
            except ValueError:
                self.fail(token.line, f"expected a number, found {token.text!r}")
        return found, line

    def property(self) -> None:
        """Skip `property …;`."""
        while not self.sees(";"):
            if self.sees(""):
                self.take(";")
            self.at += 1
        self.take(";")

    # -- blocks -------------------------------------------------------------------------------------------

    def read(self) -> None:
        while not self.sees(""):
            token = self.take(what="'network', 'variable' or 'probability'")
            if token.text == "network":
                while not self.sees("{"):
                    self.take(what="a name and '{'")
                self.take("{")
                while not self.sees("}"):
                    self.property()
                self.take("}")
            elif token.text == "variable":
                self.variable()
            elif token.text == "probability":
                self.probability()
            else:
                guess = nearest(token.text, ("network", "variable", "probability"))
                self.fail(token.line, f"expected 'network', 'variable' or 'probability', found {token.text!r}{guess.rstrip('?')}")

    def variable(self) -> None:
        name = self.take(what="a variable's name")
        if name.text in self.states:
            self.fail(name.line, f"variable {name.text!r} is declared twice")
        self.take("{")
        while not self.sees("}"):
            if self.sees("property"):
                self.property()
                continue
            self.take("type")
            self.take("discrete")
            self.take("[")
            count = self.take(what="a count")
            self.take("]")
            self.take("{")
            states = [token.text for token in self.words("a state", "}")]
            self.take(";")
            if count.text != str(len(states)):
                self.fail(count.line, f"variable {name.text!r} announces {count.text} states and lists {len(states)}")
            if len(set(states)) < len(states):
                self.fail(count.line, f"variable {name.text!r} lists a state twice")
            self.states[name.text] = states
        self.take("}")
        if name.text not in self.states:
            self.fail(name.line, f"variable {name.text!r} has no type")

    def probability(self) -> None:
        line = self.take("(").line
        family = [self.take(what="a variable's name")]
        if self.sees("|"):
            self.take("|")
            family += self.words("a parent's name", ")")
        else:
            self.take(")")
        for token in family:
            if token.text not in self.states:
                self.fail(token.line, f"variable {token.text!r} is not declared.{nearest(token.text, self.states)}".rstrip("."))
        name, above = family[0].text, [token.text for token in family[1:]]
        if name in self.tables:
            self.fail(line, f"the probabilities of {name!r} are given twice")
        if len({name, *above}) < len(family):
            self.fail(line, f"the probabilities of {name!r} name a variable twice")
        self.parents[name] = above
        self.tables[name] = self.table(name, above)

    def table(self, name: str, above: list[str]) -> Tensor:
        """The entries between braces, as p(state | parents' states …) with the parents' axes first."""
        sizes = [len(self.states[p]) for p in above]
        table = torch.full((*sizes, len(self.states[name])), torch.nan, dtype=torch.float64)
        self.take("{")
        while not self.sees("}"):
            if self.sees("property"):
                self.property()
            elif self.sees("("):
                self.take("(")
                where = self.words("a parent's state", ")")
                self.put(table, name, self.places(name, above, where), *self.numbers())
            elif self.take(what="'table', 'default' or '('").text == "default":
                values, line = self.numbers()
                fill = torch.full_like(table, torch.nan)
                self.put(fill, name, (), values, line)
                table = torch.where(table.isnan(), fill, table)
            else:
                table = self.whole(table, name, self.tokens[self.at - 1])
        end = self.take("}")
        if bool(table.isnan().any()):
            self.fail(end.line, f"the probabilities of {name!r} lack a row for some states of its parents")
        return table

    def whole(self, table: Tensor, name: str, keyword: Token) -> Tensor:
        """A table in one list, the variable's own state changing slowest."""
        if keyword.text != "table":
            self.fail(keyword.line, f"expected 'table', 'default' or '(', found {keyword.text!r}")
        values, line = self.numbers()
        if len(values) != table.numel():
            self.fail(line, f"the table of {name!r} needs {table.numel()} numbers and has {len(values)}")
        entries = torch.tensor(values, dtype=torch.float64).view(table.shape[-1], *table.shape[:-1]).movedim(0, -1)
        for row in entries.reshape(-1, table.shape[-1]):
            self.sums(row, name, line)
        return entries

    def places(self, name: str, above: list[str], where: list[Token]) -> tuple[int, ...]:
        """The parents' states a row is for, as numbers."""
        if len(where) != len(above):
            line = where[0].line if where else self.tokens[self.at].line
            self.fail(line, f"{name!r} has {len(above)} parents, the row names {len(where)}")
        for parent, token in zip(above, where, strict=True):
            if token.text not in self.states[parent]:
                self.fail(token.line, f"{parent!r} has no state {token.text!r} (it has {', '.join(self.states[parent])})")
        return tuple(self.states[parent].index(token.text) for parent, token in zip(above, where, strict=True))

    def put(self, table: Tensor, name: str, place: tuple[int, ...], values: list[float], line: int) -> None:
        if len(values) != table.shape[-1]:
            self.fail(line, f"{name!r} has {table.shape[-1]} states, the row gives {len(values)} probabilities")
        row = torch.tensor(values, dtype=torch.float64)
        self.sums(row, name, line)
        table[place] = row

    def sums(self, row: Tensor, name: str, line: int) -> None:
        total = float(row.sum())
        if not abs(total - 1) <= 0.01 or bool((row < 0).any()):
            self.fail(line, f"probabilities of {name!r} sum to {total:.6g}, not to 1, or one is negative")

    def network(self) -> Network:
        names = list(self.states)
        if not names:
            self.fail(1, "no variable is declared")
        lacking = [name for name in names if name not in self.tables]
        if lacking:
            self.fail(self.tokens[-1].line, f"variable {lacking[0]!r} has no probabilities")
        number = {name: i for i, name in enumerate(names)}
        parents = [tuple(number[p] for p in self.parents[name]) for name in names]
        return Network(names, list(self.states.values()), parents, [self.tables[name] for name in names])


def write_bif(network: Network, path: str | Path) -> Path:
    """Write the network as BIF, compressed where the path ends in .gz; numbers come back to the last bit."""
    content = bif_text(network).encode()
    path = Path(path)
    store.write(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path


def bif_text(network: Network) -> str:
    """The network as BIF text."""
    names = [_word(name) for name in network.names]
    states = [[_word(s) for s in some] for some in network.states]
    lines = ["network unknown {", "}"]
    for name, some in zip(names, states, strict=True):
        lines += [f"variable {name} {{", f"  type discrete [ {len(some)} ] {{ {', '.join(some)} }};", "}"]
    for i, table in enumerate(network.tables):
        above = network.parents[i]
        head = f"{names[i]} | {', '.join(names[p] for p in above)}" if above else names[i]
        lines.append(f"probability ( {head} ) {{")
        rows = table.reshape(-1, table.shape[-1]).tolist()
        for place, row in zip(itertools.product(*(states[p] for p in above)), rows, strict=True):
            lines.append(f"  {'(' + ', '.join(place) + ')' if above else 'table'} {', '.join(map(repr, row))};")
        lines.append("}")
    return "\n".join(lines) + "\n"


def _word(text: str) -> str:
    """The text as one token, quoted where it would be read otherwise."""
    plain = re.fullmatch(r'[^\s{}()\[\];|,"]+', str(text)) and "//" not in str(text) and "/*" not in str(text)
    return str(text) if plain else '"' + str(text).replace('"', "'").replace("\n", " ") + '"'
