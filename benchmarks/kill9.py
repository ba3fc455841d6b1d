"""Twenty `kill -9` at random moments of a fit: every resume ends in the same weights, bit for bit.

A VAE learns the digits in a process of its own, which is killed again and again and started again with the same
command; then it is left to finish. The weights, and what is drawn from them, are compared with an uninterrupted fit's.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from record import Clock, record

KILLS = 20
STEPS = 400
SEED = 0
EVERY = 0.2  # seconds between checkpoints
SPAN = 1.5  # a kill comes at most so many seconds after the first new checkpoint


def fit(folder: Path) -> None:
    """The fit that is killed."""
    import torch
    from sklearn.datasets import load_digits

    from genus import VAE, Run

    torch.set_num_threads(1)
    X = (load_digits().images * 15.9375).astype("uint8")
    model = VAE(size="small", steps=STEPS, dropout=0.1, seed=SEED)
    model.fit(X, run=Run(folder, every=EVERY))
    model.save(folder / "model")


def start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, str(folder)])


def newest(folder: Path) -> int:
    """The step of the newest checkpoint, 0 without one."""
    names = [path.name for path in folder.glob("checkpoints/stage*")]
    return max((int(name.split("-step")[1][:9]) for name in names), default=0)


def kill_at_random(folder: Path, dice: random.Random, span: float) -> dict[str, int]:
    """Start the fit, kill it after a while; returns the newest checkpoint before and after."""
    before, began = newest(folder), time.monotonic()
    process = start(folder)
    early = dice.random() < 0.2  # sometimes before it has come anywhere
    while not early and newest(folder) == before and process.poll() is None and time.monotonic() - began < 60:
        time.sleep(0.01)
    time.sleep(dice.random() * (3.0 if early else span))
    finished = process.poll() is not None
    process.kill()
    process.wait()
    return {"before": before, "after": newest(folder), "finished": finished}


def weights(folder: Path) -> bytes:
    return (folder / "model" / "model.safetensors").read_bytes()


def main() -> None:
    """Fit once whole, then once with kills, and compare."""
    clock, dice = Clock(), random.Random(SEED)
    with TemporaryDirectory() as place:
        whole, broken = Path(place, "whole"), Path(place, "broken")
        began = time.monotonic()
        assert start(whole).wait() == 0
        seconds = time.monotonic() - began
        kills, unreadable = 0, 0
        while kills < KILLS:
            told = kill_at_random(broken, dice, SPAN)
            if told["finished"]:
                shutil.rmtree(broken)
                continue
            kills += 1
            unreadable += bool(list(broken.glob("checkpoints/damaged*")))
            print(f"  kill {kills}: step {told['before']} → {told['after']} of {STEPS}", flush=True)
        assert start(broken).wait() == 0
        same = weights(broken) == weights(whole)
        left = len(list(broken.rglob("*.tmp")))
    rows = [
        {"metric": "kills survived", "value": KILLS, "unit": "", "target": "20", "met": KILLS >= 20 and same, "n": KILLS},
        {"metric": "final weights equal, bit for bit", "value": float(same), "unit": "", "target": "1", "met": same},
        {"metric": "checkpoints that could not be read", "value": unreadable, "unit": "", "target": "0", "met": not unreadable},
        {"metric": "half-written files left", "value": left, "unit": "", "target": "0", "met": not left},
    ]
    note = f"VAE on digits, {STEPS} steps, a checkpoint every {EVERY} s; an uninterrupted fit takes {seconds:.1f} s with imports."
    record("kill9", rows, seed=SEED, seconds=clock.seconds, note=note)


if __name__ == "__main__":
    fit(Path(sys.argv[1])) if len(sys.argv) > 1 else main()
