"""Coder: the nets of a variational autoencoder, q(z | x), p(x | z) and p(z), and how codes are drawn and weighed."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from genus.maths.bijection import Bijection
from genus.nets.heads import Head
from genus.nets.prior import Normal, Prior, log_normal


class Codes(NamedTuple):
    """Codes drawn for n items, k each.

    Attributes
    ----------
    z: (k, n, latent). log_ratio: log p(z) − log q(z | x), (k, n), nats. kl: KL(q ‖ p) of each unit (n, latent), nats, where
    it is known in closed form, else None.
    """

    z: Tensor
    log_ratio: Tensor
    kl: Tensor | None


class Coder(nn.Module):
    """The nets of a VAE, and how many steps they have been trained.

    Parameters
    ----------
    latent: numbers in a code. head: p(x | raw). encoder: x, y ↦ (n, 2 latent + context), means and log deviations of
    q(z | x), and what its flow is told. decoder: z, y ↦ raw (n, *head.raw). prior: p(z), the standard normal when None.
    flow: z₀ ↦ z, so that q(z | x) is not normal (Rezende and Mohamed 2015, https://arxiv.org/abs/1505.05770), or None.
    """

    steps: Tensor

    def __init__(
        self, latent: int, head: Head, encoder: nn.Module, decoder: nn.Module, prior: Prior | None = None,
        flow: Bijection | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.latent, self.head, self.encoder, self.decoder = latent, head, encoder, decoder
        self.prior, self.flow = prior or Normal(latent), flow
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def posterior(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of q(z₀ | x), each (n, latent)."""
        return split(self.encoder(x, y).float()[:, : 2 * self.latent])

    def codes(self, x: Tensor, y: Tensor | None, k: int = 1, *, sharp: bool = False) -> Codes:
        """k codes an item drawn from q(z | x).

        With `sharp`, log q is taken as if its parameters were constants, so that gradients reach the encoder through z alone
        (Roeder et al. 2017, https://arxiv.org/abs/1703.09194; Tucker et al. 2018, https://arxiv.org/abs/1810.04152).
        """
        told = self.encoder(x, y).float()
        mean, log_scale = split(told[:, : 2 * self.latent])
        z = mean + log_scale.exp() * torch.randn(k, *mean.shape, device=mean.device)
        if self.flow is None:
            log_q = log_normal(z, mean.detach(), log_scale.detach()) if sharp else log_normal(z, mean, log_scale)
        else:
            context = told[:, 2 * self.latent :].repeat(k, 1)
            log_q = log_normal(z, mean, log_scale)
            moved, log_det = self.flow(z.flatten(0, 1), context)
            z, log_q = moved.view(z.shape), log_q - log_det.view(log_q.shape)
        return Codes(z, self.prior.log_prob(z) - log_q, normal_kl(mean, log_scale) if self.closed else None)

    @property
    def closed(self) -> bool:
        """Whether KL(q ‖ p) has a closed form."""
        return self.flow is None and isinstance(self.prior, Normal)

    def entered(self, x: Tensor) -> Tensor:
        """Items as the encoder's first layer gives them to the rest."""
        return self.encoder.enter(x)  # pyright: ignore[reportCallIssue]

    def read(self, entered: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of q(z₀ | u) of items as the encoder's first layer gives them, each (k, latent)."""
        return split(self.encoder.body(entered).float()[:, : 2 * self.latent])  # pyright: ignore[reportCallIssue]

    def place(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The code of each item without noise, and KL(q ‖ p) of each unit, (n, latent), nats, or None without a closed form."""
        told = self.encoder(x, y).float()
        mean, log_scale = split(told[:, : 2 * self.latent])
        code = mean if self.flow is None else self.flow(mean, told[:, 2 * self.latent :])[0]
        return code, normal_kl(mean, log_scale) if self.closed else None

    def drawn(self, n: int) -> Tensor:
        """n codes of the prior, (n, latent)."""
        return self.moved(self.prior.sample(n))

    def warm(self, over: int) -> float:
        """The weight of the KL, growing from 0 to 1 `over` training steps; counted in a buffer, so that it resumes."""
        if self.training:
            self.steps += 1
        return min(1.0, int(self.steps) / over) if over else 1.0

    def moved(self, x: Any) -> Any:
        """x where the parameters are."""
        return None if x is None else x.to(next(self.parameters()).device)


def split(told: Tensor) -> tuple[Tensor, Tensor]:
    """(mean, log deviation within sensible bounds) of a normal, from the two halves of the last axis."""
    mean, log_scale = told.chunk(2, -1)
    return mean, log_scale.clamp(-8.0, 4.0)


def normal_kl(mean: Tensor, log_scale: Tensor, mean_p: Tensor | float = 0.0, log_scale_p: Tensor | float = 0.0) -> Tensor:
    """KL(N(mean, e^(2 log_scale)) ‖ N(mean_p, e^(2 log_scale_p))) of each unit, in nats, (n, latent)."""
    log_scale_p = torch.as_tensor(log_scale_p, dtype=mean.dtype, device=mean.device)
    square = ((mean - mean_p).square() + (2 * log_scale).exp()) * torch.exp(-2 * log_scale_p)
    return 0.5 * (square - 1) - log_scale + log_scale_p
