"""Choose: the codec for the kind of data X is."""

from __future__ import annotations

from typing import Any

from sklearn.utils.validation import validate_data

from genus.data.array import ArrayCodec, checked_array
from genus.data.codec import Codec
from genus.data.image import ImageCodec, is_images
from genus.data.packed import PackedCodec
from genus.data.ratings import RatingsCodec, is_ratings
from genus.data.table import TableCodec, is_table
from genus.data.text import TextCodec, is_text
from genus.errors import DataError, RunError
from genus.space import Items

CODECS: dict[str, type[Codec]] = {c.kind: c for c in (TableCodec, ImageCodec, TextCodec, RatingsCodec, ArrayCodec, PackedCodec)}


def codec_of(X: Any, *, estimator: Any = None, reset: bool = True) -> Codec:
    """An unfitted codec for the kind of data X is.

    A table's columns are recognised; `X.attrs["kinds"] = {column: kind}` overrules that, column by column, and
    `X.attrs["schema"]`, the JSON of a `Schema`, declares more.
    With `reset=False` nothing is learnt and X is only checked, scikit-learn's way, against what the
    estimator was fitted on (number and names of features).
    """
    if isinstance(X, Items):
        return PackedCodec()
    if is_table(X):
        _check_names(X, estimator, reset)
        return TableCodec(X.attrs.get("kinds"), X.attrs.get("schema"))
    if is_ratings(X):
        return RatingsCodec()
    if is_text(X):
        return TextCodec(getattr(X, "tokens", "character"))
    if is_images(X):
        return ImageCodec()
    checked_array(X, estimator=estimator, reset=reset)
    return ArrayCodec()


def _check_names(X: Any, estimator: Any, reset: bool) -> None:
    """Number and names of columns, learnt or checked by scikit-learn's own rules; mixed types of names are the codec's matter."""
    if estimator is None or len({isinstance(name, str) for name in X.columns}) > 1:
        return
    try:
        validate_data(estimator, X, reset=reset, skip_check_array=True)
    except ValueError as error:
        raise DataError(str(error)) from None


def codec_from_json(kind: str, state: dict[str, Any]) -> Codec:
    """A fitted codec from its kind and what it had learnt."""
    if kind not in CODECS:
        raise RunError(f"The model packs {kind!r} data, which this genus does not know: install a newer one.")
    codec = CODECS[kind]()
    vars(codec).update(state)
    return codec
