"""Reading text files: one running text, or one item a line, or items between page breaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genus.data.read_array import content
from genus.errors import DataError

LONGEST = 200
FEWEST = 10
BREAK = "\n\f\n"


def read_text(path: Path, kind: str | None = None) -> str | list[str]:
    """The text in a file: a str, or a list of items.

    A line that holds a form feed alone parts items of several lines. Else each line is an item when there are at least
    ten, none empty, none longer than 200 characters and at least half of them distinct; `kind` 'text' or 'lines'
    overrules that ('lines' drops empty ones). Raises DataError where the file is not UTF-8, with the byte's offset.
    """
    text = decode(content(path), str(path))
    if kind != "text" and BREAK in text:
        return text.removesuffix("\n").split(BREAK)
    lines = text.removesuffix("\n").split("\n")
    if all(line.endswith("\r") for line in lines[:-1]):
        lines = [line.removesuffix("\r") for line in lines]
    if kind == "lines":
        return [line for line in lines if line.strip()]
    return lines if kind is None and are_items(lines) else text


def decode(raw: bytes, name: str) -> str:
    """UTF-8 bytes as text, without a byte order mark."""
    try:
        text = raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name} is not UTF-8 text: byte {error.start} cannot be read; convert it with iconv -f latin1 -t utf-8."
        ) from None
    if not text.strip():
        raise DataError(f"{name} holds nothing but blanks: there is nothing to learn from.")
    return text


def are_items(lines: list[str]) -> bool:
    """Whether lines look like items of their own and not like a running text."""
    if len(lines) < FEWEST or any(not line.strip() or len(line) > LONGEST for line in lines):
        return False
    return len(set(lines)) >= len(lines) / 2


def written(items: list[Any]) -> str:
    """Items as the text of a file that `read_text` takes apart again."""
    items = list(map(str, items))
    broken = [i for i, item in enumerate(items) if BREAK in f"\n{item}\n"]
    if broken:
        raise DataError(f"Item {broken[0]} holds a page break, which parts items in .txt: write .csv or .npz instead.")
    if len(items) > 1 and any("\n" in item or not item.strip() or item.endswith("\r") for item in items):
        return BREAK.join(items) + "\n"
    return "\n".join(items) + "\n"
