"""Duel: several players in turn, each with a loss and an optimiser of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from genus.maths.quantise import Packed
from genus.train.engine import Engine, Loss
from genus.train.recipe import Recipe
from genus.train.run import Run


def duel(
    players: Mapping[str, nn.Module],
    turns: Mapping[str, tuple[int, Loss]],
    x: Packed,
    y: Tensor | None,
    *,
    recipe: Recipe,
    run: Run,
    averaged: str,
    rates: Mapping[str, float] | None = None,
) -> list[dict[str, Any]]:
    """In each step every player, in the order of `turns`, takes its turns: a fresh batch, its loss, a step of its optimiser.

    A turn moves that player's parameters only; no gradient reaches the others.

    Parameters
    ----------
    players: the nets. turns: player → (how many times, loss(x, y) → scalar). averaged: the player whose averaged weights
    are left in it. rates: learning rates that differ from the recipe's.

    Returns the history, each player's loss under its name.

    Reference: I. Goodfellow et al. 2014, Generative adversarial nets, https://arxiv.org/abs/1406.2661
    """
    engine = Engine(dict(players), x, y, recipe=recipe, run=run, averaged=averaged, labels=tuple(turns), rates=dict(rates or {}))

    def step() -> None:
        for slot, (name, (repeats, loss)) in enumerate(turns.items()):
            for _ in range(repeats):
                engine.update(name, loss, slot)

    return engine.loop(step)
