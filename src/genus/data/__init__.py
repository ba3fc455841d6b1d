"""Data: the user's own types, packed for families and given back as they came."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genus.data.choose import CODECS as CODECS
    from genus.data.choose import codec_from_json as codec_from_json
    from genus.data.choose import codec_of as codec_of
    from genus.data.codec import Codec as Codec
    from genus.data.split import split_off as split_off

_PLACES = {"CODECS": "choose", "Codec": "codec", "codec_from_json": "choose", "codec_of": "choose", "split_off": "split"}

__all__ = list(_PLACES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Import on first use, so that the list of embedded data needs no torch."""
    if name not in _PLACES:
        raise AttributeError(f"module 'genus.data' has no attribute {name!r}")
    return getattr(importlib.import_module(f"genus.data.{_PLACES[name]}"), name)
