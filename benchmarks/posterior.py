"""Posterior: gold draws of posteriordb, and effective draws a processor-second on two known targets, warm-up counted."""

from __future__ import annotations

import io
import json
import statistics
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from torch import Tensor

from genus import Posterior
from genus.maths import diagnostics
from record import Clock, data, record

SEED, ROUNDS = 0, 3


def unzipped(*parts: str) -> Any:
    """The JSON inside a zip of posteriordb."""
    with zipfile.ZipFile(io.BytesIO(data("posteriordb", *parts).read_bytes())) as archive:
        return json.loads(archive.read(archive.namelist()[0]))


def half_cauchy(x: Tensor, scale: float) -> Tensor:
    return -torch.log1p((x / scale).square())


def regression(name: str) -> tuple[Posterior, Callable[[np.ndarray], np.ndarray]]:
    """kidiq: children's scores on their mothers' schooling and IQ."""
    d = unzipped("data", "kidiq.json.zip")
    y, school, iq = (torch.tensor(d[k], dtype=torch.float64) for k in ("kid_score", "mom_hs", "mom_iq"))
    columns = {"momhs": [school], "momiq": [iq], "interaction": [school, iq, school * iq]}[name]
    X = torch.stack([torch.ones_like(y), *columns])

    def log_density(x: Tensor) -> Tensor:
        sigma = x[:, -1]
        residual = (y - x[:, :-1] @ X) / sigma[:, None]
        return half_cauchy(sigma, 2.5) - len(y) * sigma.log() - 0.5 * residual.square().sum(1)

    centre = [*torch.linalg.lstsq(X.T, y[:, None]).solution[:, 0].tolist(), 20.0]
    parameters = {"beta": len(X), "sigma": "positive"}
    return Posterior(log_density=log_density, parameters=parameters, start=centre, warmup=300, seed=SEED), lambda draws: draws


def autoregression() -> tuple[Posterior, Callable[[np.ndarray], np.ndarray]]:
    """arK: five lags of a series."""
    d = unzipped("data", "arK.json.zip")
    y, k = torch.tensor(d["y"], dtype=torch.float64), d["K"]
    X = torch.stack([torch.ones(len(y) - k, dtype=torch.float64), *(y[k - 1 - i : len(y) - 1 - i] for i in range(k))])
    after = y[k:]

    def log_density(x: Tensor) -> Tensor:
        sigma = x[:, -1]
        residual = (after - x[:, :-1] @ X) / sigma[:, None]
        prior = half_cauchy(sigma, 2.5) - 0.5 * (x[:, :-1] / 10).square().sum(1)
        return prior - len(after) * sigma.log() - 0.5 * residual.square().sum(1)

    parameters = {"alpha": 1, "beta": k, "sigma": "positive"}
    return Posterior(log_density=log_density, parameters=parameters, warmup=300, seed=SEED), lambda draws: draws


def schools() -> tuple[Posterior, Callable[[np.ndarray], np.ndarray]]:
    """eight_schools, not centred: effects of coaching in eight schools."""
    d = unzipped("data", "eight_schools.json.zip")
    y, error = torch.tensor(d["y"], dtype=torch.float64), torch.tensor(d["sigma"], dtype=torch.float64)

    def log_density(x: Tensor) -> Tensor:
        mu, tau, z = x[:, :1], x[:, 1:2], x[:, 2:]
        prior = half_cauchy(tau[:, 0], 5) - 0.5 * (mu[:, 0] / 5).square() - 0.5 * z.square().sum(1)
        return prior - 0.5 * ((y - mu - tau * z) / error).square().sum(1)

    def effects(draws: np.ndarray) -> np.ndarray:
        mu, tau, z = draws[..., :1], draws[..., 1:2], draws[..., 2:]
        return np.concatenate([mu + tau * z, mu, tau], -1)

    parameters = {"mu": 1, "tau": "positive", "z": 8}
    return Posterior(log_density=log_density, parameters=parameters, warmup=300, draws=500, accept=0.95, seed=SEED), effects


POSTERIORS: dict[str, Callable[[], tuple[Posterior, Callable[[np.ndarray], np.ndarray]]]] = {
    "eight_schools-eight_schools_noncentered": schools,
    "arK-arK": autoregression,
    "kidiq-kidscore_momhs": lambda: regression("momhs"),
    "kidiq-kidscore_momiq": lambda: regression("momiq"),
    "kidiq-kidscore_interaction": lambda: regression("interaction"),
}


def against_gold(name: str) -> list[dict[str, Any]]:
    """The largest |z| of means and deviations against the gold draws, and the largest R-hat."""
    clock = Clock()
    chains, reported = POSTERIORS[name]()
    ours = torch.from_numpy(reported(chains.fit().draws_))
    gold_chains = unzipped("draws", f"{name}.json.zip")
    gold = torch.stack([torch.tensor([c[k] for k in gold_chains[0]], dtype=torch.float64).T for c in gold_chains], 1)
    flat, gold_flat = ours.flatten(0, 1), gold.flatten(0, 1)
    z = []
    for value, error in ((lambda x: x.mean(0), diagnostics.mcse_mean), (lambda x: x.std(0), diagnostics.mcse_sd)):
        z.append((value(flat) - value(gold_flat)).abs() / (error(ours).square() + error(gold).square()).sqrt())
    worst, hat = float(torch.stack(z).max()), float(diagnostics.r_hat(ours).max())
    least = float(diagnostics.ess_bulk(ours).min())
    print(f"{name}: {clock.cpu_seconds:.1f} CPU-s, least ESS {least:.0f}, {chains.reasons_ or 'converged'}", flush=True)
    where = {"n": len(flat), "peer": "Stan's gold draws"}
    return [
        where
        | {"metric": f"{name}: largest |z| of means and sds", "value": worst, "unit": "", "target": "< 4", "met": worst < 4},
        where | {"metric": f"{name}: largest R-hat", "value": hat, "unit": "", "target": "< 1.01", "met": hat < 1.01},
        where
        | {
            "metric": f"{name}: converged",
            "value": float(chains.converged_),
            "unit": "",
            "target": "1",
            "met": chains.converged_,
        },
    ]


def correlated(d: int = 10, rho: float = 0.9) -> tuple[Callable[[Tensor], Tensor], int]:
    """A normal whose neighbours correlate by rho."""
    place = torch.arange(d, dtype=torch.float64)
    precision = torch.linalg.inv(rho ** (place[:, None] - place).abs())
    return (lambda x: -0.5 * ((x @ precision) * x).sum(1)), d


def logistic() -> tuple[Callable[[Tensor], Tensor], int]:
    """Logistic regression on breast cancer, standardised, weights ~ N(0, 2.5²)."""
    X, y = load_breast_cancer(return_X_y=True)
    X = np.c_[np.ones(len(X)), (X - X.mean(0)) / X.std(0)]
    signed = torch.from_numpy(np.ascontiguousarray((X * (2 * y - 1)[:, None]).T))

    def log_density(x: Tensor) -> Tensor:
        return torch.nn.functional.logsigmoid(x @ signed).sum(1) - 0.5 * (x / 2.5).square().sum(1)

    return log_density, X.shape[1]


def rate(name: str, target: tuple[Callable[[Tensor], Tensor], int], least: int, peers: str) -> list[dict[str, Any]]:
    """Least bulk ESS a processor-second of a whole fit with defaults, the median of some; seeds differ."""
    log_density, d = target
    rates, seconds, hats = [], [], []
    for seed in range(ROUNDS):
        clock = Clock()
        chains = Posterior(log_density=log_density, parameters=d, seed=seed).fit()
        spent = clock.cpu_seconds
        table = chains.summary()
        rates.append(float(table["ess_bulk"].min()) / spent)
        seconds.append(spent)
        hats.append(float(table["r_hat"].max()))
        print(f"{name}: {rates[-1]:,.0f} a CPU-second, {spent:.3f} CPU-s, R-hat {hats[-1]:.4f}, {chains.reasons_ or 'converged'}")
    value, hat = statistics.median(rates), max(hats)
    where = {"n": 128 * 200, "peer": peers, "low": min(rates), "high": max(rates)}
    goal = {"value": value, "unit": "ESS/CPU-s", "target": f"≥ {least:,}", "met": value >= least}
    return [
        where | goal | {"metric": f"{name}: least bulk ESS a processor-second, warm-up counted"},
        {"metric": f"{name}: largest R-hat", "value": hat, "unit": "", "target": "< 1.01", "met": hat < 1.01},
        {"metric": f"{name}: whole fit", "value": statistics.median(seconds), "unit": "CPU-s", "target": "-"},
    ]


def funnel() -> list[dict[str, Any]]:
    """Neal's funnel, centred: nobody samples it; the verdict must say so."""

    def log_density(x: Tensor) -> Tensor:
        v = x[:, 0]
        return -0.5 * (v / 3).square() - 0.5 * (x[:, 1:].square() * torch.exp(-v)[:, None]).sum(1) - 0.5 * (x.shape[1] - 1) * v

    chains = Posterior(log_density=log_density, parameters=10, seed=SEED).fit()
    print("funnel:", *chains.reasons_, sep="\n  ")
    sd = float(chains.summary()["sd"].iloc[0])
    told = {"value": float(not chains.converged_), "unit": "", "target": "1", "met": not chains.converged_}
    return [told | {"metric": "centred funnel reported as not converged"},
            {"metric": "centred funnel: sd of v (truth 3)", "value": sd, "unit": "", "target": "-"}]  # fmt: skip


def main() -> None:
    torch.set_num_threads(1)
    clock = Clock()
    Posterior(log_density=correlated()[0], parameters=10, draws=20).fit()  # what torch does once
    rows = rate("10-d normal, ρ = 0.9", correlated(), 150_000, "emcee 2,125; NumPyro NUTS, dense, compiled 141,000")
    rows += rate("logistic regression", logistic(), 3_500, "emcee 218; NumPyro NUTS, dense, compiled 6,045")
    rows += [row for name in POSTERIORS for row in against_gold(name)] + funnel()
    record(
        "posterior",
        rows,
        seed=SEED,
        seconds=clock.seconds,
        note="Many-chain HMC with defaults (128 chains, 150 warm-up steps, 200 draws) and automatic differentiation, one thread; "
        f"medians of {ROUNDS} seeds. Peers' numbers were measured before, on this kind of machine, not in this run. "
        "posteriordb's densities ported by hand; z by both sides' Monte-Carlo errors.",
    )


if __name__ == "__main__":
    main()
