"""Mixtures of normals: the E-step and M-step as one matrix product each, over blocks of rows.

With features φ(x) = (1, x, xᵢxⱼ for i ≤ j) every log wₖ N(x | μₖ, Σₖ) is linear in φ, so that one product gives all of
them; and the responsibilities times φ, one more product, give every count, sum and second moment at once. Blocks
keep φ in the cache, an item a column so that products of entries run along memory; the blocks' sums are kept in double.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from genus.errors import DataError
from genus.maths.normal import LOG_2PI, log_normal
from genus.maths.stored import Mapped, blocks

WIDE = 64  # entries above which x ⊗ x costs more than whitening by each component
BLOCK = 2048  # rows whose features stay in the cache
SHARP = 1e4  # precisions above which single precision loses digits of a log density


@dataclass
class Mixture:
    """Parameters in double precision: log_weight (k,), mean (k, d), covariance (k, d, d), or (k, d) variances only."""

    log_weight: Tensor
    mean: Tensor
    covariance: Tensor

    @property
    def full(self) -> bool:
        """Whether covariances are matrices."""
        return self.covariance.dim() == 3

    def factor(self) -> Tensor:
        """Cholesky factors (k, d, d); one sentence where a covariance is singular."""
        factor, info = torch.linalg.cholesky_ex(self.covariance)
        if bool((info != 0).any()):
            raise collapsed(int((info != 0).int().argmax()))
        return factor

    def log_joint(self, x: Tensor) -> Tensor:
        """log wₖ N(x | k) of x (n, d), (n, k), by whitening: the accurate way."""
        if self.full:
            return (self.log_weight[:, None] + log_normal(x, self.mean, self.factor())).T
        scale = self.covariance.sqrt()
        log_p = torch.stack([((x - m) / s).square().sum(1) for m, s in zip(self.mean, scale, strict=True)], 1)
        return self.log_weight - 0.5 * (log_p + x.shape[1] * LOG_2PI) - scale.log().sum(1)

    def draw(self, n: int) -> Tensor:
        """n draws (n, d)."""
        k = torch.multinomial(self.log_weight.exp(), n, replacement=True) if n else torch.zeros(0, dtype=torch.long)
        x = torch.randn(n, self.mean.shape[1], dtype=torch.float64)
        if not self.full:
            return self.mean[k] + x * self.covariance[k].sqrt()
        factor = self.factor()
        for j in k.unique().tolist():
            mine = k == j
            x[mine] = x[mine] @ factor[j].T
        return self.mean[k] + x


@dataclass
class Moments:
    """Sums over the items, weighted by responsibility: count (k,), first (k, d), second (k, d, d) or (k, d)."""

    count: Tensor
    first: Tensor
    second: Tensor


def collapsed(k: int) -> DataError:
    """The error for a component whose covariance is singular."""
    return DataError(f"Component {k} of the mixture collapsed onto too few items: raise regularise or lower components.")


def expectation(
    x: Tensor | Mapped, mixture: Mixture, *, dtype: torch.dtype | None = None, rough: bool = False
) -> tuple[float, Moments]:
    """Mean log-likelihood an item of x (n, d), and the moments under the responsibilities (E-step).

    x may be read from disk, block by block. `dtype` None computes in single precision unless a component is so narrow that
    digits would be lost; a `rough` step allows components a thousand times narrower.

    Reference: A. Dempster, N. Laird and D. Rubin 1977, Maximum likelihood from incomplete data via the EM
    algorithm, https://doi.org/10.1111/j.2517-6161.1977.tb01600.x
    """
    if mixture.full and x.shape[1] > WIDE:
        return _expectation_wide(x, mixture)
    weights, sharpest = linear(mixture)
    if dtype is None:
        dtype = torch.float64 if sharpest > (1000 * SHARP if rough else SHARP) else torch.float32
    d = x.shape[1]
    weights = weights.to(dtype)
    total = torch.zeros(weights.shape, dtype=torch.float64)
    phi = torch.ones(weights.shape[1], BLOCK, dtype=dtype)
    loglik = 0.0
    for rows in (rows for piece in blocks(x) for rows in piece.split(BLOCK)):
        features = phi[:, : len(rows)]
        featurise(rows.to(dtype).T.contiguous(), features, mixture.full)
        value, share = responsibilities(weights @ features)
        loglik += value
        total += (share @ features.T).double()
    second = total[:, 1 + d :]
    return loglik / len(x), Moments(total[:, 0], total[:, 1 : 1 + d], unfold(second, d) if mixture.full else second)


def linear(mixture: Mixture) -> tuple[Tensor, float]:
    """(weights (k, features), the largest precision): every log joint as a linear function of φ."""
    d = mixture.mean.shape[1]
    if mixture.full:
        factor = mixture.factor()
        precision = torch.cholesky_inverse(factor)
        slope = (precision @ mixture.mean[..., None])[..., 0]
        log_det = 2 * factor.diagonal(dim1=1, dim2=2).log().sum(1)
        row, column = torch.triu_indices(d, d)
        curve = precision[:, row, column] * torch.where(row == column, 1.0, 2.0)
        sharpest = precision.diagonal(dim1=1, dim2=2).max()
    else:
        curve = 1 / mixture.covariance
        slope, log_det, sharpest = curve * mixture.mean, mixture.covariance.log().sum(1), curve.max()
    start = mixture.log_weight - 0.5 * (d * LOG_2PI + log_det + (slope * mixture.mean).sum(1))
    return torch.cat([start[:, None], slope, -0.5 * curve], 1), float(sharpest)


def featurise(x: Tensor, phi: Tensor, full: bool) -> None:
    """Write (1, x, xᵢxⱼ) or (1, x, x²) of the columns of x (d, n) into phi (features, n), whose first row is already one."""
    d = len(x)
    phi[1 : 1 + d] = x
    if not full:
        torch.mul(x, x, out=phi[1 + d :])
        return
    place = 1 + d
    for i in range(d):
        torch.mul(x[i], x[i:], out=phi[place : place + d - i])
        place += d - i


def unfold(triangle: Tensor, d: int) -> Tensor:
    """Symmetric matrices (k, d, d) from their upper triangles (k, d (d + 1) / 2)."""
    row, column = torch.triu_indices(d, d)
    matrix = torch.empty(len(triangle), d, d, dtype=triangle.dtype)
    matrix[:, row, column] = triangle
    matrix[:, column, row] = triangle
    return matrix


def responsibilities(log_joint: Tensor) -> tuple[float, Tensor]:
    """Sum of the log-likelihoods and the posterior shares, both of log_joint (k, n), which is written over.

    The exponent is clamped at −50: single precision would otherwise meet subnormal numbers, a hundred times slower.
    """
    top = log_joint.amax(0)
    share = log_joint.sub_(top).clamp_(min=-50).exp_()
    total = share.sum(0)
    value = float(top.double().sum() + total.double().log().sum())
    return value, share.div_(total)


def _expectation_wide(x: Tensor | Mapped, mixture: Mixture) -> tuple[float, Moments]:
    """The same where x ⊗ x would be too long: each component whitens the rows."""
    k, d = mixture.mean.shape
    factor = mixture.factor()
    white = torch.linalg.solve_triangular(factor, torch.eye(d, dtype=torch.float64).expand(k, d, d), upper=False).float()
    start = (mixture.log_weight - 0.5 * d * LOG_2PI - factor.diagonal(dim1=1, dim2=2).log().sum(1)).float()
    mean = mixture.mean.float()
    sums = Moments(torch.zeros(k).double(), torch.zeros(k, d).double(), torch.zeros(k, d, d).double())
    loglik = 0.0
    for rows in (rows for piece in blocks(x) for rows in piece.float().split(4096)):
        log_p = torch.stack([((rows - m) @ w.T).square().sum(1) for m, w in zip(mean, white, strict=True)])
        value, share = responsibilities(start[:, None] - 0.5 * log_p)
        loglik += value
        sums.count += share.sum(1).double()
        sums.first += (share @ rows).double()
        for j in range(k):
            sums.second[j] += ((rows * share[j, :, None]).T @ rows).double()
    return loglik / len(x), sums


def maximisation(sums: Moments, shape: str, prior: float) -> Mixture:
    """The mixture of greatest likelihood with these moments (M-step); shape: full, tied, diag or spherical.

    Every covariance is taken as if `prior` more items of unit variance had been seen (a conjugate prior's mode,
    C. Fraley and A. Raftery 2007, https://doi.org/10.1007/s00357-007-0004-5); a component that holds nothing has unit variance.
    """
    n, d = sums.count.sum(), sums.first.shape[1]
    count = sums.count + 1e-10
    mean = sums.first / count[:, None]
    eye = torch.eye(d, dtype=torch.float64)
    if shape == "tied":
        scatter = sums.second.sum(0) - sums.first.T @ mean
        covariance = ((scatter + prior * eye) / (n + prior)).expand(len(count), d, d)
    elif shape == "full":
        scatter = sums.second - sums.first[:, :, None] * mean[:, None, :]
        covariance = (scatter + prior * eye) / (count + prior)[:, None, None]
        covariance = torch.where(sums.count[:, None, None] < 1e-6, eye, covariance)
    else:
        scatter = (sums.second - sums.first * mean).clamp_min(0)
        if shape == "spherical":
            scatter = scatter.mean(1, keepdim=True).expand(-1, d)
        covariance = (scatter + prior) / (count + prior)[:, None]
        covariance = torch.where(sums.count[:, None] < 1e-6, torch.ones_like(covariance), covariance)
        if bool((covariance <= 0).any()):
            raise collapsed(int((covariance <= 0).any(1).int().argmax()))
    return Mixture((count / count.sum()).log(), mean, covariance)


def variation(sums: Moments, concentration: float) -> tuple[Mixture, Mixture]:
    """(what the next variational E-step takes, the mixture of the posterior's means) from moments of full covariance.

    The weights have a Dirichlet prior, each component a normal–Wishart one about the standardised data (mean 0, one item; d
    degrees of freedom, unit scale). E[log w + log N] is quadratic in x like a normal's logarithm, so that the E-step is the
    usual one with log weights that make up for the expectations. Components that hold less than one item are left out.

    Reference: H. Attias 2000, https://papers.nips.cc/paper/1726; C. Bishop 2006, Pattern recognition and machine learning, §10.2
    """
    alive = sums.count >= min(1.0, float(sums.count.max()))
    count, first, second = sums.count[alive], sums.first[alive], sums.second[alive]
    d, eye = first.shape[1], torch.eye(first.shape[1], dtype=torch.float64)
    alpha, beta, freedom = count + concentration, count + 1.0, count + d
    mean = first / beta[:, None]
    scatter = eye + second - beta[:, None, None] * mean[:, :, None] * mean[:, None, :]
    covariance = scatter / freedom[:, None, None]
    log_det = -torch.linalg.cholesky(scatter).diagonal(dim1=1, dim2=2).log().sum(1) * 2
    half = 0.5 * (freedom[:, None] - torch.arange(d, dtype=torch.float64))
    expected = torch.digamma(half).sum(1) + d * math.log(2) + log_det
    plain = d * freedom.log() + log_det
    log_weight = torch.digamma(alpha) - torch.digamma(alpha.sum()) + 0.5 * (expected - plain - d / beta)
    return Mixture(log_weight, mean, covariance), Mixture((alpha / alpha.sum()).log(), mean, covariance)


def hard_moments(x: Tensor, index: Tensor, k: int, full: bool) -> Moments:
    """Moments of x (n, d) under a hard assignment to k components."""
    rows = x.double()
    d = rows.shape[1]
    first = torch.zeros(k, d, dtype=torch.float64).index_add_(0, index, rows)
    if full:
        second = torch.stack([rows[index == j].T @ rows[index == j] for j in range(k)])
    else:
        second = torch.zeros(k, d, dtype=torch.float64).index_add_(0, index, rows.square())
    return Moments(torch.bincount(index, minlength=k).double(), first, second)
