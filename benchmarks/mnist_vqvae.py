"""A VQ-VAE of 7 × 7 codes from a book of 256 on MNIST, with a gated PixelCNN over the codes: its bound, in nats.

Static binarisation: each pixel black once and for all with its grey value as probability, by seed. 55,000 images train and
5,000 choose the weights; the 10,000 test images are scored once, at the end. The bound, log p(x | c(x)) + log p(c(x)), has no
chance in it. Pictures: images drawn (the likeliest image of codes drawn from the prior), and test images above what is read
back from their codes.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from genus.families.vqvae import VQVAE
from mnist import binarise, digits, picture
from record import Clock, record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1700)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    seed, ((grey, _), (other, _)) = given.seed, digits()
    grey = grey[np.random.default_rng(seed).permutation(len(grey))[: given.rows]]
    black, test = binarise(grey, seed), binarise(other, seed + 2)
    held = len(black) // 12
    clock = Clock()
    model = VQVAE(seed=seed, steps=given.steps, temperature=0.0).fit(black[held:], validation=black[:held])
    seconds, cpu = clock.seconds, clock.cpu_seconds
    bound = model.log_prob_bound(test)
    codes = model.encode(test)
    rate, back = -rates(model, codes), model.decode(codes)
    wrong = (back != test).mean()
    use, perplexity = model.usage_[0], model.perplexity_[0]
    rows = [
        {"metric": "bound, −log p(x)", "value": float(-bound.mean()), "unit": "nats", "n": len(test),
         "low": float(-bound.mean() - error(bound)), "high": float(-bound.mean() + error(bound))},
        {"metric": "of which the codes cost", "value": float(rate.mean()), "unit": "nats"},
        {"metric": "of which pixels given codes cost", "value": float(-bound.mean() - rate.mean()), "unit": "nats"},
        {"metric": "pixels read back wrong", "value": 100 * float(wrong), "unit": "%"},
        {"metric": "share of codes used", "value": 100 * use, "unit": "%", "target": "≥ 95 % (must 80 %)", "met": use >= 0.95},
        {"metric": "perplexity of the codes", "value": perplexity, "unit": f"of {model.codes_}"},
        {"metric": "processor minutes of training", "value": cpu / 60, "unit": "min", "target": "≤ 10 min", "met": cpu <= 600},
    ]  # fmt: skip
    note = f"{given.steps} steps of the nets and {given.steps} of the prior, batch 128; static binarisation; one thread"
    record("mnist_vqvae", rows, seed=seed, seconds=seconds, note=note)
    picture(drawn(model.sample(100, seed=seed)), "mnist_vqvae.png")
    pairs = np.stack([test[:50].reshape(5, 10, 28, 28), back[:50].reshape(5, 10, 28, 28)], 1)
    picture(drawn(pairs.reshape(100, 28, 28)), "mnist_vqvae_codes.png")


def rates(model: VQVAE, codes: np.ndarray) -> np.ndarray:
    """log p(c) of codes, nats."""
    with torch.no_grad():
        parts = [model._log_prior(index, None, 1) for index in torch.from_numpy(codes).split(1000)]
    return torch.cat(parts).double().numpy()


def drawn(black: np.ndarray) -> np.ndarray:
    """Binary images as the picture wants them."""
    return np.asarray(black).astype(np.uint8) * 255


def error(values: np.ndarray) -> float:
    """Half the 95 % interval of a mean."""
    return 1.96 * float(values.std()) / len(values) ** 0.5


if __name__ == "__main__":
    main()
