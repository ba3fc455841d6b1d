"""Bijections: invertible maps that know their log-determinant; a chain of them is a flow."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from genus.maths.spline import Elementwise
from genus.maths.tape import HandNet, Layer, Split, precise

Map = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Bijection(nn.Module):
    """An invertible map x ↔ z, given a condition y or None.

    `forward(x, y)` returns (z, log |det ∂z/∂x|) and `inverse(z, y)` returns (x, log |det ∂x/∂z|), the
    log-determinants of shape (n,). `settle(x, y)` lets the map look at data once before training.
    """

    @abstractmethod
    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(z, log |det ∂z/∂x|)."""

    @abstractmethod
    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(x, log |det ∂x/∂z|)."""

    def settle(self, x: Tensor, y: Tensor | None = None) -> None:
        """Initialise from the items x; most maps need nothing."""


class Chain(Bijection):
    """One bijection after another: z = f_k(… f_1(x)), the log-determinants added."""

    def __init__(self, links: Iterable[Bijection]) -> None:
        super().__init__()
        self.links = nn.ModuleList(links)

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        found = [x.new_zeros(len(x))]
        for link in self.links:
            x, log_det = link(x, y)
            found.append(log_det)
        return x, torch.stack(found).sum(0)

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = z.new_zeros(len(z))
        for link in reversed(self.links):
            assert isinstance(link, Bijection)
            z, log_det = link.inverse(z, y)
            total = total + log_det
        return z, total

    def settle(self, x: Tensor, y: Tensor | None = None) -> None:
        for link in self.links:
            assert isinstance(link, Bijection)
            link.settle(x, y)
            x = link(x, y)[0]


class Inverse(Bijection):
    """Another bijection run backwards."""

    def __init__(self, inner: Bijection) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.inner.inverse(x, y)

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.inner(z, y)


class Logit(Bijection):
    """The open interval onto the line: z = logit(α + (1 − 2α) u), u = (x − low) / (high − low).

    α keeps z finite at the ends. The inverse can leave the interval by a share α / (1 − 2α) of its
    length, so that the density inside is never overstated (Dinh et al. 2017, section 4.1).
    """

    def __init__(self, low: float, high: float, alpha: float = 0.05) -> None:
        super().__init__()
        self.low, self.range, self.alpha = low, high - low, alpha

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        u = ((x - self.low) / self.range).clamp(0, 1)
        z = torch.logit(self.alpha + (1 - 2 * self.alpha) * u)
        return z, self._log_slope(z)

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        u = (torch.sigmoid(z) - self.alpha) / (1 - 2 * self.alpha)
        return self.low + self.range * u, -self._log_slope(z)

    def _log_slope(self, z: Tensor) -> Tensor:
        """log dz/dx = log((1 − 2α) / range) − log s − log(1 − s), with s = sigmoid(z)."""
        each = math.log((1 - 2 * self.alpha) / self.range) + nn.functional.softplus(z) + nn.functional.softplus(-z)
        return each.flatten(1).sum(1)


class ActNorm(Bijection):
    """z = (x − μ) e^{−s} for each feature (axis 1), begun at the data's mean and log deviation.

    Reference: D. Kingma and P. Dhariwal 2018, Glow, https://arxiv.org/abs/1807.03039
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.mean, self.log_scale = nn.Parameter(torch.zeros(features)), nn.Parameter(torch.zeros(features))

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        shape = (1, -1, *[1] * (x.dim() - 2))
        places = math.prod(x.shape[2:])
        return self.mean.view(shape), self.log_scale.view(shape), self.log_scale.sum() * places

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        mean, log_scale, log_det = self._parts(x)
        return (x - mean) * torch.exp(-log_scale), -log_det.expand(len(x))

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        mean, log_scale, log_det = self._parts(z)
        return mean + z * torch.exp(log_scale), log_det.expand(len(z))

    @torch.no_grad()
    def settle(self, x: Tensor, y: Tensor | None = None) -> None:
        rows = x.movedim(1, -1).reshape(-1, x.shape[1])
        self.mean.copy_(rows.mean(0))
        self.log_scale.copy_(rows.std(0, correction=0).clamp(1e-3, 1e3).log())


class Permute(Bijection):
    """The features (axis 1) in another order, fixed at birth."""

    order: Tensor
    back: Tensor

    def __init__(self, order: Tensor) -> None:
        super().__init__()
        self.register_buffer("order", order)
        self.register_buffer("back", torch.argsort(order))

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return _Reordered.apply(x, self.order, self.back), x.new_zeros(len(x))  # pyright: ignore[reportReturnType]

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return _Reordered.apply(z, self.back, self.order), z.new_zeros(len(z))  # pyright: ignore[reportReturnType]


class _Reordered(torch.autograd.Function):
    """Axis 1 in another order; the gradient is read back in the old one, where autograd would add into zeros."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, back: Tensor) -> Tensor:
        ctx.back = back
        return x.t()[order].t() if x.dim() == 2 else x.index_select(1, order)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        g = grads[0]
        return g.t()[ctx.back].t() if g.dim() == 2 else g.index_select(1, ctx.back), None, None


class Mix(Bijection):
    """z = W x over features (axis 1), W = P L U with a unit lower L and an upper U of diagonal ±e^s.

    Begins at a random rotation, or with `whiten` at the symmetric map that makes the data's features uncorrelated and
    of deviation 1 (their covariance drawn by d / (n + d) towards its diagonal). The log-determinant is the sum of s at every
    place; the inverse solves two triangular systems in double precision (Kingma and Dhariwal 2018, section 3.2).
    A `fixed` one is not trained.
    """

    order: Tensor
    sign: Tensor

    def __init__(self, features: int, *, whiten: bool = False, fixed: bool = False) -> None:
        super().__init__()
        self.whiten, self.fixed = whiten, fixed
        self.cached: tuple[tuple[int, ...], Tensor] | None = None
        rotation = torch.linalg.qr(torch.randn(features, features)).Q
        p, lower, upper = torch.linalg.lu(rotation)
        self.register_buffer("order", p.argmax(1))
        self.register_buffer("sign", upper.diagonal().sign())
        self.lower, self.upper = nn.Parameter(lower.tril(-1)), nn.Parameter(upper.triu(1))
        self.log_scale = nn.Parameter(upper.diagonal().abs().clamp_min(1e-6).log())
        self.requires_grad_(not fixed)

    def _whole(self) -> Tensor:
        """W of a fixed map, kept until it is another."""
        parts = (self.lower, self.upper, self.log_scale)
        version = (*(p._version for p in parts), *(p.data_ptr() for p in parts))
        if self.cached is None or self.cached[0] != version:
            lower, upper = self._factors()
            self.cached = version, (lower @ upper)[self.order].detach()
        return self.cached[1]

    @torch.no_grad()
    def settle(self, x: Tensor, y: Tensor | None = None) -> None:
        if not self.whiten or len(x) < 2:
            return
        rows = x.movedim(1, -1).reshape(-1, x.shape[1]).double()
        spread = torch.cov(rows.T).reshape(x.shape[1], x.shape[1])
        few = len(spread) / (len(rows) + len(spread))
        values, turn = torch.linalg.eigh(spread + few * (torch.diag(spread.diagonal()) - spread))
        p, lower, upper = torch.linalg.lu((turn / values.clamp_min(1e-6).sqrt()) @ turn.T)
        scale = upper.diagonal()
        for held, value in ((self.order, p.argmax(1)), (self.sign, scale.sign()), (self.lower, lower.tril(-1)),
                            (self.upper, upper.triu(1)), (self.log_scale, scale.abs().log())):  # fmt: skip
            held.copy_(value)

    def _factors(self) -> tuple[Tensor, Tensor]:
        lower = self.lower.tril(-1) + torch.eye(len(self.lower), dtype=self.lower.dtype, device=self.lower.device)
        return lower, self.upper.triu(1) + torch.diag(self.sign * self.log_scale.exp())

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if self.fixed:
            with precise(x):
                z = x @ self._whole().t() if x.dim() == 2 else torch.einsum("ij,nj...->ni...", self._whole(), x)
            return z, (self.log_scale.sum() * math.prod(x.shape[2:])).expand(len(x))
        z = _Mixed.apply(x, self.lower, self.upper, self.log_scale, self.sign, self.order)
        return z, (self.log_scale.sum() * math.prod(x.shape[2:])).expand(len(x))  # pyright: ignore[reportReturnType]

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        lower, upper = (factor.double() for factor in self._factors())
        flat = z.movedim(1, 0).reshape(z.shape[1], -1)[torch.argsort(self.order)].double()
        half = torch.linalg.solve_triangular(lower, flat, upper=False, unitriangular=True)
        x = torch.linalg.solve_triangular(upper, half, upper=True).to(z.dtype)
        x = x.reshape(z.shape[1], len(z), *z.shape[2:]).movedim(0, 1)
        return x, -(self.log_scale.sum() * math.prod(z.shape[2:])).expand(len(z))


class _Mixed(torch.autograd.Function):
    """P (L U) x over axis 1, with its gradient: of small matrices the calls cost more than the products."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, lower: Tensor, upper: Tensor, log_scale: Tensor, sign: Tensor, order: Tensor) -> Tensor:
        below, above, diagonal = lower.tril(-1), upper.triu(1), sign * log_scale.exp()
        below.diagonal().fill_(1)
        above.diagonal().copy_(diagonal)
        with precise(x):
            whole = (below @ above)[order]
        rows = x.t() if x.dim() == 2 else x.flatten(2)
        ctx.shape = x.shape
        ctx.save_for_backward(rows, below, above, diagonal, whole, order)
        with precise(x):
            z = whole @ rows
        return z.t() if x.dim() == 2 else z.view(x.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        rows, below, above, diagonal, whole, order = ctx.saved_tensors
        flat = len(ctx.shape) == 2
        g = grads[0].t() if flat else grads[0].flatten(2)
        gx = whole.t() @ g
        of_whole = g @ rows.mT if flat else torch.einsum("nij,nkj->ik", g, rows)
        inner = torch.empty_like(of_whole)
        inner[order] = of_whole
        of_below, of_above = inner @ above.t(), below.t() @ inner
        of_scale = of_above.diagonal() * diagonal
        return gx.t() if flat else gx.view(ctx.shape), of_below.tril_(-1), of_above.triu(1), of_scale, None, None


class Coupling(Bijection):
    """Some features (axis 1) stay and tell how the others move: z_b = g(x_b; net(x_a, y)), z_a = x_a.

    The Jacobian is triangular, so that its log-determinant is the sum of log g′. `net(x_a, y)` returns
    (n, transform.parameters × moved, …); `transform` acts on each entry alone.

    Reference: L. Dinh, J. Sohl-Dickstein and S. Bengio 2017, Density estimation using Real NVP,
    https://arxiv.org/abs/1605.08803
    """

    stay: Tensor
    move: Tensor
    order: Tensor
    back: Tensor

    def __init__(self, stay: Tensor, move: Tensor, net: nn.Module, transform: Elementwise) -> None:
        super().__init__()
        self.register_buffer("stay", stay)
        self.register_buffer("move", move)
        self.register_buffer("order", torch.cat([stay, move]), persistent=False)
        self.register_buffer("back", torch.argsort(self.order))
        self.net, self.transform = net, transform
        self.natural = torch.equal(self.order, torch.arange(len(self.order)))

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if isinstance(self.net, HandNet) and hasattr(self.transform, "run"):
            split = Split(self.order, self.back, len(self.stay), self.natural)
            return Layer.apply(x, y, self.net, self.transform, split, *self.net.matrices())  # pyright: ignore[reportReturnType]
        return self._moved(x, y, self.transform)

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._moved(z, y, self.transform.inverse)

    def _moved(self, x: Tensor, y: Tensor | None, how: Map) -> tuple[Tensor, Tensor]:
        """x with the moving features moved, and the sum of the log slopes; vectors are held feature by feature."""
        flat = x.dim() == 2
        rows, axis = (x.t(), 0) if flat else (x, 1)
        kept, old = rows.index_select(axis, self.stay), rows.index_select(axis, self.move)
        new, log_slope = how(old, told(self.net(kept.t() if flat else kept, y), self.transform.parameters))
        whole = torch.cat([kept, new], axis).index_select(axis, self.back)
        return (whole.t(), log_slope.sum(0)) if flat else (whole, log_slope.flatten(1).sum(1))


def told(raw: Tensor, parameters: int) -> Tensor:
    """What a net tells, (n, parameters × features, …), as a transform takes it: (parameters, features, n) of vectors, …

    or (parameters, n, features, H, W) of images.
    """
    if raw.dim() == 2:
        return raw.t().unflatten(0, (parameters, -1))
    return raw.unflatten(1, (parameters, -1)).movedim(1, 0)


class Autoregressive(Bijection):
    """Each entry moves as the entries before it tell: z_i = g(x_i; net(x_{<i}, y)).

    Forward takes one pass of the net; the inverse finds entry after entry, in d passes. `net(x, y)` returns
    (n, transform.parameters × d) whose numbers for an entry do not depend on it or on later ones (`nets.autoregressive`).

    Parameters
    ----------
    rank: (d,) the place of each entry in the order.

    Reference: G. Papamakarios et al. 2017, Masked autoregressive flow, https://arxiv.org/abs/1705.07057
    """

    turns: Tensor

    def __init__(self, rank: Tensor, net: nn.Module, transform: Elementwise) -> None:
        super().__init__()
        self.register_buffer("turns", torch.argsort(rank))
        self.net, self.transform = net, transform

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if isinstance(self.net, HandNet) and hasattr(self.transform, "run"):
            return Layer.apply(x, y, self.net, self.transform, None, *self.net.matrices())  # pyright: ignore[reportReturnType]
        z, log_slope = self.transform(x.t(), told(self.net(x, y), self.transform.parameters))
        return z.t(), log_slope.sum(0)

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x, total = torch.zeros_like(z), z.new_zeros(len(z))
        for i in self.turns.unsqueeze(1):
            parameters = told(self.net(x, y), self.transform.parameters)
            found, log_slope = self.transform.inverse(z.index_select(1, i).t(), parameters.index_select(1, i))
            x, total = x.index_copy(1, i, found.t()), total + log_slope[0]
        return x, total


class Flatten(Bijection):
    """An item of any shape ↔ a vector."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x.reshape(len(x), -1), x.new_zeros(len(x))

    def inverse(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return z.reshape(len(z), *self.shape), z.new_zeros(len(z))
