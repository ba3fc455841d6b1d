"""Adult census: is a table drawn by the Transformer as good as the real one to train a classifier on?

Fits on the 32,561 training rows, draws as many, trains gradient-boosted trees on the draw and scores them on the real
16,281 test rows. The draw is also told from the test rows by the same trees (two-sample AUC, 0.5 is perfect).

    GENUS_DATA=… python benchmarks/adult.py [--minutes 3] [--steps N] [--threads 2]
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from genus import Marginals, Transformer
from record import Clock, data, record

SEED = 0
NAMES = [
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status",
    "occupation", "relationship", "race", "sex", "capital-gain",
    "capital-loss", "hours-per-week", "native-country", "income",
]  # fmt: skip


def table(name: str) -> pd.DataFrame:
    """A file of the census with its header added; '?' is missing."""
    frame = pd.read_csv(data("adult", name), names=NAMES, skipinitialspace=True, na_values="?")
    frame["income"] = frame["income"].str.rstrip(".")
    return frame


def features(frame: pd.DataFrame, like: pd.DataFrame) -> pd.DataFrame:
    """Columns as gradient boosting takes them, with the categories of `like`."""
    out = pd.DataFrame(index=frame.index)
    for name in frame.columns:
        if pd.api.types.is_numeric_dtype(like[name]):
            out[name] = pd.to_numeric(frame[name]).astype(float)
        else:
            out[name] = pd.Categorical(frame[name].astype(object), categories=sorted(like[name].dropna().unique()))
    return out


def trees() -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=SEED)


def utility(source: pd.DataFrame, test: pd.DataFrame, like: pd.DataFrame) -> float:
    """AUC on `test` of trees that learnt income from `source`."""
    x, x_test = (features(f.drop(columns="income"), like) for f in (source, test))
    fitted = trees().fit(x, source["income"].astype(str))
    chance = fitted.predict_proba(x_test)[:, list(fitted.classes_).index(">50K")]
    return float(roc_auc_score(test["income"] == ">50K", chance))


def two_sample(a: pd.DataFrame, b: pd.DataFrame, like: pd.DataFrame) -> float:
    """AUC of trees that tell a from b, as many rows of each, five folds."""
    n = min(len(a), len(b))
    x = pd.concat([features(f.sample(n, random_state=SEED), like) for f in (a, b)], ignore_index=True)
    y = np.repeat([0, 1], n)
    return float(roc_auc_score(y, cross_val_predict(trees(), x, y, cv=5, method="predict_proba")[:, 1]))


def invalid(drawn: pd.DataFrame, train: pd.DataFrame) -> int:
    """Cells that their column cannot hold: categories never seen, numbers outside the range or off the integers."""
    wrong = 0
    for name in train.columns:
        held = drawn[name].dropna()
        if pd.api.types.is_numeric_dtype(train[name]):
            value = pd.to_numeric(held, errors="coerce")
            bad = value.isna() | (value < train[name].min()) | (value > train[name].max()) | (value != value.round())
            wrong += int(bad.sum())
        else:
            wrong += int((~held.isin(train[name].unique())).sum())
        wrong += int(drawn[name].isna().sum()) if not train[name].isna().any() else 0
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    train, test = table("adult_train.csv.gz"), table("adult_test.csv.gz")
    clock = Clock()
    model = Transformer(seed=SEED, minutes=None if args.steps else args.minutes, steps=args.steps).fit(train)
    fitted = clock.seconds
    drawn = model.sample(len(train), seed=SEED)
    seconds, processor = clock.seconds, clock.cpu_seconds
    print(f"fit {fitted:.0f} s, sample {seconds - fitted:.1f} s, {processor:.0f} processor-seconds together")
    control = Marginals().fit(train).sample(len(train), seed=SEED)
    real, found = utility(train, test, train), utility(drawn, test, train)
    missing = float((drawn.isna().mean() - train.isna().mean()).abs().max())
    apart, floor = two_sample(drawn, test, train), two_sample(train, test, train)
    rows = [
        {"metric": "train-on-synthetic AUC", "value": found, "unit": "AUC", "target": "≥ 0.90", "met": found >= 0.90,
         "peer": "real rows", "peer_value": real, "n": len(test)},
        {"metric": "fit and sample", "value": seconds, "unit": "s", "target": "≤ 300", "met": seconds <= 300},
        {"metric": "sample", "value": seconds - fitted, "unit": "s", "n": len(drawn)},
        {"metric": "invalid cells", "value": invalid(drawn, train), "unit": "cells", "target": "0",
         "met": invalid(drawn, train) == 0},
        {"metric": "largest error of a missing rate", "value": missing, "unit": "share", "target": "≤ 0.005",
         "met": missing <= 0.005},
        {"metric": "two-sample AUC against test rows", "value": apart, "unit": "AUC", "target": "≤ 0.53",
         "met": apart <= 0.53, "peer": "real rows", "peer_value": floor},
        {"metric": "two-sample AUC of independent columns", "value": two_sample(control, test, train), "unit": "AUC"},
        {"metric": "log-likelihood of test rows", "value": model.score(test), "unit": "nats a row",
         "peer": "independent columns", "peer_value": Marginals().fit(train).score(test)},
    ]  # fmt: skip
    note = f"{processor:.0f} processor-seconds to fit and sample; {len(model.history_)} logged steps, last {model.history_[-1]}"
    record("adult", rows, seed=SEED, seconds=clock.seconds, note=note)


if __name__ == "__main__":
    main()
