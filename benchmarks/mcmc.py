"""Chains side by side: Posterior, emcee, NumPyro and BlackJAX on two known targets in one run, compilation counted."""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genus import Posterior
from genus.maths import diagnostics
from peers import ask
from posterior import correlated, logistic
from record import Clock, record

PEERS = ("emcee", "numpyro", "blackjax", "pymc", "nutpie", "pyro")
TARGETS = {"normal": "10-d normal, ρ = 0.9", "logistic": "logistic regression"}
FIRST, SHORT = 1000, 16  # effective draws; draws of each of our chains that give as many


def arrays() -> dict[str, dict[str, np.ndarray]]:
    """What the peers need to write the same densities."""
    from sklearn.datasets import load_breast_cancer

    place = np.arange(10.0)
    X, y = load_breast_cancer(return_X_y=True)
    X = np.c_[np.ones(len(X)), (X - X.mean(0)) / X.std(0)]
    return {
        "normal": {"precision": np.linalg.inv(0.9 ** np.abs(place[:, None] - place))},
        "logistic": {"signed": np.ascontiguousarray((X * (2 * y - 1)[:, None]).T)},
    }


def told(draws: np.ndarray, warm: float, spent: float) -> dict[str, float]:
    """Least bulk ESS and what it cost: everything counted, after warm-up, and to the first thousand."""
    x = torch.from_numpy(draws)
    ess, hat = float(diagnostics.ess_bulk(x).min()), float(diagnostics.r_hat(x).max())
    return {
        "ess": ess,
        "hat": hat,
        "rate": ess / (warm + spent),
        "steady": ess / spent,
        "first": warm + spent * FIRST / ess,
    }


def ours(name: str, seed: int) -> dict[str, float]:
    """A whole fit with defaults, and one that stops soon after a thousand effective draws."""
    log_density, d = correlated() if name == "normal" else logistic()
    clock = Clock()
    chains = Posterior(log_density=log_density, parameters=d, seed=seed).fit()
    spent = clock.cpu_seconds
    clock = Clock()
    short = Posterior(log_density=log_density, parameters=d, seed=seed, draws=SHORT).fit()
    first = clock.cpu_seconds
    enough = float(diagnostics.ess_bulk(torch.from_numpy(short.draws_)).min())
    found = told(chains.draws_, first, spent - first)
    return found | {"rate": found["ess"] / spent, "first": first if enough >= FIRST else found["first"]}


def theirs(library: str, name: str, seed: int, held: dict[str, np.ndarray]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "draws.npy"
        found = ask("mcmc", "mcmc_peers.py", library, name, str(seed), str(out), **held)
        return told(np.load(out), found["warm"], found["draws"])


def rows_of(name: str, found: dict[str, list[dict[str, float]]]) -> list[dict[str, Any]]:
    words, rows = TARGETS[name], []
    middle = {who: {k: statistics.median(run[k] for run in runs) for k in runs[0]} for who, runs in found.items()}
    mine = middle["genus"]
    for who, m in middle.items():
        word = "genus" if who == "genus" else f"{who} beside it"
        rows += [
            {
                "metric": f"{words}, {word}: least bulk ESS a processor-second, all counted",
                "value": m["rate"],
                "unit": "ESS/CPU-s",
            },
            {"metric": f"{words}, {word}: the same after warm-up and compilation", "value": m["steady"], "unit": "ESS/CPU-s"},
            {"metric": f"{words}, {word}: to the first 1,000 effective draws", "value": m["first"], "unit": "CPU-s"},
            {"metric": f"{words}, {word}: largest R-hat", "value": m["hat"], "unit": ""},
        ]
    least = {"numpyro": 10 if name == "normal" else 2}
    for who in middle.keys() - {"genus"}:
        ratio, sooner = mine["rate"] / middle[who]["rate"], middle[who]["first"] / mine["first"]
        rows.append({"metric": f"{words}: times {who}'s rate", "value": ratio, "unit": "×", "target": "≥ 10", "met": ratio >= 10})
        if goal := least.get(who):
            told = {"target": f"≥ {goal}", "met": sooner >= goal}
            rows.append({"metric": f"{words}: sooner than {who} to 1,000 draws", "value": sooner, "unit": "×"} | told)
        else:
            rows.append({"metric": f"{words}: sooner than {who} to 1,000 draws", "value": sooner, "unit": "×"})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    clock, held, rows = Clock(), arrays(), []
    Posterior(log_density=correlated()[0], parameters=10, draws=20).fit()  # what torch does once
    for name in TARGETS:
        found: dict[str, list[dict[str, float]]] = {who: [] for who in ("genus", *PEERS)}
        for seed in range(rounds):
            found["genus"].append(ours(name, seed))
            for who in PEERS:
                found[who].append(theirs(who, name, seed, held[name]))
            for who, runs in found.items():
                print(f"{name}, round {seed}, {who}: " + ", ".join(f"{k} {v:,.4g}" for k, v in runs[-1].items()), flush=True)
        rows += rows_of(name, found)
    record(
        "mcmc",
        rows,
        seed=list(range(rounds)),
        seconds=clock.seconds,
        note="One thread, processor seconds, rounds interleaved, medians. genus: many-chain HMC, defaults, float64. emcee: the "
        "stretch move, 64 and 124 walkers, 1,000 + 4,000 steps. NumPyro: NUTS, dense metric; BlackJAX: NUTS, diagonal metric; "
        "both 4 chains, 1,000 + 1,000 steps, float32, compilation counted but for the rows that say so. PyMC and nutpie: NUTS, "
        "diagonal metric; Pyro: NUTS, dense metric; float64, 4 chains, 1,000 + 1,000 steps; "
        "nutpie's warm-up is timed by a second run of one draw.",
    )


if __name__ == "__main__":
    main()
