"""Paths from noise to data, the times to visit them at, and which noise goes with which item."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from genus.errors import UsageError, nearest

TIMES = ("uniform", "logit-normal")


def straight(start: Tensor, stop: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """The straight path and its velocity: x_t = (1 − t) x₀ + t x₁, u = x₁ − x₀.

    Parameters
    ----------
    start, stop: noise and data, (n, …). t: (n,), from 0 (noise) to 1 (data).

    Reference: Y. Lipman et al. 2023, Flow matching for generative modeling, https://arxiv.org/abs/2210.02747;
    X. Liu et al. 2023, Flow straight and fast, https://arxiv.org/abs/2209.03003

    >>> straight(torch.zeros(1, 1), torch.ones(1, 1), torch.tensor([0.25]))[0].item()
    0.25
    """
    t = t.view(-1, *[1] * (stop.dim() - 1))
    return torch.lerp(start, stop, t), stop - start


def times(n: int, law: str = "uniform") -> Tensor:
    """n times in (0, 1), spread evenly over the law's quantiles so that a batch covers them all.

    "uniform", or "logit-normal": the sigmoid of a standard normal, which visits the middle more often
    (P. Esser et al. 2024, https://arxiv.org/abs/2403.03206).
    """
    if law not in TIMES:
        raise UsageError(f"No law of times is called {law!r}; there are {', '.join(TIMES)}.{nearest(law, TIMES)}")
    u = (torch.randperm(n) + torch.rand(n)) / max(n, 1)
    return u if law == "uniform" else torch.sigmoid(torch.special.ndtri(u.clamp(1e-4, 1 - 1e-4)))


def optimal_pairs(start: Tensor, stop: Tensor) -> Tensor:
    """The order of `start` in which it lies nearest `stop`: argmin over permutations π of Σᵢ |x₀,π(i) − x₁,i|².

    Reference: A. Tong et al. 2024, Improving and generalizing flow-based generative models with minibatch
    optimal transport, https://arxiv.org/abs/2302.00482
    """
    cost = torch.cdist(stop.flatten(1), start.flatten(1)).square()
    return torch.from_numpy(linear_sum_assignment(cost.double().cpu().numpy())[1]).to(start.device)
