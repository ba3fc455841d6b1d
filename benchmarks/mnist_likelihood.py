"""MNIST, binarised: importance-sampled nats of variational autoencoders, one kind a run.

Static binarisation: every pixel of every image is drawn once, by seed, as Bernoulli(x/255), and the net sees those images alone
(the published static files are another such draw). Dynamic: training images are drawn anew whenever they are read. Test images
are drawn once in both. 55,000 images train, 5,000 choose the weights by the training's own bound, the 10,000 test images are
scored once. The bound with K draws is on average the looser the smaller K, so that a target for K = 5,000 that is met with
fewer is met.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch

from genus.families.vae import VAE
from mnist import binarise, digits
from mnist_vae import Coins
from record import Clock, record

KINDS: dict[str, tuple[dict[str, Any], str, float, float]] = {  # fields, what, must, goal
    "vae": ({}, "VAE, MLP", 92.0, 88.0),
    "iwae": ({"importance": 50}, "IWAE, 50 codes", 88.5, 86.8),
    "vamp": ({"prior": "vamp", "components": 500}, "VAE with a VampPrior of 500", 88.0, 85.6),
    "flow": ({"prior": "flow", "posterior": "flow"}, "VAE, flow prior and posterior", 88.0, 85.6),
    "ladder": ({"levels": 3}, "ladder VAE, 3 levels", 88.0, 85.6),
}


class Redrawn(VAE):
    """A VAE whose training images are redrawn as coins; what it is given as data is only the first draw."""

    grey: np.ndarray | None = None

    def _fit(self, x, y, run):
        super()._fit(x if self.grey is None else Coins(torch.from_numpy(self.grey)[:, None], 0.0), y, run)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--binarisation", choices=("static", "dynamic"), default="static")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--body", default="mlp")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--trial", action="store_true", help="score 1,000 validation images and record nothing")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    fields, what, must, goal = KINDS[given.kind]
    (grey, _), (test, _) = digits()
    order = np.random.default_rng(given.seed).permutation(len(grey))
    train, held = grey[order[5000:]], grey[order[:5000]]
    model = Redrawn(seed=given.seed, minutes=given.minutes, latent=40, batch=given.batch, lr=given.lr, body=given.body,
                    dropout=given.dropout, kl_warmup=2000, **fields)  # fmt: skip
    model.grey = train if given.binarisation == "dynamic" else None
    clock = Clock()
    model.fit(binarise(train, given.seed), validation=binarise(held, given.seed + 1)[: 5000 if given.kind != "iwae" else 1000])
    seconds, steps = clock.seconds, model.history_[-1]["step"]
    black = binarise(held, given.seed + 1)[:1000] if given.trial else binarise(test, given.seed + 2)
    loose = -model.log_prob_bound(black, draws=1, seed=given.seed)
    tight = -model.log_prob_bound(black, draws=given.draws, seed=given.seed)
    print(f"{given.kind}: {steps} steps in {seconds:.0f} s; −ELBO {loose.mean():.2f}, IS {tight.mean():.2f} nats, "
          f"{model.active_} units in use", flush=True)  # fmt: skip
    if given.trial:
        print([round(row["validation"], 2) for row in model.history_ if "validation" in row][-12:])
        return
    label = f"{what}; {given.binarisation} binarisation"
    rows = [
        _row(f"{label}: importance-sampled, {given.draws} draws", tight, f"≤ {must:g} nats (goal {goal:g})", must),
        _row(f"{label}: −ELBO", loose, None, None),
        {"metric": "latent units in use", "value": model.active_, "unit": f"of {model.net_.latent}"},
        {"metric": "minutes of training", "value": seconds / 60, "unit": "min"},
    ]
    name = f"mnist_likelihood_{given.kind}" + ("" if given.binarisation == "static" else "_dynamic")
    note = (
        f"python benchmarks/mnist_likelihood.py {given.kind} --binarisation {given.binarisation}; {steps} steps of {given.batch}"
    )
    record(name, rows, seed=given.seed, seconds=seconds, note=note)


def _row(metric: str, nats: np.ndarray, target: str | None, limit: float | None) -> dict[str, Any]:
    mean, error = float(nats.mean()), 1.96 * float(nats.std()) / len(nats) ** 0.5
    row = {"metric": metric, "value": mean, "unit": "nats", "low": mean - error, "high": mean + error, "n": len(nats)}
    return row if target is None else row | {"target": target, "met": mean <= (limit or 0)}


if __name__ == "__main__":
    main()
