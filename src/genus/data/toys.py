"""Toys: distributions over the plane whose density is known, to hold a model's likelihood against the truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import i0e, logsumexp

from genus.errors import DataError

ARC_NODES = 256


@dataclass(frozen=True)
class Toy:
    """A distribution over the plane.

    Parameters
    ----------
    generate: (n, generator) → points (n, 2) and labels (n,) or None. log_density: points → (n,) nats, exact or by a
        quadrature good to 1e-9. modes: (centres (k, 2), sd) where it has modes, else None.
    """

    generate: Callable[[int, np.random.Generator], tuple[np.ndarray, np.ndarray | None]]
    log_density: Callable[[Any], np.ndarray]
    modes: tuple[np.ndarray, float] | None = None

    def draw(self, n: int, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
        """n points and their labels, the same for the same seed."""
        return self.generate(n, np.random.default_rng(seed))


def _points(x: Any) -> np.ndarray:
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] != 2:
        raise DataError(f"The density takes points (n, 2), not an array of shape {x.shape}.")
    return x


@dataclass(frozen=True)
class Blobs:
    """p(x) = 1/k Σ N(x; c_k, sd² I)."""

    centres: np.ndarray
    sd: float

    def generate(self, n: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """n points (n, 2) and which part each came from, None where there are no parts."""
        which = generator.integers(len(self.centres), size=n)
        return self.centres[which] + self.sd * generator.standard_normal((n, 2)), which

    def log_density(self, x: Any) -> np.ndarray:
        square = ((_points(x)[:, None] - self.centres) ** 2).sum(2)
        normaliser = math.log(2 * math.pi * self.sd**2 * len(self.centres))
        return np.asarray(logsumexp(-square / (2 * self.sd**2), axis=1)) - normaliser


@dataclass(frozen=True)
class Rings:
    """Circles of several radii about the origin, equally likely, blurred by N(0, sd² I).

    p(x) = 1/k Σ exp(−(|x| − r)² / 2sd²) Ĩ₀(r|x| / sd²) / 2π sd², where Ĩ₀(a) = exp(−a) I₀(a).
    """

    radii: tuple[float, ...]
    sd: float

    def generate(self, n: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """n points (n, 2) and which part each came from, None where there are no parts."""
        which = generator.integers(len(self.radii), size=n)
        angle = generator.uniform(0, 2 * math.pi, n)
        circle = np.array(self.radii)[which, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
        return circle + self.sd * generator.standard_normal((n, 2)), which

    def log_density(self, x: Any) -> np.ndarray:
        far = np.linalg.norm(_points(x), axis=1)[:, None]
        r, variance = np.array(self.radii), self.sd**2
        each = -((far - r) ** 2) / (2 * variance) + np.log(i0e(far * r / variance))
        return np.asarray(logsumexp(each, axis=1)) - math.log(2 * math.pi * variance * len(r))


@dataclass(frozen=True)
class Moons:
    """Two half circles of radius 1, the second turned over and moved to (1, ½), blurred by N(0, sd² I).

    p(x) = ½ Σ_arcs 1/π ∫₀^π N(x; arc(t), sd² I) dt, the integral by Gauss–Legendre with 256 nodes.
    """

    sd: float

    @staticmethod
    def arc(t: np.ndarray, which: np.ndarray) -> np.ndarray:
        """Points of the upper (0) or the lower (1) arc at angles t."""
        sign = 1.0 - 2.0 * which
        return np.stack([which + sign * np.cos(t), 0.5 * which + sign * np.sin(t)], -1)

    def generate(self, n: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """n points (n, 2) and which part each came from, None where there are no parts."""
        which = generator.integers(2, size=n)
        arc = self.arc(generator.uniform(0, math.pi, n), which)
        return arc + self.sd * generator.standard_normal((n, 2)), which

    def log_density(self, x: Any) -> np.ndarray:
        node, weight = np.polynomial.legendre.leggauss(ARC_NODES)
        t = (node + 1) * math.pi / 2
        centres = np.concatenate([self.arc(t, np.full(len(t), arc)) for arc in (0, 1)])
        log_weight = np.log(np.tile(weight, 2) / 4)
        blocks = np.array_split(_points(x), max(1, len(x) // 2000))
        return np.concatenate([self._log_density(b, centres, log_weight) for b in blocks])

    def _log_density(self, x: np.ndarray, centres: np.ndarray, log_weight: np.ndarray) -> np.ndarray:
        square = (x**2).sum(1)[:, None] - 2 * x @ centres.T + (centres**2).sum(1)
        return np.asarray(logsumexp(log_weight - square / (2 * self.sd**2), axis=1)) - math.log(2 * math.pi * self.sd**2)


@dataclass(frozen=True)
class Checkerboard:
    """Uniform on the eight squares of side 2 of a 4×4 board over [−4, 4)² whose row and column sum to an even number."""

    def generate(self, n: int, generator: np.random.Generator) -> tuple[np.ndarray, None]:
        """n points (n, 2) and which part each came from, None where there are no parts."""
        column = generator.integers(4, size=n)
        row = 2 * generator.integers(2, size=n) + column % 2
        return 2.0 * np.stack([column, row], 1) - 4 + 2 * generator.random((n, 2)), None

    def log_density(self, x: Any) -> np.ndarray:
        square = np.floor((_points(x) + 4) / 2)
        inside = ((square >= 0) & (square < 4)).all(1) & (square.sum(1) % 2 == 0)
        return np.where(inside, -math.log(32), -math.inf)


def _ring_of_modes(k: int) -> np.ndarray:
    angle = 2 * math.pi * np.arange(k) / k
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def _grid_of_modes(side: int) -> np.ndarray:
    line = 2.0 * np.arange(side) - (side - 1)
    return np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)


def _toys() -> dict[str, Toy]:
    """Ring and grid as in PacGAN (Lin et al. 2018, https://arxiv.org/abs/1712.04086): radius 1, sd 0.01; spacing 2, sd 0.05."""
    ring, grid = Blobs(_ring_of_modes(8), 0.01), Blobs(_grid_of_modes(5), 0.05)
    rings, moons, board = Rings((1.0, 2.0, 3.0), 0.08), Moons(0.1), Checkerboard()
    return {
        "moons": Toy(moons.generate, moons.log_density),
        "rings": Toy(rings.generate, rings.log_density),
        "eight_gaussians": Toy(ring.generate, ring.log_density, (ring.centres, ring.sd)),
        "twentyfive_gaussians": Toy(grid.generate, grid.log_density, (grid.centres, grid.sd)),
        "checkerboard": Toy(board.generate, board.log_density),
    }


TOYS: dict[str, Toy] = _toys()
