"""VAE: a deep latent variable model, fitted by the evidence lower bound."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from genus.capability import Bound, Conditional, Latent
from genus.errors import UsageError
from genus.maths.quantise import Packed
from genus.nets.default import decoder_for, encoder_for, half, is_image
from genus.nets.heads import Head, head_for
from genus.space import AnySpace
from genus.train.descend import descend
from genus.train.recipe import Recipe
from genus.train.run import Run

ACTIVE = 0.01  # a unit whose mean code varies less than this over the data is dead (Burda et al. 2016)


@dataclass(kw_only=True, eq=False, repr=False)
class VAE(Recipe, Bound, Latent, Conditional):
    """The variational autoencoder: z ~ N(0, I), x ~ p(x | z), with a learnt approximate posterior q(z | x).

    log p(x) ≥ E_q [log p(x | z)] − β KL(q(z | x) ‖ N(0, I)),   q(z | x) = N(μ(x), diag σ²(x)).

    The likelihood fits the data: Bernoulli for binary entries, categorical for up to 32 levels, a discretised
    mixture of logistics for more, softmax cells for tables, normal with learnt variance for reals. The bound is
    always that of the model itself (β = 1, temperature 1), whatever the training weighs.

    Parameters
    ----------
    latent: numbers in a code; chosen by the Space when None. beta: weight of the KL, 1 for the bound itself.
    kl_warmup: steps over which the weight of the KL grows from 0. free_bits: nats a latent unit may cost freely.
    temperature: of p(x | z) in `sample` only; 1 samples the model, smaller draws entries nearer to their mode,
    which looks cleaner and varies less than what the bound scores; 0 gives the mode given z.
    floor: the smallest standard deviation of a real entry, in units of its own. lr: 2e-3 for real vectors, else 1e-3.

    Attributes
    ----------
    net_: the Coder: encoder, decoder and head. A net of your own is one, Coder(latent, head, encoder, decoder).
    active_: how many latent units the data use. kl_: (latent,) nats a unit.

    Reference: D. P. Kingma and M. Welling 2014, Auto-encoding variational Bayes, https://arxiv.org/abs/1312.6114
    """

    accepts: ClassVar[tuple[str, ...]] = ("levels", "binary", "category", "record", "real")
    private: ClassVar[bool] = True

    lr: float | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    latent: int | None = None
    beta: float = 1.0
    kl_warmup: int = 300
    free_bits: float = 0.0
    temperature: float = 1.0
    floor: float = 0.01

    def _check(self) -> None:
        if self.latent is not None and self.latent < 1:
            raise UsageError(f"latent counts the numbers in a code: give 1 or more, not {self.latent}.")
        for name in ("beta", "kl_warmup", "free_bits", "temperature"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must be 0 or more, not {getattr(self, name)}.")
        if self.floor <= 0:
            raise UsageError(f"floor is a standard deviation: give a positive number, not {self.floor}.")

    def _build(self) -> None:
        own = self._own_net(self.space_, self.width_y, ("latent", "posterior", "decoder", "head", "warm", "moved"))
        self.net_: Coder = own or self._coder()

    @property
    def default_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """3000 for real vectors, whose steps are cheap, else 1500."""
        return 3000 if self._vector else 1500

    @property
    def _vector(self) -> bool:
        return hasattr(self, "space_") and self.space_.kind == "real" and not is_image(self.space_)

    def _coder(self) -> Coder:
        latent, head = self.latent or _latent_for(self.space_), head_for(self.space_, floor=self.floor)
        options: dict[str, Any] = {"size": self.size, "condition": self.width_y, "dropout": self.dropout}
        encoder = encoder_for(self.space_, 2 * latent, **options)
        return Coder(latent, head, encoder, decoder_for(self.space_, latent, head.raw, **options))

    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        rows = torch.arange(min(len(x), 2048))
        some, cond = x[rows], None if y is None else y[rows]
        recipe = replace(self, lr=self.lr or (2e-3 if self._vector else 1e-3))
        recipe.space_, recipe.codec_, recipe.condition_ = self.space_, self.codec_, self.condition_
        watch = {"evaluate": self._negative_bound, "watch": lambda: self._units(some, cond)}
        self.history_ = descend(self.net_, self._loss, x, y, recipe=recipe, run=run, **watch)
        self.net_.eval()
        if self.epsilon is None:
            self._take_stock(some, cond)
        else:
            self.privacy_ = recipe.privacy_

    def _loss(self, x: Tensor, y: Tensor | None) -> Tensor:
        net = self.net_
        with half(x.device, "f32" if self._vector else self.precision):
            mean, log_scale = net.posterior(x, y)
            z = mean + log_scale.exp() * torch.randn_like(mean)
            raw = net.decoder(z, y).float()
        kl = _kl(mean, log_scale)
        if self.free_bits:
            kl = torch.where(kl.mean(0) > self.free_bits, kl, self.free_bits)
        weight = self.beta * net.warm(self.kl_warmup)
        return weight * kl.sum(1) - net.head.log_prob(raw, x)

    def _negative_bound(self, x: Tensor, y: Tensor | None) -> Tensor:
        return -self._bound(x, y, 1)

    def _bound(self, x: Tensor, y: Tensor | None, draws: int) -> Tensor:
        """log (1/K) Σₖ p(x | zₖ) p(zₖ) / q(zₖ | x) with K draws; for K = 1 the KL is taken in closed form.

        Reference: Y. Burda, R. Grosse and R. Salakhutdinov 2016, Importance weighted autoencoders,
        https://arxiv.org/abs/1509.00519
        """
        net = self.net_
        x, y = net.moved(x), net.moved(y)
        mean, log_scale = net.posterior(x, y)
        if draws == 1:
            z = mean + log_scale.exp() * torch.randn_like(mean)
            return net.head.log_prob(net.decoder(z, y), x) - _kl(mean, log_scale).sum(1)
        total = torch.full((len(x),), -torch.inf, device=mean.device)
        for _ in range(draws):
            eps = torch.randn_like(mean)
            z = mean + log_scale.exp() * eps
            log_ratio = (log_scale + 0.5 * (eps.square() - z.square())).sum(1)
            total = torch.logaddexp(total, net.head.log_prob(net.decoder(z, y), x) + log_ratio)
        return total - math.log(draws)

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        net = self.net_
        z = net.moved(torch.randn(n, net.latent))
        return net.head.sample(net.decoder(z, net.moved(y)), self.temperature).cpu()

    def _encode(self, x: Tensor, y: Tensor | None) -> Tensor:
        return self.net_.posterior(self.net_.moved(x), self.net_.moved(y))[0]

    def _decode(self, z: Tensor, y: Tensor | None) -> Tensor:
        net = self.net_
        if z.dim() != 2 or z.shape[1] != net.latent:
            raise UsageError(
                f"A code of this model is {net.latent} numbers: give an array (n, {net.latent}), not {tuple(z.shape)}."
            )
        return net.head.mode(net.decoder(net.moved(z), net.moved(y))).cpu()

    def _units(self, x: Tensor, y: Tensor | None) -> dict[str, float]:
        """The KL of a code, in nats, and how many latent units are in use."""
        with torch.no_grad():
            mean, log_scale = self.net_.posterior(self.net_.moved(x), self.net_.moved(y))
        self.kl_ = _kl(mean, log_scale).mean(0).cpu()
        self.active_ = int((mean.var(0) > ACTIVE).sum())
        return {"kl": float(self.kl_.sum()), "active_units": self.active_}

    def _take_stock(self, x: Tensor, y: Tensor | None) -> None:
        """Count the latent units in use at the end; warn where none is."""
        entry: dict[str, Any] = self._units(x, y)
        self.history_ = [*self.history_[:-1], {**(self.history_[-1] if self.history_ else {}), **entry}]
        if self.active_ == 0:
            warnings.warn(
                f"Posterior collapse: none of the {self.net_.latent} latent units is in use, so that every code means the same; "
                "train longer, raise free_bits (0.1) or lower beta (0.5).",
                stacklevel=4,
            )


class Coder(nn.Module):
    """The nets of a VAE, and how many steps they have been trained.

    Parameters
    ----------
    latent: numbers in a code. head: p(x | raw). encoder: x, y ↦ (n, 2 latent), means and log deviations of q(z | x).
    decoder: z, y ↦ raw (n, *head.raw).
    """

    steps: Tensor

    def __init__(self, latent: int, head: Head, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.latent, self.head, self.encoder, self.decoder = latent, head, encoder, decoder
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def posterior(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of q(z | x), each (n, latent)."""
        mean, log_scale = self.encoder(x, y).float().chunk(2, 1)
        return mean, log_scale.clamp(-8.0, 4.0)

    def warm(self, over: int) -> float:
        """The weight of the KL, growing from 0 to 1 `over` training steps; counted in a buffer, so that it resumes."""
        if self.training:
            self.steps += 1
        return min(1.0, int(self.steps) / over) if over else 1.0

    def moved(self, x: Any) -> Any:
        """x where the parameters are."""
        return None if x is None else x.to(next(self.parameters()).device)


def _kl(mean: Tensor, log_scale: Tensor) -> Tensor:
    """KL(N(mean, e^(2 log_scale)) ‖ N(0, 1)) of each unit, in nats, (n, latent)."""
    return 0.5 * (mean.square() + (2 * log_scale).exp() - 1) - log_scale


def _latent_for(space: AnySpace) -> int:
    """32 for images, 16 for small ones; for vectors and records about as many as entries, 4 to 32."""
    if is_image(space):
        return 32 if space.size > 256 else 16
    return max(4, min(32, space.size))
