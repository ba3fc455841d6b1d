"""Structure: which variable depends on which, by search over scored families or by the best tree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genus.errors import UsageError, nearest
from genus.maths.graphs import topological
from genus.maths.lineargaussian import NormalScores
from genus.maths.mixedscores import MixedScores
from genus.maths.scores import Scores, bits

GAIN = 1e-7  # nats below which two graphs count as equal


@dataclass
class Rules:
    """What a graph may look like.

    Parameters
    ----------
    required, forbidden: arcs (from, to). parents: the most a variable may have.
    """

    required: Iterable[tuple[int, int]] = ()
    forbidden: Iterable[tuple[int, int]] = ()
    parents: int = 5

    def matrices(self, d: int) -> tuple[np.ndarray, np.ndarray]:
        """(required, allowed) as (d, d) truth values."""
        required, allowed = np.zeros((d, d), bool), ~np.eye(d, dtype=bool)
        for a, b in self.required:
            required[a, b] = True
        for a, b in self.forbidden:
            allowed[a, b] = False
        return required, allowed


def climb(scores: Scores | NormalScores | MixedScores, rules: Rules, *, tabu: int = 5) -> list[tuple[int, ...]]:
    """The parents of each variable, by hill climbing with a tabu list and reinsertion.

    Each step takes the best change among adding, removing and turning round one arc that makes no cycle, better or worse, but
    never undoes one of the last `tabu` steps; it ends after as many steps without a new best graph. Then each variable in turn
    loses all its arcs and the climb goes on from there, until this betters the graph for none: so early arcs in a wrong
    direction, which draw false ones after them, are undone. Nothing is random.

    Reference: F. Glover 1989, Tabu search, https://doi.org/10.1287/ijoc.1.3.190; A. Moore and W. Wong 2003, Optimal reinsertion:
    a new search operator for accelerated and more accurate Bayesian network structure learning (ICML)
    """
    search = _Climb(scores, rules, tabu)
    best, value = search.run()
    i = idle = 0
    while idle < scores.d and scores.d > 2:
        search.begin(search.without(best, i))
        found, now = search.run()
        idle = 0 if now > value + GAIN else idle + 1
        if now > value - GAIN:
            best, value = found, now
        i = (i + 1) % scores.d
    return [tuple(bits(mask)) for mask in best]


class _Climb:
    """The state of a climb: arcs, who reaches whom, and what each arc's change would gain."""

    def __init__(self, scores: Scores | NormalScores | MixedScores, rules: Rules, tabu: int):
        self.scores, self.rules, self.tabu = scores, rules, tabu
        d = scores.d
        self.required, self.allowed = rules.matrices(d)
        self.arcs = self.required.copy()
        topological([np.flatnonzero(self.arcs[:, i]).tolist() for i in range(d)])
        self.parents = [sum(1 << int(p) for p in np.flatnonzero(self.arcs[:, i])) for i in range(d)]
        self.value = [0.0] * d
        self.gain = np.zeros((d, d))
        self.until = np.zeros((d, d), np.int64)
        scores.pairs()
        for i in range(d):
            self.refresh(i)
        self.reach = self.closure()

    def begin(self, parents: list[int]) -> None:
        """Go to another graph."""
        for i, (old, new) in enumerate(zip(self.parents, parents, strict=True)):
            if old != new:
                self.parents[i] = new
                self.arcs[:, i] = False
                self.arcs[bits(new), i] = True
                self.refresh(i)
        self.reach = self.closure()
        self.until[:] = 0

    def without(self, parents: list[int], i: int) -> list[int]:
        """The graph without the arcs at i, but for required ones."""
        out = [mask & ~(1 << i) if not self.required[i, j] else mask for j, mask in enumerate(parents)]
        out[i] = sum(1 << p for p in bits(parents[i]) if self.required[p, i])
        return out

    def refresh(self, i: int) -> None:
        """What toggling each arc into i would gain: those it lacks added, those it has removed."""
        mask = self.parents[i]
        self.value[i] = self.scores.family(i, mask)
        self.gain[:, i] = self.scores.sweep(i, mask) - self.value[i]
        for p in bits(mask):
            self.gain[p, i] = self.scores.family(i, mask & ~(1 << p)) - self.value[i]

    def closure(self) -> np.ndarray:
        """(d, d) True where a path leads from one variable to the other, itself included."""
        reach = self.arcs | np.eye(len(self.arcs), dtype=bool)
        while True:
            steps = reach.astype(np.float32)
            wider = steps @ steps > 0
            if (wider == reach).all():
                return reach
            reach = wider

    def changes(self, step: int, spare: float) -> tuple[np.ndarray, np.ndarray]:
        """(gain of toggling, gain of turning round) each arc, −∞ where it may not be; a tabu one must gain more than `spare`."""
        full = self.arcs.sum(0) >= self.rules.parents
        may_add = self.allowed & ~self.reach.T & ~full
        toggle = np.where(self.arcs, np.where(self.required, -np.inf, self.gain), np.where(may_add, self.gain, -np.inf))
        free = self.arcs & ~self.required & self.allowed.T & ~full[:, None]
        ways = self.arcs.astype(np.float32) @ self.reach.astype(np.float32)
        turn = np.where(free & (ways < 1.5), self.gain + self.gain.T, -np.inf)
        barred = self.until > step
        toggle[barred & (toggle <= spare)] = -np.inf
        turn[(barred | barred.T) & (turn <= spare)] = -np.inf
        return toggle, turn

    def toggle(self, x: int, y: int, step: int) -> None:
        self.arcs[x, y] = not self.arcs[x, y]
        self.parents[y] ^= 1 << x
        self.until[x, y] = step + 1 + self.tabu

    def run(self) -> tuple[list[int], float]:
        """Climb; (the best graph's parents, its score)."""
        d, step, idle = len(self.arcs), 0, 0
        best, kept = sum(self.value), list(self.parents)
        while d > 1 and idle <= self.tabu:
            toggle, turn = self.changes(step, best + GAIN - sum(self.value))
            turned = bool(turn.max() > toggle.max() + GAIN)
            which = turn if turned else toggle
            x, y = divmod(int(which.argmax()), d)
            if which[x, y] <= (GAIN if self.tabu == 0 else -np.inf):
                break
            self.move(x, y, turned, step)
            step, now = step + 1, sum(self.value)
            idle = 0 if now > best + GAIN else idle + 1
            if idle == 0:
                best, kept = now, list(self.parents)
        return kept, best

    def move(self, x: int, y: int, turned: bool, step: int) -> None:
        """Toggle the arc x → y, or turn it round."""
        added = not self.arcs[x, y]
        self.toggle(x, y, step)
        self.refresh(y)
        if turned:
            self.toggle(y, x, step)
            self.refresh(x)
        self.reach = self.reach | np.outer(self.reach[:, x], self.reach[y]) if added else self.closure()


def tree(codes: np.ndarray, sizes: Sequence[int], root: int = 0) -> list[tuple[int, ...]]:
    """The parent of each variable in the tree of greatest likelihood: the maximum spanning tree of mutual information.

    Reference: C. Chow and C. Liu 1968, Approximating discrete probability distributions with dependence trees,
    https://doi.org/10.1109/TIT.1968.1054142
    """
    scores = Scores(codes, sizes, criterion="aic", cells=2**62)
    scores.pairs()
    d = scores.d
    if d < 2:
        return [()] * d
    alone = np.array([scores.family(i, 0) for i in range(d)])
    free = scores.size - 1
    information = np.stack([scores.sweep(i, 0) - alone[i] + free[i] * (scores.size - 1) for i in range(d)])
    np.fill_diagonal(information, -np.inf)
    return spanning(information, root)


def spanning(information: np.ndarray, root: int = 0) -> list[tuple[int, ...]]:
    """The parent of each variable in the spanning tree of the greatest sum of `information` (d, d), −∞ on its diagonal."""
    d = len(information)
    parents: list[tuple[int, ...]] = [()] * d
    best, above = information[root].copy(), np.full(d, root)
    inside = np.zeros(d, bool)
    inside[root] = True
    for _ in range(d - 1):
        i = int(np.where(inside, -np.inf, best).argmax())
        inside[i] = True
        parents[i] = (int(above[i]),)
        closer = information[i] > best
        best, above = np.where(closer, information[i], best), np.where(closer, i, above)
    return parents


def named_arcs(pairs: Any, names: Sequence[str], word: str) -> list[tuple[int, int]]:
    """Arcs given as pairs (from, to) of names, as pairs of numbers; `word` is the field they stand in, for messages."""
    found = []
    for arc in pairs or ():
        if isinstance(arc, str) or len(arc) != 2:
            raise UsageError(f"{word} holds pairs (from, to), not {arc!r}.")
        for name in map(str, arc):
            if name not in names:
                raise UsageError(f"{word} names {name!r}, which is no column of the network.{nearest(name, names)}")
        pair = (names.index(str(arc[0])), names.index(str(arc[1])))
        if pair[0] == pair[1]:
            raise UsageError(f"{word} holds the arc {arc[0]} → {arc[1]}: an arc joins two different columns.")
        found.append(pair)
    return list(dict.fromkeys(found))


def given_parents(
    required: Sequence[tuple[int, int]], forbidden: Sequence[tuple[int, int]], names: Sequence[str]
) -> list[list[int]]:
    """The parents that the required arcs alone give; UsageError where they are forbidden too or form a cycle."""
    if clash := set(required) & set(forbidden):
        a, b = (names[i] for i in min(clash))
        raise UsageError(f"The arc {a} → {b} is both among edges and forbidden: leave one out.")
    given: list[list[int]] = [[] for _ in names]
    for a, b in required:
        given[b].append(a)
    topological(given, names)
    return given


def checked(fields: Any, choices: dict[str, tuple[str, ...]], least: dict[str, float]) -> None:
    """Raises UsageError where a network's fields make no sense: a word not among its choices, a number below its least, a
    structure that wants edges and has none, or the other way round."""
    for name, allowed in choices.items():
        if getattr(fields, name) not in allowed:
            raise UsageError(f"{name}={getattr(fields, name)!r} is not one of {', '.join(allowed)}.")
    for name, value in least.items():
        if getattr(fields, name) is not None and getattr(fields, name) < value:
            raise UsageError(f"{name}={getattr(fields, name)} must be {value} or more.")
    if fields.prior <= 0:
        raise UsageError(f"prior={fields.prior} must be positive.")
    if fields.structure == "given" and fields.edges is None:
        raise UsageError("structure='given' needs edges=[(from, to), …]; an empty list makes the columns independent.")
    if fields.structure == "tree" and (fields.edges or fields.forbidden):
        raise UsageError("A tree takes no edges and no forbidden ones: set structure to 'climb' or 'given'.")
