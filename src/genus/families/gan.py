"""GAN: a generator taught by a critic that tries to tell its samples from the data."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from genus.capability import Conditional
from genus.errors import UsageError
from genus.maths.quantise import Fuzzy, Packed
from genus.nets.critic import Critic
from genus.nets.default import half, is_image
from genus.nets.generator import generator_for, pictured
from genus.space import Space
from genus.train.duel import duel
from genus.train.recipe import Recipe
from genus.train.run import Run

COMPONENTS = 64
COLLAPSED = 0.5  # samples that spread less than this share of the data's spread raise the alarm


@dataclass(kw_only=True, eq=False, repr=False)
class GAN(Recipe, Conditional):
    """The generative adversarial network: x = G(z), z from a learnt mixture of normals, against a critic D.

    nonsaturating: D minimises s(−D(x)) + s(D(G(z))) and G minimises s(−D(G(z))), s the softplus.
    relativistic: D minimises s(D(G(z)) − D(x)) and G minimises s(D(x) − D(G(z))), of pairs; dropping a mode costs.
    wasserstein: D minimises D(G(z)) − D(x) and G minimises −D(G(z)).

    The first two are tamed by zero-centred gradient penalties (weight/2) E‖∇D‖² on real and generated items, the
    last by weight · E(‖∇D‖ − 1)² between them. A GAN has no likelihood and no encoder: it only samples.

    Parameters
    ----------
    latent: numbers in z. components: normals that z is a mixture of, with learnt means and deviations; 1 for plain noise.
    loss: as above. penalty: its weight. penalty_every: critic turns from one zero-centred penalty to the next, whose
    weight grows in proportion.
    critic_turns: of the critic for one of the generator. minibatch_std: let the critic see how much a group of
    items varies, against mode collapse. The Space chooses what is None; batch, lr and steps too.

    Attributes
    ----------
    net_: the generator, its averaged weights. A net of your own maps z (n, latent_) and y (n, condition) or None to items
    (n, *space); a bounded Space then passes them through a tanh. latent_: numbers in z.
    edges_: the smallest and the largest value of bounded data, at which the tanh saturates.
    spread_: standard deviation of samples over that of the data.

    References: I. Goodfellow et al. 2014, Generative adversarial nets, https://arxiv.org/abs/1406.2661 ·
    L. Mescheder et al. 2018, Which training methods for GANs do actually converge?, https://arxiv.org/abs/1801.04406 ·
    I. Gulrajani et al. 2017, Improved training of Wasserstein GANs, https://arxiv.org/abs/1704.00028 ·
    A. Jolicoeur-Martineau 2018, The relativistic discriminator, https://arxiv.org/abs/1807.00734 ·
    T. Karras et al. 2018, Progressive growing of GANs (minibatch deviation), https://arxiv.org/abs/1710.10196 ·
    S. Gurumurthy et al. 2017, DeLiGAN (mixture of normals), https://arxiv.org/abs/1706.02071
    """

    accepts: ClassVar[tuple[str, ...]] = ("real",)
    holds_out: ClassVar[bool] = False

    latent: int | None = None
    components: int | None = None
    loss: Literal["nonsaturating", "relativistic", "wasserstein"] = "relativistic"
    penalty: float | None = None
    penalty_every: int = 4
    critic_turns: int = 1
    minibatch_std: bool | None = None
    batch: int | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    lr: float | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    momentum: float = 0.0
    beta2: float = 0.99
    weight_decay: float = 0.0
    clip: float = 0.0
    ema: float = 0.995

    def _check(self) -> None:
        if self.latent is not None and self.latent < 1:
            raise UsageError(f"latent counts the numbers in z: give 1 or more, not {self.latent}.")
        if self.components is not None and self.components < 1:
            raise UsageError(f"components counts the normals of z: give 1 or more, not {self.components}.")
        if self.loss not in ("nonsaturating", "relativistic", "wasserstein"):
            raise UsageError(f"loss is 'nonsaturating', 'relativistic' or 'wasserstein', not {self.loss!r}.")
        if self.penalty_every < 1 or self.critic_turns < 1:
            raise UsageError(f"penalty_every and critic_turns are 1 or more, not {self.penalty_every} and {self.critic_turns}.")
        if self.penalty is not None and self.penalty < 0:
            raise UsageError(f"penalty is a weight of 0 or more, not {self.penalty}.")

    @property
    def default_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """10000 for vectors, 4000 for images under 12 pixels, 3000 for larger ones."""
        if not hasattr(self, "space_") or not self._image:
            return 10000
        return 3000 if pictured(self.space_) else 4000

    @property
    def _image(self) -> bool:
        return is_image(self.space_)

    def _build(self) -> None:
        assert isinstance(self.space_, Space)
        self.latent_ = self.latent or (64 if pictured(self.space_) else max(8, min(32, self.space_.size)))
        options = {
            "size": self.size,
            "condition": self.width_y,
            "components": self.components or (1 if self._image else COMPONENTS),
        }
        self.net_: nn.Module = self._own_net(self.space_, self.width_y) or generator_for(self.space_, self.latent_, **options)

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        x = _middle(x) if self._image and isinstance(x, Fuzzy) else x
        self.edges_ = _edges(x) if getattr(self.space_, "bounds", None) else None
        deviation = self._image if self.minibatch_std is None else self.minibatch_std
        self._critic = Critic(self.space_, size=self.size, condition=self.width_y, minibatch_std=deviation)
        turns = {"critic": (self.critic_turns, self._critic_loss), "generator": (1, self._generator_loss)}
        players = {"critic": self._critic, "generator": self.net_}
        rate = self.lr or (5e-4 if pictured(self.space_) else 1e-3)
        recipe = replace(self, batch=self.batch or (64 if self._image else 256), lr=rate)
        recipe.space_ = self.space_
        self.history_ = duel(players, turns, x, y, recipe=recipe, run=run, averaged="generator")
        self._take_stock(x, y)
        del self._critic

    def _half(self, device: torch.device) -> AbstractContextManager[object]:
        """Half the digits for images; the modes of vectors can be finer than a bfloat16."""
        return half(device, self.precision) if self._image else nullcontext()

    # -- the two losses -----------------------------------------------------------------------------------

    def _critic_loss(self, x: Tensor, y: Tensor | None) -> Tensor:
        critic = self._critic
        with self._half(x.device):
            with torch.no_grad():
                fake = self._generate(len(x), y, x.device)
            real_score, fake_score = critic(x, y).float(), critic(fake, y).float()
        loss = self._contest(real_score, fake_score).mean()
        every = 1 if self.loss == "wasserstein" else self.penalty_every  # its critic runs away without one
        if critic.turn() % every == 0 and self._penalty_weight():
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
        with self._half(x.device):
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
            return 10.0 if self._image else 1.0
        return 0.01 if not self._image else 0.3 if pictured(self.space_) else 1.0

    # -- samples ------------------------------------------------------------------------------------------

    def _generate(self, n: int, y: Tensor | None, device: torch.device | str = "cpu") -> Tensor:
        x = self.net_(torch.randn(n, self.latent_, device=device), y).float()
        if self.edges_ is None:
            return x
        low, high = self.edges_
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
                "or take minibatch_std=True and loss='relativistic'.",
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


def _edges(x: Packed) -> list[float]:
    """The range that up to 4,096 items span: a blank background is then where the tanh saturates, not near it."""
    some = x[torch.randperm(len(x))[:4096]]
    return [float(some.min()), float(some.max())]
