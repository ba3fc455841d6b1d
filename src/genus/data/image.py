"""Images: uint8 arrays (n, H, W) or (n, H, W, C), packed as levels, or as reals by uniform dequantisation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from genus.data.codec import Codec
from genus.errors import DataError, UsageError
from genus.maths.quantise import Fuzzy, Packed
from genus.space import AnySpace, Space


def is_images(X: Any) -> bool:
    """uint8 or boolean arrays of three or four axes."""
    return isinstance(X, np.ndarray) and X.dtype in (np.uint8, np.bool_) and X.ndim in (3, 4)


@dataclass
class _Place:
    """(level + u) of `levels` onto (−1, 1)."""

    levels: int

    def __call__(self, u: Tensor) -> Tensor:
        return u * (2.0 / self.levels) - 1.0


class ImageCodec(Codec):
    """uint8 images ⇄ `levels` (C, H, W), or `real` in (−1, 1) with noise inside each level.

    Attributes
    ----------
    shape_: (H, W) or (H, W, C) of a user's image. levels_: 2 for boolean images, 17 for 0…16, else 256.
    """

    kind: ClassVar[str] = "image"

    def fit(self, X: Any) -> Self:
        if len(X) < 2:
            raise DataError(f"{len(X)} image: a distribution needs at least 2 (n_samples = {len(X)}).")
        if X.ndim == 4 and not 1 <= X.shape[3] <= 4:
            raise DataError(f"Images have 1 to 4 channels in the last axis, not {X.shape[3]}: expected (n, H, W, C).")
        self.shape_ = tuple(int(s) for s in X.shape[1:])
        self.dtype_ = X.dtype.str
        top = int(X.max())
        if top == int(X.min()):
            raise DataError(f"Every pixel of every image is {top}: there is no distribution to learn.")
        self.levels_ = 2 if top <= 1 else 17 if top <= 16 else 256
        return self

    def views(self) -> tuple[AnySpace, ...]:
        height, width, *channels = self.shape_
        shape = (*(channels or [1]), height, width)
        discrete = Space("binary", shape, 2) if self.levels_ == 2 else Space("levels", shape, self.levels_)
        return discrete, Space("real", shape, bounds=(-1.0, 1.0))

    def _levels(self, X: Any) -> Tensor:
        if not is_images(X) or tuple(X.shape[1:]) != self.shape_:
            got = f"{getattr(X, 'dtype', type(X).__name__)} {getattr(X, 'shape', '')}"
            raise DataError(f"Expected uint8 images (n, {', '.join(map(str, self.shape_))}), got {got}.")
        x = torch.from_numpy(np.ascontiguousarray(X.astype(np.uint8)))
        if len(x) and int(x.max()) >= self.levels_:
            raise DataError(f"A pixel is {int(x.max())}, but the model was fitted on values 0 to {self.levels_ - 1}.")
        return x.permute(0, 3, 1, 2).contiguous() if x.dim() == 4 else x[:, None]

    def pack(self, X: Any, view: AnySpace) -> Packed:
        x = self._levels(X)
        return x if view.discrete else Fuzzy(x, 1.0, _Place(self.levels_))

    def unpack(self, x: Tensor, view: AnySpace, *, whole: bool = False) -> Any:
        if not view.discrete:
            x = ((x + 1) * (self.levels_ / 2)).floor().nan_to_num(0).clamp(0, self.levels_ - 1)
        x = x.to(torch.uint8)
        array = x.permute(0, 2, 3, 1).numpy() if len(self.shape_) == 3 else x[:, 0].numpy()
        return np.ascontiguousarray(array).astype(self.dtype_)

    def log_volume(self, x: Tensor, view: AnySpace) -> Tensor:
        per = 0.0 if view.discrete else math.log(self.levels_ / 2)
        return torch.full((len(x),), per * self.dims(), dtype=torch.float64)

    def exact(self, view: AnySpace) -> bool:
        return view.discrete

    def dims(self) -> int:
        return math.prod(self.shape_)

    def known(self, X: Any, view: AnySpace) -> tuple[Packed, Tensor]:
        holes = _holes(X)
        values = np.where(holes, 0, np.ma.getdata(X))
        data = values.astype(np.uint8)
        if np.any(data != values):
            raise DataError(f"Pixels are whole numbers 0 to {self.levels_ - 1} and NaN where missing; X holds other values.")
        mask = torch.from_numpy(~holes)
        return self.pack(data, view), mask.permute(0, 3, 1, 2) if mask.dim() == 4 else mask[:, None]

    def merge(self, X: Any, filled: Any, view: AnySpace) -> Any:
        return np.where(_holes(X), filled, np.nan_to_num(np.ma.getdata(X))).astype(filled.dtype)

    def template(self, n: int, given: Any) -> Any:
        raise UsageError("For images, give the known pixels to complete(X): a masked array, or floats with NaN holes.")


def _holes(X: Any) -> np.ndarray:
    if np.ma.isMaskedArray(X):
        return np.ma.getmaskarray(X)
    a = np.asarray(X)
    return np.isnan(a) if a.dtype.kind == "f" else np.zeros(a.shape, dtype=bool)
