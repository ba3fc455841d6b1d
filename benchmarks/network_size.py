"""BayesianNetwork at size: a million rows of 40 columns; gaps filled by EM; PC and MIIC beside the climb. ALARM is the law.

    GENUS_DATA=… python benchmarks/network_size.py [--rows N]

The 40 columns are ALARM's 37 and three numbers that depend on one of them each. PC and MIIC need pyAgrum (the extra "networks").
Memory is the most this process ever held, the table itself (which pandas holds as categories) among it.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch

from genus import BayesianNetwork
from genus.data.bif import read_bif
from genus.maths.graphs import skeleton
from genus.maths.network import Network
from record import Clock, data, record

SEED, HOLES, GAPPED = 0, 0.1, 20_000
NUMBERS = {"pressure": "BP", "rate": "HR", "oxygen": "SAO2"}


def table(net: Network, n: int, seed: int) -> pd.DataFrame:
    """n rows of ALARM and three normal numbers whose means are the states of a variable each."""
    torch.manual_seed(seed)
    codes, rng = net.sample(n), np.random.default_rng(seed)
    frame = net.frame(codes)
    for name, cause in NUMBERS.items():
        state = codes[:, list(net.names).index(cause)].numpy()
        frame[name] = (10 * state + rng.normal(0, 2, n)).round(2)
    return frame


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """(result, processor seconds)."""
    begin = time.process_time()
    return work(), time.process_time() - begin


def arcs(model: BayesianNetwork, net: Network) -> tuple[int, int]:
    """(true, false) arcs of the model's graph among ALARM's variables, directions aside."""
    found = {frozenset(edge) for edge in model.network().edges if not set(edge) & set(NUMBERS)}
    truth = {frozenset((net.names[a], net.names[b])) for a, b in skeleton(net.parents)}
    return len(found & truth), len(found - truth)


def wide(net: Network, n: int) -> list[dict[str, Any]]:
    """The million rows."""
    frame, held = table(net, n, SEED), table(net, 20_000, 1)
    model, fit = timed(lambda: BayesianNetwork(seed=SEED).fit(frame))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    drawn, sampling = timed(lambda: model.sample(100_000, seed=SEED))
    _, scoring = timed(lambda: model.score(held))
    right, wrong = arcs(model, net)
    causes = {frozenset(edge) for edge in model.network().edges}
    caught = sum(frozenset(pair) in causes for pair in NUMBERS.items())
    gap = max(abs((drawn[c] == s).mean() - (held[c] == s).mean()) for c in net.names for s in held[c].cat.categories)
    label = f"{n:,} rows × {frame.shape[1]} columns"
    return [
        {"metric": f"{label}: fit", "value": fit, "unit": "CPU-s", "target": "-"},
        {"metric": f"{label}: memory", "value": memory, "unit": "MB", "target": "-"},
        {"metric": f"{label}: true arcs of ALARM's 46", "value": right, "unit": "arcs", "target": "≥ 42", "met": right >= 42},
        {"metric": f"{label}: false arcs", "value": wrong, "unit": "arcs", "target": "≤ 8", "met": wrong <= 8},
        {"metric": f"{label}: numbers joined to their cause", "value": caught, "unit": "of 3", "target": "3", "met": caught == 3},
        {"metric": f"{label}: 100,000 drawn", "value": sampling, "unit": "CPU-s", "target": "-"},
        {"metric": f"{label}: 20,000 rows scored", "value": scoring, "unit": "CPU-s", "target": "-"},
        {"metric": f"{label}: largest difference of a level's share", "value": float(gap), "unit": "share", "target": "≤ 0.02",
         "met": bool(gap <= 0.02)},
    ]  # fmt: skip


def gapped(net: Network) -> list[dict[str, Any]]:
    """Tables with cells struck out at random: EM beside gaps as a level of their own, judged on whole rows."""
    torch.manual_seed(2)
    frame, held = net.frame(net.sample(GAPPED)), net.frame(net.sample(20_000))
    whole = BayesianNetwork(seed=SEED).fit(frame).score(held)
    rng, rows = np.random.default_rng(2), []
    holed = frame.mask(rng.random(frame.shape) < HOLES)
    true = frame.to_numpy(str)
    for kind in ("em", "level"):
        model, seconds = timed(lambda kind=kind: BayesianNetwork(seed=SEED, missing=kind).fit(holed))
        filled, hole = model.complete(holed[:2000], seed=SEED), holed[:2000].isna().to_numpy()
        right = float((filled.to_numpy(str)[hole] == true[:2000][hole]).mean())
        lost = whole - model.score(held)
        label = f"{GAPPED:,} rows, {HOLES:.0%} of cells missing, {'EM' if kind == 'em' else 'a level of its own'}"
        if kind == "em":  # a model with gaps as levels scores whether a row has any besides
            rows += [{"metric": f"{label}: held-out nats lost against a fit without gaps", "value": lost, "unit": "nats an item",
                      "target": "≤ 0.1", "met": lost <= 0.1}]  # fmt: skip
        rows += [
            {"metric": f"{label}: fit", "value": seconds, "unit": "CPU-s", "target": "-"},
            {"metric": f"{label}: true arcs", "value": arcs(model, net)[0], "unit": "of 46", "target": "-"},
            {"metric": f"{label}: false arcs", "value": arcs(model, net)[1], "unit": "arcs", "target": "-"},
            {"metric": f"{label}: missing cells drawn right", "value": right, "unit": "share", "target": "-"},
        ]  # fmt: skip
    return rows


def tested(net: Network) -> list[dict[str, Any]]:
    """The three searches on the same 10,000 rows."""
    torch.manual_seed(3)
    frame, held, rows = net.frame(net.sample(10_000)), net.frame(net.sample(20_000)), []
    for kind in ("climb", "pc", "miic"):
        model, seconds = timed(lambda kind=kind: BayesianNetwork(seed=SEED, structure=kind).fit(frame))
        right, wrong = arcs(model, net)
        rows += [
            {"metric": f"10,000 rows, {kind}: fit", "value": seconds, "unit": "CPU-s", "target": "-"},
            {"metric": f"10,000 rows, {kind}: true arcs", "value": right, "unit": "of 46", "target": "-"},
            {"metric": f"10,000 rows, {kind}: false arcs", "value": wrong, "unit": "arcs", "target": "-"},
            {"metric": f"10,000 rows, {kind}: held-out log-likelihood", "value": model.score(held), "unit": "nats an item",
             "target": "-"},
        ]  # fmt: skip
    return rows


def main() -> None:
    """Run and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    net, clock = read_bif(data("bayesnets", "alarm.bif.gz")), Clock()
    rows = wide(net, given.rows) + gapped(net) + tested(net)
    record("network_size", rows, seed=SEED, seconds=clock.seconds, note="one thread")


if __name__ == "__main__":
    main()
