"""Ratings: the RBM's predictions of held-out ratings beside the bias baseline, on a generated matrix of known structure.

2,000 users × 300 items, 40 ratings a user on a scale of 1 to 5: user and item biases, five tastes, noise of known size, so that
the best possible error is known. With --movielens FOLDER, the user's own MovieLens (ratings.csv, or u.data of ML-100K).

    python benchmarks/ratings.py [--movielens FOLDER]
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from genus import RBM
from genus.data.ratings import Ratings
from genus.tasks.recommend import Biases, expected_ratings
from record import Clock, record

SEED, USERS, ITEMS, EACH, NOISE = 0, 2000, 300, 40, 0.5


def generated(seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """(ratings, their means before noise and rounding)."""
    rng = np.random.default_rng(seed)
    taste, kind = rng.normal(size=(USERS, 5)), rng.normal(size=(ITEMS, 5))
    mean = 3.3 + rng.normal(0, 0.4, (USERS, 1)) + rng.normal(0, 0.4, ITEMS) + 0.35 * taste @ kind.T
    popular = rng.dirichlet(np.full(ITEMS, 2.0))
    rows = [(u, i) for u in range(USERS) for i in rng.choice(ITEMS, EACH, replace=False, p=popular)]
    user, item = np.array(rows).T
    exact = mean[user, item]
    rating = np.clip(np.rint(exact + rng.normal(0, NOISE, len(exact))), 1, 5)
    return pd.DataFrame({"user": user, "item": item, "rating": rating}), exact


def movielens(folder: Path) -> pd.DataFrame:
    """ratings.csv of a MovieLens set, or u.data of the smallest."""
    if (folder / "u.data").exists():
        frame = pd.read_csv(folder / "u.data", sep="\t", header=None, names=["user", "item", "rating", "time"])
    else:
        frame = pd.read_csv(folder / "ratings.csv").set_axis(["user", "item", "rating", "time"], axis=1)
    return frame.drop(columns="time")


def errors(frame: pd.DataFrame, seed: int) -> dict[str, float]:
    """RMSE on a tenth of the ratings, held out at random."""
    held = np.random.default_rng(seed + 1).random(len(frame)) < 0.1
    train, test = Ratings(frame[~held].reset_index(drop=True)), frame[held]
    clock = Clock()
    model = RBM(latent=100, seed=seed).fit(train)
    seconds = clock.cpu_seconds
    items = list(model.codec_.items_)
    row, column = pd.Index(train.users).get_indexer(test["user"]), pd.Index(items).get_indexer(test["item"])
    kept = (row >= 0) & (column >= 0)
    truth, row, column = test["rating"].to_numpy()[kept], row[kept], column[kept]
    out = {"seconds": seconds, "n": int(kept.sum()), "held": held}
    low, high = min(train.scale or [1]), max(train.scale or [5])
    for name, value in {
        "rbm": expected_ratings(model, train), "bias": Biases().fit(train).predict(train, items),
        "item": np.tile(Biases(0.0).fit(train).item.reindex(items).to_numpy() + train.frame["rating"].mean(), (len(train), 1)),
    }.items():  # fmt: skip
        out[name] = float(np.sqrt(np.mean((np.clip(value[row, column], low, high) - truth) ** 2)))
    return out


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--movielens", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    clock, rows = Clock(), []
    found = []
    for seed in range(3):
        frame, exact = generated(seed)
        found.append(errors(frame, seed))
        held = found[-1]["held"]
        found[-1]["best"] = float(np.sqrt(np.mean((np.clip(exact[held], 1, 5) - frame["rating"][held]) ** 2)))
    middle = {name: float(np.median([f[name] for f in found])) for name in ("rbm", "bias", "item", "best", "seconds")}
    spread = {"low": min(f["rbm"] for f in found), "high": max(f["rbm"] for f in found), "n": found[0]["n"]}
    rows.append({"metric": "RMSE of held-out ratings, generated", "value": middle["rbm"], "unit": "points",
                 "target": "below the bias baseline", "met": middle["rbm"] < middle["bias"], "peer": "user + item bias",
                 "peer_value": middle["bias"]} | spread)  # fmt: skip
    rows.append({"metric": "RMSE of item means", "value": middle["item"], "unit": "points", "met": None})
    rows.append({"metric": "RMSE of the means that generated them", "value": middle["best"], "unit": "points", "met": None})
    rows.append({"metric": "fit of 72,000 ratings", "value": middle["seconds"], "unit": "CPU s", "met": None})
    if options.movielens:
        real = errors(movielens(options.movielens), SEED)
        rows.append({"metric": f"RMSE, {options.movielens.name}", "value": real["rbm"], "unit": "points", "met": None,
                     "peer": "user + item bias", "peer_value": real["bias"], "n": real["n"]})  # fmt: skip
    record(
        "ratings",
        rows,
        seed=[0, 1, 2],
        seconds=clock.seconds,
        note="Medians of three seeds, one thread; RBM of 100 hidden units.",
    )


if __name__ == "__main__":
    main()
