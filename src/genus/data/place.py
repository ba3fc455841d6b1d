"""Places: latitude and longitude together, as one number along a curve that keeps near places near."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from genus.data.cells import Read, read_numbers
from genus.data.column import Column, numeric_column
from genus.data.part import Part, Place, ticks_of
from genus.data.typed import restored

LAT = re.compile(r"(^|[\W_])lat(itude)?$", re.IGNORECASE)
LON = re.compile(r"(^|[\W_])(lon|lng|long|longitude)$", re.IGNORECASE)
FINE = 2**26  # cells a side where a coordinate is continuous


def curve(i: np.ndarray, j: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The place of the cells (i, j) of a grid along a curve through all of them: a bijection onto 0 … rows · columns − 1.

    The grid is halved along its longer side again and again; the second half is walked in mirror image, so that the
    curve seldom jumps (a Gray-code curve, Faloutsos 1986, "Multiattribute hashing using Gray codes",
    https://doi.org/10.1145/16894.16893, on a grid of any size).

    >>> curve(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 0]), 2, 2)
    array([0, 1, 2, 3])
    """
    at = [np.array(i, dtype=np.int64), np.array(j, dtype=np.int64)]
    extent = [np.full(len(at[0]), rows, dtype=np.int64), np.full(len(at[0]), columns, dtype=np.int64)]
    out = np.zeros(len(at[0]), dtype=np.int64)
    for _ in range(_halvings(rows, columns)):
        tall = extent[0] >= extent[1]
        for axis, mine in ((0, tall), (1, ~tall)):
            half = extent[axis] // 2
            upper = mine & (at[axis] >= half) & (extent[axis] > 1)
            lower = mine & ~upper & (extent[axis] > 1)
            other = 1 - axis
            out += np.where(upper, half * extent[other], 0)
            at[axis] = np.where(upper, at[axis] - half, at[axis])
            at[other] = np.where(upper, extent[other] - 1 - at[other], at[other])
            extent[axis] = np.where(upper, extent[axis] - half, np.where(lower, half, extent[axis]))
    return out


def uncurve(index: np.ndarray, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """The cells at places along the curve: the inverse of `curve`."""
    index = np.array(index, dtype=np.int64)
    extent = [np.full(len(index), rows, dtype=np.int64), np.full(len(index), columns, dtype=np.int64)]
    base = [np.zeros(len(index), dtype=np.int64), np.zeros(len(index), dtype=np.int64)]
    sign = [np.ones(len(index), dtype=np.int64), np.ones(len(index), dtype=np.int64)]
    for _ in range(_halvings(rows, columns)):
        tall = extent[0] >= extent[1]
        for axis, mine in ((0, tall), (1, ~tall)):
            other = 1 - axis
            half = extent[axis] // 2
            first = half * extent[other]
            upper = mine & (index >= first) & (extent[axis] > 1)
            lower = mine & ~upper & (extent[axis] > 1)
            index = np.where(upper, index - first, index)
            base[axis] = np.where(upper, base[axis] + sign[axis] * half, base[axis])
            base[other] = np.where(upper, base[other] + sign[other] * (extent[other] - 1), base[other])
            sign[other] = np.where(upper, -sign[other], sign[other])
            extent[axis] = np.where(upper, extent[axis] - half, np.where(lower, half, extent[axis]))
    return base[0], base[1]


def _halvings(rows: int, columns: int) -> int:
    return int(rows - 1).bit_length() + int(columns - 1).bit_length()


@dataclass(kw_only=True)
class Spot(Part):
    """A pair of latitude and longitude as one number, the length of the curve up to it.

    The curve keeps areas: an interval of it is a region of the plane of the same size, so that a density along it is
    the joint density of the pair. Grid coordinates (rounded numbers) are counted, continuous ones are cut into 2^26
    cells a side.

    Attributes
    ----------
    axes: the two columns, each by itself; they tell how to read and write it. low, high: (2,) ends of the box, as
    coordinates. count: (2,) cells a side. area: of a cell; 1 where cells are counted.
    """

    kind: ClassVar[str] = "spot"

    axes: list[Column]
    low: list[Any]
    high: list[Any]
    count: list[int]
    area: float

    def __post_init__(self) -> None:
        super().__post_init__()
        self.axes = [Column(**c) if isinstance(c, dict) else c for c in self.axes]

    def along(self, values: list[np.ndarray]) -> np.ndarray:
        """Where pairs lie along the curve, in units of area."""
        cells = [self._cell(axis, v) for axis, v in enumerate(values)]
        index = curve(cells[0], cells[1], *self.count)
        return (index + 0.5) * self.area if self.axes[0].line else index

    def _cell(self, axis: int, values: np.ndarray) -> np.ndarray:
        column, low, high, count = self.axes[axis], self.low[axis], self.high[axis], self.count[axis]
        c = column.coordinates(values)
        cell = np.floor((c - low) / (high - low) * count) if column.line else c - low
        return np.clip(cell, 0, count - 1).astype(np.int64)

    def read(self, X: pd.DataFrame, holes: bool) -> list[Read]:
        pairs = [ticks_of(X[name], axis.form, name) for name, axis in zip(self.names, self.axes, strict=True)]
        values, missing = self.along([v for v, _ in pairs]), pairs[0][1] | pairs[1][1]
        return [read_numbers(self.columns[0], values, missing, holes)]

    def write(self, places: list[Place], done: dict[Any, Any]) -> dict[Any, Any]:
        column, (leaf, at) = self.columns[0], places[0]
        c = column.draw(leaf, at)
        line = self.axes[0].line
        index = np.floor(c / self.area) if line else column.values(c)
        cells = uncurve(np.clip(index, 0, self.count[0] * self.count[1] - 1).astype(np.int64), *self.count)
        out, missing = {}, leaf == column.missing
        for name, axis, cell, low, high, count in zip(self.names, self.axes, cells, self.low, self.high, self.count, strict=True):
            at_axis = low + (cell + 0.5) / count * (high - low) if line else (cell + low).astype(np.int64)
            out[name] = restored(axis.values(at_axis), missing, axis.form, axis.decimals)
        return out


def spots(X: pd.DataFrame, columns: dict[Any, Column]) -> list[Spot]:
    """The pairs of a latitude and the longitude called alike, where both are numbers in range and missing together."""
    found = []
    stems = {LON.sub(r"\1", str(name)): name for name in columns if LON.search(str(name))}
    for name, lat in columns.items():
        if not LAT.search(str(name)) or LAT.sub(r"\1", str(name)) not in stems:
            continue
        other = stems[LAT.sub(r"\1", str(name))]
        lon = columns[other]
        if not (len(lat.edges) and len(lon.edges)) or lat.form["as"] != "number" or lon.form["as"] != "number":
            continue
        pairs = [ticks_of(X[n], c.form, n) for n, c in ((name, lat), (other, lon))]
        missing = pairs[0][1]
        if (missing != pairs[1][1]).any() or _beyond(pairs[0][0][~missing], 90) or _beyond(pairs[1][0][~missing], 360):
            continue
        spot = _spot([name, other], [lat, lon], [v for v, _ in pairs], missing)
        if spot is not None:
            found.append(spot)
    return found


def _beyond(values: np.ndarray, limit: float) -> bool:
    return bool(np.abs(values).max() > limit)


def _spot(names: list[Any], axes: list[Column], values: list[np.ndarray], missing: np.ndarray) -> Spot | None:
    line = axes[0].line or axes[1].line
    if line and not all(axis.line for axis in axes):
        return None
    ends = [(c.min(), c.max()) for c in (axis.coordinates(v[~missing]) for axis, v in zip(axes, values, strict=True))]
    low, high = ([end[i] for end in ends] for i in (0, 1))
    if line:
        half = [0.5 * 10.0**-axis.decimals if axis.decimals >= 0 else 0.0 for axis in axes]
        low, high = (
            [float(a) - h for a, h in zip(low, half, strict=True)],
            [float(b) + h for b, h in zip(high, half, strict=True)],
        )
        count, area = [FINE, FINE], float((high[0] - low[0]) / FINE * ((high[1] - low[1]) / FINE))
    else:
        low, high = [int(a) for a in low], [int(b) for b in high]
        count, area = [int(b - a) + 1 for a, b in zip(low, high, strict=True)], 1.0
    if min(count) < 2 or count[0] * count[1] >= 2**62:
        return None
    spot = Spot(names=names, columns=[], axes=axes, low=low, high=high, count=count, area=area)
    along = spot.along(values)
    form = {"as": "number", "dtype": {"name": str(along.dtype)}}
    whole = (0.0, count[0] * count[1] * area) if line else (0, count[0] * count[1] - 1)
    spot.columns = [numeric_column(f"{names[0]}+{names[1]}", "numeric", form, along, missing, bounds=whole, line=line)]
    return spot
