"""Binarised MNIST by a deep Boltzmann machine of 500 and 500 hidden units: the variational bound with log Z annealed.

GENUS_DATA=… python benchmarks/deep_boltzmann.py [--epochs 60]
"""

from __future__ import annotations

import argparse
import warnings

import torch

from genus import DBM
from mnist import binarise, digits
from record import Clock, record

SEED = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--lr", type=float, default=0.05)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    (train, _), (test, _) = digits()
    train, test = binarise(train, SEED), binarise(test, SEED + 1)
    clock = Clock()
    model = DBM(latent=(500, 500), epochs=options.epochs, lr=options.lr, sweeps=5, batch=100, seed=SEED).fit(train)
    fitted = clock.cpu_seconds
    found = model.partition(chains=500, steps=20_000)
    value = -float(model.log_prob_estimate(test)[0].mean())
    rows = [
        {"metric": "binarised MNIST, variational bound", "value": value, "low": value - 1.96 * found.error,
         "high": value + 1.96 * found.error, "unit": "nats", "target": "≤ 90 (goal 85)",
         "met": value + 1.96 * found.error <= 90 and not found.doubt, "peer": "published", "peer_value": 84.62, "n": len(test)},
        {"metric": "log Z, reverse − forward", "value": found.reverse - found.forward, "unit": "nats", "met": None},
        {"metric": "fit", "value": fitted, "unit": "CPU s", "met": None},
    ]  # fmt: skip
    note = f"Static binarisation, own draw; {options.epochs} epochs, lr {options.lr}, one configuration, one seed. {found.doubt}"
    record("deep_boltzmann", rows, seed=SEED, seconds=clock.seconds, note=note)


if __name__ == "__main__":
    main()
