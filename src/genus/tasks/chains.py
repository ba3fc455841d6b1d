"""Chains: items of a fitted density or energy drawn by a Markov chain of one's choice, instead of the family's own sampler."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from genus import dice
from genus.capability import Density, Energy
from genus.errors import UsageError
from genus.maths import diagnostics
from genus.maths.flips import flips
from genus.model import Model
from genus.posterior import KERNELS, Posterior
from genus.space import Record


def draw_by_chains(model: Model, n: int, kernel: str, *, sweeps: int = 100, seed: int | None = None) -> Any:
    """n items in the user's own type, by a kernel of `Posterior` where items are real, by Gibbs sampling where they are discrete.

    A warning says why, where the chains are not to be believed.

    Parameters
    ----------
    kernel: "hmc", "nuts", "mala" … for real items; "gibbs" for discrete ones.
    sweeps: of Gibbs, over all entries, from random ones.
    """
    if not isinstance(model, Density | Energy) or model.condition_ is not None:
        raise UsageError(f"Chains need a density or an energy, and no condition, which this {type(model).__name__} has not.")
    if kernel not in KERNELS:
        raise UsageError(f"kernel={kernel!r} is not one of {', '.join(KERNELS)}.")
    if model.space_.kind == "mixed":
        raise UsageError("These items are discrete and real at once, which no chain here draws: use model.sample(n).")
    if not model.space_.discrete:
        if kernel in ("gibbs", "smc"):
            raise UsageError(f"These items are real: take hmc, nuts or mala, not {kernel}.")
        chains = Posterior(log_density=model, kernel=kernel, seed=seed or 0).fit()
        _told(chains.reasons_)
        return chains.sample(n, seed=seed)
    if kernel != "gibbs":
        raise UsageError(f"These items are discrete: take gibbs, not {kernel}.")
    with dice.private(seed), torch.no_grad():
        x, reasons = _gibbs(model, n, sweeps)
        _told(reasons)
        return model.codec_.unpack(x, model.space_)


def _told(reasons: list[str]) -> None:
    if reasons:
        warnings.warn("The chains are not to be believed yet: " + " ".join(reasons), stacklevel=3)


def _gibbs(model: Model, n: int, sweeps: int) -> tuple[Tensor, list[str]]:
    """(items after so many sweeps from random ones, why not to believe them): the energies of the later half must agree."""
    space = model.space_
    levels = [cell.levels for _, cell in space.fields] if isinstance(space, Record) else [space.levels or 2] * space.size

    def energy(x: Tensor) -> Tensor:
        items = x.reshape(len(x), *space.shape).to(space.dtype)
        return model._energy(items, None) if isinstance(model, Energy) else -model._log_prob(items, None)  # pyright: ignore

    chains = max(n, 4)
    x = torch.stack([torch.randint(k, (chains,)) for k in levels], 1)
    seen = []
    for _ in range(sweeps):
        x = flips(x, energy, levels)
        seen.append(energy(x).double())
    late = torch.stack(seen[sweeps // 2 :])[:, :, None]
    hat = float(diagnostics.r_hat(late)[0])
    found = [] if hat < 1.05 else [f"R-hat of the energy is {hat:.2f} after {sweeps} sweeps, not below 1.05: raise sweeps."]
    return x[:n].reshape(n, *space.shape).to(space.dtype), found
