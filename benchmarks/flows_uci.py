"""RealNVP, MAF and the neural spline flow beside zuko and nflows on UCI protein and bike: speed and test log-likelihood.

All are trained on the same arrays by the same optimiser, schedule, batches and steps, in one process; parameters agree within
10 %. Speed: bursts of training steps, one library after the other in every round, the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import gzip
import math
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genus import MAF, NSF, RealNVP, Run
from genus.maths.bijection import Chain
from genus.model import Model
from genus.train.descend import descend
from genus.train.recipe import Recipe
from peers import environment
from record import Clock, data, record

BATCH, LR, WARMUP, CLIP, DECAY = 256, 2e-3, 100, 1.0, 1e-6
LAYERS, HIDDEN, BINS, BOUND = 5, 64, 8, 5.0
WIDTH = {"RealNVP": {10: 84, 18: 82}, "MAF": {10: 82, 18: 80}, "NSF": {10: 73, 18: 69}}
OURS: dict[str, Callable[..., Model]] = {"RealNVP": RealNVP, "MAF": MAF, "NSF": NSF}
Loss = Callable[[Tensor], Tensor]


def peers_packages() -> None:
    """Let this process import zuko and nflows from their own environment, after everything of this one."""
    lib = environment("flows").parent.parent / "lib"
    sys.path.append(str(next(lib.glob("python3*/site-packages"))))


def arrays(name: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(train, validation, test) 80 : 10 : 10, shuffled, every column of mean 0 and deviation 1 on the training rows.

    A column with fewer than 1,000 values gets uniform noise as wide as its smallest step, before standardising.
    """
    with gzip.open(data("uci_regression", f"{name}.csv.gz")) as file:
        X = np.loadtxt(file, delimiter=",")
    random = np.random.default_rng(seed)
    for column in X.T:
        values = np.unique(column)
        if 1 < len(values) < 1000:
            steps = np.diff(values)
            column += steps[steps > 1e-6 * np.ptp(values)].min() * (random.random(len(column)) - 0.5)
    X = X[random.permutation(len(X))]
    X = X[:, X.std(0) > 0]
    a, b = int(0.8 * len(X)), int(0.9 * len(X))
    X = (X - X[:a].mean(0)) / X[:a].std(0)
    return X[:a].astype(np.float32), X[a:b].astype(np.float32), X[b:].astype(np.float32)


def zuko_flow(kind: str, d: int) -> tuple[nn.Module, Loss]:
    import zuko  # pyright: ignore[reportMissingImports]

    make = {"RealNVP": zuko.flows.RealNVP, "MAF": zuko.flows.MAF, "NSF": zuko.flows.NSF}[kind]
    flow = make(d, transforms=LAYERS, hidden_features=(HIDDEN,) * 3, **({"bins": BINS} if kind == "NSF" else {}))
    return flow, lambda x: -flow().log_prob(x)


def nflows_flow(kind: str, d: int) -> tuple[nn.Module, Loss]:
    from nflows import transforms  # pyright: ignore[reportMissingImports]
    from nflows.distributions.normal import StandardNormal  # pyright: ignore[reportMissingImports]
    from nflows.flows import MaskedAutoregressiveFlow, SimpleRealNVP  # pyright: ignore[reportMissingImports]
    from nflows.flows.base import Flow  # pyright: ignore[reportMissingImports]

    if kind == "RealNVP":
        flow = SimpleRealNVP(d, HIDDEN, LAYERS, 1)
    elif kind == "MAF":
        flow = MaskedAutoregressiveFlow(d, HIDDEN, LAYERS, 2, use_residual_blocks=False)
    else:
        spline = transforms.MaskedPiecewiseRationalQuadraticAutoregressiveTransform
        options = {"num_bins": BINS, "tails": "linear", "tail_bound": BOUND, "num_blocks": 2, "use_residual_blocks": False}
        links = [
            link
            for _ in range(LAYERS)
            for link in (transforms.ReversePermutation(d), spline(features=d, hidden_features=HIDDEN, **options))
        ]
        flow = Flow(transforms.CompositeTransform(links), StandardNormal([d]))
    return flow, lambda x: -flow.log_prob(x)


def our_flow(kind: str, d: int) -> Model:
    """Ours, unfitted: its own defaults but for what is equal for all."""
    options: dict[str, Any] = (
        {"mapping": "affine", "mixing": "shuffle"} if kind == "RealNVP" else {"bins": BINS} if kind == "NSF" else {}
    )
    return OURS[kind](layers=LAYERS, width=WIDTH[kind][d], depth=1, **equal(), **options)


def equal() -> dict[str, Any]:
    return {"batch": BATCH, "lr": LR, "warmup": WARMUP, "clip": CLIP, "ema": 0.0, "weight_decay": DECAY}


def train(flow: nn.Module, loss: Loss, x: Tensor, steps: int, seed: int, batch: int = BATCH, lr: float = LR) -> None:
    """The plain loop: AdamW (fused), linear warm-up and cosine to nothing, gradients clipped, reshuffled every epoch."""
    optimiser = torch.optim.AdamW(flow.parameters(), lr, weight_decay=DECAY, fused=True)
    warmup = min(WARMUP, steps // 10)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda i: min(1.0, (i + 1) / max(1, warmup)) * 0.5 * (1 + math.cos(math.pi * i / steps))
    )
    random, left = torch.Generator().manual_seed(seed), torch.zeros(0, dtype=torch.int64)
    for _ in range(steps):
        if len(left) < batch:
            left = torch.randperm(len(x), generator=random)
        i, left = left[:batch], left[batch:]
        value = loss(x[i]).mean()
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(flow.parameters(), CLIP)
        optimiser.step()
        rate.step()


def mean_log_prob(loss: Loss, x: Tensor) -> float:
    """The mean of log p over rows, skipping none."""
    with torch.no_grad():
        return float(-torch.cat([loss(part) for part in x.split(2048)]).double().mean())


def bursts(kind: str, d: int, x: Tensor, fitted: Model, rounds: int, steps: int) -> dict[str, list[float]]:
    """Training steps a CPU second of each library in every round, the order turning."""
    net: Chain = fitted.net_  # pyright: ignore[reportAttributeAccessIssue]
    theirs = {"zuko": zuko_flow(kind, d), "nflows": nflows_flow(kind, d)}
    recipe = Recipe(steps=steps, **equal())

    def ours() -> None:
        descend(net, fitted._loss, x, None, recipe=recipe, run=Run())  # pyright: ignore[reportAttributeAccessIssue]

    runs: dict[str, Callable[[], None]] = {"genus": ours}
    runs |= {name: lambda pair=pair: train(*pair, x, steps, 0) for name, pair in theirs.items()}
    speed: dict[str, list[float]] = {name: [] for name in runs}
    for i in range(rounds + 1):
        for name in list(runs)[i % 3 :] + list(runs)[: i % 3]:
            began = time.process_time()
            runs[name]()
            if i:
                speed[name].append(steps / (time.process_time() - began))
    return speed


def rows_of(kind: str, name: str, seed: int, steps: int, rounds: int) -> list[dict[str, Any]]:
    """Speed and test log-likelihood of one flow on one set, ours beside each peer's."""
    train_x, valid, test = arrays(name, seed)
    d = train_x.shape[1]
    torch.manual_seed(seed)
    x, t = torch.tensor(train_x), torch.tensor(test)
    model = our_flow(kind, d).set_params(seed=seed, steps=steps).fit(train_x, validation=valid)
    ours = float(model.log_prob(test).mean())  # pyright: ignore[reportAttributeAccessIssue]
    size = sum(p.numel() for p in model.net_.parameters())  # pyright: ignore[reportAttributeAccessIssue]
    speed, found = bursts(kind, d, x, model, rounds, 100), []
    for peer, make in (("zuko", zuko_flow), ("nflows", nflows_flow)):
        torch.manual_seed(seed)
        flow, loss = make(kind, d)
        train(flow, loss, x, steps, seed)
        theirs, theirs_size = mean_log_prob(loss, t), sum(p.numel() for p in flow.parameters())
        ratios = [a / b for a, b in zip(speed["genus"], speed[peer], strict=True)]
        label = f"{kind} on {name}"
        found += [
            {"metric": f"{label}: training steps a second against {peer}", "value": statistics.median(ratios), "unit": "×",
             "target": "≥ 1.2", "met": statistics.median(ratios) >= 1.2, "low": min(ratios), "high": max(ratios),
             "n": len(ratios), "steps_a_second": round(statistics.median(speed["genus"]), 1), "peer": peer,
             "peer_value": 1.0, "peer_steps_a_second": round(statistics.median(speed[peer]), 1)},
            {"metric": f"{label}: test log-likelihood beside {peer}", "value": ours, "unit": "nats an item",
             "target": "≥ theirs − 0.05", "met": ours >= theirs - 0.05, "peer": peer, "peer_value": theirs, "n": len(test),
             "parameters": size, "peer_parameters": theirs_size, "within_10_percent": abs(size / theirs_size - 1) <= 0.1},
        ]  # fmt: skip
        print(f"{label} {peer}: {found[-2]['value']:.2f}×, {ours:.3f} against {theirs:.3f}; {size}, {theirs_size}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=["protein", "bike"])
    parser.add_argument("--flows", nargs="*", default=list(OURS))
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    peers_packages()
    clock, rows = Clock(), []
    for name in given.sets:
        for kind in given.flows:
            rows += rows_of(kind, name, given.seed, given.steps, given.rounds)
    note = (
        f"{given.steps} steps of {BATCH}, AdamW (fused) {LR}, cosine, clip {CLIP}, no averaging, one thread; {LAYERS} "
        "transformations; columns of under 1,000 values dequantised by noise as wide as their smallest step, all standardised "
        "on the training rows; speed by CPU seconds, our validation and averaging off, our loop's own bookkeeping on"
    )
    record("flows_uci", rows, seed=given.seed, seconds=clock.seconds, note=note)


if __name__ == "__main__":
    main()
