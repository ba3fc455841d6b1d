"""Generator: noise to items, by way of a learnt mixture of normals."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from genus.nets.default import Size, decoder_for, is_image
from genus.nets.mlp import Plain
from genus.space import AnySpace

WIDTH = {"small": 64, "base": 128, "large": 256}
LEAST_SIDE = 12  # of an image; smaller ones are vectors, whose dense nets take many more steps in the same time
NARROW = 0.3


def pictured(space: AnySpace) -> bool:
    """Whether items are images large enough to be worth convolutions."""
    return is_image(space) and min(space.shape[1:]) >= LEAST_SIDE


class Generator(nn.Module):
    """G(z, y) = net(μ_k + σ_k z, y) with k drawn evenly: z (n, latent) ↦ items (n, *space), not yet bounded.

    Data in separate pieces ask a map of one normal to tear; with a component to each piece it need not. Means and
    deviations are learnt with the net (Gurumurthy et al. 2017, DeLiGAN, https://arxiv.org/abs/1706.02071).

    Parameters
    ----------
    body: z, y ↦ (n, entries) in any shape. shape: of an item. latent: numbers in z. components: of the mixture; 1 is plain noise.
    """

    def __init__(self, body: nn.Module, shape: tuple[int, ...], latent: int, components: int = 1) -> None:
        super().__init__()
        self.body, self.shape, self.components = body, shape, components
        if components > 1:
            self.mean = nn.Parameter(torch.randn(components, latent))
            self.log_scale = nn.Parameter(torch.full((components, latent), math.log(NARROW)))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        if self.components > 1:
            k = torch.randint(self.components, (len(z),), device=z.device)
            z = self.mean[k] + self.log_scale[k].exp() * z
        return self.body(z, y).reshape(len(z), *self.shape)


def generator_for(space: AnySpace, latent: int, *, size: Size = "base", condition: int = 0, components: int = 1) -> Generator:
    """The generator we would choose for a real Space: convolutional for images of 12 pixels a side and more, else dense."""
    if pictured(space):
        body = decoder_for(space, latent, (1, *space.shape), size=size, condition=condition, activation="leaky")
        enliven(body)
    else:
        width = WIDTH[size] * (2 if is_image(space) else 1)
        body = Plain(latent, space.size, width=width, condition=condition)
    return Generator(body, space.shape, latent, components)


def enliven(body: nn.Module) -> None:
    """Begin every layer with weights that keep the variance of its input, and no biases.

    Under the smaller weights and random biases layers begin with elsewhere, noise fades on the way: the images begin equal, the
    critic tells them by that alone, and nothing is learnt (He et al. 2015, https://arxiv.org/abs/1502.01852).
    """
    with torch.no_grad():
        for layer in body.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.weight.mul_(math.sqrt(2 / 1.04 / layer.weight[0].numel()) / layer.weight.std())
                if layer.bias is not None:
                    layer.bias.zero_()
