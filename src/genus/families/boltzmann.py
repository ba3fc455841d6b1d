"""Boltzmann machines: distributions known up to a constant, learnt by telling data from the machine's own draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from sklearn.base import TransformerMixin
from torch import Tensor

from genus import dice
from genus.capability import Energy, Estimate, Latent, Partial
from genus.errors import RunError, UsageError
from genus.maths.annealing import LogZ, Path, anneal, log_mean, log_z
from genus.maths.harmonium import enumerate_log_z
from genus.maths.quantise import Packed, drawn
from genus.maths.units import Categories
from genus.nets.restricted import Restricted
from genus.nets.visible import closed, packed_items, seen_rows, visible_rows, visible_units
from genus.space import Record
from genus.train.ascend import ascend
from genus.train.recipe import Recipe
from genus.train.run import Run

QUICK = 2**23  # numbers an enumeration may touch while training
GUARD = 1000  # steps between looks at the likelihood
WATCHED = 500  # items looked at
SPARSE = 1 / 3  # share of missing cells above which they are unseen instead of a level


@dataclass(kw_only=True, eq=False, repr=False)
class RBM(TransformerMixin, Recipe, Energy, Estimate, Latent, Partial):
    """A restricted Boltzmann machine: p(v, h) = exp(b·v + c·h + v W h − base(v)) / Z.

    Hidden zeros and ones h are independent given the visible v, and v given h. Visible units are binary, categories
    (softmax units, one group a cell) or real (normal, their variances learnt). Training compares data with chains of
    the machine itself. The energy of an item is exact up to log Z; `log_prob_estimate` adds log Z, summed exactly where
    the smaller layer has at most 20 bits and else annealed, with a warning when that is not to be trusted. `encode` (for
    pipelines `transform`) gives p(h | v), `decode` the likeliest items. Samples come from chains begun at the data's
    means, not at data, and cooled over the first half of their sweeps. Fields of the recipe that need a graph of gradients
    (net, size, optimizer, beta2, clip, dropout, precision) are refused.

    Parameters
    ----------
    latent: hidden units. method: where the model's side of the gradient comes from: "persistent" chains, "contrastive"
    divergence (chains begun at the batch) or parallel "tempering". sweeps: of Gibbs sampling a step. chains: that are
    kept, as many as a batch has when None. rungs: temperatures of "tempering". centred: take the centred gradient.
    missing: cells of a record are a "level" of their own, or "unseen" (each item is then a machine over what it shows, by
    contrastive divergence; no likelihoods): "auto" takes that where over a third of the cells are missing, as in ratings.
    burn: sweeps of a sample or a completion. momentum: of the weights' velocity. lr: of discrete units; real ones take
    three tenths of it.

    Attributes
    ----------
    net_: weight (D, H), visible (D,), hidden (H,), log_rate (D,) of real items, and the chains. log_z_: what `partition`
    found, once it was asked for.

    Reference: P. Smolensky 1986; G. Hinton 2012, A practical guide to training restricted Boltzmann machines,
    https://doi.org/10.1007/978-3-642-35289-8_32; further ones stand at nets.restricted and maths.annealing.

    >>> import numpy as np
    >>> model = RBM(latent=4, steps=20).fit(np.random.default_rng(0).random((100, 3, 3)) > 0.5)
    >>> model.partition().method
    'enumeration'
    """

    accepts: ClassVar[tuple[str, ...]] = ("binary", "category", "levels", "record", "real")
    default_steps: ClassVar[int] = 6000

    latent: int = 128
    method: Literal["persistent", "contrastive", "tempering"] = "persistent"
    sweeps: int = 1
    chains: int | None = None
    rungs: int = 10
    centred: bool = True
    missing: Literal["auto", "level", "unseen"] = "auto"
    burn: int = 200
    batch: int = 100
    lr: float = 0.1
    momentum: float = 0.0
    weight_decay: float = 1e-4
    warmup: int = 0
    clip: float = 0.0
    ema: float = 0.0

    def _check(self) -> None:
        for name in ("latent", "sweeps", "burn", "rungs", "batch"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}={getattr(self, name)} must be 1 or more.")
        if self.chains is not None and self.chains < 1:
            raise UsageError(f"chains={self.chains} must be 1 or more, or None for as many as a batch has.")
        if self.method not in ("persistent", "contrastive", "tempering"):
            raise UsageError(f"method={self.method!r} is not one of persistent, contrastive, tempering.")
        if self.method == "tempering" and self.rungs < 2:
            raise UsageError("method='tempering' needs at least 2 rungs.")
        self._by_hand()

    # -- items and visible units --------------------------------------------------------------------------

    def _build(self) -> None:
        units, chains = visible_units(self.space_, getattr(self, "unseen_", False)), self.chains or self.batch
        self.net_ = Restricted(
            units, self.latent, chains, method=self.method, rungs=self.rungs, sweeps=self.sweeps, centred=self.centred,
            momentum=self.momentum, decay=self.weight_decay,
        )  # fmt: skip

    def _enter(self, x: Tensor) -> Tensor:
        """Packed items as visible units (n, D)."""
        rows = visible_rows(self.net_.units, x)
        return rows * self.net_.rate if self.space_.kind == "real" else rows

    def _leave(self, v: Tensor) -> Tensor:
        """Visible units as packed items."""
        return packed_items(self.net_.units, v / self.net_.rate if self.space_.kind == "real" else v, self.space_)

    # -- fitting ------------------------------------------------------------------------------------------

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        if self._gaps(x):
            self._fit_seen(drawn(x), run)
            return
        net = self.net_
        if isinstance(x, Tensor) and self.space_.kind == "binary":
            x = x.to(torch.uint8)
        rows = torch.arange(len(x)).split(self.chunk)
        net.begin(torch.stack([self._enter(x[i]).double().sum(0) for i in rows]).sum(0).float() / len(x))
        lr = 0.3 if self.space_.kind == "real" else 1.0
        held_out = drawn((run.validation[0] if run.validation else x)[:WATCHED])
        guard, done = _Guard(self, held_out), 0

        def step(x: Tensor, rate: float) -> Tensor:
            nonlocal done
            done, self._log_z = done + 1, None
            gap = net.learn(self._enter(x), rate * lr)
            if done % GUARD == 0:
                guard.look(done)
            return gap

        self._log_z: float | None = None
        exact = net.machine.bits < 40 and 2**net.machine.bits * net.units.count <= QUICK
        self.history_ = ascend(net, step, x, recipe=self, run=run, evaluate=self._validate if exact else None)
        guard.look(done)
        net.requires_grad_(False)

    def _gaps(self, x: Packed) -> bool:
        """Whether missing cells are unseen; decided when fitting, and kept."""
        self.unseen_ = False
        if not isinstance(self.space_, Record) or self.missing == "level":
            return False
        holes = torch.tensor([-1 if cell.missing is None else cell.missing for _, cell in self.space_.fields])
        self.unseen_ = self.missing == "unseen" or bool((drawn(x) == holes).double().mean() > SPARSE)
        return self.unseen_

    def _fit_seen(self, x: Tensor, run: Run) -> None:
        """Contrastive divergence where each item shows only some of the cells."""
        self._build()
        net, units = self.net_, self.net_.units
        assert isinstance(units, Categories)
        total, count = torch.zeros(units.count), torch.zeros(units.count)
        for rows in x.split(self.chunk):
            v, mask = seen_rows(units, rows)
            total, count = total + v.sum(0), count + mask.sum(0)
        self.shown_ = count[units.first] / len(x)
        net.begin((total + 1) / (count + torch.repeat_interleave(units.sizes, units.sizes)))
        net.weight.data.normal_(0, 0.01)

        def step(x: Tensor, rate: float) -> Tensor:
            return net.learn_seen(*seen_rows(units, x), rate)

        self.history_ = ascend(net, step, x, recipe=self, run=run, evaluate=self._surprise)
        net.requires_grad_(False)

    def _surprise(self, x: Tensor, y: Tensor | None) -> Tensor:
        """−log p of a held-out tenth of the cells that each item shows, given the others, a cell, (n,)."""
        units = self.net_.units
        assert isinstance(units, Categories)
        held = (x < units.sizes) & (torch.rand(x.shape) < 0.1)
        p = self._predicted(torch.where(held, units.sizes, x)).gather(2, x.clamp(max=units.widest - 1)[..., None])[..., 0]
        return -(p.clamp_min(1e-9).log() * held).sum(1) / held.sum(1).clamp_min(1)

    def _seen(self, x: Tensor) -> Tensor:
        """The visible units of what x shows."""
        units = self.net_.units
        assert isinstance(units, Categories)
        return seen_rows(units, x)[0]

    def _predicted(self, x: Tensor) -> Tensor:
        """p(level of each cell | cells that x shows) by the hidden units' means, (n, cells, levels)."""
        net, units = self.net_, self.net_.units
        assert isinstance(units, Categories)
        p = torch.addmm(net.hidden, self._seen(x), net.weight).sigmoid_()
        return units.table(torch.addmm(net.visible, p, net.weight.T)).softmax(-1)

    def predictive(self, X: Any) -> Any:
        """p(level of each cell | what the item shows), (n, cells, levels), of a machine over ratings.

        Raises UsageError where missing cells are a level of their own: complete(X) fills them there.
        """
        if not self.unseen_:
            raise UsageError("predictive wants an RBM fitted with missing='unseen': complete(X) fills missing cells otherwise.")
        with dice.private(0), torch.no_grad():
            x = drawn(self._packed_items(X))
            return torch.cat([self._predicted(rows) for rows in x.split(256)]).numpy()

    def _validate(self, x: Tensor, y: Tensor | None) -> Tensor:
        """−log p of held-out items, log Z summed once for all of them."""
        if self._log_z is None:
            self._log_z = enumerate_log_z(self.net_.machine, torch.float32)
        return self._energy(x, y) + self._log_z

    # -- the verbs' hooks ---------------------------------------------------------------------------------

    def _energy(self, x: Tensor, y: Tensor | None) -> Tensor:
        self._whole()
        return self.net_.machine.free_energy(self._enter(x)) - self.net_.log_rate.detach().double().sum()

    def _whole(self) -> None:
        if getattr(self, "unseen_", False):
            raise UsageError("An RBM with missing='unseen' has another log Z for each set of shown cells, so no likelihoods.")

    def partition(self, *, chains: int = 200, steps: int = 2000, seed: int | None = None) -> LogZ:
        """log Z with its standard error, bracket and doubts; kept in `log_z_`, which `log_prob_estimate` reads.

        Parameters
        ----------
        chains: annealed side by side. steps: temperatures. seed: the model's own when None.
        """
        self._whole()
        net = self.net_
        near = None if net.method == "tempering" else net.chain
        with dice.private(dice.derive(self.seed, "log_z") if seed is None else seed), torch.no_grad():
            v = net.chain if near is None else net.units.mode(torch.addmm(net.visible, near, net.weight.T))
            found = log_z(net.machine, net.path.start, chains=chains, steps=steps, near=v)
        self.log_z_: dict[str, Any] = found.to_json()
        return found

    def _estimate(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        found = LogZ(**self.log_z_) if hasattr(self, "log_z_") else self.partition()
        found.warn(type(self).__name__)
        value = -self._energy(x, y) - found.value
        return value, torch.full_like(value, found.error)

    def _anneal(self, v: Tensor, keep: Tensor | None = None, shut: Tensor | None = None) -> Tensor:
        """Gibbs sweeps, the first half heated from β = 0 to 1; `keep` marks entries that stay, `shut` is added to fields."""
        path, half = self.net_.path, max(1, self.burn // 2)
        if shut is not None:
            path = Path(path.machine, path.start + shut)
            path.machine.visible = path.machine.visible + shut
            v = v if keep is None else torch.where(keep, v, path.first(len(v)))
        for beta in torch.cat([torch.linspace(0, 1, half), torch.ones(self.burn - half)]).tolist():
            new = path.move(path.pre(v), beta)
            v = new if keep is None else torch.where(keep, v, new)
        return v

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        x, units = self._leave(self._anneal(self.net_.path.first(n))), self.net_.units
        if getattr(self, "unseen_", False) and isinstance(units, Categories):
            x = torch.where(torch.rand(x.shape) < self.shown_, x, units.sizes)
        return x

    def _encode(self, x: Tensor, y: Tensor | None) -> Tensor:
        net = self.net_
        if getattr(self, "unseen_", False):
            return torch.addmm(net.hidden, self._seen(x), net.weight).sigmoid_()
        return torch.addmm(net.hidden.double(), self._enter(x).double(), net.weight.double()).sigmoid()

    def _decode(self, z: Tensor, y: Tensor | None) -> Tensor:
        net = self.net_
        return self._leave(net.units.mode(torch.addmm(net.visible, z, net.weight.T)))

    def transform(self, X: Any) -> Any:
        """What `encode` gives, under the name scikit-learn's pipelines call."""
        return self.encode(X)

    def _complete(self, x: Tensor, known: Tensor, y: Tensor | None) -> Tensor:
        units, mask = self.net_.units, known.reshape(len(x), -1)
        if getattr(self, "unseen_", False) and isinstance(units, Categories):
            h = self._encode(x, None)
            field = torch.addmm(self.net_.visible, torch.rand_like(h).lt(h).float(), self.net_.weight.T)
            return torch.where(known, x, units.levels(units.draw(field)))
        if isinstance(units, Categories):
            mask = torch.repeat_interleave(mask, units.sizes, 1)
        v = self._anneal(self._enter(x), mask, closed(self.space_, units.count))
        return torch.where(known, x, self._leave(v))


class _Guard:
    """Stops a fit whose likelihood has fallen below that of independent entries.

    A pseudo-likelihood or reconstruction error does not tell; log Z does, summed where that is quick, else by a short
    annealing, which is too kind rather than too strict, so that an alarm is earned.
    """

    def __init__(self, model: RBM, x: Tensor) -> None:
        self.model, self.x = model, x
        path = model.net_.path
        v = model._enter(x)
        log_p = (v @ path.start).double() - path.machine.units.log_partition(path.start[None]) - path.machine.units.base(v)
        self.independent = float(log_p.mean())

    def look(self, step: int) -> None:
        """Raise a RunError if the machine is clearly worse than independent entries."""
        model, net = self.model, self.model.net_
        with dice.private(0), torch.no_grad():
            machine, path = net.machine, net.path
            if machine.bits < 40 and 2**machine.bits * net.units.count <= QUICK:
                total = enumerate_log_z(machine, torch.float32)
            else:
                weight, _ = anneal(path, torch.linspace(0, 1, 100), path.first(50))
                mean, error, _ = log_mean(weight)
                total = path.log_z_start + mean - 3 * error
            value = float(-model._energy(self.x.to(net.weight.device), None).mean()) - total
        if not value > self.independent - 1 - 0.05 * abs(self.independent):
            raise RunError(
                f"Training diverges: at step {step} the held-out log-likelihood is {value:.4g} nats an item, below the "
                f"{self.independent:.4g} of independent entries: try lr={model.lr / 5:.2g}, more sweeps or method='tempering'."
            )
