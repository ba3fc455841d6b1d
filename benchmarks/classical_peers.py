"""hmmlearn, pomegranate and rbms on the same arrays as ours; the classical benchmarks run this in their environment, one thread.

PYTHON classical_peers.py hmm|mixture|annealing FILE.npz: one line of JSON out, processor seconds.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import warnings
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

STEPS = {"hmm": 10, "mixture": 20}


def hmm(held: dict[str, np.ndarray]) -> dict[str, Any]:
    """Ten Baum–Welch iterations of hmmlearn's GaussianHMM (diagonal), both of its implementations."""
    from hmmlearn.hmm import GaussianHMM  # pyright: ignore[reportMissingImports]

    logging.disable(logging.CRITICAL)
    X, out = held["X"], {}
    flat, lengths = X.reshape(-1, X.shape[-1]), [X.shape[1]] * len(X)
    for kind in ("scaling", "log"):
        model = GaussianHMM(
            len(held["start"]), "diag", n_iter=STEPS["hmm"], tol=-np.inf, init_params="", implementation=kind, min_covar=0,
            covars_prior=0, covars_weight=1,
        )  # fmt: skip
        model.startprob_, model.transmat_ = held["start"], held["transition"]
        model.means_, model.covars_ = held["mean"], held["variance"]
        begin = time.process_time()
        model.fit(flat, lengths)
        out[kind] = time.process_time() - begin
        begin = time.process_time()
        out["log_prob"] = model.score(flat, lengths) / len(X)
        out["score"] = time.process_time() - begin
        begin = time.process_time()
        model.predict(flat, lengths)
        out["viterbi"] = time.process_time() - begin
        out["mean"] = model.means_.tolist()
    return out


def mixture(held: dict[str, np.ndarray]) -> dict[str, Any]:
    """Twenty EM iterations of pomegranate's GeneralMixtureModel, full covariances."""
    import torch
    from pomegranate.distributions import Normal  # pyright: ignore[reportMissingImports]
    from pomegranate.gmm import GeneralMixtureModel  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    out = {}
    for name, dtype in (("float64", torch.float64), ("float32", torch.float32)):
        torch.set_default_dtype(dtype)
        X = torch.from_numpy(held["X"]).to(dtype)
        parts = [
            Normal(torch.from_numpy(m).to(dtype), torch.from_numpy(c).to(dtype))
            for m, c in zip(held["mean"], held["covariance"], strict=True)
        ]
        model = GeneralMixtureModel(
            parts, priors=torch.from_numpy(held["weight"]).to(dtype), max_iter=STEPS["mixture"], tol=-np.inf
        )
        begin = time.process_time()
        model.fit(X)
        out[name] = time.process_time() - begin
        out[f"log_prob {name}"] = float(model.log_probability(X).mean())
    return out


def annealing(held: dict[str, np.ndarray]) -> dict[str, Any]:
    """Annealed importance sampling by rbms, 200 chains, 500 temperatures."""
    import torch
    from rbms.bernoulli_bernoulli.classes import BBRBM  # pyright: ignore[reportMissingImports]
    from rbms.partition_function.ais import compute_partition_function_ais  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    parts = {name: torch.from_numpy(held[name]).float() for name in ("weight_matrix", "vbias", "hbias")}
    model = BBRBM(**parts)
    begin = time.process_time()
    value = compute_partition_function_ais(200, 500, model)
    return {"seconds": time.process_time() - begin, "log_z": float(value)}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    jobs = {"hmm": hmm, "mixture": mixture, "annealing": annealing}
    print(json.dumps(jobs[sys.argv[1]](dict(np.load(sys.argv[2])))))
