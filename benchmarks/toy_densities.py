"""Toys with known densities: RealNVP's KL divergence from the truth, FlowMatching's sliced W₂ at 10, 20 and 50 evaluations.

KL is the mean of log p − log q over fresh draws of p. Sliced W₂ is between fresh draws and samples, over 256 directions,
in units of the data's deviation; beside it the same between two sets of fresh draws, the floor no sampler can beat.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch

from genus import FlowMatching, RealNVP
from genus.data.toys import TOYS
from record import Clock, record

N, FRESH = 10_000, 10_000


def sliced(a: np.ndarray, b: np.ndarray, directions: int = 256) -> float:
    """√ mean over directions u of W₂²(u·a, u·b), divided by the deviation of b."""
    angle = np.pi * (np.arange(directions) + 0.5) / directions
    u = np.stack([np.cos(angle), np.sin(angle)])
    gap = np.sort(a @ u, axis=0) - np.sort(b @ u, axis=0)
    return float(np.sqrt((gap**2).mean()) / b.std(0).mean())


def flow_row(name: str, X: np.ndarray, T: np.ndarray, options: dict[str, Any]) -> dict[str, Any]:
    """KL(p ‖ RealNVP) with its interval."""
    clock = Clock()
    model = RealNVP(**options).fit(X)
    gap = TOYS[name].log_density(T) - model.log_prob(T)
    wide = 1.96 * gap.std() / np.sqrt(len(gap))
    return {"metric": f"RealNVP on {name}: KL from the truth", "value": float(gap.mean()), "unit": "nats", "target": "≤ 0.10",
            "met": bool(gap.mean() <= 0.10), "low": float(gap.mean() - wide), "high": float(gap.mean() + wide), "n": len(gap),
            "cpu_seconds": round(clock.cpu_seconds, 1)}  # fmt: skip


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
    parser.add_argument("--toys", nargs="*", default=list(TOYS))
    parser.add_argument("--steps", type=int, default=None, help="of training; each family's own default when left out")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    options, clock, rows = {"seed": arguments.seed, "steps": arguments.steps}, Clock(), []
    for name in arguments.toys:
        X, T = TOYS[name].draw(N, arguments.seed)[0], TOYS[name].draw(FRESH, arguments.seed + 1)[0]
        rows.append(flow_row(name, X, T, options))
        rows += matching_rows(name, X, T, options)
        print("  " + "; ".join(f"{r['metric'].split(':')[1].strip()} {r['value']:.4f}" for r in rows[-5:]), name, flush=True)
    note = f"{N} training draws, defaults" + (f", {arguments.steps} steps" if arguments.steps else "")
    record("toy_densities", rows, seed=arguments.seed, seconds=clock.seconds, note=note)


if __name__ == "__main__":
    main()
