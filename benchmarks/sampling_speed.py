"""Sampling speed of the character transformer, beside a nanoGPT-shaped sampler on the very same weights.

The peer crops the context to the block size, runs the whole context through the net for every symbol, keeps the top k,
and draws by multinomial: no cache. Both use the same net, so the ratio is that of the samplers. It is also shown that
both see the same logits.

    GENUS_DATA=… python benchmarks/sampling_speed.py [--threads 2] [--length 1000]
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor
from torch.nn import functional as F

from genus import Transformer
from genus.nets.ancestral import Ancestral
from genus.nets.autoregression import Autoregression
from record import Clock, data, record

SEED, TOP_K, TEMPERATURE = 0, 200, 0.8


@torch.no_grad()
def uncached(net: Autoregression, x: Tensor, symbols: int, block: int) -> Tensor:
    """x (n, t) continued by `symbols`, each from a full pass over the last `block` symbols."""
    for _ in range(symbols):
        logits = net(F.pad(x[:, -(block - 1) :], (0, 1)))[:, -1] / TEMPERATURE
        least = torch.topk(logits, min(TOP_K, logits.shape[-1])).values[:, [-1]]
        logits = logits.masked_fill(logits < least, -torch.inf)
        x = torch.cat([x, torch.multinomial(F.softmax(logits, -1), 1)], 1)
    return x


@torch.no_grad()
def cached(net: Autoregression, x: Tensor, symbols: int) -> Tensor:
    """The same by the cache, which starts anew on half the block whenever it is full."""
    items = Ancestral(net, F.pad(x, (0, symbols)), None, temperature=TEMPERATURE, top_k=TOP_K)
    return items.run(x.shape[1], x.shape[1] + symbols)


@torch.no_grad()
def difference(net: Autoregression, x: Tensor) -> float:
    """The largest difference of a logit with the cache and without, over the items x."""
    place = net.begin(len(x))
    steps = torch.stack([net.read(place, x, i + 1) for i in range(x.shape[1])], 1)
    return float((steps - net(x)).abs().max())


def rate(draw, symbols: int) -> float:
    """Symbols a second, the better of two tries after a short one."""
    draw(8)
    tries = []
    for _ in range(2):
        start = time.perf_counter()
        draw(symbols)
        tries.append(symbols / (time.perf_counter() - start))
    return max(tries)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--length", type=int, default=1000)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    clock = Clock()
    text = data("tinyshakespeare", "input.txt").read_text()
    rows = []
    for width, depth in ((128, 4), (384, 6)):
        model = Transformer(seed=SEED, width=width, depth=depth, heads=width // 32 if width < 256 else 6, steps=1, batch=2).fit(
            text
        )
        net, block = model.net_, model.space_.size
        with torch.no_grad():
            for p in net.parameters():
                p += 0.02 * torch.randn(p.shape)
        name = f"{depth} layers of {width}, block {block}"
        x = torch.randint(model.space_.levels, (4, block))
        worst = difference(net, x)
        rows.append({"metric": f"largest difference of a logit, {name}", "value": worst, "unit": "nats", "target": "≤ 1e-4",
                     "met": worst <= 1e-4})  # fmt: skip
        for batch in (1, 16):
            start = torch.zeros((batch, 1), dtype=torch.int64)
            ours = batch * rate(lambda k, net=net, start=start: cached(net, start, k), args.length)
            few = max(30, args.length // (4 * batch))
            full = torch.randint(model.space_.levels, (batch, block))
            warm = batch * rate(lambda k, net=net, x=full, block=block: uncached(net, x, k, block), few)
            rows.append({"metric": f"tokens a second, batch {batch}, {name}", "value": ours, "unit": "tokens/s",
                         "target": "≥ 3 × peer (aim 10 ×)", "met": ours >= 3 * warm, "peer": "full pass each token",
                         "peer_value": warm})  # fmt: skip
            print(f"{name}, batch {batch}: {ours:.0f} against {warm:.0f} tokens/s, {ours / warm:.1f} times", flush=True)
    note = f"{args.length} symbols a text from the first on with the cache; the peer's block is full, as in most of a long text"
    record("sampling_speed", rows, seed=SEED, seconds=clock.seconds, note=note)


if __name__ == "__main__":
    main()
