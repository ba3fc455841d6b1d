"""A codebook of 256 vectors on MNIST beside vector-quantize-pytorch, in the shape of its documented example.

Two convolutions, 32 numbers a vector, 49 places an image, 1,000 steps of 256 images, L1 + 10 × commitment, AdamW at 3e-4; on
MNIST where the example has Fashion-MNIST. Nets, initial weights, batches and steps are the same for all; the racers take
turns of ten steps in one process of one thread. The 10,000 test images are read once, at the end.
"""

from __future__ import annotations

import argparse
from typing import Any

from mnist import digits
from peers import NEEDS, ask
from record import Clock, record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    (train, _), (test, _) = digits()
    clock = Clock()
    found: dict[str, dict[str, float]] = ask(
        "vq", "vq_peers.py", str(given.steps), str(given.seed), train=train[:55_000], test=test
    )
    ours, rows = found.pop("genus"), []
    for kind, peer in found.items():
        rows += against(kind, ours, peer)
    rows += [
        {"metric": "share of codes used", "value": 100 * ours["use"], "unit": "%", "target": "≥ 95 % (must 80 %)",
         "met": ours["use"] >= 0.95, "n": 256},
        {"metric": "perplexity of the codes", "value": ours["perplexity"], "unit": "of 256"},
    ]  # fmt: skip
    note = f"{NEEDS['vq'][0]}; documented: its example's arguments; revived: also k-means and revival of dead codes"
    record("vq", rows, seed=given.seed, seconds=clock.seconds, note=note)


def against(kind: str, ours: dict[str, float], peer: dict[str, float]) -> list[dict[str, Any]]:
    """The rows that set one of the peer's ways beside ours."""
    name, ratio = f"vector-quantize-pytorch, {kind}", peer["seconds"] / ours["seconds"]
    return [
        {"metric": f"L1 on test images, beside {kind}", "value": ours["l1"], "unit": "of (−1, 1)", "target": "≤ the peer's",
         "met": ours["l1"] <= peer["l1"], "peer": name, "peer_value": peer["l1"], "n": 10_000},
        {"metric": f"codes used and perplexity, beside {kind}", "value": ours["perplexity"], "unit": "of 256",
         "peer": f"{name}, which uses {peer['use']:.0%}", "peer_value": peer["perplexity"]},
        {"metric": f"training steps a second, ratio to {kind}", "value": ratio, "unit": "×", "target": "≥ 1 ×",
         "met": ratio >= 1, "peer": name, "peer_value": 1 / peer["seconds"]},
    ]  # fmt: skip


if __name__ == "__main__":
    main()
