"""Ladder: codes in levels, each drawn given the one above, read from the item and from above at once."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from genus.nets.coder import Coder, Codes, normal_kl, split
from genus.nets.heads import Head
from genus.nets.mlp import MLP
from genus.nets.prior import log_normal


class Ladder(Coder):
    """The nets of a ladder VAE: p(z) = p(z_L) Π p(z_l | z_{l+1}), and q drawn in the same order, from the top down.

    What the item says of a level is joined with what the level above says by adding precisions:
    σ_q⁻² = σ̂⁻² + σ_p⁻², μ_q = σ_q² (μ̂ σ̂⁻² + μ_p σ_p⁻²). A code is all levels side by side, the lowest first.

    Parameters
    ----------
    sizes: numbers in each level's code, the lowest first. head, encoder, decoder: as of a Coder, but the encoder gives
    `width` features. width: of the nets between levels.

    Reference: C. Sønderby et al. 2016, Ladder variational autoencoders, https://arxiv.org/abs/1602.02282
    """

    def __init__(self, sizes: tuple[int, ...], head: Head, encoder: nn.Module, decoder: nn.Module, width: int) -> None:
        super().__init__(sum(sizes), head, encoder, decoder)
        self.sizes = sizes
        self.up = nn.ModuleList(MLP(width, width, width=width, depth=1) for _ in sizes[1:])
        self.hint = nn.ModuleList(nn.Linear(width, 2 * size) for size in sizes)
        self.down = nn.ModuleList(MLP(above, 2 * below, width=width, depth=1) for below, above in pairwise(sizes))
        for net in self.down:
            nn.init.zeros_(net.leave.weight)  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]

    def hints(self, x: Tensor, y: Tensor | None) -> list[tuple[Tensor, Tensor]]:
        """What the item says of each level, (mean, log deviation), the lowest first."""
        h, found = self.encoder(x, y).float(), []
        for i, layer in enumerate(self.hint):
            h = self.up[i - 1](h) if i else h
            found.append(split(layer(torch.nn.functional.silu(h))))
        return found

    def descend(self, hints: list[tuple[Tensor, Tensor]] | None, shape: tuple[int, ...], noise: float = 1.0) -> Codes:
        """Codes (*shape, latent) from the top down, of q where there are hints, else of p; noise 0 gives means."""
        z: list[Tensor] = []
        ratio: Tensor = torch.zeros(shape, device=self.steps.device)
        kl: list[Tensor] = []
        for i in reversed(range(len(self.sizes))):
            zero = torch.zeros(*shape, self.sizes[i], device=self.steps.device)
            mean_p, log_p = split(self.down[i](z[0].flatten(0, -2)).view(*shape, -1)) if z else (zero, zero)
            mean, log_scale = (mean_p, log_p) if hints is None else joined(*hints[i], mean_p, log_p)
            drawn = mean + noise * log_scale.exp() * torch.randn_like(mean)
            ratio = ratio + log_normal(drawn, mean_p, log_p) - log_normal(drawn, mean, log_scale)
            z.insert(0, drawn)
            kl.insert(0, normal_kl(mean, log_scale, mean_p, log_p))
        return Codes(torch.cat(z, -1), ratio, torch.cat(kl, -1))

    def codes(self, x: Tensor, y: Tensor | None, k: int = 1, *, sharp: bool = False) -> Codes:
        hints = self.hints(x, y)
        found = self.descend([(m.expand(k, *m.shape), s.expand(k, *s.shape)) for m, s in hints], (k, len(x)))
        assert found.kl is not None
        return found._replace(kl=found.kl.mean(0))

    def place(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The code of each item without noise, and the KL of each unit given the mean of the level above."""
        z, _, kl = self.descend(self.hints(x, y), (len(x),), noise=0.0)
        return z, kl

    def posterior(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """What the item alone says of every level, each (n, latent)."""
        means, scales = zip(*self.hints(x, y), strict=True)
        return torch.cat(means, 1), torch.cat(scales, 1)

    def drawn(self, n: int) -> Tensor:
        return self.descend(None, (n,)).z


def joined(mean: Tensor, log_scale: Tensor, mean_p: Tensor, log_p: Tensor) -> tuple[Tensor, Tensor]:
    """(mean, log deviation) of the product of two normals, their precisions added."""
    precision, precision_p = torch.exp(-2 * log_scale), torch.exp(-2 * log_p)
    total = precision + precision_p
    return (mean * precision + mean_p * precision_p) / total, -0.5 * total.log()
