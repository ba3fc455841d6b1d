"""VAE, IWAE and VQ-VAE beside pythae's on MNIST: training steps a second, and importance-sampled nats at equal steps.

The same binarised images (static, drawn once by seed), batch 100, Adam at 1e-3, equal epochs, one thread, nets of equal size
(within 10 %) of each library's own kind. Speeds are taken in turns, medians of processor seconds; the nats are those of one
longer fit each, with each library's own estimator on the same 1,000 test images. The VQ-VAEs read grey values in [0, 1], are
trained on squared error with one weight of the commitment and judged by it; both round each of 16 numbers to one book of 512,
which is what pythae makes of vectors; ours has the cheapest prior, for theirs has none.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genus import Marginals
from genus.families.vae import VAE
from genus.families.vqvae import VQVAE
from genus.maths.codebook import Residual
from genus.nets.coder import Coder
from genus.nets.default import Encoder, Enter, Shaped
from genus.nets.heads import Normal, head_for
from genus.nets.mlp import MLP
from genus.nets.quantised import Quantised
from genus.space import Items, Space
from mnist import binarise, digits
from peers import ask
from record import Clock, record

LATENT, CODES, BATCH, WIDTH = 16, 5, 100, 240
BOOK = 512


def net(space: Any, condition: int) -> Coder:
    """Residual perceptrons with as many parameters as pythae's two layers of 512."""
    head, enter = head_for(space), Enter(space, flat=True)
    encoder = Encoder(enter, MLP(enter.shape[0], 2 * LATENT, width=WIDTH, depth=2))
    return Coder(LATENT, head, encoder, Shaped(MLP(LATENT, space.size, width=WIDTH, depth=2), head.raw))


class Squared(Normal):
    """Means in (0, 1) and a fixed deviation with which −log p is the squared error and a constant."""

    def __init__(self, space: Any) -> None:
        super().__init__(space)
        self.raw = (1, *space.shape)

    def moments(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        mean = raw[:, 0].sigmoid()
        return mean, torch.full_like(mean, math.sqrt(0.5))


class Scalars(nn.Module):
    """A net of vectors to a row of places of one number each, or from there."""

    def __init__(self, body: nn.Module, *, enters: bool) -> None:
        super().__init__()
        self.body, self.enters = body, enters

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.body(x.flatten(1), y) if self.enters else self.body(x, y)[:, None, None]


def quantised(space: Any, condition: int) -> Quantised:
    """One hidden layer to 16 scalar codes an image and one back, as pythae's."""
    head = Squared(space)
    layer = {"width": 512, "depth": 0, "activation": "relu"}
    encoder = Encoder(Enter(space), MLP(space.size, LATENT, **layer))
    decoder = Shaped(MLP(LATENT, space.size, **layer), head.raw)
    book = Residual(BOOK, 1, 1, decay=0.99)
    return Quantised(head, Scalars(encoder, enters=False), Scalars(decoder, enters=True), book, (1, LATENT))


def coded(train: np.ndarray, test: np.ndarray, epochs: int, draws: int) -> dict[str, Any]:
    """What our VQ-VAE takes and reaches."""
    steps = epochs * -(-len(train) // BATCH)
    model = VQVAE(
        net=quantised, codes=BOOK, latent=1, residual=1, commitment=0.25 / train.shape[1], prior=Marginals(), steps=steps,
        batch=BATCH, lr=1e-3, optimizer="adam", weight_decay=0.0,
    )  # fmt: skip
    space = Space("real", (train.shape[1],), bounds=(0.0, 1.0))
    seen, few, unseen = (Items(torch.from_numpy(rows), space) for rows in (train, test[:20], test))
    begin = time.process_time()
    model.fit(seen, validation=few)
    seconds = time.process_time() - begin
    error = float(np.square(model.decode(model.encode(unseen)).x.numpy() - test).mean()) if draws else None
    return {"seconds": seconds, "steps": steps, "parameters": sum(p.numel() for p in model.net_.parameters()), "nats": error}


def ours(kind: str, train: np.ndarray, test: np.ndarray, epochs: int, draws: int) -> dict[str, Any]:
    """What genus takes and reaches; validation is a handful of rows, since pythae has none here."""
    if kind == "vqvae":
        return coded(train, test, epochs, draws)
    steps = epochs * -(-len(train) // BATCH)
    model = VAE(
        net=net, steps=steps, batch=BATCH, lr=1e-3, optimizer="adam", weight_decay=0.0, kl_warmup=0, latent=LATENT,
        importance=1 if kind == "vae" else CODES, precision="auto",
    )  # fmt: skip
    begin = time.process_time()
    model.fit(train, validation=test[:20])
    seconds = time.process_time() - begin
    nats = float(-model.log_prob_bound(test, draws=draws).mean()) if draws else None
    return {"seconds": seconds, "steps": steps, "parameters": sum(p.numel() for p in model.net_.parameters()), "nats": nats}


def theirs(kind: str, train: np.ndarray, test: np.ndarray, epochs: int, draws: int) -> dict[str, Any]:
    """The same of pythae."""
    arrays = {"train": train.reshape(-1, 784), "test": test.reshape(-1, 784)}
    codes = BOOK if kind == "vqvae" else CODES
    return ask("pythae", "autoencoders_peers.py", kind, str(epochs), str(LATENT), str(codes), str(draws), **arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--rows", type=int, default=55_000)
    parser.add_argument("--kinds", nargs="+", default=["vae", "iwae", "vqvae"])
    parser.add_argument("--draws", type=int, default=200)
    given = parser.parse_args()
    torch.set_num_threads(1)
    clock, (grey, _), (other, _) = Clock(), *digits()
    train, test = binarise(grey[: given.rows], 0), binarise(other[:1000], 2)
    rows: list[dict[str, Any]] = []
    for kind in given.kinds:
        if kind == "vqvae":
            train, test = ((images / np.float32(255)).reshape(-1, 784) for images in (grey[: given.rows], other[:1000]))
        turns = [(ours(kind, train[:30_000], test, 1, 0), theirs(kind, train[:30_000], test, 1, 0)) for _ in range(3)]
        ratio = statistics.median(b["seconds"] / a["seconds"] for a, b in turns)
        a, b = ours(kind, train, test, given.epochs, given.draws), theirs(kind, train, test, given.epochs, given.draws)
        name = {"vae": "VAE", "iwae": f"IWAE, {CODES} codes", "vqvae": f"VQ-VAE, {BOOK} codes"}[kind]
        what, unit = ("squared error", "") if kind == "vqvae" else (f"nats, IS-{given.draws}", "nats")
        rows += [
            {"metric": f"{name}: training steps a second, ratio to pythae", "value": ratio, "unit": "×", "target": "≥ 1 ×",
             "met": ratio >= 1, "n": 3},
            {"metric": f"{name}: {what}, after {given.epochs} epochs", "value": a["nats"], "unit": unit,
             "target": "≤ pythae's", "met": a["nats"] <= b["nats"], "peer": "pythae", "peer_value": b["nats"], "n": 1000},
            {"metric": f"{name}: parameters", "value": a["parameters"], "peer": "pythae 0.1.2", "peer_value": b["parameters"]},
        ]  # fmt: skip
        print(kind, ratio, a, b, flush=True)
    note = "static binarisation; equal steps, batch 100, Adam 1e-3; each library's own likelihood estimator"
    record("autoencoders", rows, seed=0, seconds=clock.seconds, note=note)


if __name__ == "__main__":
    main()
