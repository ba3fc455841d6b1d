"""The Transformer beside a nanoGPT-shaped GPT in plain PyTorch, on the characters of tiny-shakespeare.

The peer is the published GPT-2 block at nanoGPT's CPU setting (4 layers, 4 heads of 32, block 64, batch 12), written here from
its description: learnt positions, LayerNorm, causal fused attention, GELU of four widths, head tied to the embedding, AdamW of
β₂ 0.99 and decay 0.1 on matrices, gradients clipped at 1, cosine rate from 1e-3 to 1e-4 after 100 steps of warm-up, no dropout,
float32 as nanoGPT is on a processor; it samples by whole passes over the last block. Both see the same number of characters in
batches of the same shape. Ours is timed with its whole loop (batches, clipping, averaged weights, health checks; products in
bfloat16 where the processor has them, its default). Trainings of a few steps take turns, and so do samplings; medians of
processor time.

    GENUS_DATA=… python benchmarks/nanogpt.py [--steps 1000] [--block 64] [--batch 12]
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genus import Transformer
from genus.nets.ancestral import Ancestral
from genus.space import Items, Space
from genus.train.run import Run
from record import Clock, data, record

SEED, WIDTH, DEPTH, HEADS, ROUNDS = 0, 128, 4, 4, 5


class Layer(nn.Module):
    """GPT-2's block (Radford et al. 2019): h + attention(norm h), then h + feed(norm h)."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH, bias=False), nn.LayerNorm(WIDTH, bias=False)
        self.three, self.join = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH, bias=False), nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, h: Tensor) -> Tensor:
        q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in self.three(self.before(h)).chunk(3, -1))
        h = h + self.join(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        return h + self.down(F.gelu(self.up(self.between(h))))


class GPT(nn.Module):
    """Logits of the next character at each position; N(0, 0.02) weights, those that end a branch by √(2 · layers) less."""

    def __init__(self, levels: int, block: int) -> None:
        super().__init__()
        self.block = block
        self.tokens, self.places = nn.Embedding(levels, WIDTH), nn.Embedding(block, WIDTH)
        self.layers = nn.ModuleList(Layer() for _ in range(DEPTH))
        self.norm = nn.LayerNorm(WIDTH, bias=False)
        for name, p in self.named_parameters():
            if p.ndim > 1:
                nn.init.normal_(p, std=0.02 / (math.sqrt(2 * DEPTH) if name.endswith(("join.weight", "down.weight")) else 1))

    def forward(self, x: Tensor) -> Tensor:
        h = self.tokens(x) + self.places(torch.arange(x.shape[1]))
        for layer in self.layers:
            h = layer(h)
        return F.linear(self.norm(h), self.tokens.weight)


class PeerTraining:
    """The peer's loop: random blocks, AdamW, clipping, cosine rate."""

    def __init__(self, codes: Tensor, levels: int, block: int, batch: int, steps: int) -> None:
        torch.manual_seed(SEED)
        self.net, self.codes, self.block, self.batch, self.steps, self.step = GPT(levels, block), codes, block, batch, steps, 0
        matrices = [p for p in self.net.parameters() if p.ndim > 1]
        rest = [p for p in self.net.parameters() if p.ndim < 2]
        groups = [{"params": matrices, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99), fused=True)

    def run(self, steps: int) -> None:
        for _ in range(steps):
            warm, share = (self.step + 1) / 101, min(self.step / self.steps, 1)
            rate = 1e-3 * warm if warm < 1 else 1e-4 + 0.5 * (1 + math.cos(math.pi * share)) * 9e-4
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            at = torch.randint(len(self.codes) - self.block - 1, (self.batch,))
            piece = self.codes[at[:, None] + torch.arange(self.block + 1)]
            loss = F.cross_entropy(self.net(piece[:, :-1]).flatten(0, 1), piece[:, 1:].flatten())
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
            self.optimiser.step()
            self.step += 1


@torch.no_grad()
def peer_nats(net: GPT, codes: Tensor) -> float:
    """Nats a character of blocks side by side, the first character of all left out."""
    pieces = codes.unfold(0, net.block + 1, net.block)
    each = [F.cross_entropy(net(p[:, :-1]).mT, p[:, 1:], reduction="none") for p in pieces.split(256)]
    return float(torch.cat(each).double().mean())


@torch.no_grad()
def peer_sample(net: GPT, n: int, symbols: int) -> Tensor:
    """n texts by whole passes over the last block, top 200, temperature 0.8."""
    x = torch.zeros((n, 1), dtype=torch.int64)
    for _ in range(symbols):
        logits = net(x[:, -net.block :])[:, -1] / 0.8
        least = logits.topk(min(200, logits.shape[-1])).values[:, [-1]]
        x = torch.cat([x, torch.multinomial(logits.masked_fill(logits < least, -torch.inf).softmax(-1), 1)], 1)
    return x


@torch.no_grad()
def our_sample(model: Transformer, n: int, symbols: int) -> Tensor:
    x = torch.zeros((n, symbols), dtype=torch.int64)
    return Ancestral(model.net_, x, None, temperature=0.8, top_k=200).run(0, symbols)


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def ours(block: int, batch: int, **more: object) -> Transformer:
    """Ours at the peer's shape; 8/3 of the width gated is the same number of weights as 4 ungated."""
    fields = {"width": WIDTH, "depth": DEPTH, "heads": HEADS, "batch": batch, "beta2": 0.99, "weight_decay": 0.1, "seed": SEED}
    return Transformer(**fields | more)  # pyright: ignore[reportArgumentType]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--block", type=int, default=64)
    parser.add_argument("--batch", type=int, default=12)
    args = parser.parse_args()
    torch.set_num_threads(1)
    clock = Clock()
    text = data("tinyshakespeare", "input.txt").read_text()
    cut = int(0.9 * len(text))
    letters = {c: i for i, c in enumerate(sorted(set(text)))}
    codes = torch.tensor([letters[c] for c in text])
    block, batch = args.block, args.batch
    space = Space("tokens", (block,), len(letters))
    windows = Items(codes[:cut].unfold(0, block, 1), space)
    aside = Items(codes[cut - 20_000 : cut].unfold(0, block, block), space)
    few = 20

    def trained(steps: int, held: Items, **more: object) -> Transformer:
        return ours(block, batch, steps=steps, lr=2e-3, **more).fit(windows, validation=held, run=Run(progress=False))

    peer = PeerTraining(codes[:cut], len(letters), block, batch, args.steps)
    spare = PeerTraining(codes[:cut], len(letters), block, batch, args.steps)
    rates: dict[str, list[float]] = {"ours": [], "muon": [], "peer": []}
    for _ in range(ROUNDS):
        for name in ("adamw", "muon"):
            short, long = (seconds(lambda k=k, name=name: trained(k, aside[:2], optimizer=name)) for k in (few, 6 * few))
            rates["ours" if name == "adamw" else name].append(5 * few * batch * block / (long - short))
        rates["peer"].append(5 * few * batch * block / seconds(lambda: spare.run(5 * few)))
    speed = {name: statistics.median(values) for name, values in rates.items()}
    print(speed, flush=True)

    models = {name: trained(args.steps, aside, optimizer=name) for name in ("adamw", "muon")}
    peer.run(args.steps)
    test = codes[cut:]
    theirs = peer_nats(peer.net, test)
    pieces = test[: len(test) // block * block].view(-1, block)
    value = {name: -m.score(Items(pieces, space)) / block for name, m in models.items()}
    weights = {
        "ours": sum(p.numel() for p in models["muon"].net_.parameters()),
        "peer": sum(p.numel() for p in peer.net.parameters()),
    }
    print(value, theirs, weights, flush=True)

    draws: dict[str, list[float]] = {f"{who}{n}": [] for who in ("ours", "peer") for n in (1, 16)}
    for _ in range(ROUNDS):
        for n, symbols in ((1, 500), (16, 200)):
            draws[f"ours{n}"].append(n * symbols / seconds(lambda n=n, symbols=symbols: our_sample(models["muon"], n, symbols)))
            draws[f"peer{n}"].append(n * symbols / seconds(lambda n=n, symbols=symbols: peer_sample(peer.net, n, symbols)))
    drawn = {name: statistics.median(values) for name, values in draws.items()}

    share = weights["ours"] / weights["peer"]
    rows = [
        {"metric": "training", "value": speed["ours"], "unit": "tokens/s", "target": "≥ 1.2 × peer",
         "met": speed["ours"] >= 1.2 * speed["peer"], "peer": "nanoGPT-shaped", "peer_value": speed["peer"]},
        {"metric": "training with Muon", "value": speed["muon"], "unit": "tokens/s", "target": "≥ 1.2 × peer",
         "met": speed["muon"] >= 1.2 * speed["peer"], "peer": "nanoGPT-shaped", "peer_value": speed["peer"]},
        *({"metric": f"nats a character at equal tokens, {name}", "value": v, "unit": "nats", "target": "≤ peer",
           "met": v <= theirs, "peer": "nanoGPT-shaped", "peer_value": theirs, "n": pieces.numel()} for name, v in value.items()),
        *({"metric": f"sampling, batch {n}", "value": drawn[f"ours{n}"], "unit": "tokens/s", "target": "≥ 3 × peer",
           "met": drawn[f"ours{n}"] >= 3 * drawn[f"peer{n}"], "peer": "nanoGPT-shaped", "peer_value": drawn[f"peer{n}"]}
          for n in (1, 16)),
        {"metric": "weights", "value": weights["ours"], "unit": "numbers", "target": "within 10 % of the peer",
         "met": abs(share - 1) <= 0.1, "peer": "nanoGPT-shaped", "peer_value": weights["peer"]},
    ]  # fmt: skip
    note = f"block {block}, batch {batch}, {args.steps} steps; processor seconds of one thread, medians of {ROUNDS} turns"
    record("nanogpt" if block == 64 else f"nanogpt_{block}", rows, seed=SEED, seconds=clock.seconds, note=note)


if __name__ == "__main__":
    main()
