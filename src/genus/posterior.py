"""Posterior: draws from any log density by Markov chains, with a verdict on whether to believe them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from genus import dice
from genus.capability import Density, Energy
from genus.errors import UsageError, nearest
from genus.maths.chain import Info, State, independence, init
from genus.maths.draws import Draws
from genus.maths.target import Free, Parameter, Target, parameter, scattered
from genus.maths.tempering import Tempered, anneal, ladder
from genus.maths.walkers import gibbs, slice_sample, slice_within_gibbs, stretch
from genus.maths.warmup import GRADIENT, Step, pooled_metric, tune, windows
from genus.model import Model

KERNELS = (
    "hmc",
    "nuts",
    "mala",
    "random_walk",
    "independence",
    "slice",
    "ensemble",
    "gibbs",
    "slice_within_gibbs",
    "tempering",
    "smc",
)
THIN = {
    "mala": 4,
    "slice_within_gibbs": 2,
    "slice": 5,
    "random_walk": 20,
    "ensemble": 20,
}  # steps a kept draw of kernels that walk
POPULATIONS = 8  # of particles, run apart so that they can be compared


@dataclass(kw_only=True, eq=False)
class Posterior(Draws, BaseEstimator):
    """Draws from p(x) ∝ exp(log_density(x)), by many chains that move at once.

    The density is the user's own function, a prior and a likelihood that `fit` gives the data, or a fitted model of genus.
    Bounded parameters are freed by bijections, so that the function sees them as they are. Warm-up is kept apart from the
    draws. `converged_` says whether to believe them, and `reasons_` why not.

    Parameters
    ----------
    log_density: (chains, d) → (chains,), up to a constant, of torch tensors or of numpy arrays; or a fitted model.
    log_prior, log_likelihood: instead of it; the likelihood is called with (parameters, data).
    parameters: how many numbers, or a dict from names to what they may be: a count, "positive", "positive 4",
        "simplex 3", (low, high) or (low, high, count).
    gradient: (chains, d) → (chains, d) of log_density, in place of automatic differentiation.
    conditionals: for Gibbs, functions (chains, d) → (chains, d), each of which draws its part anew given the rest.
    start: (chains, d) or (d,), where chains begin; scattered over (−2, 2) as freed when None.
    kernel: "hmc" (the default where there is a gradient), "nuts" (sets its lengths itself; slow beside it), "mala",
        "random_walk", "independence", "slice", "ensemble" (the default without a gradient), "gibbs",
        "slice_within_gibbs" (each number in turn), "tempering" (for several modes), "smc".
    chains: that move side by side; many cost little more than one. warmup: steps, times `thin`, that tune and are thrown away.
    draws: of each chain that are kept. thin: steps a kept draw; None takes 1, and 4 to 20 for kernels that walk.
    accept: the chance of acceptance aimed for. temperatures: of "tempering". seed: of everything drawn.

    Attributes
    ----------
    draws_: (draws, chains, d). names_: of the d numbers. accept_: mean chance of acceptance. divergences_: how many draws' orbits
    diverged. depths_: (steps, chains) doublings of each orbit, "nuts" only. tuned_: the kernel's settings.
    log_evidence_: (estimate, standard error) of log ∫ exp(log_density), "smc" only.

    >>> chains = Posterior(log_density=lambda x: -x.square().sum(1) / 2, parameters=2).fit()
    >>> chains.converged_, chains.sample(5).shape
    (True, (5, 2))
    """

    log_density: Any = None
    log_prior: Callable[..., Any] | None = None
    log_likelihood: Callable[..., Any] | None = None
    parameters: Any = None
    gradient: Callable[..., Any] | None = None
    conditionals: Sequence[Callable[[Tensor], Tensor]] | None = None
    start: Any = None
    kernel: str | None = None
    chains: int = 128
    warmup: int = 150
    draws: int = 200
    thin: int | None = None
    accept: float | None = None
    temperatures: int = 8
    seed: int = 0

    # -- drawing ------------------------------------------------------------------------------------------

    def fit(self, data: Any = None) -> Self:
        """Run the chains; `data` is handed to log_likelihood."""
        self._check()
        for name in [name for name in vars(self) if name.endswith("_") and not name.startswith("_")]:
            delattr(self, name)
        with dice.private(dice.derive(self.seed, "posterior")):
            free = self._free()
            log_density, differentiable = self._function(data, free)
            target = Target(free.pull(log_density), self._freed_gradient(free))
            kernel = self.kernel or ("gibbs" if self.conditionals else "hmc" if differentiable else "ensemble")
            if kernel in (*GRADIENT, "tempering") and not differentiable:
                raise UsageError(f"kernel={kernel!r} needs a gradient of log_density: give gradient=..., or kernel='ensemble'.")
            self.kernel_, self.divergences_, self.accept_ = kernel, 0, math.nan
            self.thin_ = self.thin or THIN.get(kernel, 1)
            self.tuned_: dict[str, float] = {}
            z = self._anneal(target, free) if kernel == "smc" else self._run(kernel, target, free)
            flat = z if free.trivial else free.inverse(z.flatten(0, 1))[0].reshape(*z.shape[:2], -1)
            self.draws_ = flat.numpy()
        return self

    def _check(self) -> None:
        if self.kernel is not None and self.kernel not in KERNELS:
            raise UsageError(f"kernel={self.kernel!r} is not one of {', '.join(KERNELS)}.{nearest(self.kernel, KERNELS)}")
        for name, least in (("chains", 1), ("warmup", 10), ("draws", 4), ("thin", 1), ("temperatures", 2)):
            if name == "thin" and self.thin is None:
                continue
            if not isinstance(getattr(self, name), int) or getattr(self, name) < least:
                raise UsageError(f"{name}={getattr(self, name)!r} must be {least} or more.")
        if (self.log_density is None) == (self.log_likelihood is None) and not self.conditionals:
            raise UsageError("Give log_density=..., or log_prior=... and log_likelihood=... with fit(data).")
        if self.kernel == "gibbs" and not self.conditionals:
            raise UsageError("kernel='gibbs' needs conditionals=[...]: functions that draw their part given the rest.")

    def _free(self) -> Free:
        """The parameters' blocks and their names."""
        said = self.parameters
        if said is None and isinstance(self.log_density, Model):
            check_is_fitted(self.log_density, "space_")
            said = self.log_density.space_.size
        if said is None and self.start is not None:
            said = np.shape(self.start)[-1]
        if said is None:
            raise UsageError("Say how many numbers there are: parameters=3, or parameters={'mean': 1, 'scale': 'positive'}.")
        blocks = {"x": parameter(said)} if not isinstance(said, dict) else {name: parameter(each) for name, each in said.items()}
        self.names_ = [one for name, block in blocks.items() for one in _names(name, block)]
        return Free([Parameter(block.size) for block in blocks.values()] if self.conditionals else list(blocks.values()))

    def _function(self, data: Any, free: Free) -> tuple[Callable[[Tensor], Tensor], bool]:
        """(log density of torch positions, whether it has a gradient)."""
        given = self.log_density
        if isinstance(given, Model):
            return _of_model(given), True
        if given is None and self.log_likelihood is None:
            return (lambda x: x.new_zeros(len(x))), False
        if given is None:
            prior, likelihood = self.log_prior, self.log_likelihood
            assert likelihood is not None

            def given(x: Any) -> Any:
                return likelihood(x, data) if prior is None else prior(x) + likelihood(x, data)

        probe = free.inverse(4 * torch.rand(2, free.size, dtype=torch.float64) - 2)[0].requires_grad_()
        try:
            value = given(probe)
        except (TypeError, RuntimeError, ValueError, AttributeError):
            value = given(probe.detach().numpy())  # a function of arrays; what is wrong with it is its own to say
        if isinstance(value, Tensor):
            return given, value.requires_grad or self.gradient is not None
        return (lambda x: torch.as_tensor(np.asarray(given(x.detach().numpy())), dtype=torch.float64)), self.gradient is not None

    def _freed_gradient(self, free: Free) -> Callable[[Tensor], Tensor] | None:
        """The user's gradient, carried through the bijections."""
        given = self.gradient
        if given is None:
            return None

        def plain(x: Tensor) -> Tensor:
            found = given(x)
            return found if isinstance(found, Tensor) else torch.as_tensor(np.asarray(given(x.numpy())), dtype=torch.float64)

        def freed(z: Tensor) -> Tensor:
            with torch.enable_grad():
                leaf = z.detach().requires_grad_()
                x, log_det = free.inverse(leaf)
                return torch.autograd.grad((x * plain(x.detach())).sum() + log_det.sum(), leaf)[0]

        return plain if free.trivial else freed

    def _start(self, target: Target, free: Free) -> Tensor:
        if self.start is None:
            return scattered(target, self.chains, free.size)
        given = torch.as_tensor(np.asarray(self.start), dtype=torch.float64)
        if given.shape[-1:] != (len(self.names_),) or given.dim() > 2 or (given.dim() == 2 and len(given) != self.chains):
            wanted = f"({self.chains}, {len(self.names_)}) or ({len(self.names_)},)"
            raise UsageError(f"start has shape {tuple(given.shape)}, not {wanted}.")
        z = given.expand(self.chains, -1) if free.trivial else free(given.expand(self.chains, -1))[0]
        z = z + 0.01 * torch.randn_like(z) if given.dim() == 1 and not self.conditionals else z.clone()
        bad = ~(torch.isfinite(z).all(1) & torch.isfinite(target.value(z)))
        if bool(bad.any()):
            raise UsageError(f"log_density is not finite at start (chain {int(bad.int().argmax())}): start where it is.")
        return z

    def _run(self, kernel: str, target: Target, free: Free) -> Tensor:
        """Warm up, then keep draws (draws, chains, free numbers)."""
        state, step = self._warm(kernel, target, self._start(target, free))
        out = torch.empty(self.draws, *state.position.shape, dtype=torch.float64)
        infos: list[Info] = []
        for place in out:
            for _ in range(self.thin_):
                state, info = step(state)
                infos.append(info)
            place.copy_(state.position)
        self.divergences_ = int(torch.stack([info.diverged for info in infos]).sum())
        self.accept_ = float(torch.stack([info.accept for info in infos]).mean())
        self.energy_ = torch.stack([info.energy for info in infos]).numpy()
        if kernel == "nuts":
            self.depths_ = torch.stack([info.depth for info in infos if info.depth is not None]).numpy()
        return out

    def _warm(self, kernel: str, target: Target, z: Tensor) -> tuple[State, Step]:
        """The state after warm-up and the kernel with its settings fixed."""
        warmup = self.warmup * self.thin_
        if kernel == "tempering":
            tempered = Tempered(target.log_density, ladder(self.temperatures))
            return tempered.start(z, warmup), tempered.step
        state = init(z, target, gradient=kernel in GRADIENT)
        if kernel in (*GRADIENT, "random_walk"):
            state, step, self.tuned_ = tune(state, target, kernel, warmup, self.accept)
            return state, step
        if kernel == "independence":
            return self._warm_independence(state, target)
        if kernel in ("slice", "slice_within_gibbs"):
            return self._warm_slice(state, target, slice_sample if kernel == "slice" else slice_within_gibbs)
        if kernel == "ensemble" and len(z) < 2 * z.shape[1] + 2:
            raise UsageError(f"The ensemble needs more than {2 * z.shape[1] + 1} chains for {z.shape[1]} numbers, not {len(z)}.")
        conditionals = list(self.conditionals or [])
        step = (lambda s: gibbs(s, None, conditionals=conditionals)) if kernel == "gibbs" else (lambda s: stretch(s, target))
        for _ in range(warmup):
            state, _ = step(state)
        return state, step

    def _warm_slice(self, state: State, target: Target, kernel: Callable[..., tuple[State, Info]]) -> tuple[State, Step]:
        metric = pooled_metric(state.position)
        for length in windows(self.warmup * self.thin_):
            seen = []
            for _ in range(length):
                state, _ = kernel(state, target, metric=metric)
                seen.append(state.position)
            metric = pooled_metric(torch.cat(seen))
        return state, lambda s: kernel(s, target, metric=metric)

    def _warm_independence(self, state: State, target: Target) -> tuple[State, Step]:
        state, walk, _ = tune(state, target, "random_walk", 10 * self.warmup)
        seen = []
        for _ in range(10 * self.warmup):
            state, _ = walk(state)
            seen.append(state.position)
        rows = torch.cat(seen)
        centre, metric = rows.mean(0), pooled_metric(rows)
        return state, lambda s: independence(s, target, centre=centre, metric=metric)

    def _anneal(self, target: Target, free: Free) -> Tensor:
        """Populations of particles (particles, populations, free numbers); sets log_evidence_."""
        count, scale, d = max(self.chains * self.draws // POPULATIONS, 50), 3.0, free.size

        def log_reference(x: Tensor) -> Tensor:
            return -0.5 * (x / scale).square().sum(1) - d * math.log(scale * math.sqrt(2 * math.pi))

        runs = []
        for _ in range(POPULATIONS):
            begin = scale * torch.randn(count, d, dtype=torch.float64)
            runs.append(anneal(target.log_density, begin, log_reference))
        log_z = torch.tensor([value for _, value in runs], dtype=torch.float64)
        weight = (log_z - log_z.max()).exp()
        estimate = float(weight.mean().log() + log_z.max())
        self.log_evidence_ = (estimate, float(weight.std() / weight.mean() / math.sqrt(POPULATIONS)))
        return torch.stack([x[torch.randperm(count)] for x, _ in runs], 1)

    # -- using the draws ----------------------------------------------------------------------------------

    def sample(self, n: int = 1, *, seed: int | None = None) -> Any:
        """n of the draws at random, without repetition while they last: a DataFrame where parameters have names, else (n, d).

        Draws of a fitted model come back in the type of its data.
        """
        check_is_fitted(self, "draws_")
        flat = torch.from_numpy(self.draws_).flatten(0, 1)
        with dice.private(seed):
            rows = flat[torch.cat([torch.randperm(len(flat)) for _ in range(n // len(flat) + 1)])[:n]]
        if isinstance(self.log_density, Model):
            model = self.log_density
            return model.codec_.unpack(rows.float().reshape(n, *model.space_.shape), model.space_)
        return pd.DataFrame(rows.numpy(), columns=self.names_) if isinstance(self.parameters, dict) else rows.numpy()


def _names(name: str, block: Parameter) -> list[str]:
    return [name] if block.size == 1 else [f"{name}[{i}]" for i in range(block.size)]


def _of_model(model: Model) -> Callable[[Tensor], Tensor]:
    """The log density of a fitted model over its packed items, flat."""
    if (
        model.space_.discrete
        or model.space_.kind == "mixed"
        or model.condition_ is not None
        or not isinstance(model, Density | Energy)
    ):
        raise UsageError(
            f"Chains need real items, no condition, and a density or energy, which this {type(model).__name__} has not: "
            "draw from it by model.sample(n)."
        )

    def log_density(x: Tensor) -> Tensor:
        items = x.float().reshape(len(x), *model.space_.shape)
        return (model._log_prob(items, None) if isinstance(model, Density) else -model._energy(items, None)).double()

    return log_density
