"""Device: where tensors live while a net is trained, and in what precision its forward pass runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from genus.errors import UsageError
from genus.maths.quantise import Fuzzy, Packed


def device_of(name: str) -> torch.device:
    """The device a recipe names; "auto" is the GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"device is auto, cpu or cuda, not {name!r}.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError("device='cuda' was asked for, but this torch sees no GPU: type `genus doctor`, or device='cpu'.")
    return device


def to_device(x: Packed, device: torch.device) -> Packed:
    """x there, whole."""
    if device.type == "cpu":
        return x
    if isinstance(x, Fuzzy):
        width = x.width.to(device) if isinstance(x.width, Tensor) else x.width
        return Fuzzy(x.low.to(device), width, x.place)
    return x.to(device)


def autocast(precision: str, device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    """A context for the forward pass: matrix products in bfloat16 where the precision says so."""
    if precision not in ("auto", "f32", "bf16"):
        raise UsageError(f"precision is auto, f32 or bf16, not {precision!r}.")
    if precision != "bf16":
        return nullcontext
    return lambda: torch.autocast(device.type, torch.bfloat16)
