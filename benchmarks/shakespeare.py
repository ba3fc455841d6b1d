"""Characters of tiny-shakespeare: nats a character on the last tenth, beside an interpolated 5-gram.

The first 90 % are trained on (its last 20,000 characters only choose the best weights), the last 10 % are read once at
the end: in windows of 256 side by side, so that a character sees from 0 to 255 before it, and in windows that overlap by
half, of which only the latter half counts, so that it sees 128 to 255.

    GENUS_DATA=… python benchmarks/shakespeare.py [--steps N] [--optimizer adamw] [--trial]
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from genus import Transformer
from interpolated import ngram
from record import Clock, data, record

SEED = 0
CHOOSE = 20_000


@torch.no_grad()
def nats(model: Transformer, codes: Tensor, stride: int) -> tuple[float, int]:
    """(mean nats a character, characters counted) of windows `stride` apart; each counts its last `stride`, the first all."""
    size = model.space_.size
    windows = codes.unfold(0, size, stride)
    each = torch.cat([-F.cross_entropy(model.net_(w).mT, w, reduction="none") for w in windows.split(64)])
    counted = torch.cat([each[0, : size - stride], each[:, size - stride :].flatten()])
    return -float(counted.double().mean()), len(counted)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=4e-3)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--optimizer", default="adamw")
    parser.add_argument("--qk-norm", action="store_true")
    parser.add_argument("--trial", action="store_true", help="validation alone, nothing is recorded")
    args = parser.parse_args()
    torch.set_num_threads(1)
    text = data("tinyshakespeare", "input.txt").read_text()
    cut = int(0.9 * len(text))
    train = text[:cut]
    clock = Clock()
    model = Transformer(
        seed=SEED, width=args.width, depth=args.depth, batch=args.batch, lr=args.lr, dropout=args.dropout, beta2=0.99,
        weight_decay=args.weight_decay, optimizer=args.optimizer, qk_norm=args.qk_norm,
    )  # fmt: skip
    model.set_params(steps=args.steps).fit(train[:-CHOOSE], validation=train[-CHOOSE:])
    seconds, processor = clock.seconds, clock.cpu_seconds
    print(f"fit {seconds:.0f} s, {processor:.0f} processor-seconds, {model.history_[-1]}", flush=True)
    if args.trial:
        return
    letters = {c: i for i, c in enumerate(sorted(set(train)))}
    codes = np.array([letters[c] for c in text])
    size = model.space_.size
    (apart, n), (half, _) = (nats(model, torch.from_numpy(codes[cut:]), s) for s in (size, size // 2))
    control = ngram(codes[:cut], codes[cut:], len(letters))
    print(model.sample(1, seed=SEED)[0])
    rows = [
        {"metric": "nats a character, windows side by side", "value": apart, "unit": "nats", "target": "≤ 1.60 (goal 1.55)",
         "met": apart <= 1.60, "peer": "interpolated 5-gram", "peer_value": control, "n": n},
        {"metric": "nats a character, windows overlapping by half", "value": half, "unit": "nats", "target": "≤ 1.60",
         "met": half <= 1.60, "peer": "nanoGPT's CPU preset, published", "peer_value": 1.88},
        {"metric": "bits a byte, windows side by side", "value": apart / np.log(2), "unit": "bits", "target": "-", "met": None},
        {"metric": "fit", "value": processor / 60, "unit": "processor-minutes", "target": "≤ 10", "met": processor <= 600},
    ]  # fmt: skip
    note = f"width {args.width}, depth {args.depth}, batch {args.batch}, lr {args.lr}, dropout {args.dropout}, {args.optimizer}, "
    note += f"{args.steps} steps, context {size}; {processor:.0f} processor-seconds to fit"
    record("shakespeare", rows, seed=SEED, seconds=clock.seconds, note=note)


if __name__ == "__main__":
    main()
