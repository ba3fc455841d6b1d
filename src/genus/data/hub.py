"""Hub: datasets of the Hugging Face hub, or of a local folder, through the optional package `datasets`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from genus.data.read_image import as_array, plain
from genus.errors import DataError, extra


def read_hub(name: str, size: Any = None) -> tuple[Any, Any]:
    """(X, y) of the dataset 'owner/name' or of a folder; its split 'train', or the one after '@' ('owner/name@test').

    One image column becomes uint8 images and a class column beside it labels; one text column (and perhaps classes) a
    list of strings; anything else a DataFrame. Raises MissingExtra without `datasets`, DataError where it is unreachable.
    """
    try:
        import datasets
    except ImportError:
        raise extra("datasets", "hub") from None
    place, _, part = name.partition("@")
    return _understood(_fetched(datasets, place, part or "train"), datasets, name, size)


def _fetched(datasets: Any, place: str, part: str) -> Any:
    try:
        if (Path(place) / "state.json").is_file() or (Path(place) / "dataset_dict.json").is_file():
            held = datasets.load_from_disk(place)
            return held[part] if hasattr(held, "keys") else held
        return datasets.load_dataset(place, split=part)
    except Exception as error:
        words = str(error).strip().splitlines()
        raise DataError(
            f"hf:{place} cannot be loaded ({words[0][:160].rstrip('.') if words else type(error).__name__}): "
            "check the name, the split (hf:owner/name@test) and the network."
        ) from None


def _understood(held: Any, datasets: Any, name: str, size: Any) -> tuple[Any, Any]:
    features = held.features
    images = [n for n, f in features.items() if isinstance(f, datasets.Image)]
    texts = [n for n, f in features.items() if getattr(f, "dtype", None) in ("string", "large_string")]
    classes = [n for n, f in features.items() if isinstance(f, datasets.ClassLabel)]
    y = _names(held, classes[0]) if classes else None
    if len(images) == 1:
        column = held[images[0]]
        return as_array((plain(i) for i in column), [f"image {i} of {name}" for i in range(len(held))], size), y
    if len(texts) == 1 and len(texts) + len(classes) == len(features):
        return list(held[texts[0]]), y
    return _frame(held, datasets, classes, name), None


def _names(held: Any, column: str) -> np.ndarray:
    feature = held.features[column]
    return np.array([feature.int2str(v) if v is not None and v >= 0 else None for v in held[column]], dtype=object)


def _frame(held: Any, datasets: Any, classes: list[str], name: str) -> Any:
    nested = [n for n, f in held.features.items() if not isinstance(f, datasets.Value | datasets.ClassLabel)]
    if nested:
        raise DataError(f"hf:{name} has column {nested[0]!r} of type {held.features[nested[0]]}, which is no cell of a table.")
    frame = held.to_pandas()
    return frame.assign(**{column: _names(held, column) for column in classes})
