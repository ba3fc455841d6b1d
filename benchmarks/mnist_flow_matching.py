"""MNIST: FlowMatching samples at 10, 20 and 50 evaluations, sorted into the ten digits by a classifier of real images.

The classifier's accuracy on the real test images is printed beside. The Fréchet distance is in the 64 features
before its last layer, against the test images; two halves of the real data are its floor. The architecture and the
budget were fixed beforehand: nothing is selected on the test images.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genus import FlowMatching
from genus.judgement.frechet import frechet_distance
from mnist import arguments, digits, picture
from record import Clock, record

SURE, LEAST = 0.9, 0.02


class Judge(nn.Module):
    """A small convolutional classifier: `features` (n, 64) and ten scores from them."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 24, 5, stride=2, padding=2), nn.ReLU(), nn.Conv2d(24, 48, 5, stride=2, padding=2), nn.BatchNorm2d(48),
            nn.ReLU(), nn.Flatten(), nn.Linear(48 * 49, 64), nn.ReLU(),
        )  # fmt: skip
        self.last = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.features(x))


def floats(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).float()[:, None] / 127.5 - 1


def trained(images: np.ndarray, labels: np.ndarray, steps: int) -> Judge:
    """The classifier after `steps` batches of 128."""
    judge, y = Judge(), torch.from_numpy(labels).long()
    optimiser = torch.optim.AdamW(judge.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, steps)
    for _ in range(steps):
        i = torch.randint(len(images), (128,))
        loss = nn.functional.cross_entropy(judge(floats(images[i.numpy()])), y[i])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return judge.eval()


@torch.no_grad()
def looked_at(judge: Judge, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(features (n, 64), class probabilities (n, 10))."""
    features = torch.cat([judge.features(floats(part)) for part in np.array_split(images, max(1, len(images) // 500))])
    return features.numpy(), judge.last(features).softmax(1).numpy()


def rows_at(evaluations: int, probability: np.ndarray, distance: float, floor: float) -> list[dict[str, Any]]:
    """Digits found, share of sure samples and Fréchet distance of the samples at one budget."""
    sure, digit = probability.max(1), probability.argmax(1)
    share = np.bincount(digit[sure > SURE], minlength=10) / len(digit)
    found, sharp = int((share > LEAST).sum()), float((sure > SURE).mean())
    tail, n = f"at {evaluations} evaluations", len(digit)
    return [
        {"metric": f"digits found (over 2 % each) {tail}", "value": found, "unit": "of 10", "target": "10",
         "met": found == 10, "n": n},
        {"metric": f"samples that are surely a digit {tail}", "value": sharp, "unit": "share", "target": "≥ 0.9",
         "met": sharp >= 0.9, "n": n},
        {"metric": f"Fréchet distance in the classifier's features {tail}", "value": distance, "unit": "", "peer": "real halves",
         "peer_value": floor, "met": None, "n": n},
    ]  # fmt: skip


def main() -> None:
    given = arguments(__doc__, minutes=12.0, samples=2000)
    (images, labels), (test, truth) = digits()
    judge = trained(images, labels, given.classifier_steps)
    features, probability = looked_at(judge, test)
    accuracy = float((probability.argmax(1) == truth).mean())
    print(f"  classifier: {accuracy:.2%} of real test images", flush=True)
    real = looked_at(judge, images[: given.samples])[0]
    floor, clock = frechet_distance(real, features), Clock()
    model = FlowMatching(seed=given.seed, minutes=given.minutes, precision="bf16").fit(images)
    seconds, rows = clock.seconds, []
    for evaluations in (10, 20, 50):
        samples = model.set_params(evaluations=evaluations).sample(given.samples, seed=given.seed)
        drawn, probability = looked_at(judge, samples)
        rows += rows_at(evaluations, probability, frechet_distance(drawn, features), floor)
    picture(samples, "mnist_flow_matching.png")
    rows += [
        {"metric": "classifier accuracy on real test images", "value": accuracy, "unit": "share", "target": "≥ 0.98",
         "met": accuracy >= 0.98, "n": len(truth)},
        {"metric": "minutes of training", "value": seconds / 60, "unit": "min", "target": "≤ 15 min", "met": seconds <= 900},
    ]  # fmt: skip
    record("mnist_flow_matching", rows, seed=given.seed, seconds=clock.seconds, note=f"{model.history_[-1]['step']} steps, bf16")


if __name__ == "__main__":
    main()
