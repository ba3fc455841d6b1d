"""Reading images: files and folders as one uint8 array, every size and mode made one."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from genus.data.read_captions import captions
from genus.errors import DataError, UsageError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
PIXELS = 2**24
MODES = ("L", "LA", "RGB", "RGBA")


def image_files(folder: Path) -> list[Path]:
    """Image files below a folder in the order of their names, hidden ones left out."""
    found = [p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()]
    return sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def read_folder(folder: Path, size: Any = None) -> tuple[np.ndarray, Any]:
    """(images, y): uint8 (n, H, W[, C]), and the caption of each file where a table of the folder tells it, see `captions`, else
    its first sub-folder; None where a file lies outside any.

    Raises DataError where there is no image, one is damaged or over 16.8 megapixels, or sizes differ and `size` is None.
    """
    files = image_files(folder)
    if not files:
        others = sorted(p.name for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
        hint = f" Name a file in it instead, such as {others[0]}." if others else ""
        raise DataError(f"{folder} holds no images ({', '.join(SUFFIXES[:6])} …).{hint}")
    told = captions(folder, files)
    if told is not None:
        return as_array((read_image(path) for path in files), list(map(str, files)), size), told
    parts = [path.relative_to(folder).parts for path in files]
    labels = None if any(len(p) == 1 for p in parts) else np.array([p[0] for p in parts], dtype=object)
    return as_array((read_image(path) for path in files), list(map(str, files)), size), labels


def read_image(path: Path) -> Image.Image:
    """One image, upright, as 8-bit grey or colour with or without transparency; of a moving one, the first frame.

    Its size is read from the header and refused over 16.8 megapixels before anything is decoded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                _check_size(image.size, path)
                image.load()
                return plain(ImageOps.exif_transpose(image))
    except Image.DecompressionBombError:
        raise DataError(f"{path} has far more than 16.8 megapixels: shrink it first.") from None
    except UnidentifiedImageError:
        raise DataError(f"{path} is not an image, whatever its name says: take it out of the folder.") from None
    except DataError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise DataError(f"{path} is a damaged image ({_first(error)}): fetch it again or take it out.") from None


def _first(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__


def _check_size(size: tuple[int, int], path: Path) -> None:
    if size[0] * size[1] > PIXELS:
        raise DataError(
            f"{path} is {size[0]}×{size[1]}, {size[0] * size[1] / 1e6:.1f} megapixels, over the limit of 16.8: shrink it first."
        )


def plain(image: Image.Image) -> Image.Image:
    """The image in one of the modes L, LA, RGB, RGBA."""
    if image.mode in MODES:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        values = values / 257 if image.mode.startswith("I;16") or values.max() > 255 else values
        return Image.fromarray(np.rint(values.clip(0, 255)).astype(np.uint8))
    if image.mode == "1":
        return image.convert("L")
    transparent = image.mode in ("PA", "RGBa", "La") or "transparency" in image.info
    return image.convert("RGBA" if transparent else "RGB")


def as_array(images: Iterable[Image.Image], names: list[str], size: Any = None) -> np.ndarray:
    """Plain images as uint8 (n, H, W[, C]): all of the widest mode, and of one size, which `size` may make them."""
    target = side(size)
    held: list[Image.Image] = []
    for image, name in zip(images, names, strict=True):
        if target is not None and image.size != target:
            image = ImageOps.fit(image, target, Image.Resampling.LANCZOS)
        if held and image.size != held[0].size:
            a, b = held[0].size, image.size
            raise DataError(
                f"{names[0]} is {a[0]}×{a[1]} but {name} is {b[0]}×{b[1]}: images must be of one size; "
                "type size=32 (on the command line --image-size 32) to resize them."
            )
        held.append(image)
    mode = _widest({image.mode for image in held})
    return np.stack([np.asarray(image if image.mode == mode else image.convert(mode)) for image in held])


def _widest(modes: set[str]) -> str:
    colour = bool(modes & {"RGB", "RGBA"})
    alpha = bool(modes & {"LA", "RGBA"})
    return ("RGBA" if alpha else "RGB") if colour else "LA" if alpha else "L"


def side(size: Any) -> tuple[int, int] | None:
    """(width, height) of a `size` given as one number of pixels or as (height, width)."""
    if size is None:
        return None
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or not all(isinstance(s, int) and s > 0 for s in pair) or pair[0] * pair[1] > PIXELS:
        raise UsageError(f"size is a number of pixels, such as 32, or (height, width), not {size!r}.")
    return pair[1], pair[0]


def resized(X: np.ndarray, size: Any) -> np.ndarray:
    """uint8 images (n, H, W[, C]) cut to the proportions of `size` about their middle and resized to it."""
    target = side(size)
    if target is None or (X.shape[2], X.shape[1]) == target:
        return X
    flat = X.astype(np.uint8)
    channels = [flat] if X.ndim == 3 else list(np.moveaxis(flat, 3, 0))
    done = [
        np.stack([np.asarray(ImageOps.fit(Image.fromarray(a), target, Image.Resampling.LANCZOS)) for a in c]) for c in channels
    ]
    return done[0] if X.ndim == 3 else np.stack(done, 3)
