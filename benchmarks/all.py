"""All: run every benchmark, one after another, and go on when one fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NOT_BENCHMARKS = {
    "all.py", "mnist.py", "record.py", "scoreboard.py", "peers.py", "bayesnet_peers.py", "classical_peers.py", "tables_peers.py",
    "posterior_peers.py",
}  # fmt: skip


def main() -> int:
    """Returns how many failed."""
    names = sys.argv[1:] or sorted(p.stem for p in HERE.glob("*.py") if p.name not in NOT_BENCHMARKS)
    failed = []
    for name in names:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, str(HERE / f"{name}.py")], check=False).returncode:
            failed.append(name)
    print(f"{len(names) - len(failed)} of {len(names)} benchmarks ran" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
