"""Learning a discrete network: which search finds its graph, and how counts become its tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from genus.errors import DataError
from genus.maths.agrum import constrained
from genus.maths.ordered import point, towards
from genus.maths.scores import Criterion, Scores
from genus.maths.structure import Rules, climb, tree

WIDE = 100  # variables above which the structure is a tree unless asked otherwise
LEAST = 1e-9  # pseudo-observations, where the user wants none


def search(
    states: Tensor, sizes: list[int], how: str, rules: Rules, criterion: Criterion, prior: float, cells: int, tabu: int
) -> Sequence[Sequence[int]]:
    """The parents of each variable, found from states (n, variables).

    Parameters
    ----------
    sizes: states of each variable. how: "climb", "tree", "pc", "miic" or "auto". rules: what the graph may look like.
    criterion, prior, cells: of `Scores`. tabu: of `climb`.
    """
    codes = states.numpy()
    if how in ("pc", "miic"):
        return constrained(codes, sizes, how, rules)
    if how == "tree" or (how == "auto" and len(sizes) > WIDE and not rules.required and not rules.forbidden):
        return tree(codes, sizes)
    return climb(Scores(codes, sizes, criterion, prior, cells), rules, tabu=tabu)


def smoothed(counts: Tensor, smoothing: float, absent: int | None = None) -> Tensor:
    """p(state | label, parents' states) from counts of the same shape (labels, parents' states, states).

    A row is drawn by `smoothing` pseudo-observations towards the state's own frequencies, a label's towards all labels'.
    The state `absent` has no probability.
    """
    r = counts.shape[-1]
    alone = counts.sum((0, 1)) + max(smoothing, LEAST) / r
    if absent is not None:
        alone[absent] = 0
    table = towards(counts.sum(0), alone / alone.sum(), smoothing)[None]
    return towards(counts, table, smoothing) if len(counts) > 1 else table


def mixed_up(states: Tensor, known: Tensor) -> Tensor:
    """States with each variable's gaps filled by what it is elsewhere, at random: where a search with gaps begins."""
    out = states.clone()
    for k in range(states.shape[1]):
        gaps, seen = (~known[:, k]).nonzero()[:, 0], states[known[:, k], k]
        if len(gaps) and len(seen):
            out[gaps, k] = seen[torch.randint(len(seen), (len(gaps),))]
    return out


def present(sizes: Sequence[int], absent: Sequence[int | None]) -> list[int]:
    """How many states each variable has without the one that is absent, its last."""
    return [size - (state is not None) for size, state in zip(sizes, absent, strict=True)]


def limited(parents: Sequence[Sequence[int]], sizes: Sequence[int], names: Sequence[str], labels: int) -> None:
    """Raises DataError where a given graph's tables would not fit into memory."""
    for i, above in enumerate(parents):
        entries = labels * math.prod(sizes[p] for p in [*above, i])
        if entries > 2**27:
            raise DataError(
                f"The table of {names[i]!r} and its {len(above)} parents has {entries:,} entries: give it fewer parents or bins."
            )


def severed(table: Tensor, within: Tensor, state: int, level: int) -> tuple[Tensor, Tensor]:
    """(table, levels within states) of a variable set to a level, whatever its parents say."""
    inside = within.clone()
    inside[state] = point(within.shape[1], level)
    return point(table.shape[-1], state).expand(len(table), -1), inside
