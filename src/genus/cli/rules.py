"""Rules: mine a table for them, show them for approval, put those approved into a schema."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from genus.cli.folder import read_data
from genus.data.rules import Rule, mine
from genus.data.schema import Schema
from genus.errors import UsageError

console = Console(highlight=False)


def show_rules(source: str, schema: Path | None, drop: str | None, seed: int) -> None:
    """Print the rules of a table and write those that are not dropped into the schema file."""
    data = read_data(source, {})
    if data.kind != "table":
        raise UsageError(f"Rules hold between the columns of a table, but {data.name} is {data.kind}.")
    rules = mine(data.X, seed=seed)
    if not rules:
        console.print(f"{data.name} has {len(data.X):,} rows and no rule that chance would not keep as well.")
    else:
        _print(rules, data.name, len(data.X))
    kept = [rule for number, rule in enumerate(rules, 1) if number not in _numbers(drop, len(rules))]
    if schema is None:
        if rules:
            console.print("Approve them: genus rules DATA --schema s.json --drop 2,5", style="dim")
        return
    held = Schema.read(schema) if schema.exists() else Schema()
    schema.write_text(Schema(held.columns, [rule.to_json() for rule in kept]).text(), encoding="utf-8")
    console.print(f"{len(kept)} rules → {schema}. Next: genus fit {source} --family made --schema {schema}")


def _numbers(drop: str | None, count: int) -> set[int]:
    """The numbers to leave out."""
    words = [word.strip() for word in (drop or "").split(",") if word.strip()]
    for word in words:
        if not word.isdigit() or not 1 <= int(word) <= count:
            raise UsageError(f"--drop takes numbers from 1 to {count}, comma-separated, not {word!r}.")
    return {int(word) for word in words}


def _print(rules: list[Rule], name: str, rows: int) -> None:
    table = Table(title=f"Rules of {name}, {rows:,} rows", title_justify="left", box=None, pad_edge=False)
    for heading in ("", "rule", "rows", "exceptions", "10^−x by chance"):
        table.add_column(heading, overflow="fold", justify="left" if heading == "rule" else "right")
    for number, rule in enumerate(rules, 1):
        counts = (f"{rule.support or 0:,}", f"{rule.exceptions or 0:,}", f"{rule.strength or 0:,.0f}")
        table.add_row(str(number), escape(str(rule)), *counts)
    console.print(table)
