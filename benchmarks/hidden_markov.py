"""HiddenMarkov beside hmmlearn: ten Baum–Welch iterations from the same start, 100 series × 1,000 steps × 4, 8 states.

    python benchmarks/hidden_markov.py

Interleaved rounds, one thread, processor seconds, medians.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import torch

from genus import HiddenMarkov
from peers import ask
from record import Clock, record

SEED, ROUNDS, STATES, STEPS = 0, 5, 8, 10


class Started(HiddenMarkov):
    """A HiddenMarkov that begins where it is told."""

    begin: dict[str, torch.Tensor] | None = None

    def _begin(self, data: torch.Tensor, k: int) -> None:
        self._set(dict(self.begin or {}))


def simulated() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Series of a chain of 8 states, standardised, and a start for EM."""
    rng = np.random.default_rng(SEED)
    step = 0.9 * np.eye(STATES) + 0.1 * rng.dirichlet(np.ones(STATES), STATES)
    means, state = rng.normal(size=(STATES, 4)) * 2, rng.integers(0, STATES, 100)
    X = np.empty((100, 1000, 4))
    for t in range(1000):
        X[:, t] = means[state] + rng.normal(size=(100, 4))
        state = np.array([rng.choice(STATES, p=step[s]) for s in state])
    X = (X - X.mean((0, 1))) / X.std((0, 1))
    X = X.astype(np.float32).astype(np.float64)
    flat = X.reshape(-1, 4)
    begin = {"start": np.full(STATES, 1 / STATES), "transition": np.full((STATES, STATES), 1 / STATES),
             "mean": flat[rng.choice(len(flat), STATES, replace=False)], "variance": np.ones((STATES, 4))}  # fmt: skip
    return X, begin


def main() -> None:
    torch.set_num_threads(1)
    clock = Clock()
    X, begin = simulated()
    names = {"start": "start_", "transition": "transition_", "mean": "mean_", "variance": "covariance_"}
    model = Started(components=STATES, covariance="diag", steps=STEPS, tol=0, regularise=0, smoothing=0, seed=SEED)
    model.begin = {names[k]: torch.from_numpy(v) for k, v in begin.items()}
    ours, theirs = [], []
    for _ in range(ROUNDS):
        before = time.process_time()
        model.fit(X)
        ours.append(time.process_time() - before)
        theirs.append(ask("classical", "classical_peers.py", "hmm", X=X, **begin))
    fit = statistics.median(ours)
    value, peer = model.score(X), theirs[-1]["log_prob"]
    before = time.process_time()
    model.states(X)
    path = time.process_time() - before
    scaling, log = (statistics.median(t[kind] for t in theirs) for kind in ("scaling", "log"))
    viterbi = statistics.median(t["viterbi"] for t in theirs)
    rows = [
        {"metric": "ten iterations", "value": fit, "unit": "CPU s", "target": "≤ 0.5", "met": fit <= 0.5, "low": min(ours),
         "high": max(ours), "peer": "hmmlearn, scaling", "peer_value": scaling},
        {"metric": "speed against hmmlearn's scaling version", "value": scaling / fit, "unit": "×", "target": "≥ 1",
         "met": scaling / fit >= 1},
        {"metric": "speed against hmmlearn's default (log)", "value": log / fit, "unit": "×", "met": None},
        {"metric": "difference of the log-likelihoods", "value": abs(value - peer) / abs(peer), "unit": "relative",
         "target": "≤ 1e-6", "met": abs(value - peer) <= 1e-6 * abs(peer), "peer": "hmmlearn", "peer_value": peer},
        {"metric": "likeliest paths (Viterbi)", "value": path, "unit": "CPU s", "peer": "hmmlearn (C++)",
         "peer_value": viterbi, "met": None},
    ]  # fmt: skip
    record("hidden_markov", rows, seed=SEED, seconds=clock.seconds, note=f"Same start, {ROUNDS} interleaved rounds, one thread.")


if __name__ == "__main__":
    main()
