"""A discrete Bayesian network with its tables: draws, probabilities, posteriors, explanations and interventions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from genus.errors import DataError, UsageError, nearest
from genus.maths import agrum
from genus.maths.factors import Factor, draw, draw_back, eliminate
from genus.maths.graphs import ancestral, min_fill, topological
from genus.maths.ordered import by_rows

LARGEST = 2**22  # entries of the largest table that exact inference may make
HUGE = 2**26  # entries above which pyAgrum is asked, if installed
BLOCK = 2**24  # entries of one table for a batch of questions
PARTICLES = 256  # of likelihood weighting, an item
ROUNDING = 0.01  # how far from one a row of a table may be, since files round


@dataclass(frozen=True, eq=False)
class Network:
    """Discrete variables on a directed acyclic graph: p(x) = ∏ᵢ p(xᵢ | parents of i).

    Items are rows of state numbers, an int64 tensor (n, variables). Questions name variables and states by their words.

    Parameters
    ----------
    names: of the variables. states: of each variable. parents: of each variable, as numbers.
    tables: p(state | parents' states), float64 of shape (parents' states …, states); rows off by rounding are scaled.

    Reference: J. Pearl 1988, Probabilistic reasoning in intelligent systems; D. Koller and N. Friedman 2009, Probabilistic
    graphical models, chapters 9 (elimination), 12.3 (likelihood weighting), 21 (interventions)

    >>> rain = torch.tensor([0.8, 0.2]), torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    >>> net = Network(["rain", "wet"], [["no", "yes"]] * 2, [(), (0,)], list(rain))
    >>> round(net.posterior("rain", {"wet": "yes"})["yes"], 3)
    0.667
    """

    names: Sequence[str]
    states: Sequence[Sequence[str]]
    parents: Sequence[Sequence[int]]
    tables: Sequence[Tensor]

    def __post_init__(self) -> None:
        topological(self.parents, self.names)
        for i, table in enumerate(self.tables):
            shape = (*(self.size[p] for p in self.parents[i]), self.size[i])
            if tuple(table.shape) != shape:
                raise DataError(f"The table of {self.names[i]!r} has shape {tuple(table.shape)}, but its variables give {shape}.")
            total = table.sum(-1)
            if bool((table < 0).any()) or not bool(((total - 1).abs() <= ROUNDING).all()):
                self._refuse(i, table, total)
        object.__setattr__(self, "tables", [_scaled(table.double()) for table in self.tables])

    def _refuse(self, i: int, table: Tensor, total: Tensor) -> None:
        bad = ((total - 1).abs() > ROUNDING) | (table < 0).any(-1) | total.isnan()
        row = int(bad.flatten().int().argmax())
        where = np.unravel_index(row, tuple(total.shape)) if total.dim() else ()
        given = ", ".join(f"{self.names[p]}={self.states[p][int(k)]}" for p, k in zip(self.parents[i], where, strict=True))
        raise DataError(
            f"The probabilities of {self.names[i]!r}{' given ' + given if given else ''} sum to "
            f"{float(total.flatten()[row]):.6g}, or one is negative: each row must hold probabilities that sum to 1."
        )

    @cached_property
    def size(self) -> list[int]:
        """How many states each variable has."""
        return [len(states) for states in self.states]

    @cached_property
    def order(self) -> list[int]:
        """The variables, each after its parents."""
        return topological(self.parents)

    @property
    def edges(self) -> list[tuple[str, str]]:
        """(from, to) of every arc."""
        return [(self.names[p], self.names[i]) for i, above in enumerate(self.parents) for p in above]

    @property
    def freedom(self) -> int:
        """Free parameters."""
        return sum(t.numel() // t.shape[-1] * (t.shape[-1] - 1) for t in self.tables)

    # -- rows ---------------------------------------------------------------------------------------------

    def row(self, i: int, codes: Tensor | list[Tensor]) -> Tensor:
        """Which row of its table variable i has, (n,), given `codes[..., variable]` or a list of columns."""
        columns = codes if isinstance(codes, list) else codes.unbind(1)
        row = torch.zeros_like(columns[i]) if not self.parents[i] else columns[self.parents[i][0]]
        for p in self.parents[i][1:]:
            row = row * self.size[p] + columns[p]
        return row

    def sample(self, n: int) -> Tensor:
        """n items, each variable drawn given its parents."""
        columns = [torch.zeros(n, dtype=torch.long)] * len(self.names)
        for i in self.order:
            columns[i] = self._draw(i, self.row(i, columns) if self.parents[i] else None, n)
        return torch.stack(columns, 1) if columns else torch.zeros(n, 0, dtype=torch.long)

    def _draw(self, i: int, row: Tensor | None, n: int) -> Tensor:
        """Variable i of n items by the inverse of its distribution function."""
        cdf, r = self._cdfs[i], self.size[i]
        if row is None:
            row = torch.zeros(n, dtype=torch.long)
        if r > 8:
            return by_rows(self.tables[i].reshape(-1, r), row)
        u = torch.rand(n, dtype=torch.float64)
        code = (u >= cdf[:, 0].contiguous()[row]).long()
        for k in range(1, r - 1):
            code += u >= cdf[:, k].contiguous()[row]
        return code if r > 1 else torch.zeros_like(code)

    @cached_property
    def _cdfs(self) -> list[Tensor]:
        """(rows, states) of each variable; states of no probability at the end are never reached."""
        out = []
        for t, r in zip(self.tables, self.size, strict=True):
            cdf = t.reshape(-1, r).cumsum(1)
            out.append(torch.where(cdf >= cdf[:, -1:] - 1e-15, 1.0, cdf))
        return out

    @cached_property
    def _logs(self) -> list[Tensor]:
        return [t.log().flatten() for t in self.tables]

    def log_prob(self, codes: Tensor) -> Tensor:
        """log p of each item, (n,), nats."""
        columns = [c.contiguous() for c in codes.unbind(1)]
        total = torch.zeros(len(codes), dtype=torch.float64)
        for i, r in enumerate(self.size):
            total += self._logs[i][self.row(i, columns) * r + columns[i] if self.parents[i] else columns[i]]
        return total

    # -- evidence -----------------------------------------------------------------------------------------

    def complete(self, codes: Tensor, known: Tensor, *, weights: Sequence[Tensor] | None = None, maximum: bool = False) -> Tensor:
        """codes with entries where `known` is False drawn jointly given the others; with `maximum` their most probable values.

        Exact by elimination where its tables stay small; else likelihood weighting with 256 particles an item.

        Parameters
        ----------
        codes, known: (n, variables). weights: (states,) of each variable, multiplied into the distribution where unknown.
        """
        out = codes.clone()
        patterns, which = torch.unique(known, dim=0, return_inverse=True)
        for k, pattern in enumerate(patterns):
            rows = (which == k).nonzero()[:, 0]
            if not bool(pattern.all()):
                out[rows] = self._complete(codes[rows], pattern, weights, maximum)
        return out

    def _complete(self, codes: Tensor, known: Tensor, weights: Sequence[Tensor] | None, maximum: bool) -> Tensor:
        """`complete` for rows with the same entries known."""
        given = known.nonzero()[:, 0].tolist()
        weighted = [i for i, w in enumerate(weights or ()) if not known[i] and bool((w != 1).any())]
        asked = ancestral(self.parents, range(len(self.names)) if maximum else [*given, *weighted])
        free = [i for i in sorted(asked) if not known[i]]
        questions, question = codes[:1, :0], torch.zeros_like(codes[:, 0])
        if given:
            questions, question = torch.unique(codes[:, given], dim=0, return_inverse=True)
        scopes = [[j for j in (*self.parents[i], i) if not known[j]] for i in sorted(asked)]
        order, largest = min_fill(scopes, dict(enumerate(self.size)), free)
        out = codes.clone()
        if largest > LARGEST:
            if maximum:
                raise UsageError(f"The most probable explanation needs a table of {largest:,} entries: give more evidence.")
            return self._weighted(out, known, weights)
        for piece in torch.arange(len(questions)).split(max(1, BLOCK // largest)):
            full = torch.zeros(len(piece), len(self.names), dtype=torch.long)
            full[:, given] = questions[piece]
            factors = self._factors(asked, known, full, weights)
            found = eliminate(factors, order, maximum=maximum)
            mine = ((question >= piece[0]) & (question <= piece[-1])).nonzero()[:, 0]
            if bool((found.rest.table <= 0).any()):
                raise DataError("The known values cannot occur together under this network: change one of them.")
            values = out[mine]
            draw_back(found.cliques, values, question[mine] - piece[0], maximum=maximum)
            out[mine] = values
        self._forward(out, asked)
        return out

    def _factors(self, asked: set[int], known: Tensor, full: Tensor, weights: Sequence[Tensor] | None) -> list[Factor]:
        """The tables of the variables asked after, each cut down to the known values of every question in `full`."""
        factors = [Factor((), torch.ones(1, dtype=torch.float64))]
        for i in sorted(asked):
            family = (*self.parents[i], i)
            fixed, free = [j for j in family if known[j]], [j for j in family if not known[j]]
            table = self.tables[i].permute([family.index(j) for j in (*fixed, *free)])
            table = table[tuple(full[:, j] for j in fixed)] if fixed else table[None]
            factors.append(Factor.of(free, table))
            if weights is not None and not known[i]:
                factors.append(Factor((i,), weights[i][None]))
        return factors

    def _forward(self, codes: Tensor, done: set[int]) -> None:
        """Draw the variables not in `done` given their parents, in place."""
        for i in self.order:
            if i not in done:
                codes[:, i] = self._draw(i, self.row(i, codes) if self.parents[i] else None, len(codes))

    def _weighted(self, codes: Tensor, known: Tensor, weights: Sequence[Tensor] | None) -> Tensor:
        """Likelihood weighting: particles drawn forward, one of each item's kept in proportion to what it gives the evidence."""
        out = codes.clone()
        for rows in torch.arange(len(codes)).split(max(1, 2**21 // PARTICLES // max(1, len(self.names)))):
            particles = codes[rows].repeat_interleave(PARTICLES, 0)
            log_weight = torch.zeros(len(particles), dtype=torch.float64)
            for i in self.order:
                row = self.row(i, particles) if self.parents[i] else torch.zeros(len(particles), dtype=torch.long)
                p = self.tables[i].reshape(-1, self.size[i])
                if bool(known[i]):
                    log_weight += p[row, particles[:, i]].log()
                    continue
                seen = p if weights is None else p * weights[i]
                mass = seen.sum(1)
                particles[:, i] = draw(seen[row])
                log_weight += mass[row].log()
            log_weight = log_weight.view(len(rows), PARTICLES)
            best = log_weight.amax(1, keepdim=True)
            keep = draw((log_weight - torch.where(best.isfinite(), best, 0.0)).exp())
            out[rows] = particles.view(len(rows), PARTICLES, -1)[torch.arange(len(rows)), keep]
        return out

    # -- questions by name --------------------------------------------------------------------------------

    def posterior(
        self, query: str | Sequence[str], given: Mapping[str, Any] | None = None, *,
        engine: Literal["auto", "elimination", "agrum"] = "auto",
    ) -> Any:  # fmt: skip
        """p(query | given), exact.

        Parameters
        ----------
        engine: "elimination" of variables, "agrum" for pyAgrum's junction tree (the extra `networks`), "auto" for the second
            where the first needs tables of over 67 million entries and pyAgrum is installed.

        Returns {state: probability} for one variable's name, a table with an axis a variable for several.
        """
        wanted = [self._variable(q) for q in ([query] if isinstance(query, str) else query)]
        codes, known = self._evidence(given or {})
        asked = ancestral(self.parents, [*wanted, *known.nonzero()[:, 0].tolist()])
        out = [i for i in asked if i not in wanted and not known[i]]
        scopes = [[j for j in (*self.parents[i], i) if not known[j]] for i in asked]
        order, largest = min_fill([*scopes, [w for w in wanted if not known[w]]], dict(enumerate(self.size)), out)
        free = tuple(sorted({w for w in wanted if not known[w]}))
        if free and (engine == "agrum" or (engine == "auto" and largest > HUGE and agrum.installed())):
            evidence = {i: int(codes[i]) for i in known.nonzero()[:, 0].tolist()}
            found = agrum.propagated(self.parents, [t.numpy() for t in self.tables], evidence, free)
            joint = torch.from_numpy(found.copy())
        elif largest > HUGE:
            raise UsageError(
                f"It needs a table of {largest:,} entries: ask after fewer variables, give more evidence, or install pyAgrum "
                "(pip install 'genus[networks]')."
            )
        else:
            rest = eliminate(self._factors(asked, known, codes[None], None), order).rest
            joint = rest.over(free).expand(1, *(self.size[w] for w in free))[0]
        total = float(joint.sum())
        if total <= 0:
            raise DataError("The given values cannot occur together under this network: change one of them.")
        table = self._placed(joint / total, free, wanted, codes)
        return dict(zip(self.states[wanted[0]], table.tolist(), strict=True)) if isinstance(query, str) else table.numpy()

    def _placed(self, joint: Tensor, free: tuple[int, ...], wanted: list[int], codes: Tensor) -> Tensor:
        """The joint over `free` with an axis for each wanted variable in its order, those known holding one value."""
        joint = joint.permute([free.index(w) for w in wanted if w in free])
        table = torch.zeros([self.size[w] for w in wanted], dtype=joint.dtype)
        table[tuple(slice(None) if w in free else int(codes[w]) for w in wanted)] = joint
        return table

    def most_probable(self, given: Mapping[str, Any] | None = None) -> dict[str, str]:
        """The most probable explanation: the likeliest joint state of all variables that agrees with `given`."""
        codes, known = self._evidence(given or {})
        best = self.complete(codes[None], known[None], maximum=True)[0]
        return {name: self.states[i][int(best[i])] for i, name in enumerate(self.names)}

    def do(self, given: Mapping[str, Any]) -> Network:
        """The network under an intervention: the variables named are set to these states, whatever their parents say."""
        codes, known = self._evidence(given)
        return self.mutilated({i: int(codes[i]) for i in known.nonzero()[:, 0].tolist()})

    def mutilated(self, values: Mapping[int, int]) -> Network:
        """`do` by numbers of variables and states."""
        parents, tables = list(self.parents), list(self.tables)
        for i, value in values.items():
            parents[i] = ()
            tables[i] = torch.eye(self.size[i], dtype=torch.float64)[value]
        return replace(self, parents=parents, tables=tables)

    def log_evidence(self, given: Mapping[str, Any]) -> float:
        """log p(given), nats."""
        codes, known = self._evidence(given)
        asked = ancestral(self.parents, known.nonzero()[:, 0].tolist())
        scopes = [[j for j in (*self.parents[i], i) if not known[j]] for i in asked]
        order, _ = min_fill(scopes, dict(enumerate(self.size)), [i for i in asked if not known[i]])
        found = eliminate(self._factors(asked, known, codes[None], None), order)
        value = float(found.rest.table)
        return math.log(value) + float(found.log_scale) if value > 0 else -math.inf

    # -- words --------------------------------------------------------------------------------------------

    def _variable(self, name: str) -> int:
        if name not in self.names:
            raise UsageError(f"The network has no variable {name!r}.{nearest(name, self.names)}")
        return list(self.names).index(name)

    def _evidence(self, given: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """(codes, known) of one item."""
        codes, known = torch.zeros(len(self.names), dtype=torch.long), torch.zeros(len(self.names), dtype=torch.bool)
        for name, value in given.items():
            i = self._variable(name)
            if str(value) not in self.states[i]:
                raise UsageError(
                    f"{name!r} has no state {value!r}: it has {', '.join(self.states[i])}.{nearest(str(value), self.states[i])}"
                )
            codes[i], known[i] = list(self.states[i]).index(str(value)), True
        return codes, known

    def frame(self, codes: Tensor) -> pd.DataFrame:
        """Items as a table of categories."""
        columns = codes.to(torch.int16 if max(self.size) < 2**15 else torch.int32).T.contiguous().numpy()
        kinds = [pd.CategoricalDtype(list(states)) for states in self.states]
        cells = {i: pd.Categorical.from_codes(columns[i], dtype=kind) for i, kind in enumerate(kinds)}  # pyright: ignore
        out = pd.DataFrame(cells)
        out.columns = pd.Index(list(self.names))
        return out

    def codes(self, frame: pd.DataFrame) -> Tensor:
        """The inverse of `frame`; states are compared as text."""
        out = np.empty((len(frame), len(self.names)), np.int64)
        for i, name in enumerate(self.names):
            values = pd.Categorical(frame[name])
            place = {state: k for k, state in enumerate(self.states[i])}
            codes = np.array([place.get(str(v), -1) for v in values.categories] + [-1])[values.codes]
            if (codes < 0).any():
                row = int((codes < 0).argmax())
                shown = ", ".join(self.states[i])
                raise DataError(f"Row {row} of {name!r} is {frame[name].iloc[row]!r}, which is no state of it ({shown}).")
            out[:, i] = codes
        return torch.from_numpy(out)


def _scaled(table: Tensor) -> Tensor:
    """Rows that sum to one; those that do already stay as they are, to the last bit."""
    total = table.sum(-1, keepdim=True)
    return torch.where((total - 1).abs() > 1e-12, table / total, table)
