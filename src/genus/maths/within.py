"""Within: what the cells of a record may hold, given the cells drawn before; log-weights to add to logits."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class Within(ABC):
    """A restriction of n records, cell by cell, in whatever order the cells are drawn.

    The log-weights of all cells of a record add up to the log of the share of it that is allowed; 0 where the whole
    of it is, −∞ where nothing is. An early cell may be weighed by a guess of what can follow, a later one then corrects it,
    so that single weights may be positive.

    Attributes
    ----------
    light: True where it forbids so little that drawing cell by cell under it, without weighing draws, will do.
    """

    light: bool = False

    @abstractmethod
    def weigh(self, cell: int, x: Tensor, done: Tensor) -> Tensor | None:
        """Log-weights (levels,) or (n, levels) of the levels of `cell`; None where it may hold anything.

        x (n, cells) int64 holds what is drawn so far, done (cells,) bool says which cells are.
        """

    def touches(self, cell: int) -> bool:
        """Whether the cell can ever be weighed."""
        return True

    def steers(self, cell: int) -> bool:
        """Whether it can weigh the cell so much that copies are needed, not a mask alone."""
        return self.touches(cell) and not self.light

    def take(self, index: Tensor) -> Within:
        """The same for the records at `index`, which may repeat."""
        return self

    def ordered(self, order: Tensor) -> Within:
        """The same for records whose cells stand in another order: entry i is the cell order[i]."""
        return Reordered(self, order)

    def __and__(self, other: Within) -> Within:
        return All([*_parts(self), *_parts(other)])


def _parts(within: Within) -> list[Within]:
    return within.parts if isinstance(within, All) else [within]


class All(Within):
    """Several restrictions at once: log-weights add."""

    def __init__(self, parts: list[Within]) -> None:
        self.parts = parts

    @property
    def light(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """True where all parts are."""
        return all(part.light for part in self.parts)

    def weigh(self, cell: int, x: Tensor, done: Tensor) -> Tensor | None:
        total = None
        for part in self.parts:
            if part.touches(cell) and (weight := part.weigh(cell, x, done)) is not None:
                total = weight if total is None else total + weight
        return total

    def touches(self, cell: int) -> bool:
        return any(part.touches(cell) for part in self.parts)

    def steers(self, cell: int) -> bool:
        return any(part.steers(cell) for part in self.parts)

    def take(self, index: Tensor) -> Within:
        return All([part.take(index) for part in self.parts])


class Reordered(Within):
    """A restriction of records whose cells stand in another order."""

    def __init__(self, within: Within, order: Tensor) -> None:
        self.within, self.order, self.back = within, order, order.argsort()

    @property
    def light(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As the restriction itself."""
        return self.within.light

    def weigh(self, cell: int, x: Tensor, done: Tensor) -> Tensor | None:
        back = self.back.to(x.device)
        return self.within.weigh(int(self.order[cell]), x[:, back], done[back])

    def touches(self, cell: int) -> bool:
        return self.within.touches(int(self.order[cell]))

    def steers(self, cell: int) -> bool:
        return self.within.steers(int(self.order[cell]))

    def take(self, index: Tensor) -> Within:
        return Reordered(self.within.take(index), self.order)


class Banned(Within):
    """Levels never to be drawn, {cell: log-weights (levels,)}."""

    light = True

    def __init__(self, weights: dict[int, Tensor]) -> None:
        self.weights = weights

    def weigh(self, cell: int, x: Tensor, done: Tensor) -> Tensor | None:
        return self.weights[cell].to(x.device) if cell in self.weights else None

    def touches(self, cell: int) -> bool:
        return cell in self.weights


class Shares(Within):
    """One column's values, coded in a cell or in two: the share of each (first, second) level that is allowed.

    Parameters
    ----------
    cells: the column's cell, or its two. share: (levels,) or (levels, levels of the second), in [0, 1].
    guide: (levels,) what share of a first level one may expect to be allowed; the mean of its row when None.
    """

    def __init__(self, cells: tuple[int, ...], share: Tensor, guide: Tensor | None = None) -> None:
        self.cells, self.share = cells, share.double()
        if len(cells) == 2:
            self.guide = (self.share.mean(1) if guide is None else guide.double()).clamp(min=1e-12)
            self.guide = torch.where(self.share.amax(1) > 0, self.guide, 0.0)

    def weigh(self, cell: int, x: Tensor, done: Tensor) -> Tensor | None:
        if cell not in self.cells:
            return None
        if len(self.cells) == 1:
            return self._log(self.share, x)
        first, second = self.cells
        if cell == first:
            return self._log(self.share.T[x[:, second]] if bool(done[second]) else self.guide, x)
        if not bool(done[first]):
            return self._log((self.share.amax(0) > 0).double(), x)
        return self._log(self.share[x[:, first]] / self.guide[x[:, first], None].clamp(min=1e-300), x)

    def touches(self, cell: int) -> bool:
        return cell in self.cells

    @staticmethod
    def _log(share: Tensor, x: Tensor) -> Tensor:
        return share.log().float().to(x.device)


def clamped(x: Tensor, mask: Tensor, cell: int, levels: int) -> Tensor:
    """Log-weights (n, levels) that leave a cell only what x (n, cells) holds in it, where the mask (n, cells) is True."""
    free = torch.where(mask[:, cell, None], -torch.inf, 0.0).repeat(1, levels)
    return free.scatter(1, x[:, cell, None].long(), 0.0)


class Known(Within):
    """Cells that are known, each record's own: x (n, cells) where mask (n, cells).

    Parameters
    ----------
    levels: of each cell.
    """

    def __init__(self, x: Tensor, mask: Tensor, levels: list[int]) -> None:
        self.x, self.mask, self.levels = x, mask, levels
        self.any = mask.any(0).tolist()

    def weigh(self, cell: int, x: Tensor, done: Tensor) -> Tensor | None:
        return clamped(self.x, self.mask, cell, self.levels[cell]).to(x.device) if self.any[cell] else None

    def touches(self, cell: int) -> bool:
        return self.any[cell]

    def take(self, index: Tensor) -> Within:
        index = index.to(self.x.device)
        return Known(self.x[index], self.mask[index], self.levels)


class Tuples(Within):
    """Cells that may only hold one of a list of combinations, such as the pairs of a functional dependency.

    Exact whichever cells come first: a cell may hold what some combination allows that agrees with those done.

    Parameters
    ----------
    cells: which. rows: (m, cells) the combinations. levels: of each of the cells.
    wild: the level of each that agrees with anything (a missing cell), −1 for none.
    """

    light = True

    def __init__(self, cells: tuple[int, ...], rows: Tensor, levels: list[int], wild: list[int] | None = None) -> None:
        self.cells, self.rows, self.levels = cells, rows.long(), levels
        self.wild = wild or [-1] * len(cells)
        self._tables: dict[tuple[int, tuple[int, ...]], tuple[Tensor, Tensor]] = {}

    def touches(self, cell: int) -> bool:
        return cell in self.cells

    def weigh(self, cell: int, x: Tensor, done: Tensor) -> Tensor | None:
        if cell not in self.cells:
            return None
        at = self.cells.index(cell)
        before = tuple(i for i, c in enumerate(self.cells) if i != at and bool(done[c]))
        keys, table = self._table(at, before)
        if not before:
            return table[0].to(x.device)
        held = x[:, [self.cells[i] for i in before]].cpu()
        key = self._key(held, before)
        found = torch.searchsorted(keys, key).clamp(max=len(keys) - 1)
        row = torch.where(keys[found] == key, found, len(keys))
        wild = (held == torch.tensor([self.wild[i] for i in before])).any(1)
        return table[torch.where(wild, len(keys) + 1, row)].to(x.device)

    def _key(self, rows: Tensor, before: tuple[int, ...]) -> Tensor:
        key = torch.zeros(len(rows), dtype=torch.int64)
        for j, i in enumerate(before):
            key = key * self.levels[i] + rows[:, j]
        return key

    def _table(self, at: int, before: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """(keys of what the cells before can hold, log-weights of each; of none of them; of anything)."""
        if (at, before) not in self._tables:
            keys, row = self._key(self.rows[:, list(before)], before).unique(return_inverse=True)
            table = torch.full((len(keys) + 2, self.levels[at]), -torch.inf)
            table[row, self.rows[:, at]] = 0.0
            if self.wild[at] >= 0:
                table[:, self.wild[at]] = 0.0
            table[-1] = 0.0
            self._tables[at, before] = keys, table
        return self._tables[at, before]


class Linear(Within):
    """low ≤ Σ coefficientᵢ · valueᵢ ≤ high, of columns whose cells say in which interval each value lies.

    Each value is taken as even in its interval. Until the last of the columns is drawn a level is allowed or not; the
    levels of the last are weighed by the share of the intervals' box between low and high, with the sum of more than one
    open value taken as a trapezoid of the two widest.

    Parameters
    ----------
    cells: of each column, one or two. lo, hi: of each column, (levels,) or (levels, levels of the second), the
    interval; NaN where there is no value, which agrees with anything; the higher first where no value can be.
    coefficients: of each column. low, high: ends, which may be infinite. light: as in `Within`.
    """

    def __init__(
        self, cells: list[tuple[int, ...]], lo: list[Tensor], hi: list[Tensor], coefficients: list[float], low: float,
        high: float, *, light: bool = True,
    ) -> None:  # fmt: skip
        self.cells, self.low, self.high, self.light = cells, low, high, light
        self.ends: list[tuple[Tensor, Tensor]] = []
        for a, b, c in zip(lo, hi, coefficients, strict=True):
            a, b, empty = a.double() * c, b.double() * c, a > b
            low_end, high_end = torch.minimum(a, b), torch.maximum(a, b)
            self.ends.append((low_end.masked_fill(empty, torch.inf), high_end.masked_fill(empty, -torch.inf)))

    def touches(self, cell: int) -> bool:
        return any(cell in cells for cells in self.cells)

    def weigh(self, cell: int, x: Tensor, done: Tensor) -> Tensor | None:
        if not self.touches(cell):
            return None
        x = x.cpu()
        lows, highs, widths, last = [], [], [], True
        for cells, ends in zip(self.cells, self.ends, strict=True):
            lo, hi, settled = _interval(cells, ends, cell, x, done.cpu())
            lows.append(lo)
            highs.append(hi)
            widths.append(hi - lo)
            last = last and settled
        lo, hi = sum(lows[1:], lows[0]), sum(highs[1:], highs[0])
        slack = 1e-9 * (1 + lo.abs().nan_to_num(0.0, 0.0, 0.0) + hi.abs().nan_to_num(0.0, 0.0, 0.0))
        share = ((lo <= self.high + slack) & (hi >= self.low - slack)).double()
        if last:
            wide = torch.stack(torch.broadcast_tensors(*widths)).sort(0, descending=True).values
            inside = _under(self.high, lo, hi, wide) - _under(self.low, lo, hi, wide, below=True)
            share = torch.where((hi > lo), share * inside.clamp(1e-6, 1.0), share)
        return torch.where(lo.isnan() | hi.isnan(), 1.0, share).log().float()


def _interval(
    cells: tuple[int, ...], ends: tuple[Tensor, Tensor], cell: int, x: Tensor, done: Tensor
) -> tuple[Tensor, Tensor, bool]:
    """(lowest, highest) value of a column, (levels of `cell` or 1) or (n, the same), and whether its cells are done by then."""
    lo, hi = ends
    if len(cells) == 1:
        if cell == cells[0]:
            return lo, hi, True
        at = x[:, cells[0], None]
        return (lo[at], hi[at], True) if bool(done[cells[0]]) else (_least(lo, (0,))[None], _most(hi, (0,))[None], False)
    now = [c == cell for c in cells]
    held = [bool(done[c]) for c in cells]
    settled = all(a or b for a, b in zip(now, held, strict=True))
    if held[0] and not now[0]:
        lo, hi = lo[x[:, cells[0]]], hi[x[:, cells[0]]]
        if held[1] and not now[1]:
            at = x[:, cells[1], None]
            return lo.gather(1, at), hi.gather(1, at), settled
        return (lo, hi, settled) if now[1] else (_least(lo, (1,))[:, None], _most(hi, (1,))[:, None], settled)
    if now[0]:
        if held[1]:
            return lo.T[x[:, cells[1]]], hi.T[x[:, cells[1]]], settled
        return _least(lo, (1,)), _most(hi, (1,)), settled
    if now[1]:
        return _least(lo, (0,)), _most(hi, (0,)), settled
    return _least(lo, (0, 1))[None], _most(hi, (0, 1))[None], settled


def _least(a: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The least, where a NaN (no value, which agrees with anything) counts as −∞."""
    return torch.where(a.isnan(), -torch.inf, a).amin(dims)


def _most(a: Tensor, dims: tuple[int, ...]) -> Tensor:
    return torch.where(a.isnan(), torch.inf, a).amax(dims)


def _under(limit: float, lo: Tensor, hi: Tensor, wide: Tensor, below: bool = False) -> Tensor:
    """The share of sums in [lo, hi] that lie under the limit; the widest two parts are even, the rest counts to the widest."""
    if limit in (float("inf"), float("-inf")):
        return torch.full_like(lo, 0.0 if limit < 0 else 1.0)
    whole = (hi - lo).clamp(min=1e-300)
    second = wide[1] if len(wide) > 1 else torch.zeros_like(whole)
    first = (whole - second).clamp(min=1e-300)
    small, large = torch.minimum(first, second), torch.maximum(first, second)
    t = (limit - lo).clamp(min=0.0)
    t = torch.minimum(t, whole)
    corner = t.square() / (2 * small.clamp(min=1e-300) * large)
    flat = (t - small / 2) / large
    end = 1 - (whole - t).square() / (2 * small.clamp(min=1e-300) * large)
    return torch.where(t < small, corner, torch.where(t <= large, flat, end)).nan_to_num(0.0)
