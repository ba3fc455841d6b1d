"""Structure by tests of independence: PC and MIIC, through pyAgrum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from genus.errors import UsageError, extra
from genus.maths.structure import Rules


def constrained(codes: np.ndarray, sizes: Sequence[int], kind: str, rules: Rules) -> list[tuple[int, ...]]:
    """The parents of each variable by "pc" (χ² tests) or "miic" (multivariate information), one directed graph of their class.

    Raises MissingExtra without pyAgrum.

    Reference: P. Spirtes, C. Glymour and R. Scheines 2000, Causation, prediction, and search; L. Verny et al. 2017, Learning
    causal networks with latent variables from multivariate information in genomic data, https://doi.org/10.1371/journal.pcbi.1005662;
    G. Ducamp, C. Gonzales and P.-H. Wuillemin 2020, aGrUM/pyAgrum, https://proceedings.mlr.press/v138/ducamp20a.html
    """
    try:
        import pyagrum as gum  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise extra("pyagrum", "networks") from None
    learner = _learner(gum, codes, sizes)
    for a, b in rules.required:
        learner.addMandatoryArc(a, b)
    for a, b in rules.forbidden:
        learner.addForbiddenArc(a, b)
    (learner.usePC if kind == "pc" else learner.useMIIC)()
    try:
        arcs = learner.learnDAG().arcs()
    except gum.GumException as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"pyAgrum found no graph by {kind} ({reason}): take structure='climb'.") from None
    above: list[list[int]] = [[] for _ in sizes]
    for a, b in sorted(arcs):
        above[b].append(a)
    return [tuple(p) for p in above]


def _learner(gum: Any, codes: np.ndarray, sizes: Sequence[int]) -> Any:
    """A learner of variables "0", "1" … with the states 0 … size − 1, on one thread."""
    import pandas as pd

    net = gum.BayesNet()
    for i, size in enumerate(sizes):
        net.add(gum.RangeVariable(f"v{i}", f"v{i}", 0, max(int(size) - 1, 1)))
    frame = pd.DataFrame(codes, columns=[f"v{i}" for i in range(len(sizes))])
    learner = gum.BNLearner(frame, net)
    learner.setNumberOfThreads(1)
    return learner
