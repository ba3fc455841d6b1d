"""Ascend: steps whose gradients are written by hand, for models whose likelihood no graph can differentiate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from genus.errors import UsageError
from genus.maths.quantise import Packed
from genus.train.engine import Engine, Loss
from genus.train.recipe import Recipe
from genus.train.run import Run

Step = Callable[[Tensor, float], Tensor]


def ascend(
    net: nn.Module, step: Step, x: Packed, *, recipe: Recipe, run: Run, label: str = "gap", evaluate: Loss | None = None
) -> list[dict[str, Any]]:
    """Let `step` move the net in place, batch after batch; leaves the best (by `evaluate`) or averaged weights in it.

    Whatever must survive an interruption (chains, velocities) belongs in the net's buffers.

    Parameters
    ----------
    step: (batch of x, learning rate now) → a number to watch, logged as `label`; not finite, it stops the fit.
    evaluate: what validation minimises, (n,), no validation when None.

    Returns the history, as `descend`.
    """
    if recipe.epsilon is not None:
        raise UsageError(f"{type(recipe).__name__} learns from chains over whole batches, which epsilon cannot protect: use mst.")
    engine = Engine({"net": net}, x, None, recipe=recipe, run=run, averaged="net", labels=(label,))
    if engine.processes > 1:
        raise UsageError(f"{type(recipe).__name__} trains in one process: leave devices={engine.processes} out.")
    optimiser = engine.optimisers["net"]  # idle but for the rate that the schedule sets in it

    def turn() -> None:
        rate = optimiser.param_groups[0]["lr"]
        engine.health.put(0, step(engine.x[engine.batches.next()], rate), None)

    with torch.no_grad():
        return engine.loop(turn, evaluate)
