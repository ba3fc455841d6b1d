"""Identity: what makes a run this run and no other, in JSON that can be compared."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from genus import store
from genus.errors import RunError
from genus.maths.quantise import Fuzzy, Packed

INDIFFERENT = {"device"}
SAMPLED = 4096


def identity(recipe: Any, nets: dict[str, nn.Module], x: Packed, y: Tensor | None, processes: int) -> dict[str, Any]:
    """The recipe's fields, the Space, the size and a digest of the data, the nets' sizes and the processes."""
    space = getattr(recipe, "space_", None)
    return {
        **{name: value for name, value in fields_of(recipe).items() if name not in INDIFFERENT},
        "space": None if space is None else space.to_json(),
        "items": len(x),
        "data": _digest(x.low if isinstance(x, Fuzzy) else x) + ("" if y is None else _digest(y)),
        "parameters": {name: sum(p.numel() for p in net.parameters()) for name, net in nets.items()},
        "processes": processes,
    }


def compare(old: dict[str, Any], new: dict[str, Any], folder: Any) -> None:
    """Raise a RunError that says what differs between two identities."""
    old, new = (store.from_json(store.to_json(facts), "identity") for facts in (old, new))
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            raise RunError(
                f"{folder} holds a run with another {name} ({_brief(old.get(name))}, now {_brief(new.get(name))}): "
                "choose another folder, or ask for the same fit again."
            )


def fields_of(thing: Any) -> dict[str, Any]:
    """The fields of a dataclass as JSON; one inside a field becomes its own fields, a function its name."""
    return {f.name: _plain(getattr(thing, f.name)) for f in dataclasses.fields(thing) if f.init}


def _plain(value: Any) -> Any:
    """JSON for a hyper-parameter; an estimator becomes its fields, a function its name."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"": type(value).__name__, **fields_of(value)}
    if isinstance(value, Tensor):
        return _digest(value)
    return getattr(value, "__qualname__", type(value).__qualname__)


def _digest(x: Any) -> str:
    """Of up to 4096 items, evenly spaced."""
    some = x[torch.linspace(0, len(x) - 1, min(len(x), SAMPLED)).long()] if len(x) else x
    return store.digest(some.contiguous().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())[:16]


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) < 60 else text[:57] + "…"
