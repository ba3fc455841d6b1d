"""Twenty `kill -9` at random moments of a fit: every resume ends in the same weights, bit for bit.

`genus fit digits --family vae` runs in a process of its own. Two moments are drawn before the first step of an unbroken
fit, eighteen between it and the last file, evenly, and taken in order: each kill is followed by the same command again,
which goes on from what the killed one left. Every fourth kill waits for a checkpoint to be on its way to the disk. After
every sixth kill a copy of the folder is taken to its end at once as well. Each end is compared with the unbroken fit's
tensors, byte for byte.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from genus.train.checkpoint import Checkpoints
from record import Clock, record

KILLS = 20
EARLY = 2
COPIED = 6
STEPS = 400
SEED = 0
EVERY = 0.1  # seconds between checkpoints
WORDS = f"fit digits --family vae --size small --steps {STEPS} --dropout 0.1 --seed {SEED} --every {EVERY} --quiet -o".split()
PROGRAM = "from genus.cli import main; main()"


class Fit:
    """One process that fits into `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.began = folder, time.monotonic()
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *WORDS, str(folder)], env=environment, stderr=subprocess.DEVNULL
        )

    @property
    def age(self) -> float:
        return time.monotonic() - self.began

    def wait_for(self, happened, seconds: float) -> bool:
        """Watch until it happened, the process ended or so much time is over; whether it happened."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            if happened():
                return True
            time.sleep(0.0005)
        return False

    def trains(self) -> bool:
        """Whether this process holds the folder's lock."""
        lock = self.folder / ".lock"
        return lock.is_file() and lock.read_bytes() == str(self.process.pid).encode()

    def finish(self) -> float:
        """Seconds until it ended well."""
        assert self.process.wait() == 0
        return self.age

    def kill(self) -> bool:
        """Kill it; whether it was still alive."""
        alive = self.process.poll() is None
        self.process.kill()
        self.process.wait()
        return alive


def place(folder: Path) -> tuple[int, float]:
    """(step, seconds of training) of the newest sound checkpoint."""
    content = Checkpoints(folder, 0).load()
    return (content["state"]["step"], content["state"]["elapsed"]) if content else (0, 0.0)


def writing(folder: Path) -> bool:
    return any(folder.glob("checkpoints/.*.tmp"))


def kill_at(folder: Path, moment: float, startup: float, in_writing: bool) -> dict[str, object]:
    """Start or resume, and kill `moment` seconds into the life an unbroken fit would have had."""
    before, seconds = place(folder)
    fit = Fit(folder)
    if moment < startup:
        fit.wait_for(lambda: fit.age >= moment, 60)
    else:
        fit.wait_for(fit.trains, 60)
        fit.wait_for(lambda: False, moment - startup - seconds)
    if in_writing:
        fit.wait_for(lambda: writing(folder), 2)
    alive = fit.kill()
    torn = writing(folder)
    return {"before": before, "after": place(folder)[0], "alive": alive, "torn": torn}


def model(folder: Path) -> dict[str, bytes]:
    """The tensors of the fitted model; the JSON beside them also holds the seconds."""
    return {path.name: path.read_bytes() for path in folder.glob("model-*")}


def main() -> None:
    """Fit once whole, then once with kills, and compare every end."""
    clock, dice = Clock(), random.Random(SEED)
    with TemporaryDirectory() as home:
        whole, broken, copy = (Path(home, name) for name in ("whole", "broken", "copy"))
        fit = Fit(whole)
        fit.wait_for(fit.trains, 60)
        startup = fit.age
        life, truth = fit.finish(), model(whole)
        kills, ends, damaged = [], [], 0
        moments = [dice.uniform(0, startup) if i < EARLY else dice.uniform(startup, life) for i in range(KILLS)]
        for i, moment in enumerate(sorted(moments)):
            kills.append(kill_at(broken, moment, startup, in_writing=i % 4 == 1))
            damaged += len(list(broken.glob("checkpoints/damaged*")))
            print(f"  kill {i + 1} at {moment:.2f} of {life:.2f} s: {json.dumps(kills[-1])}", flush=True)
            if (i + 1) % COPIED == 0:
                shutil.copytree(broken, copy)
                Fit(copy).finish()
                ends.append(model(copy) == truth)
                shutil.rmtree(copy)
        Fit(broken).finish()
        ends.append(model(broken) == truth)
        left = [path.name for path in broken.rglob("*.tmp")]
    alive, torn = (sum(bool(kill[name]) for kill in kills) for name in ("alive", "torn"))
    rows = [
        {"metric": "kill -9 of a living fit", "value": alive, "unit": "", "target": "20", "met": alive >= KILLS},
        {"metric": "of these with a checkpoint half written", "value": torn, "unit": "", "target": ">= 1", "met": torn >= 1},
        {"metric": "ends equal to the unbroken fit's, byte for byte", "value": sum(ends), "unit": f"of {len(ends)}",
         "target": str(len(ends)), "met": all(ends)},
        {"metric": "checkpoints that could not be read", "value": damaged, "unit": "", "target": "0", "met": not damaged},
        {"metric": "half-written files left", "value": len(left), "unit": "", "target": "0", "met": not left},
    ]  # fmt: skip
    steps = ", ".join(str(kill["after"]) for kill in kills)
    note = (
        f"genus fit digits --family vae, {STEPS} steps, a checkpoint every {EVERY} s; an unbroken fit lives {life:.1f} s, "
        f"{startup:.1f} s of them before its first step. Newest checkpoints at the kills: steps {steps}."
    )
    record("kill9", rows, seed=SEED, seconds=clock.seconds, note=note)


if __name__ == "__main__":
    main()
