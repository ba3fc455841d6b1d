"""BayesianNetwork on ALARM: structure from 10,000 rows, 100,000 samples, their likelihoods, posteriors; pgmpy and pyAgrum beside.

    GENUS_DATA=… python benchmarks/bayesnet.py

pgmpy and pyAgrum run in the environment "bn" of `peers.py`. Each round draws new rows and gives the same ones to all, ours and
the peers' interleaved.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from genus import BayesianNetwork
from genus.data.bif import read_bif
from genus.maths.graphs import skeleton
from genus.maths.network import Network
from genus.maths.scores import Scores
from genus.maths.structure import Rules, climb
from peers import environment
from record import Clock, data, record

ROWS, DRAWS, SEEDS = 10_000, 100_000, [0, 1, 2]
PEERS = Path(__file__).parent / "bayesnet_peers.py"
EVIDENCE = {"CVP": "HIGH", "BP": "LOW", "HRBP": "HIGH"}
SMALL = {"asia": {"xray": "yes", "asia": "yes"}, "child": {"CO2Report": "<7.5", "XrayReport": "Plethoric"}}
QUERIES = ("LVFAILURE", "HYPOVOLEMIA", "CATECHOL", "SHUNT", "PULMEMBOLUS")


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """(result, processor seconds)."""
    begin = time.process_time()
    return work(), time.process_time() - begin


def ours(net: Network, rows: Path, seed: int) -> dict[str, float]:
    """Seconds and arcs of one round."""
    torch.manual_seed(100 + seed)
    frame = pd.read_csv(rows, dtype=str)
    codes = net.codes(frame).numpy()
    found, structure = timed(lambda: climb(Scores(codes, net.size), Rules()))
    whole, fit = timed(lambda: BayesianNetwork().fit(frame))
    drawn, sampling = timed(lambda: net.sample(DRAWS))
    _, shown = timed(lambda: net.frame(drawn))
    _, scoring = timed(lambda: net.log_prob(drawn))
    _, asking = timed(lambda: [net.posterior(q, EVIDENCE) for q in QUERIES])
    truth, mine = skeleton(net.parents), skeleton(found)
    torch.manual_seed(999)
    held = net.sample(20_000)
    true_value, value = float(net.log_prob(held).mean()), whole.score(net.frame(held).astype(str))
    loss = 100 * (true_value - value) / abs(true_value)
    return {"climb": structure, "fit": fit, "sample": sampling, "frame": sampling + shown, "log_prob": scoring, "query": asking,
            "true": len(mine & truth), "false": len(mine - truth), "loss": loss}  # fmt: skip


def peers(python: Path, bif: Path, rows: Path, net: Network) -> dict[str, float]:
    """The same of pgmpy and pyAgrum, in their own interpreter."""
    command = [python, PEERS, bif, rows, str(DRAWS), json.dumps(EVIDENCE), json.dumps(QUERIES)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr[-800:], file=sys.stderr)
        return {}
    found, truth = json.loads(done.stdout.splitlines()[-1]), {frozenset(edge) for edge in net.edges}
    for peer in ("pgmpy", "pyagrum"):
        arcs = {frozenset(arc) for arc in found.pop(f"{peer} arcs")}
        found |= {f"{peer} true": len(arcs & truth), f"{peer} false": len(arcs - truth)}
        mine = [net.posterior(q, EVIDENCE) for q in QUERIES]
        theirs = found.pop(f"{peer} posteriors")
        found[f"{peer} gap"] = max(abs(a[k] - b[k]) for a, b in zip(mine, theirs, strict=True) for k in a)
    return found


def gaps(python: Path) -> list[dict[str, Any]]:
    """The largest difference of a posterior to pgmpy's on the smaller networks."""
    out = []
    for name, evidence in SMALL.items():
        bif = data("bayesnets", f"{name}.bif.gz")
        net = read_bif(bif)
        queries = [q for q in net.names if q not in evidence]
        command = [python, PEERS, bif, "-", "0", json.dumps(evidence), json.dumps(queries)]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
        mine = [net.posterior(q, evidence) for q in queries]
        gap = max(abs(a[k] - b[k]) for a, b in zip(mine, found["pgmpy posteriors"], strict=True) for k in a)
        out.append(_row(f"{name}: largest difference of a posterior to pgmpy", gap, "", "≤ 1e-9", gap <= 1e-9, {}, ""))
    return out


def table(rounds: list[dict[str, float]]) -> list[dict[str, Any]]:
    """The scoreboard's rows from medians over the rounds."""
    m = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
    worst = {"true": min(r["true"] for r in rounds), "false": max(r["false"] for r in rounds)}
    out = [
        _row("true arcs, worst round", worst["true"], "of 46", "≥ 42", worst["true"] >= 42, m, "true"),
        _row("false arcs, worst round", worst["false"], "arcs", "≤ 8", worst["false"] <= 8, m, "false"),
        _row("structure, 10,000 rows", m["climb"], "s", "≤ 0.25", m["climb"] <= 0.25, m, "climb"),
        _row("fit from a table of words", m["fit"], "s", "-", None, m, ""),
        _row("likelihood of held-out rows below the truth's", m["loss"], "%", "≤ 0.5", m["loss"] <= 0.5, m, ""),
        _row("100,000 samples", m["sample"], "s", "≤ 0.12", m["sample"] <= 0.12, m, "sample"),
        _row("100,000 samples as a table", m["frame"], "s", "-", None, m, "frame"),
        _row("log p of 100,000 rows", m["log_prob"], "s", "≤ 0.08", m["log_prob"] <= 0.08, m, ""),
        _row("5 posteriors given 3 values", m["query"], "s", "-", None, m, "query"),
    ]
    for peer, what, least in (("pgmpy", "climb", 20), ("pgmpy", "sample", 15), ("pyagrum", "climb", 1), ("pyagrum", "sample", 3)):
        if f"{peer} {what}" in m:
            ratio = m[f"{peer} {what}"] / m[what]
            out.append(_row(f"{what}: times faster than {peer}", ratio, "×", f"≥ {least}", ratio >= least, m, ""))
    for peer in ("pgmpy", "pyagrum"):
        if f"{peer} gap" in m:
            gap = max(r[f"{peer} gap"] for r in rounds)
            out.append(_row(f"alarm: largest difference of a posterior to {peer}", gap, "", "≤ 1e-9", gap <= 1e-9, m, ""))
    return out


def _row(metric: str, value: float, unit: str, target: str, met: bool | None, m: dict[str, float], peer: str) -> dict[str, Any]:
    row: dict[str, Any] = {"metric": metric, "value": float(value), "unit": unit, "target": target, "met": met}
    shown = {name: m[f"{name} {peer}"] for name in ("pyagrum", "pgmpy") if f"{name} {peer}" in m}
    if shown:
        row |= {
            "peer": ", ".join(f"{name} {value:.3g}" for name, value in shown.items()),
            "peer_value": next(iter(shown.values())),
        }
    return row


def main() -> None:
    clock, rounds = Clock(), []
    torch.set_num_threads(1)
    bif = data("bayesnets", "alarm.bif.gz")
    net = read_bif(bif)
    BayesianNetwork().fit(net.frame(net.sample(200)))
    with tempfile.TemporaryDirectory() as folder:
        for seed in SEEDS:
            torch.manual_seed(seed)
            rows = Path(folder, f"{seed}.csv")
            net.frame(net.sample(ROWS)).to_csv(rows, index=False)
            beside = peers(environment("bn"), bif, rows, net)
            rounds.append(ours(net, rows, seed) | beside)
            print({key: round(value, 4) for key, value in rounds[-1].items()}, flush=True)
    record(
        "bayesnet",
        table(rounds) + gaps(environment("bn")),
        seed=SEEDS,
        seconds=clock.seconds,
        note="ALARM (37 variables, 46 arcs); 10,000 rows drawn anew in each of 3 rounds, the same for all; BIC, one thread, "
        "processor seconds, medians. Structure is timed on integer codes for ours, on loaded data for the peers.",
    )


if __name__ == "__main__":
    main()
