"""Private randomness: inside `private(seed)` torch draws from its own stream, outside nothing has moved."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def fresh() -> int:
    """A seed from the operating system, for the user who gave none."""
    return secrets.randbits(62)


def derive(seed: int, *words: object) -> int:
    """A seed for a named purpose, so that two purposes with one seed do not share a stream."""
    text = "/".join(map(str, (seed, *words)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 2


@contextmanager
def private(seed: int | None) -> Iterator[None]:
    """Run a block on its own stream of random numbers and put the global generator back afterwards.

    Everything inside may call `torch.randn` and friends plainly. `None` takes a fresh seed.
    """
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(fresh() if seed is None else seed)
        yield


def state() -> dict[str, torch.Tensor]:
    """The streams' present state, to be kept in a checkpoint."""
    streams = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_initialized():
        streams |= {f"cuda{i}": torch.cuda.get_rng_state(i) for i in range(torch.cuda.device_count())}
    return streams


def restore(streams: dict[str, torch.Tensor]) -> None:
    """Continue the streams where `state` left them."""
    torch.set_rng_state(streams["cpu"].cpu())
    for name, value in streams.items():
        if name.startswith("cuda") and torch.cuda.is_available():
            torch.cuda.set_rng_state(value.cpu(), int(name[4:]))
