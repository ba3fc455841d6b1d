"""Arrays of real numbers, any shape: centred and scaled to unit variance, entry by entry."""

from __future__ import annotations

import math
import warnings
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.utils.validation import check_array, validate_data
from torch import Tensor

from genus.data.codec import Codec
from genus.errors import DataError, UsageError
from genus.maths.quantise import Packed
from genus.space import AnySpace, Record, Space

BINS = 64
SEEN = 20_000  # rows that place the edges


def checked_array(X: Any, *, estimator: Any = None, reset: bool = True, holes: bool = False) -> np.ndarray:
    """X as a float array (n, …) after scikit-learn's checks: finite unless `holes`, not empty, numeric."""
    options: dict[str, Any] = {"ensure_all_finite": False, "dtype": [np.float64, np.float32]}
    try:
        if estimator is not None and getattr(X, "ndim", 2) <= 2:
            checked = validate_data(estimator, X, reset=reset, **options)
        else:
            checked = check_array(X, allow_nd=True, **options)
    except ValueError as error:
        raise DataError(" ".join(str(error).split())) from None
    a = np.asarray(checked)
    _check_finite(a, holes)
    return a


def _check_finite(a: np.ndarray, holes: bool) -> None:
    bad = np.isinf(a) if holes else ~np.isfinite(a)
    if bad.any():
        index = tuple(int(i) for i in np.unravel_index(int(bad.argmax()), a.shape))
        what = "NaN" if np.isnan(a[index]) else "infinity"
        done = " (families that complete fill NaN)" if what == "NaN" else ""
        raise DataError(f"Input X contains {what}, first at index {index}: replace it or leave that item out{done}.")


class ArrayCodec(Codec):
    """Real arrays ⇄ `real` (standardised) or `record` (quantile bins of each entry).

    Entries are standardised one by one; those of a series (T, d) number by number, with one mean and scale over all T steps,
    so that what is the same at every step stays the same.

    Attributes
    ----------
    shape_: of one item. dtype_: what the user gave. mean_, scale_: (size,), of the entries that vary.
    varies_: (size,) bool; constant entries are left out of the model and put back in samples.
    edges_: (varying, bins + 1) quantile edges; repeated edges make a bin that is one value.
    """

    kind: ClassVar[str] = "array"

    def fit(self, X: Any) -> Self:
        a = checked_array(X)
        self.shape_ = tuple(a.shape[1:])
        self.dtype_ = np.asarray(X).dtype.str
        flat = a.reshape(len(a), -1).astype(np.float64)
        self.varies_ = flat.min(0) < flat.max(0)
        if len(flat) > 1 and not self.varies_.any():
            raise DataError("Every entry of X is constant: there is no distribution to learn.")
        if len(flat) == 1:
            raise DataError("X holds one sample (n_samples = 1): a distribution needs at least 2.")
        self.constants_ = flat[0]
        if not self.varies_.all():
            where = np.flatnonzero(~self.varies_)
            warnings.warn(
                f"{len(where)} entries of X are constant (the first is number {where[0]}): they are left out of the model "
                "and put back in samples.",
                stacklevel=4,
            )
        flat = flat[:, self.varies_]
        self.mean_, self.scale_ = self._moments(a, flat)
        self.edges_ = _edges(flat)
        return self

    def _moments(self, a: np.ndarray, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale of each varying entry."""
        if a.ndim != 3:
            return flat.mean(0), flat.std(0)
        mean, scale = a.mean((0, 1)), a.std((0, 1))
        return np.tile(mean, a.shape[1])[self.varies_], np.tile(scale, a.shape[1])[self.varies_]

    def views(self) -> tuple[AnySpace, ...]:
        d = int(self.varies_.sum())
        shape = self.shape_ if self.varies_.all() else (d,)
        cells = tuple((f"x{i}", Space("levels", (), self.edges_.shape[1] - 1)) for i in range(d))
        return Space("real", shape or (1,)), Record(cells)

    def _flat(self, X: Any, holes: bool = False) -> np.ndarray:
        a = checked_array(X, holes=holes)
        if tuple(a.shape[1:]) != self.shape_:
            raise DataError(f"X has items of shape {tuple(a.shape[1:])}; the model was fitted on {self.shape_}.")
        return a.reshape(len(a), -1).astype(np.float64)[:, self.varies_]

    def pack(self, X: Any, view: AnySpace) -> Packed:
        flat = self._flat(X)
        if view.kind == "record":
            return torch.from_numpy(self._bins(flat))
        return torch.from_numpy((flat - self.mean_) / self.scale_).float().reshape(-1, *view.shape)

    def _bins(self, flat: np.ndarray) -> np.ndarray:
        outside = ((flat < self.edges_[:, 0]) | (flat > self.edges_[:, -1])).any(1)
        if outside.any():
            warnings.warn(
                f"{int(outside.sum())} items of X lie outside the range of training: they are read as the nearest in it.",
                stacklevel=4,
            )
        return np.stack([_bin(e, c) for e, c in zip(self.edges_, flat.T, strict=True)], 1).astype(np.int64)

    def unpack(self, x: Tensor, view: AnySpace, *, whole: bool = False) -> Any:
        flat = x.flatten(1).double().numpy()
        if view.kind == "record":
            column = np.arange(flat.shape[1])
            code = flat.astype(np.int64)
            low, high = self.edges_[column, code], self.edges_[column, code + 1]
            flat = low + (high - low) * torch.rand(code.shape, dtype=torch.float64).numpy()
        else:
            flat = flat * self.scale_ + self.mean_
        full = np.tile(self.constants_, (len(flat), 1))
        full[:, self.varies_] = flat
        dtype = np.dtype(self.dtype_)
        if dtype.kind in "iub":
            full = np.rint(full)
        return full.reshape(-1, *self.shape_).astype(dtype if dtype.kind in "iubf" else np.float64)

    def log_volume(self, x: Tensor, view: AnySpace) -> Tensor:
        if view.kind != "record":
            return torch.full((len(x),), float(np.log(self.scale_).sum()), dtype=torch.float64)
        code = x.long().cpu().numpy()
        column = np.arange(code.shape[1])
        width = self.edges_[column, code + 1] - self.edges_[column, code]
        return torch.from_numpy(np.log(np.where(width > 0, width, 1.0)).sum(1))

    def exact(self, view: AnySpace) -> bool:
        return True

    def dims(self) -> int:
        return math.prod(self.shape_)

    def known(self, X: Any, view: AnySpace) -> tuple[Packed, Tensor]:
        flat = self._flat(np.ma.filled(np.ma.asarray(X, dtype=float), np.nan) if np.ma.isMaskedArray(X) else X, holes=True)
        known = torch.from_numpy(~np.isnan(flat)).reshape(-1, *view.shape)
        flat = np.where(np.isnan(flat), self.mean_, flat)
        if view.kind == "record":
            return torch.from_numpy(self._bins(flat)), known
        return torch.from_numpy((flat - self.mean_) / self.scale_).float().reshape(-1, *view.shape), known

    def merge(self, X: Any, filled: Any, view: AnySpace) -> Any:
        holes = np.ma.getmaskarray(X) if np.ma.isMaskedArray(X) else np.isnan(np.asarray(X, dtype=float))
        return np.where(holes, filled, np.ma.getdata(X)).astype(filled.dtype)

    def template(self, n: int, given: Any) -> Any:
        """given = {index of a flat entry: value}."""
        flat = np.full((n, math.prod(self.shape_)), np.nan)
        for index, value in dict(given).items():
            if not str(index).lstrip("x").isdigit() or int(str(index).lstrip("x")) >= flat.shape[1]:
                raise UsageError(f"given names entry {index!r}, but an item has entries 0 to {flat.shape[1] - 1}.")
            try:
                flat[:, int(str(index).lstrip("x"))] = float(value)
            except (TypeError, ValueError):
                raise UsageError(f"given holds {value!r} for entry {index!r}, where a number was expected.") from None
        return flat.reshape(n, *self.shape_)


def _edges(flat: np.ndarray) -> np.ndarray:
    """Quantile edges (entries, bins + 1), between the extremes of all rows those of evenly chosen ones."""
    some = flat[:: max(1, len(flat) // SEEN)]
    edges = np.quantile(some, np.linspace(0, 1, min(BINS, len(flat)) + 1), axis=0)
    edges[0], edges[-1] = flat.min(0), flat.max(0)
    return edges.T.copy()


def _bin(edges: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The bin of each value: the one of a repeated edge where the value is that edge, else the one that begins at or below it."""
    left, right = np.searchsorted(edges, values, "left"), np.searchsorted(edges, values, "right")
    return np.clip(np.where(right - left > 1, left, right - 1), 0, len(edges) - 2)
