"""Tables: our families beside SDV's synthesizers and MOSTLY AI's engine, on Adult, UCI protein and UCI bike.

Rows are split 80/20 by seed (Adult: 26,048/6,513 of the census's training file, stratified on income, '?' a level like any
other). Every model sees the same training rows and draws as many as asked, on one thread; all draws are judged by one harness
against the same held-out rows. Times are processor seconds. Defaults everywhere; nothing is chosen by these numbers.

    GENUS_DATA=… python benchmarks/tables.py [draw | judge] [--data adult,protein,bike] [--models made,tree,…] [--seeds 0,1,2]

`draw` keeps the rows and seconds of each (data, model, seed) under build/tables, peers once, ours anew; it makes the peers'
environments (build/peers-sdv, build/peers-mostly) when they are asked for. `judge` writes results/tables_<data>.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict, train_test_split

from adult import NAMES
from genus.catalogue import family as find
from genus.judgement.columns import Columns
from genus.judgement.membership import auc, by_distance, reach
from peers import ROOT, environment
from record import Clock, data, record

FOLDER = ROOT / "tables"
PEERS = {"copula": "sdv", "tvae": "sdv", "ctgan": "sdv", "argn": "mostly"}
NAMED = {"copula": "SDV GaussianCopula", "tvae": "SDV TVAE", "ctgan": "SDV CTGAN", "argn": "MOSTLY AI TabularARGN"}
ONCE = ("tvae", "ctgan")  # peers whose fits take a quarter of an hour: seed 0 only
OURS = ("made", "tree", "anyorder", "network", "mixture", "gaussian")
DRAWS = {"adult": 30_000}


def rows_of(name: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(training rows, held-out rows) of a table."""
    if name == "adult":
        frame = pd.read_csv(data("adult", "adult_train.csv.gz"), names=NAMES, skipinitialspace=True, keep_default_na=False)
        parts = train_test_split(frame, test_size=6513, random_state=seed, stratify=frame["income"])
    else:
        frame = pd.read_csv(data("uci_regression", f"{name}.csv.gz"), header=None)
        frame.columns = [f"x{i}" for i in range(frame.shape[1] - 1)] + ["target"]
        parts = train_test_split(frame, test_size=0.2, random_state=seed)
    return parts[0].reset_index(drop=True), parts[1].reset_index(drop=True)


def place(name: str, model: str, seed: int) -> Path:
    """Where the draw of a model lies; its seconds lie beside it as .json."""
    return FOLDER / f"{name}-{model}-{seed}.csv"


def draw_peer(name: str, peer: str, seed: int) -> None:
    """Fit and draw in the peer's environment, unless it was done before."""
    out = place(name, peer, seed)
    if out.with_suffix(".json").exists():
        return
    train, _ = rows_of(name, seed)
    source = FOLDER / f"{name}-train-{seed}.csv"
    train.to_csv(source, index=False)
    script = Path(__file__).parent / "tables_peers.py"
    command = [
        str(environment(PEERS[peer])),
        str(script),
        peer,
        str(source),
        str(DRAWS.get(name, len(train))),
        str(out),
        str(seed),
    ]
    found = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, check=False)
    if found.returncode:
        print(f"{peer} failed on {name}")
        return
    out.with_suffix(".json").write_bytes(found.stdout)


def draw_own(name: str, family: str, seed: int) -> None:
    """Fit and draw one of ours; the model is kept for `judge`."""
    train, _ = rows_of(name, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = find(family)(seed=seed)
        begin = time.process_time()
        model.fit(train)
        middle = time.process_time()
        drawn = model.sample(DRAWS.get(name, len(train)), seed=seed)
        end = time.process_time()
    out = place(name, family, seed)
    drawn.to_csv(out, index=False)
    model.save(out.with_suffix(""))
    told = {"peer": family, "seed": seed, "fit": middle - begin, "sample": end - middle, "load": os.getloadavg()[0]}
    out.with_suffix(".json").write_text(json.dumps(told))


def draw(names: list[str], models: list[str], seeds: list[int]) -> None:
    """Draw from every model on every table for every seed, models interleaved."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in names:
        for seed in seeds:
            for model in models:
                if model in ONCE and seed:
                    continue
                (draw_peer if model in PEERS else draw_own)(name, model, seed)
                at = place(name, model, seed).with_suffix(".json")
                print(name, at.read_text().strip() if at.exists() else "no result", flush=True)


def prepared(frame: pd.DataFrame, like: pd.DataFrame) -> pd.DataFrame:
    """Columns as gradient boosting takes them: numbers as floats, the rest as categories of `like` (255 at most)."""
    out = {}
    for name in like.columns:
        if pd.api.types.is_numeric_dtype(like[name]):
            out[name] = pd.to_numeric(frame[name], errors="coerce").astype(float)
        else:
            levels = like[name].value_counts().index[:254]
            out[name] = pd.Categorical(frame[name].astype(object), categories=sorted(levels))
    return pd.DataFrame(out)


def detection(drawn: pd.DataFrame, real: pd.DataFrame, like: pd.DataFrame, seed: int) -> float:
    """Five-fold AUC of boosted trees that tell as many drawn rows from real ones; 0.5 is perfect."""
    n = min(len(drawn), len(real))
    drawn, real = drawn.sample(n, random_state=seed), real.sample(n, random_state=seed)
    x = prepared(pd.concat([drawn, real], ignore_index=True), like)
    y = np.repeat([0, 1], n)
    trees = HistGradientBoostingClassifier(max_iter=150, categorical_features="from_dtype", random_state=seed)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    return float(roc_auc_score(y, cross_val_predict(trees, x, y, cv=folds, method="predict_proba")[:, 1]))


def utility(drawn: pd.DataFrame, test: pd.DataFrame, like: pd.DataFrame, seed: int) -> float:
    """AUC (Adult) or R² on the real held-out rows of boosted trees trained on the drawn ones."""
    target = like.columns[-1]
    x, x_test = prepared(drawn, like).drop(columns=target), prepared(test, like).drop(columns=target)
    if pd.api.types.is_numeric_dtype(like[target]):
        number = HistGradientBoostingRegressor(categorical_features="from_dtype", random_state=seed)
        return float(r2_score(test[target], number.fit(x, drawn[target]).predict(x_test)))
    label = HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=seed).fit(x, drawn[target].astype(str))
    return float(roc_auc_score(test[target] == ">50K", label.predict_proba(x_test)[:, list(label.classes_).index(">50K")]))


def violations(drawn: pd.DataFrame, train: pd.DataFrame) -> float:
    """Share of Adult's rows that break its logic: education by name and number, spouses by sex and by marriage."""
    pairs = set(zip(train["education"], train["education-num"], strict=True))
    given = zip(drawn["education"], drawn["education-num"], strict=True)
    broken = np.array([pair not in pairs for pair in given])
    role, sex, marital = drawn["relationship"], drawn["sex"], drawn["marital-status"]
    broken |= ((role == "Husband") & (sex == "Female")) | ((role == "Wife") & (sex == "Male"))
    broken |= role.isin(["Husband", "Wife"]) & ~marital.isin(["Married-civ-spouse", "Married-AF-spouse"])
    return float(np.mean(broken))


def spoiled(test: pd.DataFrame, train: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Held-out rows, a tenth of which get 3 columns redrawn from the training margins; and which."""
    rng = np.random.default_rng(seed)
    out, which = test.copy(), rng.random(len(test)) < 0.1
    for row in np.flatnonzero(which):
        for column in rng.choice(test.shape[1], 3, replace=False):
            out.iat[row, column] = train.iat[rng.integers(len(train)), column]
    return out, which


def membership(drawn: pd.DataFrame, train: pd.DataFrame, test: pd.DataFrame, seed: int) -> float:
    """AUC of telling training rows from held-out ones by the distance to the nearest drawn row; 0.5 is perfect."""
    columns = Columns.of(train)
    n = min(len(test), len(train)) // 2
    members, others = (columns.dense(f.sample(n, random_state=1000 + seed)) for f in (train, test))
    release = columns.dense(drawn.sample(min(len(drawn), 30_000), random_state=seed))
    return auc(by_distance(reach(members, release)), by_distance(reach(others, release)))[0]


def judged(name: str, model: str, seed: int) -> dict[str, float]:
    """Every number of one draw."""
    train, test = rows_of(name, seed)
    drawn = pd.read_csv(place(name, model, seed), keep_default_na=False, na_values=[""]) if model != "copy" else None
    drawn = train.sample(DRAWS.get(name, len(train)), replace=True, random_state=seed) if drawn is None else drawn
    found = json.loads(place(name, model, seed).with_suffix(".json").read_text()) if model != "copy" else {}
    out = {key: found[key] for key in ("fit", "sample") if key in found}
    out["detection"] = detection(drawn, test, train, seed)
    out["utility"] = utility(drawn, test, train, seed)
    out["membership"] = membership(drawn, train, test, seed)
    if name == "adult":
        out["violations"] = violations(drawn, train)
    return out


def abilities(family: str, seed: int) -> dict[str, float]:
    """What else one saved model of Adult can do: predict, find spoiled rows, draw a rare condition, keep rules."""
    from genus import Model, predict
    from genus.data.rules import mine

    train, test = rows_of("adult", seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: Any = Model.load(place("adult", family, seed).with_suffix(""))
        chance = predict(model, test, "income")[">50K"]
        rows, which = spoiled(test, train, seed)
        out = {"prediction": float(roc_auc_score(test["income"] == ">50K", chance)),
               "anomaly": float(roc_auc_score(which, -model.log_prob(rows))), "nats": model.score(test)}  # fmt: skip
        begin = time.process_time()
        rare = model.sample(500, given={"native-country": "Mexico", "sex": "Female", "income": ">50K"}, seed=seed)
        out["rare"] = time.process_time() - begin
        held = (rare["native-country"] == "Mexico") & (rare["sex"] == "Female") & (rare["income"] == ">50K")
        assert held.all()
        assert len(rare) == 500
        rules, kept = mine(train), train.copy()
        kept.attrs["schema"] = {"columns": {}, "rules": [rule.to_json() for rule in rules]}
        ruled = find(family)(seed=seed).fit(kept).sample(30_000, seed=seed)
        free = pd.read_csv(place("adult", family, seed), keep_default_na=False, na_values=[""])
        for key, drawn in (("broken", free), ("ruled", ruled)):
            out[key] = float(np.any([rule.violations(drawn) for rule in rules], axis=0).mean())
    return out


TARGETS: dict[str, dict[str, tuple[str, float]]] = {
    "made": {"fit": ("≤", 20), "sample": ("≤", 1.5), "detection": ("≤", 0.530), "utility": ("≥", 0.912),
             "prediction": ("≥", 0.918), "anomaly": ("≥", 0.76), "membership": ("≤", 0.510), "violations": ("≤", 0.003),
             "ruled": ("≤", 0.0), "rare": ("≤", 0.2)},
    "tree": {"fit": ("≤", 1), "detection": ("≤", 0.525)},
}  # fmt: skip
WORDS = {
    "fit": ("fit", "CPU s"), "sample": ("sample", "CPU s"), "detection": ("two-sample AUC", ""),
    "utility": ("train on synthetic, test on real", "AUC or R²"), "membership": ("membership attack AUC", ""),
    "violations": ("rows that break the logic", "share"), "prediction": ("p(income | rest) AUC", ""),
    "anomaly": ("inconsistent-row AUC", ""), "nats": ("log-likelihood of held-out rows", "nats a row"),
    "rare": ("500 rows of a rare condition", "CPU s"), "broken": ("rows that break a mined rule", "share"),
    "ruled": ("rows that break a mined rule, rules given", "share"),
}  # fmt: skip


def rows_for(name: str, model: str, found: list[dict[str, float]]) -> list[dict[str, object]]:
    """Rows of the record: the median over seeds and the extremes of each number of one model."""
    out = []
    for key, (words, unit) in WORDS.items():
        values = [each[key] for each in found if key in each]
        if not values:
            continue
        middle = float(np.median(values))
        row: dict[str, object] = {"metric": f"{NAMED.get(model, model)}: {words}", "value": middle, "unit": unit, "met": None}
        row |= {"low": min(values), "high": max(values), "n": len(values)}
        if name == "adult" and key in TARGETS.get(model, {}):
            sign, bound = TARGETS[model][key]
            row |= {"target": f"{sign} {bound:g}", "met": middle <= bound if sign == "≤" else middle >= bound}
        out.append(row)
    return out


def judge(names: list[str], models: list[str], seeds: list[int]) -> None:
    """Judge every draw there is and write one record a table."""
    for name in names:
        clock, rows = Clock(), []
        for model in ["copy", *models]:
            found = []
            for seed in seeds:
                if model == "copy" or place(name, model, seed).with_suffix(".json").exists():
                    found.append(judged(name, model, seed))
                    if name == "adult" and model in ("made", "tree"):
                        found[-1] |= abilities(model, seed)
            rows += rows_for(name, model, found)
        note = "Medians of seeds (n), one thread, processor seconds. 'copy' is a bootstrap of the training rows."
        record(f"tables_{name}", rows, seed=seeds, seconds=clock.seconds, note=note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", nargs="?", choices=["draw", "judge", "both"], default="both")
    parser.add_argument("--data", default="adult,protein,bike")
    parser.add_argument("--models", default=",".join([*OURS, *PEERS]))
    parser.add_argument("--seeds", default="0,1,2")
    options = parser.parse_args()
    torch.set_num_threads(1)
    names, models = options.data.split(","), options.models.split(",")
    seeds = [int(s) for s in options.seeds.split(",")]
    for job, work in (("draw", draw), ("judge", judge)):
        if options.job in (job, "both"):
            work(names, models, seeds)


if __name__ == "__main__":
    main()
