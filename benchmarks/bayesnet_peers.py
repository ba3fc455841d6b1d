"""pgmpy and pyAgrum on the same rows as benchmarks/bayesnet.py, which runs this in their environment; one line of JSON out.

PYTHON bayesnet_peers.py NETWORK.bif.gz ROWS.csv DRAWS EVIDENCE QUERIES

With - for ROWS.csv only pgmpy is asked, for the posteriors; pyAgrum's reader refuses child.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import pandas as pd


def clock(work: Any) -> tuple[Any, float]:
    """(result, processor seconds)."""
    begin = time.process_time()
    return work(), time.process_time() - begin


def pyagrum(bif: str, rows: str, draws: int, evidence: dict[str, str], queries: list[str]) -> dict[str, Any]:
    """Greedy hill climbing by BIC with its recommended smoothing prior, forward samples, lazy propagation."""
    import pyagrum as gum  # pyright: ignore[reportMissingImports]

    gum.setNumberOfThreads(1)
    net = _doubled(gum.loadBN(bif))
    learner = gum.BNLearner(rows, net)
    learner.useScoreBIC()
    learner.useSmoothingPrior()
    learner.useGreedyHillClimbing()
    found, climb = clock(learner.learnBN)
    generator = gum.BNDatabaseGenerator(net)
    _, sample = clock(lambda: generator.drawSamples(draws))
    _, frame = clock(generator.to_pandas)

    posteriors, query = clock(lambda: _asked_pyagrum(net, evidence, queries))
    arcs = [(found.variable(a).name(), found.variable(b).name()) for a, b in found.arcs()]
    return {"climb": climb, "sample": sample, "frame": sample + frame, "query": query, "arcs": arcs, "posteriors": posteriors}


def _doubled(net: Any) -> Any:
    """The network with the decimals of its file: pyAgrum reads BIF in single precision, which is 3e-8 off."""
    for name in net.names():
        table = net.cpt(name)
        table.fillWith([float(f"{p:.6g}") for p in table.toarray().ravel()])
        table.normalizeAsCPT()
    return net


def _asked_pyagrum(net: Any, evidence: dict[str, str], queries: list[str]) -> list[dict[str, float]]:
    import pyagrum as gum  # pyright: ignore[reportMissingImports]

    engine = gum.LazyPropagation(net)
    engine.setEvidence(evidence)
    return [dict(zip(net.variable(q).labels(), engine.posterior(q).tolist(), strict=True)) for q in queries]


def pgmpy(bif: str, rows: str, draws: int, evidence: dict[str, str], queries: list[str]) -> dict[str, Any]:
    """Hill climbing by BIC, forward samples, variable elimination."""
    from pgmpy.causal_discovery import HillClimbSearch  # pyright: ignore[reportMissingImports]
    from pgmpy.readwrite import BIFReader  # pyright: ignore[reportMissingImports]

    net = BIFReader(bif).get_model()
    if rows == "-":
        return {"posteriors": _asked_pgmpy(net, evidence, queries)}
    data = pd.read_csv(rows, dtype=str).astype("category")
    found, climb = clock(lambda: HillClimbSearch(scoring_method="bic-d", show_progress=False).fit(data).causal_graph_)
    _, sample = clock(lambda: net.simulate(n_samples=draws, show_progress=False))

    posteriors, query = clock(lambda: _asked_pgmpy(net, evidence, queries))
    return {
        "climb": climb,
        "sample": sample,
        "frame": sample,
        "query": query,
        "arcs": list(found.edges()),
        "posteriors": posteriors,
    }


def _asked_pgmpy(net: Any, evidence: dict[str, str], queries: list[str]) -> list[dict[str, float]]:
    from pgmpy.inference import VariableElimination  # pyright: ignore[reportMissingImports]

    engine, out = VariableElimination(net), []
    for q in queries:
        table = engine.query([q], evidence=evidence, show_progress=False)
        out.append(dict(zip(table.state_names[q], table.values.tolist(), strict=True)))
    return out


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    packed, rows, draws, evidence, queries = sys.argv[1:]
    out: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        bif = str(Path(folder, "net.bif"))
        Path(bif).write_bytes(gzip.decompress(Path(packed).read_bytes()))
        for name, work in (("pyagrum", pyagrum), ("pgmpy", pgmpy)):
            if rows == "-" and name == "pyagrum":
                continue
            found = work(bif, rows, int(draws), json.loads(evidence), json.loads(queries))
            out |= {f"{name} {key}": value for key, value in found.items()}
    print(json.dumps(out))


if __name__ == "__main__":
    main()
