"""Private training: DP-SGD, and the account of what was promised and what the promise leaves out."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from genus.errors import UsageError, extra
from genus.maths.private import check_budget
from genus.maths.quantise import Packed
from genus.train.recipe import Recipe
from genus.train.run import Run

ALPHAS = [1 + k / 10 for k in range(1, 100)] + list(range(11, 64)) + [2.0**k for k in range(6, 15)]  # Rényi orders
NUMBERS = 2**25  # of gradients of single items held at once: 128 MB

LEFT_OUT = (
    "the number of rows",
    "hyper-parameters tried and compared on the same rows, each fit of which spends its own ε",
    "noise is drawn in 64-bit floating point, whose gaps an attacker with the exact numbers could in theory use",
)


def uncovered(codec: Any) -> list[str]:
    """What was read off the data without noise, and so is outside of any ε; what a schema declares of a column is not."""
    kinds: dict[Any, str] | None = getattr(codec, "kinds_", None)
    if kinds is None:
        return ["the codec: its alphabet, levels, scale or edges", *LEFT_OUT]
    declared = (getattr(codec, "declared", None) or {}).get("columns", {})
    numbers = [str(c) for c, kind in kinds.items() if kind in ("numeric", "integer", "datetime")]
    labels = [str(c) for c, kind in kinds.items() if kind in ("category", "boolean")]
    ends = [c for c in numbers if None in (declared.get(c, {}).get("bounds") or [None])]
    levels = [c for c in labels if not declared.get(c, {}).get("levels")]
    out = []
    if numbers:
        out.append("edges of bins, frequent values and decimals of numbers")
    if ends:
        out.append(f"smallest and largest values of {_some(ends)} (declare bounds in a schema)")
    if levels:
        out.append(f"levels of {_some(levels)} (declare levels in a schema)")
    if texts := [str(c) for c, kind in kinds.items() if kind == "text"]:
        out.append(f"free text of {_some(texts)}, which the codec learns letter by letter: leave such columns out")
    return [*out, "columns left out of the model, and how they are made anew", *LEFT_OUT]


def _some(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def account(promise: dict[str, Any], codec: Any, run: Run) -> dict[str, Any]:
    """The promise with what it does not cover; said on standard error unless the run is silent."""
    kept = promise | {"uncovered": uncovered(codec)}
    if run.progress is not False:
        print(f"privacy: ε = {kept['epsilon']:.4g} at δ = {kept['delta']:g} spent", file=sys.stderr)
        print(f"  not covered: {'; '.join(kept['uncovered'])}", file=sys.stderr)
    return kept


class _Bound(nn.Module):
    """A net with the loss that calls it, so that both can be run with other weights."""

    def __init__(self, net: nn.Module, loss: Callable[[Tensor, Tensor | None], Tensor]) -> None:
        super().__init__()
        self.net, self.loss = net, loss

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        return self.loss(x[None], None if y is None else y[None]).mean()


@contextmanager
def _spelt(net: nn.Module) -> Iterator[None]:
    """Sums of embeddings are spelt out inside the block: the fused form cannot be run on many weights at once."""
    bags = [m for m in net.modules() if isinstance(m, nn.EmbeddingBag) and m.mode == "sum"]
    for bag in bags:
        bag.forward = partial(_summed, bag)  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        for bag in bags:
            del bag.forward


def _summed(bag: nn.EmbeddingBag, x: Tensor) -> Tensor:
    return nn.functional.embedding(x, bag.weight).sum(-2)


class Private:
    """DP-SGD: g = (Σ over a random batch of gᵢ · min(1, C / ‖gᵢ‖) + σ C N(0, I)) / E[batch].

    Each item enters a batch on its own with probability batch / n; its gradient is clipped to C, the recipe's `clip`, and
    Gaussian noise hides whether it was there. σ is the least for which all steps together stay within ε. Noise and batches come
    from the system, not from the seed, so that no two fits are the same.

    Parameters
    ----------
    recipe: with epsilon and delta. nets: the one trained. n: items. batch: expected items a step. steps: of the whole run, None
    if unknown. processes: that share the work.

    Reference: M. Abadi et al. 2016, Deep learning with differential privacy, https://arxiv.org/abs/1607.00133;
    I. Mironov, K. Talwar and L. Zhang 2019, Rényi differential privacy of the sampled Gaussian mechanism, https://arxiv.org/abs/1908.10530
    """

    def __init__(self, recipe: Recipe, nets: dict[str, nn.Module], n: int, batch: int, steps: int | None, processes: int) -> None:
        family = type(recipe).__name__
        assert recipe.epsilon is not None
        check_budget(recipe.epsilon, recipe.delta, n)
        if not type(recipe).private and len(nets) == 1:
            raise UsageError(
                f"{family} also reads statistics off the data beside its steps, outside of any epsilon: use made, vae or mst."
            )
        if len(nets) != 1:
            raise UsageError(
                f"{family} trains several nets against each other, which epsilon cannot protect: use made, vae or mst."
            )
        if steps is None:
            raise UsageError(
                "The noise depends on how many steps there will be: beside epsilon give steps or epochs, not minutes."
            )
        if recipe.clip <= 0 or processes > 1:
            raise UsageError("epsilon needs clip above 0, which bounds what one item can do, and one process (devices=1).")
        self.net = next(iter(nets.values()))
        if any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in self.net.modules()):
            raise UsageError(
                f"The net of {family} normalises over a batch, so that items are not apart: epsilon needs another net."
            )
        self.n, self.rate, self.clip, self.delta = n, min(1.0, batch / n), recipe.clip, recipe.delta
        self.recipe, self.steps = recipe, steps
        self.sigma = _noise(recipe.epsilon, recipe.delta, self.rate, steps)
        self.each: Any = None
        self.each_step: Any = None
        self.generator = torch.Generator().manual_seed(secrets.randbits(63))

    def gradients(
        self, x: Packed, y: Tensor | None, loss: Callable[[Tensor, Tensor | None], Tensor], wanted: list[Any]
    ) -> list[Tensor]:
        """The private gradient of each of the `wanted` parameters, on a fresh batch."""
        names = {name: p for name, p in self.net.named_parameters() if p.requires_grad}
        total = {name: torch.zeros_like(p) for name, p in names.items()}
        chosen = (torch.rand(self.n, generator=self.generator) < self.rate).nonzero()[:, 0]
        size = max(1, NUMBERS // max(1, sum(p.numel() for p in names.values())))
        for i in chosen.split(size) if len(chosen) else ():
            found = self._singles(names, x[i], None if y is None else y[i], loss)
            norm = torch.stack([torch.linalg.vector_norm(g.flatten(1), dim=1) for g in found.values()]).norm(dim=0)
            sound = bool(norm.isfinite().all())
            weight = torch.where(norm.isfinite(), (self.clip / norm.clamp_min(1e-12)).clamp(max=1.0), 0.0)
            for name, g in found.items():
                total[name] += torch.tensordot(weight.to(g), g if sound else g.nan_to_num(0.0, 0.0, 0.0), 1)
        place = {id(p): total[name] for name, p in names.items()}
        return [(place[id(p)] + self._noise_like(p)) / (self.rate * self.n) for p in wanted]

    def _noise_like(self, t: Tensor) -> Tensor:
        return self.sigma * self.clip * torch.randn(t.shape, generator=self.generator).to(t)

    def _singles(
        self, weights: dict[str, nn.Parameter], x: Tensor, y: Tensor | None, loss: Callable[[Tensor, Tensor | None], Tensor]
    ) -> dict[str, Tensor]:
        """The gradient of each item's loss, (n, *parameter); one after the other where the net cannot be run on all at once."""
        bound = _Bound(self.net, loss)

        def one(values: dict[str, Tensor], x: Tensor, y: Tensor | None) -> Tensor:
            return functional_call(bound, {f"net.{name}": v for name, v in values.items()}, (x, y))

        if self.each is None or self.each == "together":
            try:
                values = {name: p.detach() for name, p in weights.items()}
                with _spelt(self.net):
                    found = vmap(grad(one), in_dims=(None, 0, None if y is None else 0), randomness="different")(values, x, y)
                self.each = "together"
                return found
            except (RuntimeError, NotImplementedError):
                if self.each is not None:
                    raise
                self.each = "one by one"
        rows = [self._alone(weights, bound, x[i], None if y is None else y[i]) for i in range(len(x))]
        return {name: torch.stack([row[k] for row in rows]) for k, name in enumerate(weights)}

    def _alone(self, weights: dict[str, nn.Parameter], bound: _Bound, x: Tensor, y: Tensor | None) -> list[Tensor]:
        found = torch.autograd.grad(bound(x, y), list(weights.values()), allow_unused=True)
        return [torch.zeros_like(p) if g is None else g for p, g in zip(weights.values(), found, strict=True)]

    def spent(self, step: int) -> float:
        """ε after so many steps."""
        from opacus.accountants.analysis import rdp

        if not step:
            return 0.0
        if self.each_step is None:
            self.each_step = np.asarray(rdp.compute_rdp(q=self.rate, noise_multiplier=self.sigma, steps=1, orders=ALPHAS))
        return float(rdp.get_privacy_spent(orders=ALPHAS, rdp=self.each_step * step, delta=self.delta)[0])

    def promise(self, step: int, run: Run) -> dict[str, Any]:
        """What is kept in the model: ε, δ, how it was reached and what it does not cover."""
        facts = {"epsilon": self.spent(step), "delta": self.delta, "steps": step, "sample rate": self.rate,
                 "noise multiplier": self.sigma, "clip": self.clip, "noise": "secret"}  # fmt: skip
        kept = account(facts, getattr(self.recipe, "codec_", None), run)
        if getattr(self.recipe, "condition_", None) is not None:
            kept["uncovered"].insert(0, "the conditions y, which are kept as they were")
        return kept


def _noise(epsilon: float, delta: float, rate: float, steps: int) -> float:
    """σ over C for these steps, by the Rényi accountant of opacus."""
    try:
        from opacus.accountants.utils import get_noise_multiplier
    except ImportError:
        raise extra("opacus", "privacy") from None
    try:
        asked: dict[str, Any] = {"target_epsilon": epsilon, "target_delta": delta, "sample_rate": rate, "steps": steps}
        return float(get_noise_multiplier(**asked, epsilon_tolerance=0.01 * epsilon, alphas=ALPHAS))
    except ValueError:
        raise UsageError(f"epsilon={epsilon} is too small to train by at all: give a larger one, or fewer steps.") from None
