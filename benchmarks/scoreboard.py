"""Scoreboard: render docs/scoreboard.md from the committed results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
HEAD = """# Scoreboard

Every number below was measured by the command named with it; the JSON under `benchmarks/results` holds seed, seconds,
machine and versions. Lost comparisons stay. Selection is on validation data; test data are touched once.
This page is rendered by `make scoreboard`.
"""


def main() -> None:
    """Write the page."""
    results = [json.loads(path.read_text()) for path in sorted((ROOT / "benchmarks" / "results").glob("*.json"))]
    (ROOT / "docs" / "scoreboard.md").write_text("\n".join([HEAD, *map(_section, results)]))
    print(f"docs/scoreboard.md: {len(results)} benchmarks, {sum(len(r['rows']) for r in results)} numbers")


def _section(result: dict[str, Any]) -> str:
    machine = result["machine"]
    where = machine.get("gpu") or machine["cpu"]
    lines = [
        f"## {result['name'].replace('_', ' ')}",
        "",
        f"`{result['command']}` · seed {result['seed']} · {result['seconds']:.0f} s · {machine['cores']} cores, {where} · "
        f"torch {result['versions']['torch']} · {result['date']}",
        "",
        *([result["note"], ""] if result["note"] else []),
        "| what | value | target | met | beside it |",
        "|---|---|---|---|---|",
        *map(_row, result["rows"]),
        "",
    ]
    return "\n".join(lines)


def _row(row: dict[str, Any]) -> str:
    value = f"{row['value']:.4g} {row.get('unit', '')}".strip()
    if row.get("low") is not None:
        value += f" [{row['low']:.4g}, {row['high']:.4g}]"
    if row.get("n") is not None:
        value += f", n = {row['n']}"
    met = {True: "yes", False: "**no**", None: ""}[row.get("met")]
    peer = f"{row['peer']}: {row['peer_value']:.4g}" if row.get("peer_value") is not None else row.get("peer", "")
    return f"| {row['metric']} | {value} | {row.get('target', '')} | {met} | {peer} |"


if __name__ == "__main__":
    main()
