"""Anomaly: digits one against the rest, from the score alone.

A family is fitted on the training part of one class, and held-out items of that class are told from held-out items of the other
nine by log_prob, bound or energy.

Mean area under the ROC curve over the ten classes, and beside it that of |score − mean training score|, the distance from what is
typical. Fields were set beforehand, for some 125 training items a class; none was chosen by these areas.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

import genus
from genus import catalogue
from genus.capability import Bound, Density
from genus.tasks.anomaly import typicality
from record import Clock, record

NET: dict[str, Any] = {"steps": 300, "batch": 32}
FAMILIES: dict[str, dict[str, Any]] = {
    "gaussian": {},
    "mixture": {"components": 4},
    "kernel": {},
    "categorical": {"components": 8},
    "rbm": NET | {"latent": 32},
    "made": NET | {"width": 64},
    "anyorder": NET | {"width": 64},
    "pixelcnn": NET | {"size": "small"},
    "transformer": NET | {"size": "small"},
    "vae": NET | {"size": "small", "latent": 8},
    "flow": NET | {"size": "small"},
    "marginals": {},
}
TARGET = 0.97


def score(model: Any, X: Any) -> np.ndarray:
    """What the family knows of log p, the most honest first."""
    if isinstance(model, Density) and model.exact:
        return model.log_prob(X)
    return model.log_prob_bound(X) if isinstance(model, Density | Bound) else -model.energy(X)


def main() -> None:
    """Ten fits a family."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="Comma-separated families.")
    arguments = parser.parse_args()
    clock, rows = Clock(), []
    digits = genus.load("digits")
    train, test = train_test_split(np.arange(len(digits.X)), test_size=0.3, stratify=digits.y, random_state=arguments.seed)
    for name, fields in FAMILIES.items():
        if arguments.only and name not in arguments.only.split(","):
            continue
        own, plain, distant = Clock(), [], []
        for label in range(10):
            inside = digits.X[train[digits.y[train] == label]]
            model = catalogue.family(name)(seed=arguments.seed, **fields).fit(inside)
            scores, foreign = score(model, digits.X[test]), digits.y[test] != label
            plain.append(roc_auc_score(foreign, -scores))
            distant.append(roc_auc_score(foreign, typicality(scores, score(model, inside))["distance"]))
        half = 1.96 * float(np.std(plain, ddof=1)) / 10**0.5
        mean = float(np.mean(plain))
        rows.append(
            {"metric": f"{name}: one class against nine", "value": mean, "unit": "mean AUROC", "low": mean - half,
             "high": mean + half, "target": f"≥ {TARGET}", "met": mean >= TARGET, "by_distance": float(np.mean(distant)),
             "worst_class": float(np.min(plain)), "cpu_seconds": own.cpu_seconds, "n": len(test)}
        )  # fmt: skip
        print(f"{name}: {mean:.4f} by likelihood, {np.mean(distant):.4f} by distance, {own.cpu_seconds:.0f} s", flush=True)
    if not arguments.only:
        rows.sort(key=lambda row: -row["value"])
        record("anomaly_digits", rows, seed=arguments.seed, seconds=clock.seconds, note=__doc__ or "")


if __name__ == "__main__":
    main()
