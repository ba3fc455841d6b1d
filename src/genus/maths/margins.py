"""Margins: each entry of a bounded vector onto a standard normal by its own distribution."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genus.maths.bijection import Bijection

CELLS = 256


class Margins(Bijection):
    """z = Φ⁻¹(ε + (1 − 2ε) F(x)) for each entry, F its distribution function in the data, linear inside a cell.

    Neighbouring cells that hold few items share them evenly, so that F has about 2 n^(1/3) pieces (Rice's rule), and one
    imagined item is spread over all. A value taken very often, such as a picture's background, stays in its cell: a
    smooth map would smear it.
    The inverse can leave the interval by a share ε / (1 − 2ε), so that the density inside is never overstated.

    Parameters
    ----------
    size: entries. low, high: the interval they live in, cut into `cells` equal cells; data that are drawn within the steps
    of a grid want a cell a step. epsilon: keeps z finite.

    Reference: S. Chen and R. Gopinath 2000, Gaussianization, https://papers.nips.cc/paper/1856-gaussianization
    """

    below: Tensor

    def __init__(self, size: int, low: float, high: float, cells: int = CELLS, epsilon: float = 1e-4) -> None:
        super().__init__()
        self.low, self.high, self.cells, self.epsilon = low, high, cells, epsilon
        self.register_buffer("below", torch.linspace(0, 1, cells + 1, dtype=torch.float64).repeat(size, 1))

    @torch.no_grad()
    def settle(self, x: Tensor, y: Tensor | None = None) -> None:
        """Take F from the items x (n, size)."""
        n, cells = len(x), self.cells
        cell = self._place(x.double())[0].T
        count = torch.zeros(x.shape[1], cells, dtype=torch.float64, device=x.device)
        count.scatter_add_(1, cell, torch.ones_like(cell, dtype=torch.float64))
        until = count.cumsum(1)
        pieces = math.ceil(2 * n ** (1 / 3))
        group = 1 + ((until - count / 2) * (pieces / n)).long().clamp_max(pieces)
        group[until == 0], group[(until == n) & (count == 0)] = 0, pieces + 2
        pool = count.new_zeros(len(count), pieces + 3)
        size = pool.scatter_add(1, group, torch.ones_like(count)).gather(1, group)
        mass = pool.scatter_add(1, group, count).gather(1, group) / size
        below = ((mass + 1 / cells) / (n + 1)).cumsum(1)
        self.below = torch.cat([torch.zeros_like(below[:, :1]), below / below[:, -1:]], 1)

    def _place(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(cell of each entry, how far into it)."""
        at = ((x - self.low) / (self.high - self.low)).clamp(0, 1) * self.cells
        cell = at.long().clamp_max(self.cells - 1)
        return cell, at - cell

    def _mass(self, cell: Tensor) -> tuple[Tensor, Tensor]:
        """(F at the cell's start, its mass), each (n, size)."""
        start, end = (self.below.gather(1, cell.T + step).T for step in (0, 1))
        return start, end - start

    def _log_slope(self, z: Tensor, mass: Tensor) -> Tensor:
        """log dz/dx summed over entries: the density of the cell over that of the normal."""
        scale = math.log((1 - 2 * self.epsilon) * self.cells / (self.high - self.low) * math.sqrt(2 * math.pi))
        return (scale + mass.log() + 0.5 * z.square()).sum(1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        cell, share = self._place(x.double())
        start, mass = self._mass(cell)
        z = torch.special.ndtri(self.epsilon + (1 - 2 * self.epsilon) * (start + mass * share))
        return z.to(x.dtype), self._log_slope(z, mass).to(x.dtype)

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        wide = z.double()
        u = (torch.special.ndtr(wide) - self.epsilon) / (1 - 2 * self.epsilon)
        cell = torch.searchsorted(self.below[:, 1:-1].contiguous(), u.T.contiguous(), right=True).T
        start, mass = self._mass(cell)
        x = self.low + (self.high - self.low) * (cell + (u - start) / mass) / self.cells
        return x.to(z.dtype), -self._log_slope(wide, mass).to(z.dtype)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: object) -> None:
        """However many cells the saved one had."""
        found = state_dict.get(f"{prefix}below")
        if found is not None and found.dim() == 2 and len(found) == len(self.below):
            self.below, self.cells = torch.empty_like(found), found.shape[1] - 1
        super()._load_from_state_dict(state_dict, prefix, *rest)
