"""Sequence to sequence through the command line: reversed digits, dates, and English to German.

Every task is `genus fit pairs.tsv --family transformer --condition source`, then `genus sample RUN --conditions new.tsv`, the
likeliest symbol each time (--top-k 1). Held-out pairs share no source with the training. Reversed digits and dates are drawn by
seed; English to German are 9,500 sentence pairs of Multi30K, 500 held out, scored by sacreBLEU in an environment of its own.
"""

from __future__ import annotations

import argparse
import datetime
import gzip
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from peers import environment
from record import Clock, data, record

Pairs = list[tuple[str, str]]
GENUS = [sys.executable, "-c", "from genus.cli import main; main()"]
MONTHS = [datetime.date(2000, i, 1).strftime("%B") for i in range(1, 13)]


def digits(rng: random.Random) -> tuple[str, str]:
    """A string of 4 to 12 digits and the same backwards."""
    source = "".join(rng.choice("0123456789") for _ in range(rng.randint(4, 12)))
    return source, source[::-1]


def dates(rng: random.Random) -> tuple[str, str]:
    """A date as people write it, in one of eight ways, and by ISO 8601."""
    day = datetime.date(1950, 1, 1) + datetime.timedelta(days=rng.randrange(36_500))
    month, short = MONTHS[day.month - 1], MONTHS[day.month - 1][:3]
    forms = (
        f"{day.day} {month} {day.year}", f"{month} {day.day}, {day.year}", f"{day.day} {short} {day.year}",
        f"{short} {day.day} {day.year}", f"{day.day}.{day.month}.{day.year}", f"{day.month:02}/{day.day:02}/{day.year}",
        f"{day:%A}, {day.day} {month} {day.year}", f"{day.year}, {month} {day.day}",
    )  # fmt: skip
    return rng.choice(forms), day.isoformat()


def drawn(task: Callable[[random.Random], tuple[str, str]], n: int, held: int) -> tuple[Pairs, Pairs]:
    """(training, held-out) pairs whose sources differ."""
    rng, found = random.Random(0), {}
    while len(found) < n + held:
        source, target = task(rng)
        found[source] = target
    pairs = list(found.items())
    return pairs[:n], pairs[n:]


def sentences(held: int) -> tuple[Pairs, Pairs]:
    """English and German captions in lower case, the last ones held out."""
    with gzip.open(data("multi30k", "en_de_fr_10k.tsv.gz"), "rt", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    pairs = [(row[0].strip().lower(), row[1].strip().lower()) for row in rows]
    return pairs[:-held], pairs[-held:]


def fitted(train: Pairs, test: Pairs, words: list[str]) -> tuple[list[str], float]:
    """(translations of the held-out sources, processor seconds of the fit), by two commands."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, pairs in (("pairs.tsv", train), ("new.tsv", test)):
            lines = [f"{a}\t{b}" for a, b in pairs]
            (folder / file).write_text("\n".join(["source\ttarget", *lines]) + "\n", encoding="utf-8")
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        fit = ["fit", "pairs.tsv", "--family", "transformer", "--condition", "source", "--top-k", "1", "-o", "run", *words]
        env = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run([*GENUS, *fit], cwd=folder, env=env, check=True)
        seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
        subprocess.run([*GENUS, "sample", "run", "--conditions", "new.tsv", "-o", "out.txt"], cwd=folder, env=env, check=True)
        return (folder / "out.txt").read_text(encoding="utf-8").splitlines(), seconds


def bleu(found: list[str], truth: list[str]) -> tuple[float, str]:
    """(sacreBLEU, its signature)."""
    code = (
        "import sys, json, sacrebleu; a = json.load(sys.stdin); m = sacrebleu.metrics.BLEU();"
        "print(m.corpus_score(a[0], [a[1]]).score, m.get_signature())"
    )
    done = subprocess.run(
        [str(environment("bleu")), "-c", code], input=json.dumps([found, truth]), capture_output=True, text=True, check=True
    )
    score, signature = done.stdout.strip().split(" ", 1)
    return float(score), signature


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2500, help="of English to German")
    parser.add_argument("--held", type=int, default=500)
    given = parser.parse_args()
    clock, rows = Clock(), []
    small = ["--width", "64", "--depth", "2", "--batch", "128"]
    for name, task, steps in (("digits reversed", digits, 800), ("dates", dates, 1000)):
        train, test = drawn(task, 8000, given.held)
        found, seconds = fitted(train, test, [*small, "--steps", str(steps)])
        exact = sum(a == b for a, (_, b) in zip(found, test, strict=True)) / len(test)
        print(name, exact, round(seconds), list(zip(found, test, strict=True))[:3], flush=True)
        rows += [
            {"metric": f"{name}: exact match on held-out sources", "value": exact, "unit": "share", "target": "≥ .99",
             "met": exact >= 0.99, "n": len(test)},
            {"metric": f"{name}: fit", "value": seconds, "unit": "CPU-s", "target": "≤ 300 s", "met": seconds <= 300},
        ]  # fmt: skip
    train, test = sentences(given.held)
    words = [
        "--width",
        "128",
        "--depth",
        "3",
        "--batch",
        "64",
        "--steps",
        str(given.steps),
        "--tokens",
        "bpe:1500",
        "--dropout",
        "0.2",
    ]
    found, seconds = fitted(train, test, words)
    score, signature = bleu(found, [b for _, b in test])
    copied, _ = bleu([a for a, _ in test], [b for _, b in test])
    for made, (source, target) in list(zip(found, test, strict=True))[:5]:
        print(f"  {source}\n  → {made}\n  = {target}")
    rows += [
        {"metric": "English to German: sacreBLEU", "value": score, "unit": "BLEU", "n": len(test), "peer": "the source copied",
         "peer_value": copied},
        {"metric": "English to German: fit", "value": seconds, "unit": "CPU-s"},
    ]  # fmt: skip
    note = (
        f"lower case, greedy; BLEU {signature}; {len(train):,} pairs, {given.steps} steps of 64; nothing chosen on held-out pairs"
    )
    record("translation", rows, seed=0, seconds=clock.seconds, note=note)


if __name__ == "__main__":
    main()
