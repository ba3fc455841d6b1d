"""Muon: momentum whose matrices are made orthogonal before they are stepped along; AdamW for everything else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

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


class Muon(torch.optim.Optimizer):
    """M ← βM + (1 − β) G; W ← (1 − lr · decay) W − 2 lr √max(rows, columns) · orthogonal((1 − β) G + βM).

    The root gives steps of all shapes one root mean square (Liu et al. 2025, Muon is scalable for LLM training,
    https://arxiv.org/abs/2502.16982), here twice the learning rate, with which one rate serves both kinds of parameters.

    Parameters
    ----------
    groups: of parameters; those with "orthogonal": True are stepped by Muon, the others by AdamW. lr: of both.
    betas: of AdamW. momentum: β of Muon.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, betas: tuple[float, float], *, momentum: float = 0.95) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "momentum": momentum, "weight_decay": 0.0, "orthogonal": False})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step along the gradients that the parameters hold."""
        value = closure() if closure else None
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            (self._turn if group["orthogonal"] else self._adapt)(parameters, group)
        return value

    def _turn(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """Muon's step, matrices of one shape at a time."""
        shapes = defaultdict(list)
        for p in parameters:
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

    def _adapt(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """AdamW's step."""
        first, second = group["betas"]
        for p in parameters:
            state = self.state[p]
            if not state:
                state |= {"step": torch.zeros(()), "mean": torch.zeros_like(p), "square": torch.zeros_like(p)}
            g = p.grad
            state["step"] += 1
            count = float(state["step"])
            state["mean"].lerp_(g, 1 - first)
            state["square"].mul_(second).addcmul_(g, g, value=1 - second)
            p.mul_(1 - group["lr"] * group["weight_decay"])
            scale = (state["square"] / (1 - second**count)).sqrt_().add_(1e-8)
            p.addcdiv_(state["mean"], scale, value=-group["lr"] / (1 - first**count))


def _short(x: Tensor) -> Tensor:
    """x in bfloat16 where its products are faster: five steps of a polynomial do not need more."""
    fast = torch.cpu._is_avx512_bf16_supported() if x.device.type == "cpu" else torch.cuda.is_bf16_supported()
    return x.bfloat16() if fast else x.float()
