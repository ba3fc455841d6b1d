"""Normal distributions: log densities by Cholesky factors, shrunk covariances, exact conditioning, batched."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)


def log_normal(x: Tensor, mean: Tensor, factor: Tensor) -> Tensor:
    """log N(x | mean, factor factorᵀ), (…, n), of x (n, d), mean (…, d) and lower triangular factor (…, d, d)."""
    white = torch.linalg.solve_triangular(factor, (x - mean[..., None, :]).mT, upper=False)
    log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return -0.5 * (white.square().sum(-2) + x.shape[-1] * LOG_2PI) - log_det[..., None]


def moments(x: Tensor, block: int = 8192) -> tuple[Tensor, Tensor]:
    """Mean (d,) and covariance (d, d) of x (n, d) in double precision, by blocks."""
    mean = torch.stack([b.double().sum(0) for b in x.split(block)]).sum(0) / len(x)
    total = torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64)
    for b in x.split(block):
        c = b.double() - mean
        total.addmm_(c.T, c)
    return mean, total / len(x)


def shrink(covariance: Tensor, x: Tensor, mean: Tensor, amount: float | None = None) -> Tensor:
    """(1 − a) S + a tr(S)/d I with Ledoit and Wolf's a where `amount` is None.

    Parameters
    ----------
    covariance: S (d, d) of x. x: (n, d). mean: (d,) of x. amount: a in [0, 1].

    Reference: O. Ledoit and M. Wolf 2004, A well-conditioned estimator for large-dimensional covariance
    matrices, https://doi.org/10.1016/S0047-259X(03)00096-4
    """
    d = len(covariance)
    target = covariance.trace() / d * torch.eye(d, dtype=covariance.dtype)
    if amount is None:
        distance = (covariance - target).square().sum()
        fourth = torch.cat([(b.double() - mean).square().sum(1).square() for b in x.split(8192)]).mean()
        error = (fourth - covariance.square().sum()) / len(x)
        amount = float((error / distance).clamp(0, 1)) if distance > 0 else 0.0
    return (1 - amount) * covariance + amount * target


def complete_normal(x: Tensor, known: Tensor, weight: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """x with its unknown entries drawn from a mixture of normals given the known ones, exactly.

    A component k is drawn by its posterior given the known part; then Matheron's rule moves a joint draw
    u ~ N(0, Σ) onto the known entries: x = μ + u + Σ M A⁻¹ (M (x − μ − u)), A = M Σ M + (I − M),
    where the diagonal matrix M marks what is known.

    Parameters
    ----------
    x: (n, d), anything where unknown. known: (n, d) bool. weight: (n, k) log weights of each item's components.
    mean: (k, d). covariance: (k, d, d).
    """
    factor = torch.linalg.cholesky(covariance)
    out = x.to(mean.dtype).clone()
    patterns, index = torch.unique(known, dim=0, return_inverse=True)
    order = torch.argsort(index)
    for mask, rows in zip(patterns, order.split(torch.bincount(index).tolist()), strict=True):
        if mask.all():
            continue
        m = mask.to(mean.dtype)
        inner = torch.linalg.cholesky(covariance * m[:, None] * m + torch.diag_embed(1 - m))
        apart = (out[rows] - mean[:, None]) * m
        solved = torch.cholesky_solve(apart.mT, inner)
        log_det = inner.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        log_posterior = weight[rows] - 0.5 * (apart.mT * solved).sum(-2).T - log_det
        k = torch.multinomial(torch.softmax(log_posterior, 1), 1)[:, 0]
        u = (factor[k] @ torch.randn(len(rows), len(m), 1, dtype=mean.dtype))[..., 0]
        move = torch.empty_like(u)
        for j in k.unique().tolist():
            mine = k == j
            gap = (apart[j, mine] - u[mine] * m).T
            move[mine] = (covariance[j] @ (m[:, None] * torch.cholesky_solve(gap, inner[j]))).T
        out[rows] = torch.where(mask, out[rows], mean[k] + u + move)
    return out.to(x.dtype)
