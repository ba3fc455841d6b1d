"""Privacy: what synthesis under differential privacy costs in likeness and use, and what attacks still find, on Adult.

26,048 training rows, 6,513 held out, 30,000 drawn; the measures of tables.py and the attacks of judgement/attacks.py. Noise is
secret, so that no run repeats to the digit; the split and the judge have seeds. One thread; times are processor seconds.

    GENUS_DATA=… python benchmarks/privacy.py [--models mst:1,mst:3,mst:10,network,resample,made:3]

Results of models that are not asked for stay as they were.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from typing import Any

import torch

from genus.catalogue import family
from genus.judgement.attacks import attacks
from genus.judgement.judge import Judge
from record import FOLDER, Clock, record
from tables import detection, rows_of, utility

SEED, DRAWS = 0, 30_000
NAMES = {"auc": "two-sample AUC", "use": "train-on-synthetic AUC", "fit": "fit", "sample": "sample"}
STEPS = {"made": {"width": 128, "epochs": 8, "batch": 512}, "vae": {"size": "small", "steps": 120, "batch": 512}}


def measured(model: str, train: Any, test: Any, judge: Judge) -> list[dict[str, Any]]:
    """The rows of one model, named family or family:epsilon."""
    name, _, epsilon = model.partition(":")
    fields: dict[str, Any] = {"epsilon": float(epsilon)} | STEPS.get(name, {}) if epsilon else {}
    begin = time.process_time()
    fitted = family(name)(seed=SEED, **fields).fit(train)
    fit, begin = time.process_time() - begin, time.process_time()
    drawn = fitted.sample(DRAWS, seed=SEED)
    found = {"fit": fit, "sample": time.process_time() - begin}
    found |= {"auc": detection(drawn, test, train, SEED), "use": utility(drawn, test, train, SEED)}
    begin = time.process_time()
    scores = attacks(judge, drawn, model=fitted)
    rows = [{"metric": f"{model}: {NAMES[k]}", "value": v, "unit": "processor s" if k in ("fit", "sample") else "AUC"}
            for k, v in found.items()]  # fmt: skip
    for s in scores:
        rows.append({"metric": f"{model}: {s.label}", "value": s.value, "low": s.low, "high": s.high, "n": s.n,
                     "peer": "verbatim copy", "peer_value": s.detail["copy"][0], "control": s.detail["control"][0]})  # fmt: skip
    rows.append({"metric": f"{model}: all attacks", "value": time.process_time() - begin, "unit": "processor s",
                 "target": "≤ 12 s", "met": time.process_time() - begin <= 12})  # fmt: skip
    spent = getattr(fitted, "privacy_", None)
    if spent is not None:
        asked = float(epsilon or 3)
        rows.append({"metric": f"{model}: ε spent", "value": spent["epsilon"], "unit": f"at δ = {spent['delta']:g}",
                     "target": f"≤ {asked:g}", "met": spent["epsilon"] <= asked * 1.01})  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", default="mst:1,mst:3,mst:10,network,resample,made:3")
    models = parser.parse_args().models.split(",")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    clock = Clock()
    train, test = rows_of("adult", SEED)
    judge = Judge(test, train=train, n=DRAWS)
    old = FOLDER / "privacy.json"
    kept = json.loads(old.read_text())["rows"] if old.is_file() else []
    for model in models:
        kept = [row for row in kept if row["metric"].partition(": ")[0] != model] + measured(model, train, test, judge)
        record("privacy", kept, seed=SEED, seconds=clock.seconds, note=f"{len(train)} rows, {DRAWS} drawn; noise not seeded")


if __name__ == "__main__":
    main()
