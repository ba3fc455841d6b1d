"""GAN: a generator taught by a critic that tries to tell its samples from the data."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from genus.capability import Conditional
from genus.errors import UsageError
from genus.maths.quantise import Fuzzy, Packed
from genus.nets.critic import Critic
from genus.nets.default import generator_for, half, is_image
from genus.space import Space
from genus.train.duel import duel
from genus.train.recipe import Recipe
from genus.train.run import Run

COLLAPSED = 0.5  # samples that spread less than this share of the data's spread raise the alarm


@dataclass(kw_only=True, eq=False, repr=False)
class GAN(Recipe, Conditional):
    """The generative adversarial network: x = G(z), z ~ N(0, I), against a critic D.

    nonsaturating: D minimises s(−D(x)) + s(D(G(z))) and G minimises s(−D(G(z))), s the softplus.
    relativistic: D minimises s(D(G(z)) − D(x)) and G minimises s(D(x) − D(G(z))), of pairs; dropping a mode costs.
    wasserstein: D minimises D(G(z)) − D(x) and G minimises −D(G(z)).

    The first two are tamed by zero-centred gradient penalties (weight/2) E‖∇D‖² on real and generated items, the
    last by weight · E(‖∇D‖ − 1)² between them. A GAN has no likelihood and no encoder: it only samples.

    Parameters
    ----------
    latent: numbers in z; chosen by the Space when None. loss: as above. penalty: its weight, chosen by loss and
    Space when None. penalty_every: critic turns from one zero-centred penalty to the next, whose
    weight grows in proportion.
    critic_turns: of the critic for one of the generator. minibatch_std: let the critic see how much a group of
    items varies, against mode collapse.

    Attributes
    ----------
    net_: the generator, its averaged weights. spread_: standard deviation of samples over that of the data.

    References: I. Goodfellow et al. 2014, Generative adversarial nets, https://arxiv.org/abs/1406.2661 ·
    L. Mescheder et al. 2018, Which training methods for GANs do actually converge?, https://arxiv.org/abs/1801.04406 ·
    I. Gulrajani et al. 2017, Improved training of Wasserstein GANs, https://arxiv.org/abs/1704.00028 ·
    A. Jolicoeur-Martineau 2018, The relativistic discriminator, https://arxiv.org/abs/1807.00734 ·
    T. Karras et al. 2018, Progressive growing of GANs (minibatch deviation), https://arxiv.org/abs/1710.10196
    """

    accepts: ClassVar[tuple[str, ...]] = ("real",)
    holds_out: ClassVar[bool] = False
    default_steps: ClassVar[int] = 3000

    latent: int | None = None
    loss: Literal["nonsaturating", "relativistic", "wasserstein"] = "relativistic"
    penalty: float | None = None
    penalty_every: int = 4
    critic_turns: int = 1
    minibatch_std: bool = True
    batch: int = 64
    lr: float = 1e-3
    momentum: float = 0.0
    beta2: float = 0.99
    weight_decay: float = 0.0
    clip: float = 0.0
    ema: float = 0.995

    def _check(self) -> None:
        if self.latent is not None and self.latent < 1:
            raise UsageError(f"latent counts the numbers in z: give 1 or more, not {self.latent}.")
        if self.loss not in ("nonsaturating", "relativistic", "wasserstein"):
            raise UsageError(f"loss is 'nonsaturating', 'relativistic' or 'wasserstein', not {self.loss!r}.")
        if self.penalty_every < 1 or self.critic_turns < 1:
            raise UsageError(f"penalty_every and critic_turns are 1 or more, not {self.penalty_every} and {self.critic_turns}.")
        if self.penalty is not None and self.penalty < 0:
            raise UsageError(f"penalty is a weight of 0 or more, not {self.penalty}.")

    def _build(self) -> None:
        assert isinstance(self.space_, Space)
        image = is_image(self.space_)
        self.latent_ = self.latent or (64 if image else max(8, min(64, 2 * self.space_.size)))
        self.net_ = generator_for(self.space_, self.latent_, size=self.size, condition=self.width_y, activation="leaky")

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        x = _middle(x) if is_image(self.space_) and isinstance(x, Fuzzy) else x
        self._critic = Critic(self.space_, size=self.size, condition=self.width_y, minibatch_std=self.minibatch_std)
        turns = {"critic": (self.critic_turns, self._critic_loss), "generator": (1, self._generator_loss)}
        players = {"critic": self._critic, "generator": self.net_}
        self.history_ = duel(players, turns, x, y, recipe=self, run=run, averaged="generator")
        self._take_stock(x, y)
        del self._critic

    # -- the two losses -----------------------------------------------------------------------------------

    def _critic_loss(self, x: Tensor, y: Tensor | None) -> Tensor:
        critic = self._critic
        with half(x.device, self.precision):
            with torch.no_grad():
                fake = self._generate(len(x), y, x.device)
            real_score, fake_score = critic(x, y).float(), critic(fake, y).float()
        loss = self._contest(real_score, fake_score).mean()
        every = 1 if self.loss == "wasserstein" else self.penalty_every  # its critic runs away without one
        if critic.turn() % every == 0:
            loss = loss + every * self._penalty(x, fake, y)
        return loss

    def _contest(self, real: Tensor, fake: Tensor) -> Tensor:
        match self.loss:
            case "nonsaturating":
                return softplus(-real) + softplus(fake)
            case "relativistic":
                return softplus(fake - real)
        return fake - real

    def _generator_loss(self, x: Tensor, y: Tensor | None) -> Tensor:
        with half(x.device, self.precision):
            fake = self._critic(self._generate(len(x), y, x.device), y).float()
            if self.loss == "relativistic":
                with torch.no_grad():
                    real = self._critic(x, y).float()
                return softplus(real - fake)
        return softplus(-fake) if self.loss == "nonsaturating" else -fake

    def _penalty(self, real: Tensor, fake: Tensor, y: Tensor | None) -> Tensor:
        weight = self._penalty_weight()
        with torch.autocast(real.device.type, enabled=False):
            if self.loss == "wasserstein":
                mix = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device)
                norm = self._slope(torch.lerp(real, fake, mix), y).clamp_min(1e-12).sqrt()
                return weight * (norm - 1).square().mean()
            slope = self._slope(real, y).mean()
            if self.loss == "relativistic":
                slope = slope + self._slope(fake, y).mean()
            return weight / 2 * slope

    def _slope(self, x: Tensor, y: Tensor | None) -> Tensor:
        """‖∇D(x)‖² of each item, (n,)."""
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(self._critic(x, y).sum(), x, create_graph=True)
        return gradient.square().flatten(1).sum(1)

    def _penalty_weight(self) -> float:
        if self.penalty is not None:
            return self.penalty
        if self.loss == "wasserstein":
            return 10.0 if is_image(self.space_) else 1.0
        return 0.3 if is_image(self.space_) else 0.1

    # -- samples ------------------------------------------------------------------------------------------

    def _generate(self, n: int, y: Tensor | None, device: torch.device | str = "cpu") -> Tensor:
        x = self.net_(torch.randn(n, self.latent_, device=device), y).float()
        bounds = self.space_.bounds if isinstance(self.space_, Space) else None
        if bounds is None:
            return x
        low, high = bounds
        return low + (high - low) * (torch.tanh(x) + 1) / 2

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        return self._generate(n, y)

    def _take_stock(self, x: Packed, y: Tensor | None) -> None:
        """How well the critic still tells and how far samples spread, on up to 2,048 items; warn of a collapse."""
        rows = torch.randperm(len(x))[:2048]
        with torch.no_grad():
            real, c = x[rows], None if y is None else y[rows]
            fake = self._generate(len(rows), c)
            margin = self._critic(real, c) - self._critic(fake, c)
        self.spread_ = float(fake.var(0).sum().sqrt() / real.var(0).sum().sqrt())
        last = {"critic_accuracy": float((margin > 0).float().mean()), "spread": self.spread_}
        self.history_ = [*self.history_[:-1], {**(self.history_[-1] if self.history_ else {}), **last}]
        if self.spread_ < COLLAPSED:
            warnings.warn(
                f"Mode collapse: samples spread {self.spread_:.0%} as far as the data; train longer, raise batch, "
                "or keep minibatch_std=True and loss='relativistic'.",
                stacklevel=4,
            )


class _Middle:
    """The middle of each interval, where `place` puts it."""

    def __init__(self, fuzzy: Fuzzy) -> None:
        self.place, self.shift = fuzzy.place, fuzzy.width / 2

    def __call__(self, low: Tensor) -> Tensor:
        return self.place(low + self.shift)


def _middle(x: Fuzzy) -> Fuzzy:
    """x without noise: a critic would learn to see the noise instead of the image, and there is no density to protect."""
    return Fuzzy(x.low, 0.0, _Middle(x)) if not isinstance(x.width, Tensor) else x
