"""Tables of 2.5, 5 and 10 million rows in a Parquet file, streamed: memory, seconds and what is recovered.

Rows are drawn from a known law (three normals of four numbers; two columns that depend on the component) into a scratch folder,
which is emptied afterwards. Each fit runs in a process of its own. `python benchmarks/scale.py [FOLDER [ROWS]]`.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from record import Clock, record

SEED, ROWS, LIMIT = 0, 10_000_000, 1500
FAMILIES = {"mixture": {"components": 6, "steps": 8, "tol": 0.0}, "network": {}, "marginals": {}}
WEIGHT = np.array([0.5, 0.3, 0.2])
MEAN = np.array([[0, 0, 0, 0], [4, 1, -3, 2], [-3, 5, 2, -2]], float)
SPREAD = np.array([[1, 1, 1, 1], [0.7, 1.2, 1, 0.8], [1.3, 0.6, 1, 1]])
WORD = np.array([[0.8, 0.15, 0.04, 0.01], [0.1, 0.7, 0.1, 0.1], [0.05, 0.05, 0.5, 0.4]])
LINK = np.array([0.9, 0.3, 0.6, 0.05])  # p(yes | word)
WORDS = np.array(["ash", "birch", "cedar", "dogwood"])


def draw(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """n rows of the known law."""
    k = rng.choice(3, n, p=WEIGHT)
    x = MEAN[k] + SPREAD[k] * rng.standard_normal((n, 4))
    word = (rng.random(n)[:, None] > WORD[k].cumsum(1)).sum(1).clip(0, 3)
    frame = pd.DataFrame(x, columns=pd.Index(list("abcd")))
    return frame.assign(word=WORDS[word], yes=rng.random(n) < LINK[word])


def generate(path: Path, n: int) -> None:
    """The Parquet file, a row group of half a million rows at a time."""
    rng, writer = np.random.default_rng(SEED), None
    for start in range(0, n, 500_000):
        table = pa.Table.from_pandas(draw(min(500_000, n - start), rng), preserve_index=False)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def fit(path: str, name: str) -> None:
    """One fit in this process: its facts as JSON on standard output."""
    import torch

    from genus.catalogue import family
    from genus.data.stream import Chunks
    from genus.train.run import Run

    torch.set_num_threads(1)
    clock = Clock()
    model = family(name)(seed=SEED, **FAMILIES[name]).fit(Chunks(path), run=Run(progress=True))
    facts = {"wall": clock.seconds, "cpu": clock.cpu_seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    fresh = draw(20_000, np.random.default_rng(SEED + 1))
    facts["log_prob"] = float(model.log_prob_bound(fresh, draws=4).mean())
    made = model.sample(200_000, seed=SEED)
    facts["moments"] = float(np.abs(made[list("abcd")].mean() - WEIGHT @ MEAN).max())
    words = made["word"].value_counts(normalize=True).reindex(WORDS, fill_value=0.0)
    facts["words"] = float(np.abs(words - WEIGHT @ WORD).max())
    facts["link"] = float(np.abs(made.groupby("word")["yes"].mean().reindex(WORDS) - LINK).max())
    true, seen = np.corrcoef(fresh[list("abcd")].T), np.corrcoef(made[list("abcd")].T)
    facts["correlation"] = float(np.abs(true - seen).max())
    print(json.dumps(facts))


def truth() -> float:
    """Mean log-likelihood of fresh rows under the law they come from, nats."""
    x = draw(20_000, np.random.default_rng(SEED + 1))
    z = (x[list("abcd")].to_numpy()[:, None] - MEAN) / SPREAD
    normal = -0.5 * (z**2).sum(2) - np.log(SPREAD).sum(1) - 2 * np.log(2 * np.pi)
    word = np.searchsorted(WORDS, x["word"].to_numpy(dtype=str))
    joint = np.log(WEIGHT) + normal + np.log(WORD[:, word]).T
    link = np.where(x["yes"], LINK[word], 1 - LINK[word])
    top = joint.max(1)
    return float((top + np.log(np.exp(joint - top[:, None]).sum(1)) + np.log(link)).mean())


def main() -> None:
    """Three sizes, three families, one process each."""
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.gettempdir())
    most = int(sys.argv[2]) if len(sys.argv) > 2 else ROWS
    began, rows, facts = time.perf_counter(), [], {}
    with tempfile.TemporaryDirectory(dir=place) as scratch:
        for n in (most // 4, most // 2, most):
            path = Path(scratch) / f"{n}.parquet"
            generate(path, n)
            for name in FAMILIES:
                out = subprocess.run(
                    [sys.executable, __file__, "--fit", str(path), name], stdout=subprocess.PIPE, text=True, check=True
                )
                facts[name, n] = json.loads(out.stdout)
                print(name, f"{n:,}", facts[name, n], flush=True)
            path.unlink()
    ceiling = truth()
    for name in FAMILIES:
        last = facts[name, most]
        for n in (most // 4, most // 2, most):
            f = facts[name, n]
            rows.append({"metric": f"{name}, {n:,} rows: CPU", "value": round(f["cpu"], 1), "unit": "s", "n": n})
        rows.append({"metric": f"{name}, {most:,} rows: peak memory", "value": round(last["peak"]), "unit": "MB",
                     "target": f"< {LIMIT} MB", "met": last["peak"] < LIMIT})  # fmt: skip
        slope = last["cpu"] / facts[name, most // 4]["cpu"]
        rows.append({"metric": f"{name}: CPU for four times the rows", "value": round(slope, 2), "unit": "times",
                     "target": "≤ 4.6 (linear)", "met": slope <= 4.6})  # fmt: skip
        lost = round(ceiling - last["log_prob"], 3)
        rows.append({"metric": f"{name}: nats a row below the true law, fresh rows", "value": lost, "unit": "nats"})
        for word in ("moments", "words", "link", "correlation"):
            rows.append({"metric": f"{name}: largest error of {word} in samples", "value": round(last[word], 4)})
    note = "One thread. The mixture and the network see bins or dequantised columns; marginals know no dependence."
    record("scale", rows, seed=SEED, seconds=time.perf_counter() - began, note=note)


if __name__ == "__main__":
    fit(*sys.argv[2:]) if sys.argv[1:2] == ["--fit"] else main()
