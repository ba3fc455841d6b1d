"""Render docs/families.md: the catalogue, and every family's fields, from what the code says of itself."""

from __future__ import annotations

from pathlib import Path

from genus.catalogue import FAMILIES, catalogue, family, fields

HEAD = """# Families

What each family can do with which kind of data, computed from its capabilities and the codecs' views.
*exact, bound, estimate, energy*: what is known of log p; *samples*: it only draws; blank: it does not accept such data.
The same table: `genus families`. This page is rendered by `make docs`.
"""


def main() -> None:
    """Write the page."""
    rows = [{**row, "is": row["is"].partition(":")[0]} for row in catalogue()]
    parts = [HEAD, _table(list(rows[0]), [list(row.values()) for row in rows])]
    parts += [_family(name) for name in FAMILIES]
    Path(__file__).with_name("families.md").write_text("\n".join(parts))


def _family(name: str) -> str:
    cls = family(name)
    listed = [[f"`{f.name}`", f.type, f.default, f.help] for f in fields(cls)]
    first = (cls.__doc__ or "").strip().splitlines()[0]
    return f"## {name}: {cls.__name__}\n\n{_safe(first)}\n\n" + _table(["field", "takes", "default", "meaning"], listed)


def _table(headings: list[str], rows: list[list[object]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(_safe(cell) for cell in line) + " |" for line in lines) + "\n"


def _safe(cell: object) -> str:
    return str(cell).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    main()
