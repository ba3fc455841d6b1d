"""Descend: one objective, minimised by steps."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from genus.maths.quantise import Packed
from genus.train.engine import Engine, Loss, Watch
from genus.train.recipe import Recipe
from genus.train.run import Run


def descend(
    net: nn.Module,
    loss: Loss,
    x: Packed,
    y: Tensor | None,
    *,
    recipe: Recipe,
    run: Run,
    evaluate: Loss | None = None,
    watch: Watch | None = None,
) -> list[dict[str, Any]]:
    """Minimise `loss(x, y).mean()` over net's parameters; leaves the best or averaged weights in net.

    Parameters
    ----------
    loss: one value an item, (n,). x, y: the data; a Fuzzy x is drawn anew for each batch. evaluate: what validation
    minimises, `loss` when None. watch: facts to log with each validation, drawing nothing at random.
    run: `run.validation` holds held-out (x, y) or None.

    Returns the history: {"step", "seconds", "loss"} of each logged step and "validation" where it was checked.

    >>> from torch import nn, randn
    >>> net = nn.Linear(2, 1)
    >>> history = descend(net, lambda x, y: net(x).square(), randn(64, 2), None, recipe=Recipe(steps=20), run=Run())
    """
    engine = Engine({"net": net}, x, y, recipe=recipe, run=run, averaged="net")
    return engine.loop(lambda: engine.update("net", loss), evaluate or loss, watch)
