"""One column as leaves: frequent values, bins of the rest, levels; each with a token, a mass and a width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

BINS = 56
TAILS = 4
FEW = 64
FINE = 16
ATOMS = 128
INSET = 1e-3


@dataclass(kw_only=True)
class Column:
    """A fitted column: values ⇄ coordinates ⇄ (leaf, position in the leaf) ⇄ tokens or a real.

    A coordinate is the number itself on a `line`, an integer on a grid (integers, rounded numbers, ticks of
    time), or an index into `levels`. Leaves partition the coordinates in order; one leaf is a frequent value
    (an atom), a part of a bin, a level, or a pool of rare levels. Tokens group the leaves of one bin.

    Attributes
    ----------
    name, kind, form: the user's name, what it was recognised as, how to read and write it.
    line: True where values have a density. decimals, offset, step: value = (offset + step · coordinate) / 10^decimals.
    atoms: coordinates with a leaf of their own; atom_leaf: which. edges: of the other leaves; bin_leaf: which.
    lo, size: (leaves,) start and extent (width on a line, number of values else). mass: (leaves,) share of the rows.
    token, sub: (leaves,) token and place in it. start, count: (tokens,) its first leaf and how many.
    fine: values of the second cell, 0 where there is none. missing: the leaf of missing cells, or −1.
    levels, level_leaf: of a category.
    """

    name: Any
    kind: str
    form: dict[str, Any]
    line: bool
    decimals: int
    offset: int
    step: int
    atoms: np.ndarray
    atom_leaf: np.ndarray
    edges: np.ndarray
    bin_leaf: np.ndarray
    lo: np.ndarray
    size: np.ndarray
    mass: np.ndarray
    token: np.ndarray
    sub: np.ndarray
    fine: int
    missing: int
    levels: list[Any]
    level_leaf: np.ndarray

    # -- leaves -------------------------------------------------------------------------------------------

    @property
    def tokens(self) -> int:
        """How many values the first cell takes."""
        return int(self.token[-1]) + 1

    @property
    def blank(self) -> bool:
        """True where the second cell needs a value for "no position" (atoms, lone levels and missing cells have none)."""
        return bool(self.fine) and not bool(self.placed.all())

    @property
    def placed(self) -> np.ndarray:
        """(leaves,) True where a leaf has a position in its token: parts of bins, levels that share a token."""
        return self.starts[1][self.token] > 1 if self.levels else self.binned

    @property
    def starts(self) -> tuple[np.ndarray, np.ndarray]:
        """First leaf of each token, and how many it has."""
        start = np.searchsorted(self.token, np.arange(self.tokens))
        return start, np.diff(np.append(start, len(self.token)))

    @property
    def smooth(self) -> bool:
        """True where no leaf is an atom: the column has a density everywhere."""
        return self.line and not len(self.atoms) and self.missing < 0

    @property
    def binned(self) -> np.ndarray:
        """(leaves,) True where a leaf is a part of a bin."""
        out = np.zeros(len(self.lo), dtype=bool)
        out[self.bin_leaf] = True
        return out

    @property
    def solid(self) -> np.ndarray:
        """(leaves,) True where a leaf is an interval of the line."""
        return self.binned & self.line

    @property
    def volume(self) -> np.ndarray:
        """(leaves,) log of the width (line) or of the number of values that share the leaf evenly."""
        return np.log(self.size)

    # -- numbers ------------------------------------------------------------------------------------------

    def coordinates(self, values: np.ndarray) -> np.ndarray:
        """Numbers as coordinates; off-grid values go to the nearest grid point."""
        if self.line:
            return values.astype(np.float64)
        if values.dtype.kind == "f":
            values = np.rint(values * 10.0**self.decimals).clip(-(2**62), 2**62).astype(np.int64)
        return (values - self.offset) // self.step if self.step > 1 else values - self.offset

    def values(self, coordinate: np.ndarray) -> np.ndarray:
        """Coordinates as numbers: int64 for integers and times, float64 else."""
        if self.line:
            return np.round(coordinate, self.decimals) if self.decimals >= 0 else coordinate
        whole = self.offset + self.step * coordinate.astype(np.int64)
        return whole / 10.0**self.decimals if self.decimals else whole

    def find(self, c: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(leaf, start of the position in it, extent of the position) of coordinates; outside the range, the nearest leaf."""
        at, extent = np.zeros(len(c)), np.ones(len(c))
        leaf = np.zeros(len(c), dtype=np.int64)
        rest = np.ones(len(c), dtype=bool)
        if len(self.atoms):
            near = _nearest(self.atoms, c)
            hit = self.atoms[near] == c if len(self.bin_leaf) else np.ones(len(c), dtype=bool)
            leaf[hit] = self.atom_leaf[near[hit]]
            rest = ~hit
        if len(self.bin_leaf) and rest.any():
            g = self._pressed(c[rest])
            part = np.clip(np.searchsorted(self.edges, g, "right") - 1, 0, len(self.bin_leaf) - 1)
            leaf[rest] = self.bin_leaf[part]
            size = self.size[leaf[rest]]
            ahead = g - self.lo[leaf[rest]]
            at[rest] = np.clip(ahead, 0, size if self.line else size - 1) / size
            extent[rest] = 0.0 if self.line else 1.0 / size
        return leaf, at, extent

    def _pressed(self, c: np.ndarray) -> np.ndarray:
        """Grid coordinates counted without the atoms, so that bins hold only values that are not atoms."""
        return c if self.line else c - np.searchsorted(self.atoms, c)

    def values_at_ends(self) -> np.ndarray:
        """Coordinates of the first and last value of the bins; empty where there are none."""
        if not len(self.edges):
            return self.edges
        ends = self.edges[[0, -1]]
        return ends if self.line else self._spread(ends - np.array([0, 1]))

    def _spread(self, g: np.ndarray) -> np.ndarray:
        """The inverse of `_pressed`."""
        return g + np.searchsorted(self.atoms - np.arange(len(self.atoms)), g, "right")

    def draw(self, leaf: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Coordinates at `position` in [0, 1) of leaves."""
        lo, size = self.lo[leaf], self.size[leaf]
        if self.line:
            return np.where(self.solid[leaf], lo + size * position, lo)
        inside = lo + np.minimum(np.floor(size * position), size - 1).astype(np.int64)
        if not len(self.edges):
            return inside
        inside = np.where(self.binned[leaf], np.minimum(inside, self.edges[-1] - 1), inside)  # sizes over 2^53 are rounded
        return np.where(self.binned[leaf], self._spread(inside), inside)


def _nearest(ordered: np.ndarray, c: np.ndarray) -> np.ndarray:
    right = np.clip(np.searchsorted(ordered, c), 0, len(ordered) - 1)
    left = np.maximum(right - 1, 0)
    return np.where(np.abs(ordered[left] - c) <= np.abs(ordered[right] - c), left, right)


def numeric_column(
    name: Any, kind: str, form: dict[str, Any], values: np.ndarray, missing: np.ndarray, single: bool = False,
    bounds: tuple[Any, Any] | None = None, line: bool = False,
) -> Column:  # fmt: skip
    """Fit a column of numbers or ticks.

    `single` tells that floats carry 24 bits only; `bounds`, as numbers or None, how far beyond the data values may lie;
    `line` that they are continuous whatever they look like.
    """
    held = values[~missing]
    distinct, counts = np.unique(held, return_counts=True)
    line, decimals, offset, step = (True, -1, 0, 1) if line else _scale(distinct, kind, single)
    column = Column(
        name=name, kind=kind, form=form, line=line, decimals=decimals, offset=offset, step=step,
        atoms=distinct[:0], atom_leaf=np.zeros(0, np.int64), edges=distinct[:0], bin_leaf=np.zeros(0, np.int64),
        lo=distinct[:0], size=np.ones(0), mass=np.ones(0), token=np.zeros(0, np.int64), sub=np.zeros(0, np.int64),
        fine=0, missing=-1, levels=[], level_leaf=np.zeros(0, np.int64),
    )  # fmt: skip
    c = column.coordinates(distinct)
    is_atom = _frequent(counts, int(counts.sum()))
    column.atoms = c[is_atom]
    rest, weight = column._pressed(c[~is_atom]), counts[~is_atom]
    edges, owner = _bins(rest, weight, line, decimals) if len(rest) else (c[:0], np.zeros(0, np.int64))
    if bounds is not None:
        edges, owner = _widened(column, edges, owner, c, bounds)
    _assemble(column, counts[is_atom], edges, owner, rest, weight, int(missing.sum()), len(values))
    return column


def _scale(distinct: np.ndarray, kind: str, single: bool) -> tuple[bool, int, int, int]:
    """(line, decimals, offset, step): a grid where values are dense on one, else a line."""
    if distinct.dtype.kind == "f":
        decimals = _decimals(distinct, single)
        if decimals < 0:
            return True, -1, 0, 1
        whole = np.rint(distinct * 10.0**decimals).astype(np.int64)
    else:
        decimals, whole = 0, distinct
    low, high = int(whole[0]), int(whole[-1])
    if high - low >= 2**62:
        return True, decimals, 0, 1
    step = int(np.gcd.reduce(whole - low)) or 1 if len(whole) >= 10 or kind == "datetime" else 1
    if distinct.dtype.kind == "f" and decimals > 0 and (high - low) // step > 8 * len(distinct) and len(distinct) > FEW:
        return True, decimals, 0, 1
    return False, decimals, low, step


def _decimals(distinct: np.ndarray, single: bool) -> int:
    """The fewest decimals, up to 6, that write every value exactly, or −1."""
    largest = float(np.abs(distinct).max())
    precision = (1.2e-7 if single else 2.2e-16) * 64 * max(largest, 1e-300)
    for decimals in range(7):
        if 10.0**-decimals <= precision or largest * 10.0**decimals > 2**53:
            break
        rounded = np.rint(distinct * 10.0**decimals) / 10.0**decimals
        same = rounded.astype(np.float32) == distinct.astype(np.float32) if single else rounded == distinct
        if same.all():
            return decimals
    return -1


def _frequent(counts: np.ndarray, n: int) -> np.ndarray:
    """Which distinct values get a token of their own: all where few, else those that repeat often."""
    if len(counts) <= min(FEW, n // 3) or len(counts) <= min(ATOMS, n // 20):
        return np.ones(len(counts), dtype=bool)
    least = max(5, min(20, n // 20), n // 1000)
    often = counts >= least
    if often.sum() > ATOMS:
        often &= counts > np.sort(counts)[-ATOMS - 1]
    return often if (~often).sum() != 1 else np.ones(len(counts), dtype=bool)


def _bins(c: np.ndarray, weight: np.ndarray, line: bool, decimals: int) -> tuple[np.ndarray, np.ndarray]:
    """Edges of the leaves between the atoms, and the bin each leaf belongs to.

    Bins are quantiles, halved four times towards each tail; a column that is continuous in effect gets up to
    16 sub-quantiles a bin, of ten rows or more.
    """
    n = int(weight.sum())
    bins = int(np.clip(n // 20, 1, BINS))
    tails = [2.0**-k / bins for k in range(1, TAILS + 1) if n * 2.0**-k / bins >= 10] if bins > 1 else []
    shares = np.unique(np.concatenate([np.linspace(0, 1, bins + 1), tails, 1 - np.array(tails)]))
    dense = line or (len(c) >= 1000 and len(c) > n / 4 and float(c[-1] - c[0]) / bins >= 32)
    parts = np.clip((np.diff(shares) * n // 10).astype(int), 1, FINE) if dense else np.ones(len(shares) - 1, dtype=int)
    pieces = [np.linspace(a, b, k, endpoint=False) for a, b, k in zip(shares[:-1], shares[1:], parts, strict=True)]
    where = np.concatenate(pieces)[1:]
    owner = np.repeat(np.arange(len(parts)), parts)
    if len(c) == 1 or not len(where):
        return _closed(c, c[:0], line), owner[:1]
    cut = np.clip(np.searchsorted(np.cumsum(weight), where * n - 1e-9), 0, len(c) - 2)
    middle = c[cut] + (c[cut + 1] - c[cut]) / 2 if line else c[cut] + (c[cut + 1] - c[cut] + 1) // 2
    if line and decimals >= 0:  # between two numbers of that many decimals, so that rounding crosses no edge
        middle = (np.floor(middle * 10.0**decimals) + 0.5) / 10.0**decimals
    edges, first = np.unique(middle, return_index=True)
    owner = np.concatenate([owner[:1], owner[1:][first]])
    sound = (edges > c[0]) & (edges < c[-1]) if line else (edges > c[0]) & (edges <= c[-1])
    return _closed(c, edges[sound], line), np.concatenate([owner[:1], owner[1:][sound]])


def _widened(
    column: Column, edges: np.ndarray, owner: np.ndarray, c: np.ndarray, bounds: tuple[Any, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """The edges with bins of their own between the data and the declared bounds, where these lie further out."""
    low, high = _limit(column, bounds[0], c[0], True), _limit(column, bounds[1], c[-1], False)
    if low >= c[0] and high <= c[-1]:
        return edges, owner
    past = 0 if column.line else 1
    if len(edges):
        inner, owner = edges, owner
    else:
        inner = np.unique(np.array([c[0], c[-1] + past - (0 if column.line else len(column.atoms))], dtype=c.dtype))
        owner = np.zeros(len(inner) - 1, dtype=np.int64)
    first = np.array([low], dtype=c.dtype)
    last = np.array([high + past - (0 if column.line else len(column.atoms))], dtype=c.dtype)
    before, after = first[first < inner[0]], last[last > inner[-1]]
    owner = np.concatenate([np.zeros(len(before), np.int64), owner + len(before)])
    owner = np.concatenate([owner, np.full(len(after), (owner[-1] if len(owner) else -1) + 1)])
    return np.concatenate([before, inner, after]), owner


def _limit(column: Column, bound: Any, end: Any, lower: bool) -> Any:
    """A declared bound as a coordinate, no nearer than the data's own end."""
    if bound is None:
        return end
    if column.line:
        return min(float(bound), end) if lower else max(float(bound), end)
    whole = bound if isinstance(bound, int) else round(float(bound) * 10.0**column.decimals, 3)
    if isinstance(bound, int):
        whole *= 10**column.decimals
    ahead = -int((column.offset - whole) // column.step) if lower else int((whole - column.offset) // column.step)
    return min(ahead, int(end)) if lower else max(ahead, int(end))


def _closed(c: np.ndarray, inner: np.ndarray, line: bool) -> np.ndarray:
    return np.concatenate([c[:1], inner, c[-1:] if line else c[-1:] + 1])


def _assemble(
    column: Column, atom_counts: np.ndarray, edges: np.ndarray, owner: np.ndarray, rest: np.ndarray, weight: np.ndarray,
    missing: int, n: int,
) -> None:  # fmt: skip
    """Order atoms and bins by value, number leaves and tokens, and put the missing cells last."""
    a, k = len(column.atoms), max(len(edges) - 1, 0)
    inside = np.clip(np.searchsorted(edges, rest, "right") - 1, 0, max(k - 1, 0))
    counts = np.bincount(inside, weight, minlength=k) if k else np.zeros(0)
    counts = np.where(counts > 0, counts, 0.5)  # declared by a schema, never seen
    lo, size = edges[:-1][:k], np.diff(edges)[:k] if k else edges[:0]
    middle = np.array([float((lo[owner == b][0] + edges[1:][owner == b][-1]) / 2) for b in owner]) if k else np.zeros(0)
    if not column.line and a:
        middle = column._spread(middle)
    place = np.concatenate([column.atoms.astype(np.float64), middle])
    group = np.concatenate([np.arange(a), a + owner])
    order = np.lexsort((np.arange(a + k), group, place))
    rank = np.empty(a + k, dtype=np.int64)
    rank[order] = np.arange(a + k)
    column.atom_leaf, column.bin_leaf, column.edges = rank[:a], rank[a:], edges
    column.lo = np.concatenate([column.atoms, lo])[order]
    column.size = np.concatenate([np.ones(a), size.astype(np.float64)])[order]
    mass = np.concatenate([atom_counts, counts])[order].astype(np.float64)
    tokens = np.cumsum(np.append(0, np.diff(group[order]) != 0))
    first = np.searchsorted(tokens, tokens)
    sub = np.arange(a + k) - first
    column.fine = int(sub.max()) + 1 if sub.max() > 0 else 0
    if missing:
        column.missing = a + k
        column.lo, column.size = np.append(column.lo, column.lo[:1]), np.append(column.size, 1.0)
        mass, tokens, sub = np.append(mass, missing), np.append(tokens, tokens[-1] + 1), np.append(sub, 0)
    column.mass, column.token, column.sub = mass / mass.sum(), tokens, sub
