"""Deep Boltzmann machines: hidden layers upon hidden layers, all of them undirected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from genus import dice
from genus.capability import Estimate, Latent, Partial
from genus.errors import UsageError
from genus.maths.annealing import LogZ, log_z
from genus.maths.quantise import Packed, drawn
from genus.maths.units import Categories
from genus.nets.deep import Deep
from genus.nets.visible import closed, packed_items, visible_rows, visible_units
from genus.train.ascend import ascend
from genus.train.recipe import Recipe
from genus.train.run import Run


@dataclass(kw_only=True, eq=False, repr=False)
class DBM(Recipe, Estimate, Latent, Partial):
    """A deep Boltzmann machine: p(v, h₁, h₂) = exp(b·v + c₁·h₁ + c₂·h₂ + v W₁ h₁ + h₁ W₂ h₂) / Z, or with more layers.

    What is inferred of a layer depends on the layers on both its sides. Training compares data, completed by mean field,
    with chains of the machine itself, centred, with no need to train the layers one by one first. `log_prob_estimate` is
    the variational bound minus log Z, annealed (exact where it is small), with a warning where that is not to be trusted:
    it estimates a lower bound. `encode` gives the mean field, all layers side by side; `complete` clamps what is known.

    Parameters
    ----------
    latent: units of each hidden layer, the nearest to the data first.
    sweeps: of Gibbs sampling a step. chains: that are kept, as many as a batch has when None.
    fields: rounds of mean field at most. burn: sweeps of a sample or a completion.

    Attributes
    ----------
    net_: the Deep. log_z_: what `partition` found, once it was asked for.

    Reference: R. Salakhutdinov and G. Hinton 2009, Deep Boltzmann machines,
    https://proceedings.mlr.press/v5/salakhutdinov09a.html; others stand at nets.deep.
    """

    accepts: ClassVar[tuple[str, ...]] = ("binary", "category", "levels", "record")
    default_steps: ClassVar[int] = 6000

    latent: tuple[int, ...] = (128, 64)
    sweeps: int = 5
    chains: int | None = None
    fields: int = 10
    burn: int = 200
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
        for name in ("sweeps", "fields", "burn", "batch"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}={getattr(self, name)} must be 1 or more.")
        self._by_hand("momentum")

    def _build(self) -> None:
        self.net_ = Deep(visible_units(self.space_), self.latent, self.chains or self.batch, sweeps=self.sweeps,
                         decay=self.weight_decay, fields=self.fields)  # fmt: skip

    def _enter(self, x: Tensor) -> Tensor:
        return visible_rows(self.net_.units, x)

    def _leave(self, even: Tensor) -> Tensor:
        """Items that the even side's first part shows."""
        return packed_items(self.net_.units, even[:, : self.net_.units.count], self.space_)

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        net, data = self.net_, drawn(x)
        rows = torch.arange(len(data)).split(self.chunk)
        net.begin(torch.stack([self._enter(data[i]).double().sum(0) for i in rows]).sum(0).float() / len(data))
        self.history_ = ascend(net, lambda x, rate: net.learn(self._enter(x), rate), data, recipe=self, run=run)
        net.requires_grad_(False)

    # -- the verbs' hooks ---------------------------------------------------------------------------------

    def partition(self, *, chains: int = 200, steps: int = 2000, seed: int | None = None) -> LogZ:
        """log Z of all layers with its standard error, bracket and doubts; kept in `log_z_`.

        Parameters
        ----------
        chains: annealed side by side. steps: temperatures. seed: the model's own when None.
        """
        pair = self.net_.pair
        with dice.private(dice.derive(self.seed, "log_z") if seed is None else seed), torch.no_grad():
            near = pair.units.mode(torch.addmm(pair.visible, pair.chain, pair.weight.T))
            found = log_z(pair.machine, pair.path.start, chains=chains, steps=steps, near=near)
        self.log_z_: dict[str, Any] = found.to_json()
        return found

    def _estimate(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        found = LogZ(**self.log_z_) if hasattr(self, "log_z_") else self.partition()
        found.warn(type(self).__name__)
        value = self.net_.bound(self._enter(x)) - found.value
        return value, torch.full_like(value, found.error)

    def _sweeps(self, even: Tensor, keep: Tensor | None = None, shut: Tensor | None = None) -> Tensor:
        """Gibbs sweeps of the even side, the first half heated from β = 0 to 1; `keep` marks what stays."""
        path, half = self.net_.pair.path, max(1, self.burn // 2)
        if shut is not None:
            path.machine.visible = path.machine.visible + shut
            path.start = path.start + shut
            even = even if keep is None else torch.where(keep, even, path.first(len(even)))
        for beta in torch.cat([torch.linspace(0, 1, half), torch.ones(self.burn - half)]).tolist():
            new = path.move(path.pre(even), beta)
            even = new if keep is None else torch.where(keep, even, new)
        return even

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        return self._leave(self._sweeps(self.net_.pair.path.first(n)))

    def _encode(self, x: Tensor, y: Tensor | None) -> Tensor:
        even, odd = self.net_.infer(self._enter(x))
        sides = (even[:, self.net_.units.count :], odd)
        used, out = [0, 0], []
        for i, width in enumerate(self.latent):
            side = i % 2 == 0
            out.append(sides[side][:, used[side] : used[side] + width])
            used[side] += width
        return torch.cat(out, 1)

    def _decode(self, z: Tensor, y: Tensor | None) -> Tensor:
        net = self.net_
        first = z[:, : self.latent[0]]
        weight = net.machine.weight[: net.units.count, : self.latent[0]]
        field = torch.addmm(net.machine.visible[: net.units.count], first, weight.T)
        return self._leave(net.units.mode(field))

    def _complete(self, x: Tensor, known: Tensor, y: Tensor | None) -> Tensor:
        units, mask = self.net_.units, known.reshape(len(x), -1)
        if isinstance(units, Categories):
            mask = torch.repeat_interleave(mask, units.sizes, 1)
        more = len(self.net_.filled)
        keep = torch.nn.functional.pad(mask, (0, more), value=False)
        shut = torch.nn.functional.pad(closed(self.space_, units.count), (0, more))
        even = self._sweeps(torch.nn.functional.pad(self._enter(x), (0, more)), keep, shut)
        return torch.where(known, x, self._leave(even))
