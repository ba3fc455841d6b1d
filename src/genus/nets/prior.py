"""Priors: densities of codes z that are trained with the net that makes the codes."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from genus.maths.bijection import ActNorm, Autoregressive, Bijection, Chain, Coupling, Permute
from genus.maths.spline import Affine
from genus.nets.autoregressive import masked_teller
from genus.nets.coupling import VectorTeller

LOG_2PI = math.log(2 * math.pi)


class Prior(nn.Module):
    """A density of codes (…, latent) that can be drawn from.

    Attributes
    ----------
    latent: numbers in a code.
    """

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = latent

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) in nats, (…)."""

    @abstractmethod
    def sample(self, n: int) -> Tensor:
        """n codes (n, latent)."""


def log_normal(z: Tensor, mean: Tensor | float = 0.0, log_scale: Tensor | float = 0.0) -> Tensor:
    """log N(z; mean, e^(2 log_scale)) summed over the last axis, nats."""
    log_scale = torch.as_tensor(log_scale, dtype=z.dtype, device=z.device)
    return (-0.5 * ((z - mean) * torch.exp(-log_scale)).square() - log_scale - 0.5 * LOG_2PI).sum(-1)


class Normal(Prior):
    """The standard normal."""

    def log_prob(self, z: Tensor) -> Tensor:
        return log_normal(z)

    def sample(self, n: int) -> Tensor:
        return torch.randn(n, self.latent)


class Mixture(Prior):
    """A mixture of normals with free weights, means and deviations: p(z) = Σₖ πₖ N(z; μₖ, σₖ²).

    Parameters
    ----------
    latent: numbers in a code. components: how many normals.
    """

    def __init__(self, latent: int, components: int) -> None:
        super().__init__(latent)
        self.logits = nn.Parameter(torch.zeros(components))
        self.mean, self.log_scale = nn.Parameter(torch.randn(components, latent)), nn.Parameter(torch.zeros(components, latent))

    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """(log weights (k,), means (k, latent), log deviations (k, latent))."""
        return self.logits.log_softmax(0), self.mean, self.log_scale.clamp(-6.0, 4.0)

    def log_prob(self, z: Tensor) -> Tensor:
        return mixed(z, *self.parts())

    def sample(self, n: int) -> Tensor:
        weight, mean, log_scale = self.parts()
        k = torch.multinomial(weight.exp(), n, replacement=True) if n else torch.zeros(0, dtype=torch.int64)
        return mean[k] + log_scale[k].exp() * torch.randn(n, self.latent, device=mean.device)


def mixed(z: Tensor, weight: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """log Σₖ e^weightₖ N(z; meanₖ, e^(2 log_scaleₖ)), (…): the squares as two products of matrices."""
    precision = torch.exp(-2 * log_scale)
    flat = z.reshape(-1, z.shape[-1])
    constant = weight - (0.5 * mean.square() * precision + log_scale).sum(1) - 0.5 * z.shape[-1] * LOG_2PI
    with torch.autocast(z.device.type, enabled=False):  # differences of large squares
        each = constant + flat @ (mean * precision).T - 0.5 * flat.square() @ precision.T
    return each.logsumexp(1).view(z.shape[:-1])


class Vamp(Prior):
    """The variational mixture of posteriors: p(z) = (1/K) Σₖ q(z | uₖ), the pseudo-inputs uₖ learnt.

    Parameters
    ----------
    latent: numbers in a code. inputs: (k, …) where the pseudo-inputs begin, as the encoder's first layer sees items.
    read: pseudo-inputs ↦ (means, log deviations) of q, each (k, latent).

    Reference: J. Tomczak and M. Welling 2018, VAE with a VampPrior, https://arxiv.org/abs/1705.07120
    """

    def __init__(self, latent: int, inputs: Tensor, read: Callable[[Tensor], tuple[Tensor, Tensor]]) -> None:
        super().__init__(latent)
        self.inputs = nn.Parameter(inputs)
        self.read = [read]  # in a list, so that the encoder is not counted twice among the modules

    def parts(self) -> tuple[Tensor, Tensor]:
        """Means and log deviations of the components, each (k, latent)."""
        return self.read[0](self.inputs)

    def log_prob(self, z: Tensor) -> Tensor:
        mean, log_scale = self.parts()
        return mixed(z, mean.new_full((len(mean),), -math.log(len(mean))), mean, log_scale)

    def sample(self, n: int) -> Tensor:
        mean, log_scale = self.parts()
        k = torch.randint(len(mean), (n,))
        return mean[k] + log_scale[k].exp() * torch.randn(n, self.latent, device=mean.device)


class Flow(Prior):
    """A normal pushed through a chain of bijections: log p(z) = log N(f(z)) + log |det ∂f/∂z|.

    Parameters
    ----------
    latent: numbers in a code. chain: f.
    """

    def __init__(self, latent: int, chain: Bijection) -> None:
        super().__init__(latent)
        self.chain = chain

    def log_prob(self, z: Tensor) -> Tensor:
        noise, log_det = self.chain(z.reshape(-1, self.latent))
        return (log_normal(noise) + log_det).view(z.shape[:-1])

    def sample(self, n: int) -> Tensor:
        return self.chain.inverse(torch.randn(n, self.latent, device=next(self.chain.parameters()).device))[0]


def couplings(latent: int, layers: int, width: int, condition: int = 0) -> Chain:
    """Affine couplings of vectors whose halves take turns, the identity before training."""
    order, links = torch.arange(latent), []
    for i in range(layers):
        stay, move = (order[: latent // 2], order[latent // 2 :]) if i % 2 == 0 else (order[latent // 2 :], order[: latent // 2])
        if not len(move):
            stay, move = move, stay
        net = VectorTeller(len(stay), len(move) * Affine.parameters, width=width, depth=1, condition=condition)
        links += [Coupling(stay, move, net, Affine()), ActNorm(latent)]
        if latent > 2 and i % 2 == 1 and i + 1 < layers:
            links.append(Permute(torch.randperm(latent)))
    return Chain(links)


def autoregressions(latent: int, layers: int, width: int, condition: int = 0) -> Chain:
    """Affine autoregressive maps of vectors in alternating orders, the identity before training."""
    rank, links = torch.arange(latent), []
    for i in range(layers):
        turn = rank if i % 2 == 0 else rank.flip(0)
        net = masked_teller(turn, Affine.parameters, width=width, depth=1, condition=condition)
        links += [Autoregressive(turn, net, Affine()), ActNorm(latent)]
    return Chain(links)
