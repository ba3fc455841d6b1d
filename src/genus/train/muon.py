"""Muon: momentum whose matrices are made orthogonal before they are stepped along; AdamW for everything else."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn

from genus.train.adamw import AdamW

SIZE = 2.0  # root mean square of a step of matrices over the learning rate
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic, whose slope at 0 is as steep as five steps can bear
MATRICES = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def orthogonal(matrices: Tensor, steps: int = 5) -> Tensor:
    """U Vᵀ, nearly, of each matrix G = U S Vᵀ of (…, rows, columns), by Newton–Schulz: X ← aX + (b XXᵀ + c (XXᵀ)²) X.

    The singular values end between about 0.7 and 1.2, which is near enough for a step; products alone, no decomposition.

    Reference: Å. Björck and C. Bowie 1971, An iterative algorithm for computing the best estimate of an orthogonal matrix,
    https://doi.org/10.1137/0708036; K. Jordan et al. 2024, Muon, https://kellerjordan.github.io/posts/muon/
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = torch.baddbmm(x, b * square + c * square @ square, x, beta=a)
    return x.mT if tall else x


def hidden_matrices(net: nn.Module) -> set[int]:
    """The ids of the weights of linear and convolutional layers, a convolution counting as (outputs, everything else).

    Embeddings, tables of logits held as plain parameters, gains and biases are not among them; nor is a weight with a side
    below eight, of which an orthogonal step would be all of it.
    """
    weights = [m.weight for m in net.modules() if isinstance(m, MATRICES)]
    return {id(w) for w in weights if min(w.shape[0], w[0].numel()) >= 8}


class Muon(AdamW):
    """M ← βM + (1 − β) G; W ← (1 − lr · decay) W − 2 lr √max(rows, columns) · orthogonal((1 − β) G + βM).

    The root gives steps of all shapes one root mean square (Liu et al. 2025, Muon is scalable for LLM training,
    https://arxiv.org/abs/2502.16982), here twice the learning rate, with which one rate serves both kinds of parameters.

    Parameters
    ----------
    groups: of parameters; those with "orthogonal": True are stepped by Muon, the others by AdamW. lr: of both.
    betas: of AdamW. momentum: β of Muon.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, betas: tuple[float, float], *, momentum: float = 0.95) -> None:
        super().__init__(groups, lr, betas, momentum=momentum, orthogonal=False)

    def advance(self, moved: list[Tensor], group: dict[str, Any]) -> None:
        if not group["orthogonal"]:
            super().advance(moved, group)
            return
        shapes = defaultdict(list)
        for p in moved:
            state = self.state[p]
            if not state:
                state["momentum"] = torch.zeros_like(p)
            shapes[p.shape[0], p[0].numel()].append(p)
        for (rows, columns), alike in shapes.items():
            gradients = [p.grad for p in alike]
            for p, g in zip(alike, gradients, strict=True):
                self.state[p]["momentum"].lerp_(g, 1 - group["momentum"])
            ahead = [g.lerp(self.state[p]["momentum"], group["momentum"]) for p, g in zip(alike, gradients, strict=True)]
            turned = orthogonal(_short(torch.stack([m.reshape(rows, columns) for m in ahead])))
            for p, step in zip(alike, turned, strict=True):
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(step.reshape(p.shape).to(p.dtype), alpha=-SIZE * group["lr"] * max(rows, columns) ** 0.5)


def _short(x: Tensor) -> Tensor:
    """x in bfloat16 where its products are faster: five steps of a polynomial do not need more."""
    fast = torch.cpu._is_avx512_bf16_supported() if x.device.type == "cpu" else torch.cuda.is_bf16_supported()
    return x.bfloat16() if fast else x.float()
