"""MNIST: GAN samples, sorted into the ten digits by a classifier that was trained on real images.

The classifier is the library's own convolutional encoder with ten outputs; its accuracy on the real test images is
reported beside the samples' shares, and a GAN sample counts as a digit only where it is at least 90 % sure.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from genus.families.gan import GAN
from genus.nets.conv import ConvEncoder
from genus.nets.default import half
from mnist import arguments, digits, picture
from record import Clock, record


def packed(images: np.ndarray) -> Tensor:
    """uint8 images as floats in [−1, 1], (n, 1, 28, 28)."""
    return torch.from_numpy(images).float()[:, None] / 127.5 - 1


def classifier(images: np.ndarray, labels: np.ndarray, steps: int) -> nn.Module:
    """A small convolutional classifier, trained with shifts of up to two pixels."""
    net = ConvEncoder((1, 28, 28), 10, channels=24, dropout=0.2)
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, steps)
    x, y = torch.from_numpy(images), torch.from_numpy(labels).long()
    for _ in range(steps):
        i = torch.randint(len(x), (256,))
        shift = tuple(torch.randint(-2, 3, (2,)).tolist())
        batch = torch.roll(x[i], shift, (1, 2)).float()[:, None] / 127.5 - 1
        with half():
            scores = net(batch).float()
        loss = nn.functional.cross_entropy(scores, y[i], label_smoothing=0.02)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return net.eval()


@torch.no_grad()
def beliefs(net: nn.Module, images: np.ndarray) -> Tensor:
    """Class probabilities (n, 10)."""
    return torch.cat([net(packed(part)).softmax(1) for part in np.array_split(images, max(1, len(images) // 500))])


def main() -> None:
    given = arguments(__doc__, minutes=7.0, samples=5000)
    (images, labels), (test, truth) = digits()
    judge = classifier(images, labels, given.classifier_steps)
    accuracy = float((beliefs(judge, test).argmax(1).numpy() == truth).mean())
    print(f"  classifier: {accuracy:.2%} of real test images", flush=True)
    clock = Clock()
    model = GAN(seed=given.seed, minutes=given.minutes).fit(images)
    seconds = clock.seconds
    samples = model.sample(given.samples, seed=given.seed)
    picture(samples, "mnist_gan.png")
    sure, digit = beliefs(judge, samples).max(1)
    share = torch.bincount(digit[sure > 0.9], minlength=10) / len(samples)
    real = np.bincount(truth, minlength=10) / len(truth)
    found = int((share > 0.02).sum())
    rows = [
        {"metric": "digits found (over 2 % each)", "value": found, "unit": "of 10", "target": "10", "met": found == 10},
        {"metric": "samples that are surely a digit", "value": float((sure > 0.9).float().mean()), "unit": "share",
         "target": "≥ 0.9", "met": bool((sure > 0.9).float().mean() >= 0.9), "n": len(samples)},
        {"metric": "distance of digit shares from real (total variation)", "value": float(np.abs(share.numpy() - real).sum() / 2),
         "unit": "share"},
        {"metric": "classifier accuracy on real test images", "value": accuracy, "unit": "share", "target": "≥ 0.99",
         "met": accuracy >= 0.99, "n": len(truth)},
        {"metric": "minutes of training", "value": seconds / 60, "unit": "min", "target": "≤ 15 min", "met": seconds <= 900},
    ]  # fmt: skip
    shares = " ".join(f"{d}:{float(s):.3f}" for d, s in enumerate(share))
    record("mnist_gan", rows, seed=given.seed, seconds=seconds, note=f"{model.history_[-1]['step']} steps; shares {shares}")


if __name__ == "__main__":
    main()
