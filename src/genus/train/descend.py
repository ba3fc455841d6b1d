"""Descend: one objective, minimised by steps (provisional body; the interface stays)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from genus.maths.quantise import Packed
from genus.train.recipe import Recipe
from genus.train.run import Run


def descend(
    net: nn.Module,
    loss: Callable[[Tensor, Tensor | None], Tensor],
    x: Packed,
    y: Tensor | None,
    *,
    recipe: Recipe,
    run: Run,
    evaluate: Callable[[Tensor, Tensor | None], Tensor] | None = None,
) -> list[dict[str, Any]]:
    """Minimise `loss(x, y).mean()` (one value an item, (n,)) over net's parameters; leaves the best or averaged weights in net."""
    steps = recipe.steps or recipe.default_steps
    optimiser = torch.optim.AdamW(net.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.lr, steps, pct_start=0.1) if steps > 10 else None
    history = []
    for step in range(steps):
        i = torch.randint(len(x), (min(recipe.batch, len(x)),))
        value = loss(x[i], None if y is None else y[i]).mean()
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(net.parameters(), recipe.clip or float("inf"))
        optimiser.step()
        if schedule:
            schedule.step()
        if step % 50 == 0:
            history.append({"step": step, "loss": float(value)})
    net.eval()
    return history
