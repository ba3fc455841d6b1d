"""Toys with known densities: the neural spline flow's KL divergence from the truth beside zuko's, FlowMatching's sliced W₂.

KL is the mean of log p − log q over fresh draws of p. Sliced W₂ is between fresh draws and samples, over 256 directions,
in units of the data's deviation; beside it the same between two sets of fresh draws, the floor no sampler can beat.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch

from flows_uci import mean_log_prob, peers_packages, train
from genus import NSF, FlowMatching
from genus.data.toys import TOYS
from record import Clock, record

N, FRESH = 100_000, 10_000
LAYERS, BINS, BATCH, LR = 6, 16, 1024, 5e-3


def sliced(a: np.ndarray, b: np.ndarray, directions: int = 256) -> float:
    """√ mean over directions u of W₂²(u·a, u·b), divided by the deviation of b."""
    angle = np.pi * (np.arange(directions) + 0.5) / directions
    u = np.stack([np.cos(angle), np.sin(angle)])
    gap = np.sort(a @ u, axis=0) - np.sort(b @ u, axis=0)
    return float(np.sqrt((gap**2).mean()) / b.std(0).mean())


def flow_row(name: str, X: np.ndarray, T: np.ndarray, options: dict[str, Any]) -> dict[str, Any]:
    """KL(p ‖ NSF) with its interval, zuko's at the same steps, batch, schedule and layers beside it."""
    clock = Clock()
    model = NSF(layers=LAYERS, width=100, depth=1, bins=BINS, batch=BATCH, lr=LR, **options).fit(X)
    gap = TOYS[name].log_density(T) - model.log_prob(T)
    spent = round(clock.cpu_seconds, 1)
    wide = 1.96 * gap.std() / np.sqrt(len(gap))
    scale = X.std(0)
    torch.manual_seed(options["seed"])
    import zuko  # pyright: ignore[reportMissingImports]

    flow = zuko.flows.NSF(2, transforms=LAYERS, hidden_features=(75, 75, 75), bins=BINS)
    x, t = (torch.tensor((a - X.mean(0)) / scale, dtype=torch.float32) for a in (X, T))
    train(flow, lambda x: -flow().log_prob(x), x, options["steps"], options["seed"], BATCH, LR)
    theirs = TOYS[name].log_density(T).mean() - mean_log_prob(lambda x: -flow().log_prob(x), t) + np.log(scale).sum()
    return {"metric": f"NSF on {name}: KL from the truth", "value": float(gap.mean()), "unit": "nats",
            "target": "≤ 0.10 (goal 0.02)", "met": bool(gap.mean() <= 0.10), "peer": "zuko NSF", "peer_value": float(theirs),
            "n": len(gap), "low": float(gap.mean() - wide), "high": float(gap.mean() + wide), "cpu_seconds": spent,
            "parameters": sum(p.numel() for p in model.net_.parameters()),
            "peer_parameters": sum(p.numel() for p in flow.parameters())}  # fmt: skip


def matching_rows(name: str, X: np.ndarray, T: np.ndarray, options: dict[str, Any]) -> list[dict[str, Any]]:
    """Sliced W₂ at three budgets of evaluations, and the likelihood estimate's distance from the truth."""
    clock = Clock()
    model = FlowMatching(**options).fit(X)
    fit = round(clock.cpu_seconds, 1)
    floor = float(np.mean([sliced(TOYS[name].draw(FRESH, 100 + i)[0], T) for i in range(5)]))
    rows = []
    for evaluations in (10, 20, 50):
        value = sliced(model.set_params(evaluations=evaluations).sample(FRESH, seed=0), T)
        metric = f"FlowMatching on {name}: sliced W₂ at {evaluations} evaluations"
        rows.append({"metric": metric, "value": value, "unit": "deviations", "peer": "fresh draws", "peer_value": floor,
                     "met": None, "n": FRESH, "cpu_seconds": fit})  # fmt: skip
    some = T[:1000]
    gap = TOYS[name].log_density(some) - model.log_prob_estimate(some)[0]
    rows.append({"metric": f"FlowMatching on {name}: KL by the ODE likelihood", "value": float(gap.mean()), "unit": "nats",
                 "met": None, "n": len(gap)})  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toys", nargs="*", default=["moons", "eight_gaussians", "checkerboard"])
    parser.add_argument("--steps", type=int, default=4000, help="of training")
    parser.add_argument("--matching", action="store_true", help="FlowMatching as well")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    peers_packages()
    options, clock, rows = {"seed": arguments.seed, "steps": arguments.steps}, Clock(), []
    for name in arguments.toys:
        X, T = TOYS[name].draw(N, arguments.seed)[0], TOYS[name].draw(FRESH, arguments.seed + 1)[0]
        rows.append(flow_row(name, X, T, options))
        print(f"  {name}: {rows[-1]['value']:.4f}, zuko {rows[-1]['peer_value']:.4f}", flush=True)
        if arguments.matching:
            rows += matching_rows(name, X, T, options)
    note = f"{N} training draws" + (f", {arguments.steps} steps" if arguments.steps else "")
    record("toy_densities", rows, seed=arguments.seed, seconds=clock.seconds, note=note)


if __name__ == "__main__":
    main()
