"""vector-quantize-pytorch's documented autoencoder, with its quantiser and with genus's, trained in turns in one process.

Runs in the peers' environment (kind "vq"); prints one JSON object. The net, its initial weights, the batches, the loss
(L1 + 10 × commitment), AdamW at 3e-4 and the number of steps are the same for all; only the quantiser differs.
"""

from __future__ import annotations

import copy
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))

from vector_quantize_pytorch import VectorQuantize  # pyright: ignore[reportMissingImports]

from genus.maths.codebook import Residual

CODES, DIM, BATCH, ALPHA, TURN = 256, 32, 256, 10.0, 10


class Ours(nn.Module):
    """genus's quantiser behind the calling convention of the peer's."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.book = Residual(CODES, DIM, **options)

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features (n, d, h, w) rounded, their codes, and the commitment loss."""
        coded = self.book(h.movedim(1, 3).flatten(0, 2))
        return coded.z.view(len(h), *h.shape[2:], -1).movedim(3, 1), coded.index, coded.commitment.mean()


def halves() -> tuple[nn.Module, nn.Module]:
    """The example's two convolutions in and two out."""
    enter = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.MaxPool2d(2), nn.GELU(), nn.Conv2d(16, DIM, 3, padding=1), nn.MaxPool2d(2)
    )
    leave = nn.Sequential(
        nn.Upsample(scale_factor=2), nn.Conv2d(DIM, 16, 3, padding=1), nn.GELU(), nn.Upsample(scale_factor=2),
        nn.Conv2d(16, 1, 3, padding=1),
    )  # fmt: skip
    return enter, leave


class Racer(nn.Module):
    """The example's net around one quantiser, its optimiser and its clock."""

    def __init__(self, enter: nn.Module, leave: nn.Module, quantiser: nn.Module) -> None:
        super().__init__()
        self.enter, self.leave, self.quantiser = copy.deepcopy(enter), copy.deepcopy(leave), quantiser
        self.optimiser = torch.optim.AdamW(self.parameters(), lr=3e-4)
        self.turns: list[float] = []

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(x read back, codes, commitment loss)."""
        z, index, commitment = self.quantiser(self.enter(x))
        return self.leave(z).clamp(-1, 1), index, commitment

    def turn(self, batches: list[Tensor]) -> None:
        """Some steps, and the processor seconds of one."""
        self.train()
        begin = time.process_time()
        for x in batches:
            self.optimiser.zero_grad()
            out, _, commitment = self(x)
            ((out - x).abs().mean() + ALPHA * commitment).backward()
            self.optimiser.step()
        self.turns.append((time.process_time() - begin) / len(batches))

    @torch.no_grad()
    def judged(self, test: Tensor) -> dict[str, float]:
        """L1 on the test images, the share of codes they use, the perplexity, and the median seconds of a step."""
        self.eval()
        found = [self(x)[:2] for x in test.split(1000)]
        error = torch.cat([(out - x).abs().flatten(1).mean(1) for (out, _), x in zip(found, test.split(1000), strict=True)])
        chance = torch.bincount(torch.cat([i.flatten() for _, i in found]), minlength=CODES) / (49 * len(test))
        return {
            "l1": float(error.mean()),
            "use": float((chance > 0).float().mean()),
            "perplexity": float(torch.special.entr(chance).sum().exp()),
            "seconds": statistics.median(self.turns),
        }


def quantisers() -> dict[str, nn.Module]:
    """What races: the example as documented, the peer with k-means and revival on, and genus."""
    peer: dict[str, Any] = {"dim": DIM, "codebook_size": CODES, "accept_image_fmap": True}
    return {
        "documented": VectorQuantize(**peer),
        "revived": VectorQuantize(**peer, kmeans_init=True, threshold_ema_dead_code=2),
        "genus": Ours(gradient="rotation", decay=0.95, expire=0.1),
    }


def main() -> None:
    steps, seed = int(sys.argv[1]), int(sys.argv[2])
    arrays = np.load(sys.argv[3])
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    train, test = (torch.from_numpy(arrays[name])[:, None].float() / 127.5 - 1 for name in ("train", "test"))
    enter, leave = halves()
    racers = {name: Racer(enter, leave, quantiser) for name, quantiser in quantisers().items()}
    rng = np.random.default_rng(seed)
    for _ in range(steps // TURN):
        batches = [train[torch.from_numpy(rng.integers(len(train), size=BATCH))] for _ in range(TURN)]
        for racer in racers.values():
            racer.turn(batches)
    print(json.dumps({name: racer.judged(test) for name, racer in racers.items()}))


if __name__ == "__main__":
    main()
