"""MNIST, binarised: exact nats of the families that read pixel by pixel in one pass, MADE and NADE.

Static binarisation: every pixel of every image is drawn once, by seed, as Bernoulli(x/255). Dynamic: training images are drawn
anew whenever they are read. Test images are drawn once in both. 55,000 images train, 5,000 choose the weights, the 10,000 test
images are scored once.
"""

from __future__ import annotations

import argparse
import importlib
from typing import Any

import numpy as np
import torch

from mnist import binarise, digits, picture
from mnist_vae import Coins
from record import Clock, record

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "made": ("MADE", {"width": 700, "depth": 2, "order": "given", "batch": 100, "lr": 2e-3}),
    "nade": ("NADE", {"width": 500, "order": "given", "batch": 100, "lr": 2e-3}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family", choices=KINDS)
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--steps", type=int, default=None, help="instead of minutes")
    parser.add_argument("--binarisation", choices=("static", "dynamic"), default="static")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--width", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--trial", action="store_true", help="print the validation and stop")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    name, fields = KINDS[given.family]
    fields = fields | ({"width": given.width} if given.width else {})
    family: Any = getattr(importlib.import_module("genus"), name)

    class Redrawn(family):
        """The family, its training images redrawn as coins where `grey` is given."""

        grey: np.ndarray | None = None

        def _fit(self, x, y, run):
            super()._fit(x if self.grey is None else Coins(torch.from_numpy(self.grey)[:, None], 0.0), y, run)

    (grey, _), (test, _) = digits()
    order = np.random.default_rng(given.seed).permutation(len(grey))
    train, held = grey[order[5000:]], grey[order[:5000]]
    model = Redrawn(
        seed=given.seed, minutes=None if given.steps else given.minutes, steps=given.steps, dropout=given.dropout, **fields
    )
    model.grey = train if given.binarisation == "dynamic" else None
    clock = Clock()
    model.fit(binarise(train, given.seed), validation=binarise(held, given.seed + 1))
    seconds, steps = clock.seconds, model.history_[-1]["step"]
    print(steps, [round(row["validation"], 2) for row in model.history_ if "validation" in row][-15:], flush=True)
    if given.trial:
        return
    nats = -model.log_prob(binarise(test, given.seed + 2))
    mean, error = float(nats.mean()), 1.96 * float(nats.std()) / len(nats) ** 0.5
    begin = Clock()
    drawn = model.sample(100, seed=given.seed)
    rows = [
        {"metric": f"{name}; {given.binarisation} binarisation: exact", "value": mean, "unit": "nats", "low": mean - error,
         "high": mean + error, "n": len(nats), "target": "≤ 90 nats (goal 88.4)", "met": mean <= 90},
        {"metric": "minutes of training", "value": seconds / 60, "unit": "min"},
        {"metric": "100 images drawn", "value": begin.cpu_seconds, "unit": "CPU-s"},
    ]  # fmt: skip
    picture(np.asarray(drawn).astype(np.uint8) * 255, f"mnist-{given.family}.png")
    note = f"mnist_ordered.py {given.family} --binarisation {given.binarisation}; {steps} steps of {fields['batch']}"
    ending = "" if given.binarisation == "static" else "_dynamic"
    record(f"mnist_{given.family}{ending}", rows, seed=given.seed, seconds=seconds, note=note)


if __name__ == "__main__":
    main()
