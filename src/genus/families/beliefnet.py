"""Deep belief networks: a restricted Boltzmann machine on top, layers that look downwards below it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from sklearn.base import TransformerMixin
from torch import Tensor, nn
from torch.nn import functional as F

from genus import dice
from genus.capability import Estimate, Latent
from genus.errors import UsageError
from genus.maths.annealing import LogZ, log_z
from genus.maths.quantise import Packed, drawn
from genus.maths.units import Binary
from genus.nets.restricted import Restricted
from genus.nets.visible import packed_items, visible_rows, visible_units
from genus.train.ascend import ascend
from genus.train.recipe import Recipe
from genus.train.run import Run


@dataclass(kw_only=True, eq=False, repr=False)
class DBN(TransformerMixin, Recipe, Estimate, Latent):
    """A deep belief network: p(v, h₁, …) = p(v | h₁) … p(h_{L−2} | h_{L−1}) p(h_{L−1}, h_L), the last an RBM.

    Layers are learnt greedily, from the data up: each is an RBM over what the layer below infers. `log_prob_estimate` is the
    bound E_q[log p(v, h) − log q(h | v)] over `draws` passes up, with the top's log Z: it estimates a lower bound.
    `encode` (for pipelines `transform`) gives the top layer's probabilities, `decode` the likeliest item below them.

    Parameters
    ----------
    latent: units of each hidden layer, the nearest to the data first.
    sweeps: of Gibbs sampling a step. burn: sweeps of the top machine in a sample. draws: passes up of a bound.

    Attributes
    ----------
    net_: its layers, one Restricted each. log_z_: what `partition` found of the top machine, once it was asked for.

    Reference: G. Hinton, S. Osindero and Y. Teh 2006, A fast learning algorithm for deep belief nets,
    https://doi.org/10.1162/neco.2006.18.7.1527; R. Salakhutdinov and I. Murray 2008, On the quantitative analysis of deep
    belief networks, https://doi.org/10.1145/1390156.1390266
    """

    accepts: ClassVar[tuple[str, ...]] = ("binary", "category", "levels", "record")
    default_steps: ClassVar[int] = 4000

    latent: tuple[int, ...] = (128, 64)
    sweeps: int = 1
    burn: int = 200
    draws: int = 16
    batch: int = 100
    lr: float = 0.1
    weight_decay: float = 1e-4
    warmup: int = 0
    clip: float = 0.0
    ema: float = 0.0
    momentum: float = 0.0

    def _check(self) -> None:
        if len(self.latent) < 2 or min(self.latent) < 1:
            raise UsageError(f"latent={self.latent} must name two hidden layers or more, such as (128, 64); RBM has one.")
        for name in ("sweeps", "draws", "burn", "batch"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}={getattr(self, name)} must be 1 or more.")
        self._by_hand("momentum")

    def _build(self) -> None:
        below = [visible_units(self.space_), *[Binary(width) for width in self.latent[:-1]]]
        layers = [
            Restricted(units, width, self.batch, sweeps=self.sweeps, decay=self.weight_decay)
            for units, width in zip(below, self.latent, strict=True)
        ]
        self.net_ = nn.ModuleList(layers)

    @property
    def _layers(self) -> list[Restricted]:
        return [layer for layer in self.net_ if isinstance(layer, Restricted)]

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        data, self.history_ = drawn(x), []
        for depth, layer in enumerate(self._layers):
            some = data[torch.randint(len(data), (min(len(data), 10_000),))]
            layer.begin(torch.cat([self._up(part, depth) for part in some.split(self.chunk)]).mean(0))

            def step(x: Tensor, rate: float, layer: Restricted = layer, depth: int = depth) -> Tensor:
                return layer.learn(self._up(x, depth), rate)

            self.history_ += [row | {"layer": depth + 1} for row in ascend(layer, step, data, recipe=self, run=run)]
        self.net_.requires_grad_(False)

    def _up(self, x: Tensor, depth: int) -> Tensor:
        """Zeros and ones drawn of hidden layer `depth` given items, layer by layer; the visible units at 0."""
        h = visible_rows(self._layers[0].units, x)
        with torch.no_grad():
            for layer in self._layers[:depth]:
                p = torch.addmm(layer.hidden, h, layer.weight).sigmoid_()
                h = torch.rand_like(p).lt_(p)
        return h

    # -- the verbs' hooks ---------------------------------------------------------------------------------

    def partition(self, *, chains: int = 200, steps: int = 2000, seed: int | None = None) -> LogZ:
        """log Z of the top machine with its standard error, bracket and doubts; kept in `log_z_`.

        Parameters
        ----------
        chains: annealed side by side. steps: temperatures. seed: the model's own when None.
        """
        top = self._layers[-1]
        with dice.private(dice.derive(self.seed, "log_z") if seed is None else seed), torch.no_grad():
            near = top.units.mode(torch.addmm(top.visible, top.chain, top.weight.T))
            found = log_z(top.machine, top.path.start, chains=chains, steps=steps, near=near)
        self.log_z_: dict[str, Any] = found.to_json()
        return found

    def _estimate(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        found = LogZ(**self.log_z_) if hasattr(self, "log_z_") else self.partition()
        found.warn(type(self).__name__)
        value = torch.stack([self._joint(x) for _ in range(self.draws)]).mean(0) - found.value
        return value, torch.full_like(value, found.error)

    def _joint(self, x: Tensor) -> Tensor:
        """log p(v | h₁) + … − free energy of the top − log q(h | v), h drawn from q, (n,)."""
        h = visible_rows(self._layers[0].units, x)
        value = torch.zeros(len(x), dtype=torch.float64)
        for layer in self._layers[:-1]:
            pre = torch.addmm(layer.hidden, h, layer.weight)
            up = torch.rand_like(pre).lt(pre.sigmoid()).to(pre)
            value += F.binary_cross_entropy_with_logits(pre, up, reduction="none").sum(1, dtype=torch.float64)
            field = torch.addmm(layer.visible, up, layer.weight.T)
            value += (field * h).sum(1, dtype=torch.float64) - layer.units.log_partition(field) - layer.units.base(h)
            h = up
        return value - self._layers[-1].machine.free_energy(h)

    def _down(self, h: Tensor, depth: int, sharp: bool) -> Tensor:
        """Items below states of hidden layer `depth`: drawn layer by layer, or the likeliest where `sharp`."""
        for layer in reversed(self._layers[:depth]):
            field = torch.addmm(layer.visible, h, layer.weight.T)
            h = layer.units.mode(field) if sharp else layer.units.draw(field)
        return packed_items(self._layers[0].units, h, self.space_)

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        path = self._layers[-1].path
        h = path.first(n)
        half = max(1, self.burn // 2)
        for beta in torch.cat([torch.linspace(0, 1, half), torch.ones(self.burn - half)]).tolist():
            h = path.move(path.pre(h), beta)
        return self._down(h, len(self.latent) - 1, sharp=False)

    def _encode(self, x: Tensor, y: Tensor | None) -> Tensor:
        h = visible_rows(self._layers[0].units, x)
        for layer in self._layers:
            h = torch.addmm(layer.hidden, h, layer.weight).sigmoid_()
        return h.double()

    def _decode(self, z: Tensor, y: Tensor | None) -> Tensor:
        return self._down(z.float(), len(self.latent), sharp=True)

    def transform(self, X: Any) -> Any:
        """What `encode` gives, under the name scikit-learn's pipelines call."""
        return self.encode(X)
