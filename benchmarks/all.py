"""All: run every benchmark, one after another, and go on when one fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NOT_BENCHMARKS = {"all", "interpolated", "mnist", "record", "scoreboard", "peers", "tables_peers"}
SEVERAL = {  # benchmarks that are several, by their first word
    "mnist_likelihood": ("vae", "iwae", "vamp"), "mnist_ordered": ("made", "nade"), "mnist_pixel": ("pixelcnn", "pixelrnn"),
    "mnist_flows": ("nice", "realnvp", "glow"),
}  # fmt: skip


def commands(names: list[str]) -> list[list[str]]:
    """Script and words of each run; all of them where no names are given."""
    found = names or sorted(p.stem for p in HERE.glob("*.py") if p.stem not in NOT_BENCHMARKS and not p.stem.endswith("_peers"))
    return [[name, *([word] if word else [])] for name in found for word in SEVERAL.get(name, ("",))]


def main() -> int:
    """Returns how many failed."""
    runs, failed = commands(sys.argv[1:]), []
    for name, *words in runs:
        print(f"== {name} {' '.join(words)}", flush=True)
        if subprocess.run([sys.executable, str(HERE / f"{name}.py"), *words], check=False).returncode:
            failed.append(" ".join([name, *words]))
    print(f"{len(runs) - len(failed)} of {len(runs)} benchmarks ran" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
