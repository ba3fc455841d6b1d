"""Codebook: vectors rounded to the nearest of finitely many, learnt by moving averages or fixed on a grid of scalars."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from genus.maths.kmeans import lloyd, nearest, seeds

SEEN = 16  # vectors a code, of the first batch, that place the codes
EPSILON = 1e-5
Gradient = Literal["straight", "rotation"]


class Coded(NamedTuple):
    """Vectors rounded.

    Attributes
    ----------
    z: (n, d), through which gradients reach the vectors that were rounded. index: (n, levels) the codes taken.
    commitment: (n,) mean squared distance an entry between a vector and what it was rounded to.
    """

    z: Tensor
    index: Tensor
    commitment: Tensor


class Quantiser(nn.Module, ABC):
    """Rounds vectors (n, d) to one of `codes` to the power `levels` values.

    Attributes
    ----------
    codes: values an index takes. levels: indices a vector.
    """

    codes: int
    levels: int

    @abstractmethod
    def forward(self, z: Tensor) -> Coded:
        """Vectors rounded; in training a learnt codebook also takes them in."""

    @abstractmethod
    def look(self, index: Tensor) -> Tensor:
        """The vectors (n, d) that indices (n, levels) stand for."""


def straight(z: Tensor, code: Tensor) -> Tensor:
    """`code`, whose gradient goes to z unchanged (Bengio et al. 2013, https://arxiv.org/abs/1308.3432)."""
    return z + (code - z).detach()


def rotated(z: Tensor, code: Tensor) -> Tensor:
    """`code`, as the rotation and scaling of z that give it; these are constants to the gradient.

    So the gradient turns with the vector, and vectors of one cell are not all pushed alike.

    Reference: C. Fifty et al. 2025, Restructuring vector quantization with the rotation trick, https://arxiv.org/abs/2410.06424
    """
    with torch.no_grad():
        long, wide = z.norm(dim=1, keepdim=True).clamp_min(1e-6), code.norm(dim=1, keepdim=True).clamp_min(1e-6)
        e, q = z / long, code / wide
        middle = nn.functional.normalize(e + q, dim=1)
    turned = z - 2 * (z * middle).sum(1, keepdim=True) * middle + 2 * (z * e).sum(1, keepdim=True) * q
    return turned * (wide / long)


GRADIENTS = {"straight": straight, "rotation": rotated}


class Codebook(nn.Module):
    """k vectors that follow the means of what is rounded to them: eₖ = mₖ / Nₖ, both moving averages.

    Nₖ ← γ Nₖ + (1 − γ) nₖ,  mₖ ← γ mₖ + (1 − γ) Σ z,  with Nₖ smoothed towards their mean (Laplace) before they divide.
    k-means of the first batch places the codes. A code used less than the share `expire` of the mean use is dead: it is put
    on a vector of the batch, the likelier the farther that lies from its own code.

    Parameters
    ----------
    codes: k. width: d. decay: γ. expire: the share of the mean use below which a code is dead, 0 for never.

    Reference: A. van den Oord, O. Vinyals and K. Kavukcuoglu 2017, Neural discrete representation learning,
    https://arxiv.org/abs/1711.00937; revival: P. Dhariwal et al. 2020, Jukebox, https://arxiv.org/abs/2005.00341
    """

    table: Tensor
    counts: Tensor
    sums: Tensor
    begun: Tensor

    def __init__(self, codes: int, width: int, *, decay: float = 0.95, expire: float = 0.1) -> None:
        super().__init__()
        self.decay, self.expire = decay, expire
        self.register_buffer("table", torch.randn(codes, width) * width**-0.5)
        self.register_buffer("counts", torch.ones(codes))
        self.register_buffer("sums", self.table.clone())
        self.register_buffer("begun", torch.zeros((), dtype=torch.bool))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """(the nearest code of each vector z (n, d), its index (n,)); in training the codes then move."""
        z = z.detach()
        if self.training and not bool(self.begun):
            self.begin(z)
        index = nearest(z, self.table)
        code = self.table[index]
        if self.training:
            self._follow(z, index, (z - code).square().sum(1))
        return code, index

    @torch.no_grad()
    def begin(self, z: Tensor) -> None:
        """Place the codes by k-means of the vectors z (n, d)."""
        some = z[torch.randperm(len(z), device=z.device)[: SEEN * len(self.table)]]
        self._put(lloyd(some, seeds(some, len(self.table)), 5))
        self.begun.fill_(True)

    def _put(self, table: Tensor) -> None:
        """The codes, each as if used as much as the mean."""
        self.table.copy_(_agreed(table))
        self.counts.fill_(1.0)
        self.sums.copy_(self.table)

    @torch.no_grad()
    def _follow(self, z: Tensor, index: Tensor, distance: Tensor) -> None:
        """One step of the moving averages, in units of the mean use, and new places for dead codes."""
        codes = len(self.table)
        counts = torch.bincount(index, minlength=codes).to(z.dtype)
        sums = torch.zeros_like(self.sums).index_add_(0, index, z)
        scale = codes / _joined(counts, sums)
        self.counts.lerp_(counts * scale, 1 - self.decay)
        self.sums.lerp_(sums * scale, 1 - self.decay)
        total = self.counts.sum()
        smooth = (self.counts + EPSILON) / (total + codes * EPSILON) * total
        used = self.counts[:, None] > EPSILON
        self.table.copy_(torch.where(used, self.sums / smooth[:, None], self.table))
        dead = (self.counts < self.expire).nonzero()[:, 0]
        if len(dead):
            self._revive(dead, z, distance)

    def _revive(self, dead: Tensor, z: Tensor, distance: Tensor) -> None:
        """Put dead codes on vectors of the batch, with the mean use for a start."""
        weight = distance.double() + 1e-12
        point = torch.rand(len(dead), dtype=torch.float64, device=z.device) * weight.sum()
        chosen = torch.searchsorted(weight.cumsum(0), point).clamp(max=len(z) - 1)
        self.table[dead] = z[chosen]
        self.table.copy_(_agreed(self.table))
        self.counts[dead] = 1.0
        self.sums[dead] = self.table[dead]


def _joined(counts: Tensor, sums: Tensor) -> float:
    """Counts and sums added over the processes that share a batch; returns how many vectors that makes."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(counts)
        torch.distributed.all_reduce(sums)
    return float(counts.sum())


def _agreed(table: Tensor) -> Tensor:
    """The table of the first of the processes that share a batch."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.broadcast(table, 0)
    return table


class Residual(Quantiser):
    """A codebook a level, each rounding what the levels before it left over: z ≈ e¹ + e² + …

    Parameters
    ----------
    codes, width, decay, expire: of each Codebook. levels: how many. gradient: "straight" through, or by "rotation".

    Reference: D. Lee et al. 2022, Autoregressive image generation using residual quantization, https://arxiv.org/abs/2203.01941
    """

    def __init__(
        self, codes: int, width: int, levels: int = 1, *, decay: float = 0.95, expire: float = 0.1,
        gradient: Gradient = "straight",
    ) -> None:  # fmt: skip
        super().__init__()
        self.codes, self.levels, self.through = codes, levels, GRADIENTS[gradient]
        self.books = nn.ModuleList(Codebook(codes, width, decay=decay, expire=expire) for _ in range(levels))

    def forward(self, z: Tensor) -> Coded:
        with torch.autocast(z.device.type, enabled=False):
            z = z.float()
            left, found, commitment = z.detach(), [], torch.zeros(len(z), device=z.device)
            for book in self.books:
                code, index = book(left)
                left = left - code
                found.append(index)
                commitment = commitment + (z - (z - left).detach()).square().mean(1)
            return Coded(self.through(z, z.detach() - left), torch.stack(found, 1), commitment)

    def look(self, index: Tensor) -> Tensor:
        tables = [book.table for book in self.books]
        return torch.stack([table[index[:, i]] for i, table in enumerate(tables)]).sum(0)  # pyright: ignore[reportIndexIssue]


class FiniteScalar(Quantiser):
    """Each of a few numbers rounded to a few values: uⱼ = round((Lⱼ − 1) (tanh(A z)ⱼ + 1) / 2), decoded as B (2u / (L − 1) − 1).

    Nothing is learnt but the maps A and B, so no code can die; a commitment is not needed. Of several `levels` each takes
    numbers of its own, side by side.

    Parameters
    ----------
    codes: the most values of an index, Π Lⱼ ≤ codes. width: d. levels: indices a vector.

    Reference: F. Mentzer et al. 2024, Finite scalar quantization: VQ-VAE made simple, https://arxiv.org/abs/2309.15505
    """

    sides: Tensor
    places: Tensor

    def __init__(self, codes: int, width: int, levels: int = 1) -> None:
        super().__init__()
        sides = sides_of(codes)
        self.codes, self.levels = math.prod(sides), levels
        self.register_buffer("sides", torch.tensor(sides), persistent=False)
        self.register_buffer("places", torch.tensor([math.prod(sides[:i]) for i in range(len(sides))]), persistent=False)
        self.enter = nn.Linear(width, levels * len(sides))
        self.leave = nn.Linear(levels * len(sides), width)

    def forward(self, z: Tensor) -> Coded:
        with torch.autocast(z.device.type, enabled=False):
            u = (self.enter(z.float()).unflatten(1, (self.levels, -1)).tanh() + 1) / 2 * (self.sides - 1)
            u = straight(u, u.round())
            index = (u.detach().long() * self.places).sum(2)
            return Coded(self._leave(u), index, torch.zeros(len(z), device=z.device))

    def look(self, index: Tensor) -> Tensor:
        return self._leave((index[:, :, None] // self.places % self.sides).float())

    def _leave(self, u: Tensor) -> Tensor:
        return self.leave((2 * u / (self.sides - 1) - 1).flatten(1))


def sides_of(codes: int) -> list[int]:
    """How many values each number takes, about alike and about six, with a product of at most `codes`.

    >>> sides_of(256), sides_of(8)
    ([7, 6, 6], [8])
    """
    count = max(1, round(math.log(codes) / math.log(6.3)))
    while count > 1 and codes ** (1 / count) < 3:
        count -= 1
    sides = [max(2, math.floor(codes ** (1 / count) + 1e-9))] * count
    for i in range(count):
        if math.prod(sides) // sides[i] * (sides[i] + 1) <= codes:
            sides[i] += 1
    return sides


class Use(NamedTuple):
    """How codes are used.

    Attributes
    ----------
    share: of the codes that occur at all. perplexity: e to the entropy of their frequencies: as many codes, used alike.
    """

    share: float
    perplexity: float


def use(index: Tensor, codes: int) -> Use:
    """How indices (n,) use a book of `codes`.

    >>> use(torch.tensor([0, 1, 0, 1]), 4)
    Use(share=0.5, perplexity=2.0)
    """
    chance = torch.bincount(index.flatten(), minlength=codes).double() / max(index.numel(), 1)
    return Use(float((chance > 0).double().mean()), round(float(torch.special.entr(chance).sum().exp()), 6))
