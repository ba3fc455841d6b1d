"""Annealed importance sampling beside the rbms package: 784 × 256, 200 chains, 500 temperatures, the same machine for both.

    python benchmarks/annealing.py

Interleaved rounds, one thread, processor seconds, medians.
"""

from __future__ import annotations

import statistics
import time

import torch

from genus.maths.annealing import Path, anneal, log_mean
from genus.maths.harmonium import Harmonium
from genus.maths.units import Binary
from peers import ask
from record import Clock, record

SEED, ROUNDS, VISIBLE, HIDDEN = 0, 5, 784, 256


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    clock = Clock()
    weight = torch.randn(VISIBLE, HIDDEN) * 0.05
    visible, hidden = torch.randn(VISIBLE) * 0.1, torch.randn(HIDDEN) * 0.1
    path = Path(Harmonium(Binary(VISIBLE), weight, visible, hidden), visible)
    ours, theirs, values, others = [], [], [], []
    for _ in range(ROUNDS):
        begin = time.process_time()
        found, _ = anneal(path, torch.linspace(0, 1, 500), path.first(200))
        ours.append(time.process_time() - begin)
        values.append(path.log_z_start + log_mean(found)[0])
        told = ask("classical", "classical_peers.py", "annealing", weight_matrix=weight.numpy(), vbias=visible.numpy(),
                   hbias=hidden.numpy())  # fmt: skip
        theirs.append(told["seconds"])
        others.append(told["log_z"])
    mine, peer = statistics.median(ours), statistics.median(theirs)
    gap = abs(statistics.median(values) - statistics.median(others))
    rows = [
        {"metric": "200 chains × 500 temperatures", "value": mine, "unit": "CPU s", "met": None, "low": min(ours),
         "high": max(ours), "peer": "rbms", "peer_value": peer},
        {"metric": "times faster than rbms", "value": peer / mine, "unit": "×", "target": "≥ 2", "met": peer / mine >= 2},
        {"metric": "difference of log Z", "value": gap, "unit": "nats", "met": None, "peer": "rbms",
         "peer_value": statistics.median(others)},
    ]  # fmt: skip
    record(
        "annealing",
        rows,
        seed=SEED,
        seconds=clock.seconds,
        note=f"{VISIBLE} × {HIDDEN}; {ROUNDS} interleaved rounds, one thread.",
    )


if __name__ == "__main__":
    main()
