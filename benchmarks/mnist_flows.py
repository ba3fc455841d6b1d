"""Flows on MNIST: bits a dimension of 8-bit images, dequantised by uniform noise.

−log₂ p(x) / 784 of the 10,000 test images in their own units (0 … 255), bounded from below by the mean density over draws of the
noise; 55,000 train, 5,000 validate. All grey values are modelled; nothing is binarised.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np
import torch

from genus import NICE, Glow, RealNVP, Run
from mnist import digits, picture
from record import Clock, record

MUST = {"nice": 4.6, "realnvp": 1.35, "glow": 1.35}
GOAL = {"nice": 4.34, "realnvp": 1.06, "glow": 1.05}
FAMILY = {"nice": NICE, "realnvp": RealNVP, "glow": Glow}
CHOSEN: dict[str, dict[str, Any]] = {
    "nice": {"width": 512, "depth": 2, "layers": 4, "steps": 2000, "batch": 256, "lr": 1e-3},
    "realnvp": {"width": 32, "depth": 1, "layers": 4, "steps": 3000, "batch": 64, "lr": 2e-3, "ema": 0.998},
    "glow": {"width": 32, "depth": 1, "layers": 8, "steps": 3000, "batch": 64, "lr": 2e-3, "ema": 0.998},
}


def bits(model: Any, images: np.ndarray, draws: int) -> np.ndarray:
    """Bits a dimension of each image."""
    return -model.log_prob_bound(images, draws=draws) / images[0].size / math.log(2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flow", choices=list(MUST), required=True)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--set", nargs="*", default=[], help="fields that differ from the chosen ones, such as width=48")
    parser.add_argument("--trial", action="store_true", help="score 1,000 validation images once and write nothing")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    options = CHOSEN[given.flow] | {k: _value(v) for k, v in (pair.split("=") for pair in given.set)}
    options |= {"steps": given.steps} if given.steps else {}
    (train, _), (test, _) = digits()
    clock = Clock()
    model = FAMILY[given.flow](**options, seed=given.seed)
    model.fit(train[:55000], validation=train[55000 : 55500 if given.trial else 56000], run=Run(progress=not given.trial))
    fit = clock.cpu_seconds
    size = sum(p.numel() for p in model.net_.parameters())
    if given.trial:
        each = bits(model, train[56000:57000], 1)
        print(f"{given.flow} {given.set} {given.steps}: {each.mean():.3f} bits, {size} parameters, {fit:.0f} CPU s", flush=True)
        return
    picture(model.sample(100, seed=given.seed), f"mnist-{given.flow}.png")
    each = bits(model, test, 4)
    wide = 1.96 * each.std() / math.sqrt(len(each))
    value = float(each.mean())
    row = {"metric": f"{FAMILY[given.flow].__name__}: test bits a dimension", "value": value, "unit": "bits",
           "target": f"≤ {MUST[given.flow]}", "met": value <= MUST[given.flow], "goal": GOAL[given.flow],
           "low": value - wide, "high": value + wide, "n": len(each), "parameters": size,
           "cpu_seconds": round(fit, 1)}  # fmt: skip
    note = f"{options}; uniform dequantisation, 4 draws an image; grey values, no binarisation"
    note += "; pixels pass to normals by their own distributions in the training set and are whitened first, unlike the papers"
    record(f"mnist_flows_{given.flow}", [row], seed=given.seed, seconds=clock.seconds, note=note)


def _value(text: str) -> Any:
    """A number where it is one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


if __name__ == "__main__":
    main()
