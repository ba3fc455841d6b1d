"""A Bayesian network of discrete cells: structure by search, tables by counting, questions answered exactly."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from genus.capability import Conditional, Density, Graphical, Partial, Summable
from genus.maths.expected import expected_counts, log_known
from genus.maths.groups import group_index, groups_of
from genus.maths.learning import limited, mixed_up, present, search, severed, smoothed
from genus.maths.network import Network
from genus.maths.ordered import by_rows, grouped, point
from genus.maths.quantise import Packed, drawn
from genus.maths.statistics import Statistics
from genus.maths.stored import Stored, blocks
from genus.maths.structure import Rules, checked, given_parents, named_arcs
from genus.space import Record, Space
from genus.train.expect import expect
from genus.train.run import Run

SEARCHED = 200_000  # rows of data on disk that the graph is searched on
GRAPHS, STEPS, TOLERANCE = 3, 100, 1e-4  # of the fit with gaps: searches, steps of EM, its least gain


@dataclass(kw_only=True, eq=False, repr=False)
class BayesianNetwork(Density, Partial, Summable, Conditional, Graphical):
    """A directed graph of discrete cells: p(x) = ∏ᵢ p(xᵢ | parents of i), each factor a table of counts.

    The graph is searched for, or given. Cells of ordered levels (bins of a number) enter it in a few groups of about equal mass;
    inside its group a level has its own frequency, so that the probability stays exact for every level. A column's
    second cell depends on its first alone. Any part of an item is completed from the exact joint distribution given the rest,
    by variable elimination; where that needs too large a table, by likelihood weighting. A condition gives every table a
    version for each label, drawn towards the table of all.

    Parameters
    ----------
    structure: "climb" (hill climbing with a tabu list), "tree" (Chow and Liu's best tree), "pc" or "miic" (tests of
        independence, by pyAgrum), "given" (`edges` and no others); "auto" climbs up to 100 cells and takes a tree above.
    edges: pairs (from, to) of columns: all arcs where the structure is given, else arcs it must have.
    forbidden: pairs (from, to) it must not have.
    criterion: what the climb maximises: "bic", "aic" or "bdeu".
    prior: imagined rows of "bdeu".
    parents: the most a cell may have.
    cells: entries of the largest table of the climb.
    tabu: steps that must not be undone, and how many without gain end the climb.
    bins: groups of an ordered cell in the graph, n^(1/4) but at least 4 and at most 16 when None.
    smoothing: pseudo-observations a row of a table, spread as the cell's own frequencies.
    missing: a missing cell is a "level" of its own, or a gap that "em" sums over: the tables are likeliest for what is
        known, the graph is searched on rows completed by the network, no sample has gaps, and log_prob is that of what is known.

    Attributes
    ----------
    nodes_: the cell of each variable of the graph. fine_cells_: (cell, its first cell) of the second cells.
    parents_: of each variable. tables_: (g, parents' states …, states) of each.
    group_: (levels,) each level's state. within_: (states, levels) p(level | state). fine_: p(second cell | first cell).
    keys_: (g, m) the distinct conditions.

    Reference: C. Chow and C. Liu 1968, https://doi.org/10.1109/TIT.1968.1054142; D. Heckerman, D. Geiger and D. Chickering 1995,
    https://doi.org/10.1007/BF00994016; D. Koller and N. Friedman 2009, Probabilistic graphical models
    """

    accepts: ClassVar[tuple[str, ...]] = ("record", "levels", "binary", "category")
    chunk: ClassVar[int] = 65536

    structure: Literal["auto", "climb", "tree", "pc", "miic", "given"] = "auto"
    edges: Any = None
    forbidden: Any = None
    criterion: Literal["bic", "aic", "bdeu"] = "bic"
    prior: float = 10.0
    parents: int = 5
    cells: int = 100_000
    tabu: int = 5
    bins: int | None = None
    smoothing: float = 1.0
    missing: Literal["level", "em"] = "level"

    def _check(self) -> None:
        structures = ("auto", "climb", "tree", "pc", "miic", "given")
        choices = {"structure": structures, "criterion": ("bic", "aic", "bdeu"), "missing": ("level", "em")}
        checked(self, choices, {"parents": 1, "cells": 1, "tabu": 0, "bins": 2, "smoothing": 0})

    # -- fitting ------------------------------------------------------------------------------------------

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        data = x if isinstance(x, Stored) else drawn(x)
        if hasattr(self, "tables_"):
            del self.tables_
        self.keys_ = groups_of(y, 0 if y is None else len(x))[0]
        self._place(data)
        sizes = [len(w) for w in self.within_]
        some = torch.arange(len(data)) if isinstance(data, Tensor) else torch.randperm(len(data))[:SEARCHED]
        cells = data[some].reshape(len(some), -1).long()
        states, known = self._states(cells), self._known(cells)
        gaps = self.missing == "em" and not bool(known.all())
        self.parents_ = [list(above) for above in self._search(mixed_up(states, known) if gaps else states, sizes)]
        limited(self.parents_, sizes, self._names, len(self.keys_))
        self._update(self._summarize(data, y))
        if gaps:
            self._fill_gaps(data, y, some, (states, known), run)

    def _fill_gaps(self, data: Packed, y: Tensor | None, some: Tensor, seen: tuple[Tensor, Tensor], run: Run) -> None:
        """Expectation–maximisation, then the graph searched anew on completed rows, until it stays.

        N. Friedman 1997, Learning belief networks in the presence of missing values and hidden variables (ICML)
        """

        def step() -> float:
            sums = self._summarize(data, y)
            self._update(sums)
            return float(sums.sums["log_prob"] / len(data))

        sizes, (states, known) = [len(w) for w in self.within_], seen
        for k in range(GRAPHS):
            self.history_ = expect(step, steps=STEPS, tol=TOLERANCE, run=run)
            if self.structure == "given" or k == GRAPHS - 1:
                break
            for rows, net in self._of_labels(None if y is None else y[some], len(some)):
                states[rows] = net.complete(states[rows], known[rows])
            found = [list(above) for above in self._search(states, sizes)]
            if found == self.parents_:
                break
            self.parents_ = found
            del self.tables_
            self._update(self._summarize(data, y))

    def _place(self, data: Tensor | Stored) -> None:
        """Which cells are variables, and how their levels are grouped."""
        spaces = _cells(self.space_)
        self.fine_cells_ = [[i, i - 1] for i, (name, _) in enumerate(spaces) if i and name.startswith(f"{spaces[i - 1][0]}/fine")]
        fine = {i for i, _ in self.fine_cells_}
        self.nodes_ = [i for i in range(len(spaces)) if i not in fine]
        bins = self.bins or min(16, max(4, round(len(data) ** 0.25)))
        levels = [spaces[i][1].levels for i in self.nodes_]
        tallies = [torch.zeros(size, dtype=torch.long) for size in levels]
        for piece in blocks(data):
            rows = piece.reshape(len(piece), -1).long()
            for tally, i, size in zip(tallies, self.nodes_, levels, strict=True):
                tally += torch.bincount(rows[:, i], minlength=size)
        self.group_ = []
        for i, counts in zip(self.nodes_, tallies, strict=True):
            space = spaces[i][1]
            few = space.kind != "levels" or space.levels <= bins
            self.group_.append(torch.arange(space.levels) if few else grouped(counts, bins, alone=space.missing))
        self.within_ = [torch.zeros(int(g.max()) + 1, len(g), dtype=torch.float64) for g in self.group_]

    # -- sums over items ----------------------------------------------------------------------------------

    def _summarize(self, x: Packed, y: Tensor | None) -> Statistics:
        """How often each level, each second cell given its first, and each state of a variable given its parents' occurred.

        With gaps to be summed over, the last are expected counts under the present tables; before there are any, counts of the
        rows that know the variable and its parents.
        """
        spaces, g = _cells(self.space_), len(self.keys_)
        sums = {f"level {k}": torch.zeros(w.shape[1], dtype=torch.long) for k, w in enumerate(self.within_)}
        for k, (i, host) in enumerate(self.fine_cells_):
            sums[f"fine {k}"] = torch.zeros(spaces[host][1].levels * spaces[i][1].levels, dtype=torch.long)
        for k, rows in enumerate(self._rows):
            sums[f"state {k}"] = torch.zeros(g * rows * len(self.within_[k]), dtype=torch.long)
        if summed := self.missing == "em" and hasattr(self, "tables_"):
            sums = {name: each.double() for name, each in sums.items()} | {"log_prob": torch.zeros((), dtype=torch.float64)}
        label, at = group_index(y, self.keys_, 0 if y is None else len(x)), 0
        for piece in blocks(x):
            data = piece.reshape(len(piece), -1).long()
            mine = 0 if y is None else label[at : at + len(data)]
            at += len(data)
            for name, index in self._tallied(data, mine, spaces):
                if not (summed and name.startswith("state")):
                    sums[name] += torch.bincount(index, minlength=len(sums[name]))
            if summed:
                self._expect(sums, data, mine)
        return Statistics(sums)

    def _expect(self, sums: dict[str, Tensor], data: Tensor, label: Tensor | int) -> None:
        """Add the expected counts of the tables' entries, and the log-likelihood of the states known."""
        states, known = self._states(data), self._known(data)
        for g in torch.as_tensor(label).unique().tolist():
            rows = (torch.as_tensor(label) == g).expand(len(data))
            counts, value = expected_counts(self._net(g), states[rows], known[rows])
            sums["log_prob"] += value.sum()
            for k, each in enumerate(counts):
                sums[f"state {k}"].view(len(self.keys_), -1)[g] += each.flatten()

    def _tallied(self, data: Tensor, label: Tensor | int, spaces: Sequence[tuple[str, Space]]) -> Iterator[tuple[str, Tensor]]:
        """(name of a count, the entry of it that each row adds one to)."""
        states = self._states(data).unbind(1)
        known = self._known(data) if self.missing == "em" else torch.ones(len(data), len(states), dtype=torch.bool)
        for k, i in enumerate(self.nodes_):
            yield f"level {k}", data[known[:, k], i]
            row = torch.zeros(len(data), dtype=torch.long)
            for p in self.parents_[k]:
                row = row * len(self.within_[p]) + states[p]
            index = (label * self._rows[k] + row) * len(self.within_[k]) + states[k]
            yield f"state {k}", index[known[:, [k, *self.parents_[k]]].all(1)]
        for k, (i, host) in enumerate(self.fine_cells_):
            index = data[:, host] * spaces[i][1].levels + data[:, i]
            yield f"fine {k}", index[known[:, self.nodes_.index(host)]]

    @property
    def _rows(self) -> list[int]:
        """How many states the parents of each variable have together."""
        return [math.prod(len(self.within_[p]) for p in above) for above in self.parents_]

    def _update(self, statistics: Statistics) -> None:
        """Tables from counts, smoothed towards the cell's frequencies, a label's towards all labels'."""
        sums, g, spaces = statistics.sums, len(self.keys_), _cells(self.space_)
        self._nets = {}
        self.tables_, within = [], []
        for k, (group, above) in enumerate(zip(self.group_, self.parents_, strict=True)):
            levels = sums[f"level {k}"]
            table = torch.zeros_like(self.within_[k])
            table[group, torch.arange(len(group))] = levels.double() + max(self.smoothing, 1e-9) / len(group)
            within.append(table / table.sum(1, keepdim=True))
            shape, r = [len(self.within_[p]) for p in above], len(table)
            counts = sums[f"state {k}"].double().view(g, -1, r)
            self.tables_.append(smoothed(counts, self.smoothing, self._absent[k]).view(g, *shape, r))
        self.within_ = within
        self.fine_ = []
        for k, (i, host) in enumerate(self.fine_cells_):
            p = sums[f"fine {k}"].double().view(spaces[host][1].levels, -1) + max(self.smoothing, 1e-9) / spaces[i][1].levels
            self.fine_.append(p / p.sum(1, keepdim=True))

    def _states(self, data: Tensor) -> Tensor:
        """The variables' states, (n, variables)."""
        return torch.stack([group[data[:, i]] for i, group in zip(self.nodes_, self.group_, strict=True)], 1)

    def _known(self, data: Tensor) -> Tensor:
        """Which variables of each row are not missing, (n, variables)."""
        levels = [space.missing for _, space in _cells(self.space_)]
        return data[:, self.nodes_] != torch.tensor([-1 if m is None else m for m in levels])[self.nodes_]

    @property
    def _absent(self) -> list[int | None]:
        """The state of each variable that stands for a gap, where gaps are summed over: the last, if it has one."""
        missing = [_cells(self.space_)[i][1].missing if self.missing == "em" else None for i in self.nodes_]
        return [None if m is None else int(g[m]) for m, g in zip(missing, self.group_, strict=True)]

    def _graph(self) -> tuple[list[str], list[list[int]]]:
        return self._names, self.parents_

    @property
    def _names(self) -> list[str]:
        return [_cells(self.space_)[i][0] for i in self.nodes_]

    def _search(self, states: Tensor, sizes: list[int]) -> Sequence[Sequence[int]]:
        """The parents of each variable."""
        names = self._names
        required, forbidden = named_arcs(self.edges, names, "edges"), named_arcs(self.forbidden, names, "forbidden")
        given = given_parents(required, forbidden, names)
        if self.structure == "given":
            return given
        rules, sizes = Rules(required, forbidden, self.parents), present(sizes, self._absent)
        return search(states, sizes, self.structure, rules, self.criterion, self.prior, self.cells, self.tabu)

    # -- the network --------------------------------------------------------------------------------------

    def network(self, y: Any = None) -> Network:
        """The fitted graph and tables as a `Network`, which answers `posterior`, `most_probable` and `do` by name.

        Parameters
        ----------
        y: the label whose tables are meant, where the model was fitted with a condition.
        """
        check_is_fitted(self, "space_")
        net = self._net(int(group_index(self._conditions(1, y), self.keys_, 1)[0]))
        return Network(net.names, self._words(), net.parents, net.tables)

    def _net(self, g: int) -> Network:
        nets: dict[int, Network] = vars(self).setdefault("_nets", {})
        if g not in nets:
            states = [[str(k) for k in range(len(w))] for w in self.within_]
            nets[g] = Network(self._names, states, self.parents_, [t[g] for t in self.tables_])
        return nets[g]

    def _words(self) -> list[list[str]]:
        """What the user calls each state: the value where a state is one value, else its number."""
        words, hosts = [], {host for _, host in self.fine_cells_}
        for i, group, within in zip(self.nodes_, self.group_, self.within_, strict=True):
            alone = len(group) == len(within) and i not in hosts
            space = self.space_ if alone and isinstance(self.space_, Record) else None
            words.append(list(map(str, range(len(within))) if space is None else self.codec_.words(space, i)))
        return words

    def do(self, given: Any) -> Self:
        """The model under an intervention: the columns in `given`, {column: value}, set whatever their causes say.

        Sampling, completing and scoring the copy that comes back are under the intervention; y stays as it was. A number is
        set to within its bin, the finest thing the network knows.
        """
        check_is_fitted(self, "space_")
        x, known = self.codec_.known(self.codec_.template(1, given), self.space_)
        x, known = drawn(x).reshape(1, -1)[0].long(), known.reshape(-1)
        twin = copy.copy(self)
        twin._nets = {}
        for name in ("parents_", "tables_", "within_", "fine_"):
            setattr(twin, name, list(getattr(self, name)))
        for k, i in enumerate(self.nodes_):
            if known[i]:
                twin.parents_[k] = []
                twin.tables_[k], twin.within_[k] = severed(self.tables_[k], self.within_[k], int(self.group_[k][x[i]]), int(x[i]))
        for k, (i, host) in enumerate(self.fine_cells_):
            if known[host]:
                twin.fine_[k] = self.fine_[k].clone()
                twin.fine_[k][x[host]] = point(self.fine_[k].shape[1], int(x[i]))
        return twin

    def most_probable(self, X: Any, y: Any = None) -> Any:
        """X with its missing cells set to the most probable explanation: their likeliest joint value given the known ones.

        Parameters
        ----------
        X: items with missing cells, or {column: value} for one item known in these columns alone.
        """
        check_is_fitted(self, "space_")
        X = self.codec_.template(1, X) if isinstance(X, dict) else X
        x, known = self.codec_.known(X, self.space_)
        filled = self._filled(drawn(x), known, self._conditions(len(x), y), maximum=True)
        return self.codec_.merge(X, self.codec_.unpack(filled, self.space_, whole=True), self.space_)

    # -- the verbs' hooks ---------------------------------------------------------------------------------

    def _of_labels(self, y: Tensor | None, n: int) -> list[tuple[Tensor, Network]]:
        """(rows, network) of each label among y."""
        group = group_index(y, self.keys_, n)
        return [((group == g).nonzero()[:, 0], self._net(g)) for g in group.unique().tolist()]

    def _log_prob(self, x: Tensor, y: Tensor | None) -> Tensor:
        data = x.reshape(len(x), -1).long()
        states, out = self._states(data), torch.zeros(len(x), dtype=torch.float64)
        known = self._known(data) if self.missing == "em" else torch.ones_like(states, dtype=torch.bool)
        whole = known.all(1)
        for rows, net in self._of_labels(y, len(x)):
            full, holed = rows[whole[rows]], rows[~whole[rows]]
            out[full] = net.log_prob(states[full])
            if len(holed):
                out[holed] = log_known(net, states[holed], known[holed])
        for k, i in enumerate(self.nodes_):
            if self.within_[k].shape[0] < self.within_[k].shape[1]:
                out += torch.where(known[:, k], self.within_[k].log()[states[:, k], data[:, i]], 0.0)
        for k, (i, host) in enumerate(self.fine_cells_):
            seen = known[:, self.nodes_.index(host)]
            out += torch.where(seen, self.fine_[k].log()[data[:, host], data[:, i]], 0.0)
        return out

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        states = torch.empty(n, len(self.nodes_), dtype=torch.long)
        for rows, net in self._of_labels(y, n):
            states[rows] = net.sample(len(rows))
        x = self._levels(states, torch.zeros(n, len(_cells(self.space_)), dtype=torch.long), None, maximum=False)
        return x.reshape(n, *self.space_.shape).to(self.space_.dtype)

    def _levels(self, states: Tensor, x: Tensor, known: Tensor | None, *, maximum: bool) -> Tensor:
        """x with unknown cells drawn within the variables' states, or set to the likeliest there."""
        out = x.clone()
        for k, i in enumerate(self.nodes_):
            table = self.within_[k]
            if table.shape[0] == table.shape[1]:
                value = states[:, k] if bool((self.group_[k].diff() == 1).all()) else table.argmax(1)[states[:, k]]
            else:
                value = table.argmax(1)[states[:, k]] if maximum else by_rows(table, states[:, k])
            out[:, i] = value if known is None else torch.where(known[:, i], x[:, i], value)
        for k, (i, host) in enumerate(self.fine_cells_):
            value = self.fine_[k].argmax(1)[out[:, host]] if maximum else by_rows(self.fine_[k], out[:, host])
            out[:, i] = value if known is None else torch.where(known[:, i], x[:, i], value)
        return out

    def _complete(self, x: Tensor, known: Tensor, y: Tensor | None) -> Tensor:
        return self._filled(x, known, y, maximum=False)

    def _filled(self, x: Tensor, known: Tensor, y: Tensor | None, *, maximum: bool) -> Tensor:
        """x with its unknown entries drawn jointly, or set to their likeliest joint value."""
        data, mask = x.reshape(len(x), -1).long(), known.reshape(len(x), -1)
        states, seen = self._states(data), mask[:, self.nodes_]
        for rows, net in self._of_labels(y, len(x)):
            states[rows] = net.complete(states[rows], seen[rows], weights=self._weights(maximum), maximum=maximum)
        return self._levels(states, data, mask, maximum=maximum).reshape(x.shape).to(x.dtype)

    def _weights(self, maximum: bool) -> list[Tensor]:
        """What multiplies an unknown variable's distribution: 0 at "missing", and for a maximum its likeliest level's share."""
        spaces, out = _cells(self.space_), []
        for k, i in enumerate(self.nodes_):
            weight = self.within_[k].amax(1) if maximum else torch.ones(len(self.within_[k]), dtype=torch.float64)
            if (missing := spaces[i][1].missing) is not None:
                weight = weight.index_fill(0, self.group_[k][missing], 0.0)
            out.append(weight)
        return out


def _cells(space: Any) -> Sequence[tuple[str, Space]]:
    """(name, space) of every entry of an item."""
    return space.fields if isinstance(space, Record) else [(str(i), space) for i in range(space.size)]
