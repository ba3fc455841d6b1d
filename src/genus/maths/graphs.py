"""Directed acyclic graphs as lists of parents: orders, ancestors, moral neighbours, elimination and layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from genus.errors import UsageError

Parents = Sequence[Sequence[int]]


def topological(parents: Parents, names: Sequence[str] | None = None) -> list[int]:
    """The nodes, each after its parents; UsageError names a cycle where there is one.

    >>> topological([[1], [], [0, 1]])
    [1, 0, 2]
    """
    left = [len(p) for p in parents]
    below = children(parents)
    ready = [i for i, count in enumerate(left) if count == 0]
    order = []
    while ready:
        i = ready.pop(0)
        order.append(i)
        for j in below[i]:
            left[j] -= 1
            if left[j] == 0:
                ready.append(j)
    if len(order) < len(parents):
        cycle = _cycle(parents, {i for i, count in enumerate(left) if count})
        shown = " → ".join(names[i] if names else str(i) for i in cycle)
        raise UsageError(f"The arcs form a cycle, {shown}: remove or turn round one of them.")
    return order


def _cycle(parents: Parents, rest: set[int]) -> list[int]:
    """A cycle among the nodes that wait for one another, in the direction of its arcs."""
    path = [min(rest)]
    while True:
        above = next(p for p in parents[path[-1]] if p in rest)
        if above in path:
            return [above, *reversed(path[path.index(above) :])]
        path.append(above)


def children(parents: Parents) -> list[list[int]]:
    """For each node, whose parent it is."""
    below: list[list[int]] = [[] for _ in parents]
    for i, above in enumerate(parents):
        for p in above:
            below[p].append(i)
    return below


def ancestral(parents: Parents, nodes: Iterable[int]) -> set[int]:
    """The nodes and all their ancestors: what a question about the nodes depends on."""
    found, todo = set(), list(nodes)
    while todo:
        i = todo.pop()
        if i not in found:
            found.add(i)
            todo += parents[i]
    return found


def skeleton(parents: Parents) -> set[frozenset[int]]:
    """The arcs without their directions."""
    return {frozenset((i, p)) for i, above in enumerate(parents) for p in above}


def compelled(parents: Parents) -> set[tuple[int, int]]:
    """The arcs (from, to) that every graph of the same independences has in the same direction.

    An arc into i is compelled if i has another parent not joined to the first (a v-structure), or if turning it would make a new
    one or a cycle: the labelling of D. Chickering 1995, A transformational characterization of equivalent Bayesian network
    structures, https://arxiv.org/abs/1302.4938
    """
    order = topological(parents)
    rank = {i: k for k, i in enumerate(order)}
    label: dict[tuple[int, int], bool] = {}
    for y in order:
        for x in sorted(parents[y], key=lambda p: -rank[p]):
            if (x, y) not in label:
                _label(parents, x, y, label)
    return {arc for arc, fixed in label.items() if fixed}


def _label(parents: Parents, x: int, y: int, label: dict[tuple[int, int], bool]) -> None:
    above = set(parents[y])
    for w in parents[x]:
        if label[(w, x)] and w not in above:
            label.update({(p, y): True for p in above})
            return
        if label[(w, x)]:
            label[(w, y)] = True
    fixed = any(z != x and z not in parents[x] for z in above)
    label.update({(p, y): fixed for p in above if (p, y) not in label})


def min_fill(scopes: Iterable[Iterable[int]], sizes: dict[int, int], out: Iterable[int]) -> tuple[list[int], int]:
    """(an order to eliminate the nodes `out` in, entries of the largest table it makes).

    Each step takes the node whose removal joins the fewest pairs of its neighbours, among those the one of the smallest table.
    """
    near: dict[int, set[int]] = {}
    for scope in scopes:
        scope = set(scope)
        for i in scope:
            near.setdefault(i, set()).update(scope - {i})
    todo, order, largest = set(out), [], 1
    cost = {i: _fill(near, sizes, i) for i in todo}
    while todo:
        i = min(todo, key=lambda j: (cost[j], j))
        largest = max(largest, cost[i][1])
        around = near.pop(i, set())
        for a in around:
            near[a] |= around - {a}
            near[a].discard(i)
        order.append(i)
        todo.discard(i)
        changed = set().union(around, *(near[a] for a in around))
        cost.update({j: _fill(near, sizes, j) for j in changed & todo})
    return order, largest


def _fill(near: dict[int, set[int]], sizes: dict[int, int], i: int) -> tuple[int, int]:
    """(pairs of neighbours not joined, entries of the table) of eliminating i."""
    around, table = near.get(i, set()), sizes[i]
    for a in around:
        table *= sizes[a]
    lacking = sum(len(around) - 1 - len(near[a] & around) for a in around)
    return lacking // 2, table


def layers(parents: Parents, sweeps: int = 8) -> list[list[int]]:
    """Rows for drawing: each node below its parents, ordered in its row so that few arcs cross.

    Longest-path layering and barycentre sweeps: K. Sugiyama, S. Tagawa and M. Toda 1981, Methods for visual understanding of
    hierarchical system structures, https://doi.org/10.1109/TSMC.1981.4308636
    """
    depth = [0] * len(parents)
    below = children(parents)
    order = topological(parents)
    for i in order:
        depth[i] = max((depth[p] + 1 for p in parents[i]), default=0)
    for i in reversed(order):
        if below[i] and not parents[i]:
            depth[i] = min(depth[j] for j in below[i]) - 1
    rows = [[i for i in range(len(parents)) if depth[i] == k] for k in range(max(depth, default=-1) + 1)]
    for sweep in range(sweeps):
        place = {i: (k + 0.5) / len(row) for row in rows for k, i in enumerate(row)}
        for row in rows if sweep % 2 == 0 else reversed(rows):
            near = parents if sweep % 2 == 0 else below
            middle = {i: sum(place[j] for j in near[i]) / len(near[i]) if near[i] else place[i] for i in row}
            row.sort(key=lambda i: middle[i])
            place.update({i: (k + 0.5) / len(row) for k, i in enumerate(row)})
    return rows
