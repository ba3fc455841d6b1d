"""Show: the catalogue, a family's fields and a dataset, as terminal tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

console = Console()


def show_catalogue(as_json: bool) -> None:
    """The families with what they do and what they take."""
    from genus.catalogue import catalogue

    rows = catalogue()
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        row["is"] = row["is"].partition(":")[0]
        del row["class"]
    _print("Families", rows)
    console.print("exact, bound, estimate: what is known of log p; samples: it only draws; blank: not accepted.", style="dim")
    console.print("Fields of one: genus families vae", style="dim")


def show_family(name: str) -> None:
    """One family: what it is, and its fields with types, defaults and meaning."""
    from genus.catalogue import family, fields

    cls = family(name)
    console.print(f"[bold]{name}[/] ({cls.__name__}): {escape((cls.__doc__ or '').strip().splitlines()[0])}")
    table = Table(box=None, pad_edge=False)
    for heading in ("flag", "takes", "default", "meaning"):
        table.add_column(heading, overflow="fold")
    for field in fields(cls):
        table.add_row(f"--{field.name.replace('_', '-')}", *(escape(str(v)) for v in (field.type, field.default, field.help)))
    console.print(table)


def show_data(source: str | None, kind: str | None, size: int | None, schema: Path | None = None) -> None:
    """The embedded datasets, or what `source` holds and how it is understood."""
    if source is None:
        from genus.data.embedded import EMBEDDED

        headings = ("kind", "items", "shape", "licence", "what")
        _print("Embedded data", [{"name": name, **dict(zip(headings, entry, strict=False))} for name, entry in EMBEDDED.items()])
        console.print("Describe your own: genus data PATH", style="dim")
        return
    from genus.data.load import describe

    for line in describe(source, kind=kind, size=size, schema=schema):
        console.print(escape(line), highlight=False)


def _print(title: str, rows: list[dict[str, Any]]) -> None:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for heading in rows[0]:
        table.add_column(heading, overflow="fold", no_wrap=heading == "name")
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row.values()))
    console.print(table)
