"""MNIST, dynamically binarised: exact nats of PixelCNN and PixelRNN, and a picture of what they draw.

Pixels are probabilities: each reading of a training image draws every pixel anew as Bernoulli(x/255) (Salakhutdinov and
Murray 2008); the validation and test images are drawn once, by seed. 55,000 images train and 5,000 choose the weights, split
by seed; the 10,000 test images are scored once, at the end.

    python benchmarks/mnist_pixel.py pixelcnn
    python benchmarks/mnist_pixel.py pixelrnn
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from genus import catalogue
from genus.maths.quantise import Fuzzy
from mnist import binarise, digits, picture
from record import Clock, record

TARGETS = {"pixelcnn": (87.0, "≤ 87 nats (goal 81.4)"), "pixelrnn": (88.0, "≤ 88 nats (goal 80.8)")}
NETS = {
    "pixelcnn": {"variant": "gated", "width": 32, "depth": 3, "reach": 2, "steps": 9000, "batch": 32, "lr": 3e-3},
    "pixelrnn": {"rows": "diagonal", "width": 48, "depth": 1, "steps": 15000, "batch": 16, "lr": 3e-3},
}


class Coins(Fuzzy):
    """Grey images (n, 1, 28, 28) uint8 that read as binary draws, new each time."""

    def __getitem__(self, index):
        grey = self.low[index]
        return (torch.rand(grey.shape) * 255 < grey).to(torch.uint8)

    def part(self, index):
        return Coins(self.low[index], 0.0)


def dynamic(family: type, grey: np.ndarray) -> type:
    """The family, its training images redrawn as coins; what it is given as data is only the first draw."""

    class Dynamic(family):
        def _fit(self, x, y, run):
            super()._fit(Coins(torch.from_numpy(grey)[:, None], 0.0), y, run)

    return Dynamic


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family", choices=sorted(TARGETS))
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test", type=int, default=10_000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    seed, name = given.seed, given.family
    (grey, _), (test, _) = digits()
    order = np.random.default_rng(seed).permutation(len(grey))
    train, held = grey[order[5000:]], grey[order[:5000]]
    options = NETS[name] | ({"steps": given.steps} if given.steps else {})
    model = dynamic(catalogue.family(name), train)(seed=seed, ema=0.999, **options)
    clock = Clock()
    model.fit(binarise(train, seed), validation=binarise(held[:2000], seed + 1))
    seconds, minutes = clock.seconds, clock.cpu_seconds / 60
    nats = -model.log_prob(binarise(test, seed + 2)[: given.test])
    picture(255 * model.sample(100, seed=seed).astype(np.uint8), f"mnist_{name}.png")
    mean, error = float(nats.mean()), 1.96 * float(nats.std()) / len(nats) ** 0.5
    limit, target = TARGETS[name]
    count = sum(p.numel() for p in model.net_.parameters())
    rows = [
        {"metric": "−log p of test digits, exact", "value": mean, "unit": "nats", "target": target, "met": mean <= limit,
         "low": mean - error, "high": mean + error, "n": len(nats)},
        {"metric": "training, one thread", "value": minutes, "unit": "CPU-minutes", "target": "≤ 25 CPU-minutes",
         "met": minutes <= 25},
        {"metric": "parameters", "value": count, "unit": ""},
    ]  # fmt: skip
    told = ", ".join(f"{key} {value}" for key, value in options.items())
    note = f"dynamic binarisation, test images drawn once; {told}; picture docs/pictures/mnist_{name}.png"
    record(f"mnist_{name}", rows, seed=seed, seconds=seconds, note=note)


if __name__ == "__main__":
    main()
