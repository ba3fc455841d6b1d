"""Target: a log density that Markov chains are drawn towards, with its gradient, and the maps that free its parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from genus.errors import DataError, UsageError
from genus.maths.bijection import Bijection

LogDensity = Callable[[Tensor], Tensor]


class Target:
    """log p(x) up to a constant, of positions x (n, d) in double precision, one chain a row.

    NaN counts as −∞, an impossible place; +∞ and a wrong shape are refused.

    Parameters
    ----------
    log_density: (n, d) → (n,). gradient: (n, d) → (n, d); automatic when None.
    """

    def __init__(self, log_density: LogDensity, gradient: Callable[[Tensor], Tensor] | None = None) -> None:
        self.log_density, self.gradient = log_density, gradient
        self.checked = False

    def value(self, x: Tensor) -> Tensor:
        """log p (n,), without its gradient."""
        with torch.no_grad():
            return self._sound(self.log_density(x), x)

    def slope(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(log p (n,), ∇ log p (n, d))."""
        if self.gradient is not None:
            return self.value(x), self.gradient(x)
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            log_p = self.log_density(leaf)
            if not self.checked and not (isinstance(log_p, Tensor) and log_p.requires_grad):
                raise UsageError(
                    "log_density has no gradient in torch, which this kernel needs: give gradient=..., or kernel='ensemble'."
                )
            (gradient,) = torch.autograd.grad(log_p, leaf, torch.ones_like(log_p))
        return self._sound(log_p.detach(), x), gradient

    def _sound(self, log_p: Tensor, x: Tensor) -> Tensor:
        if not self.checked:
            if not isinstance(log_p, Tensor) or log_p.shape != (len(x),):
                got = f"shape {tuple(log_p.shape)}" if isinstance(log_p, Tensor) else type(log_p).__name__
                raise UsageError(
                    f"log_density gave {got} for positions of shape {tuple(x.shape)}: return one number a row, (n,)."
                )
            self.checked = True
        return log_p


class Positive(Bijection):
    """(low, ∞) or (−∞, high) onto the line: x = low + e^z or high − e^z."""

    def __init__(self, edge: float, sign: float = 1.0) -> None:
        super().__init__()
        self.edge, self.sign = edge, sign

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z = torch.log((x - self.edge) * self.sign)
        return z, -z.sum(1)

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.edge + self.sign * z.exp(), z.sum(1)


class Interval(Bijection):
    """(low, high) onto the line by the logit."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.range = low, high - low

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z = torch.logit((x - self.low) / self.range)
        return z, -self._log_slope(z)

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.low + self.range * torch.sigmoid(z), self._log_slope(z)

    def _log_slope(self, z: Tensor) -> Tensor:
        """log |dx/dz|."""
        each = math.log(self.range) - nn.functional.softplus(z) - nn.functional.softplus(-z)
        return each.sum(1)


class Simplex(Bijection):
    """Shares of k that are positive and sum to one ↔ k − 1 numbers, by breaking a stick: xᵢ = σ(zᵢ − log(k − i)) · rest.

    Reference: Stan Reference Manual, Simplex transform, https://mc-stan.org/docs/reference-manual/transforms.html
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.shift = torch.log(torch.arange(size - 1, 0, -1, dtype=torch.float64))

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        rest = torch.cat([torch.ones_like(x[:, :1]), 1 - x[:, :-2].cumsum(1)], 1) if self.size > 2 else torch.ones_like(x[:, :1])
        z = torch.logit(x[:, :-1] / rest) + self.shift
        return z, -self.inverse(z)[1]

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        u = z - self.shift
        log_keep, log_take = nn.functional.logsigmoid(-u), nn.functional.logsigmoid(u)
        log_rest = torch.cat([torch.zeros_like(u[:, :1]), log_keep.cumsum(1)], 1)
        x = torch.cat([(log_take + log_rest[:, :-1]).exp(), log_rest[:, -1:].exp()], 1)
        return x, (log_take + log_keep + log_rest[:, :-1]).sum(1)


@dataclass(frozen=True)
class Parameter:
    """What a block of parameters may be.

    Parameters
    ----------
    size: how many numbers. low, high: their bounds. simplex: positive and summing to one.
    """

    size: int = 1
    low: float = -math.inf
    high: float = math.inf
    simplex: bool = False

    @property
    def free(self) -> int:
        """Numbers without bounds that stand for it."""
        return self.size - self.simplex

    def bijection(self) -> Bijection | None:
        """From its values to the free numbers; None where they are the same."""
        if self.simplex:
            return Simplex(self.size)
        if self.low > -math.inf and self.high < math.inf:
            return Interval(self.low, self.high)
        if self.low > -math.inf:
            return Positive(self.low)
        return Positive(self.high, -1.0) if self.high < math.inf else None


def parameter(said: Any) -> Parameter:
    """A Parameter of shorthand: 5 numbers, "positive", "simplex 3", (low, high), or "real 5", "positive 4".

    >>> parameter("positive 2")
    Parameter(size=2, low=0.0, high=inf, simplex=False)
    """
    if isinstance(said, Parameter):
        return said
    if isinstance(said, int) and not isinstance(said, bool) and said > 0:
        return Parameter(said)
    if isinstance(said, tuple) and len(said) in (2, 3) and said[0] < said[1]:
        return Parameter(said[2] if len(said) == 3 else 1, float(said[0]), float(said[1]))
    if isinstance(said, str):
        word, _, count = said.partition(" ")
        size = int(count) if count.isdigit() and int(count) > 0 else 1
        kinds = {"real": Parameter(size), "positive": Parameter(size, low=0.0)}
        if word == "simplex" and size > 1:
            return Parameter(size, simplex=True)
        if word in kinds and (count.isdigit() or not count):
            return kinds[word]
    raise UsageError(
        f"{said!r} describes no parameter: give a count, 'positive', 'positive 4', 'simplex 3' or (low, high[, count])."
    )


class Free(Bijection):
    """Blocks of parameters, end to end ↔ free numbers, end to end."""

    def __init__(self, blocks: Sequence[Parameter]) -> None:
        super().__init__()
        self.blocks = tuple(blocks)
        self.maps = [block.bijection() for block in self.blocks]

    @property
    def size(self) -> int:
        """Free numbers in all."""
        return sum(block.free for block in self.blocks)

    @property
    def trivial(self) -> bool:
        """Whether nothing has bounds."""
        return all(each is None for each in self.maps)

    def _go(self, x: Tensor, sizes: list[int], back: bool) -> tuple[Tensor, Tensor]:
        parts, total = [], x.new_zeros(len(x))
        for piece, each in zip(x.split(sizes, 1), self.maps, strict=True):
            if each is None:
                parts.append(piece)
                continue
            moved, log_det = each.inverse(piece) if back else each(piece)
            parts.append(moved)
            total = total + log_det
        return torch.cat(parts, 1), total

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._go(x, [block.size for block in self.blocks], False)

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._go(z, [block.free for block in self.blocks], True)

    def pull(self, log_density: LogDensity) -> LogDensity:
        """The log density of the free numbers: log p(x(z)) + log |∂x/∂z|."""
        if self.trivial:
            return log_density

        def pulled(z: Tensor) -> Tensor:
            x, log_det = self.inverse(z)
            return log_density(x) + log_det

        return pulled


def scattered(target: Target, chains: int, d: int, *, tries: int = 100) -> Tensor:
    """Starting places (chains, d), uniform on (−2, 2), drawn again where log p is not finite."""
    x = 4 * torch.rand(chains, d, dtype=torch.float64) - 2
    for _ in range(tries):
        log_p = target.value(x)
        bad = ~torch.isfinite(log_p)
        if not bool(bad.any()):
            return x
        x[bad] = 4 * torch.rand(int(bad.sum()), d, dtype=torch.float64) - 2
    raise DataError(
        f"log_density is not finite (it gave {float(log_p[bad][0])}) at {int(bad.sum())} of {chains} starting places: "
        "give start=... where it is, and return −inf only where a value is impossible."
    )
