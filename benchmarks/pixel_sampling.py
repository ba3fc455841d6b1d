"""Drawing pixel by pixel: remembering every layer's features against a whole forward pass for each pixel, at 28 × 28.

Both draw from the same net with the same seed, and the images are compared. The naive loop is what most public code does.
It is timed on a number of pixels spread over the image and scaled to all 784 (its cost does not depend on the pixel); the
images are compared in full at batch 1. The nets' weights are random: time does not depend on them.
"""

from __future__ import annotations

import statistics
import time

import torch

from genus.maths.particles import race
from genus.nets.pixelcnn import Stack
from genus.nets.pixelrnn import RecurrentStack
from genus.nets.raster import Drawing, Naive, Raster
from genus.space import Space
from record import Clock, record

SPACE, SIDES = Space("binary", (1, 28, 28), 2), (28, 28)
NETS = {
    "gated PixelCNN": lambda: Stack("gated", 1, SIDES, width=32, depth=3, side=2),
    "plain PixelCNN, 15 blocks": lambda: Stack("plain", 1, SIDES, width=32, depth=15),
    "PixelCNN++": lambda: Stack("mixture", 1, SIDES, width=32, depth=4),
    "diagonal BiLSTM": lambda: RecurrentStack("diagonal", 1, SIDES, width=48, depth=1),
    "row LSTM": lambda: RecurrentStack("row", 1, SIDES, width=48, depth=2),
}
TIMED = 20


@torch.inference_mode()
def remembered(net: Raster, batch: int, seed: int) -> tuple[torch.Tensor, float]:
    """(images drawn with memory, processor seconds an image)."""
    torch.manual_seed(seed)
    start = time.process_time()
    x = _draw(Drawing(net, torch.zeros(batch, 784, dtype=torch.long), None), range(784))
    return x, (time.process_time() - start) / batch


@torch.inference_mode()
def naive_seconds(net: Raster, batch: int) -> float:
    """Processor seconds an image of the naive loop."""
    steps = range(0, 784, 784 // TIMED)
    start = time.process_time()
    _draw(Naive(net, torch.zeros(batch, 784, dtype=torch.long), None), steps)
    return (time.process_time() - start) * 784 / len(steps) / batch


def _draw(items: Naive, steps: range) -> torch.Tensor:
    for step in steps:
        items.put(step, race(items.logits(step)))
    return items.x


@torch.inference_mode()
def agrees(net: Raster, seed: int) -> float:
    """The share of one image's pixels that both ways draw alike."""
    torch.manual_seed(seed)
    naive = _draw(Naive(net, torch.zeros(1, 784, dtype=torch.long), None), range(784))
    return float((naive == remembered(net, 1, seed)[0]).float().mean())


def main() -> None:
    torch.set_num_threads(1)
    clock, rows = Clock(), []
    for name, make in NETS.items():
        torch.manual_seed(0)
        net = Raster(SPACE, make(), inner=64).eval()
        same = agrees(net, 1)
        rows.append({"metric": f"{name}: pixels alike", "value": same, "unit": "share", "target": "1", "met": same == 1})
        for batch in (1, 16):
            remembered(net, batch, 0)
            pairs = [(naive_seconds(net, batch), remembered(net, batch, 0)[1]) for _ in range(3)]
            ratio = statistics.median(a / b for a, b in pairs)
            slow, fast = (statistics.median(each) for each in zip(*pairs, strict=True))
            target = "≥ 10× (goal 100×)" if batch == 16 else "≥ 10×"
            rows.append({
                "metric": f"{name}: speed against the naive loop, batch {batch}", "value": ratio, "unit": "×",
                "target": target, "met": ratio >= 10, "seconds_an_image": fast, "naive_seconds_an_image": slow,
            })  # fmt: skip
    record("pixel_sampling", rows, seed=0, seconds=clock.seconds, note="one thread, float32, processor seconds, medians of 3")


if __name__ == "__main__":
    main()
