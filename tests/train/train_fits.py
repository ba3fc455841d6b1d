"""Small fits that the tests of training share: a net with dropout, and a pair of players."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genus import dice
from genus.maths.quantise import Fuzzy
from genus.train.descend import descend
from genus.train.duel import duel
from genus.train.recipe import Recipe
from genus.train.run import Run


def data(n: int = 300) -> Fuzzy:
    """Integers as intervals, so that every batch draws noise."""
    levels = torch.randint(9, (n, 6), generator=torch.Generator().manual_seed(1))
    return Fuzzy(levels.float(), 1.0)


def dense() -> nn.Module:
    """A perceptron with dropout."""
    return nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.2), nn.ReLU(), nn.Linear(16, 6))


def channels_last() -> nn.Module:
    """Convolutions over the six numbers as a picture of 2 × 3, their weights laid out channels last."""
    convolutions = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
    last = nn.Conv2d(8, 1, 3, padding=1)
    net = nn.Sequential(nn.Unflatten(1, (1, 2, 3)), convolutions, last, nn.Flatten())
    return net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def descent(
    folder: Path | None = None, *, stop_at: int = 0, run: dict[str, Any] | None = None, net: Callable = dense, **fields: Any
):
    """(weights, history) of a small fit; SIGTERM comes during step `stop_at`."""
    x, calls, make = data(), 0, net
    with dice.private(5):
        net = make()

        def loss(x: Tensor, y: Tensor | None) -> Tensor:
            nonlocal calls
            calls += 1
            if calls == stop_at:
                os.kill(os.getpid(), signal.SIGTERM)
            return (net(x) - x).square().sum(1)

        def error(x: Tensor, y: Tensor | None) -> Tensor:
            return (net(x) - x).square().sum(1)

        recipe = Recipe(**({"steps": 120, "batch": 32} | fields))
        run_ = Run(folder, validation=(x.part(slice(0, 50)), None), **(run or {}))
        history = descend(net, loss, x, None, recipe=recipe, run=run_, evaluate=error)
        after = torch.rand(3)
    return [*net.state_dict().values(), after], history


def contest(folder: Path | None = None, *, stop_at: int = 0, **fields: Any):
    """(weights, history) of a small duel."""
    x, calls = data(), 0
    with dice.private(6):
        players = {"maker": nn.Sequential(nn.Linear(2, 6), nn.BatchNorm1d(6)), "judge": nn.Linear(6, 1)}
        maker, judge = players.values()

        def tell(x: Tensor, y: Tensor | None) -> Tensor:
            nonlocal calls
            calls += 1
            if calls == stop_at:
                os.kill(os.getpid(), signal.SIGINT)
            made = maker(torch.randn(len(x), 2))
            return (judge(made) - judge(x)).mean() + judge.weight.square().sum()

        def please(x: Tensor, y: Tensor | None) -> Tensor:
            return -judge(maker(torch.randn(len(x), 2))).mean()

        recipe = Recipe(**({"steps": 60, "batch": 32} | fields))
        turns = {"judge": (2, tell), "maker": (1, please)}
        history = duel(players, turns, x, None, recipe=recipe, run=Run(folder), averaged="maker")
    return [*maker.state_dict().values(), *judge.state_dict().values()], history


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    """Bit for bit."""
    return len(a) == len(b) and all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


def without_time(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The history without its seconds."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]


if __name__ == "__main__":
    import sys

    from genus.errors import GenusError

    torch.set_num_threads(1)
    try:
        descent(Path(sys.argv[1]), steps=int(sys.argv[2]), run={"every": 0.05})
    except GenusError as error:
        print(error, file=sys.stderr)
        sys.exit(error.code)
