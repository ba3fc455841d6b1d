"""What pyAgrum does for networks: structure by tests of independence (PC, MIIC), posteriors by lazy propagation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from genus.errors import DataError, UsageError, extra
from genus.maths.structure import Rules


def constrained(codes: np.ndarray, sizes: Sequence[int], kind: str, rules: Rules) -> list[tuple[int, ...]]:
    """The parents of each variable by "pc" (χ² tests) or "miic" (multivariate information), one directed graph of their class.

    Raises MissingExtra without pyAgrum.

    Reference: P. Spirtes, C. Glymour and R. Scheines 2000, Causation, prediction, and search; L. Verny et al. 2017, Learning
    causal networks with latent variables from multivariate information in genomic data, https://doi.org/10.1371/journal.pcbi.1005662;
    G. Ducamp, C. Gonzales and P.-H. Wuillemin 2020, aGrUM/pyAgrum, https://proceedings.mlr.press/v138/ducamp20a.html
    """
    gum = _library()
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


def propagated(
    parents: Sequence[Sequence[int]], tables: Sequence[np.ndarray], known: Mapping[int, int], wanted: Sequence[int]
) -> np.ndarray:
    """p(wanted, in their order | known) by lazy propagation in a junction tree; no wanted variable is known.

    Raises MissingExtra without pyAgrum, DataError where `known` has no probability.

    Reference: A. Madsen and F. Jensen 1999, Lazy propagation: a junction tree inference algorithm based on lazy evaluation,
    https://doi.org/10.1016/S0004-3702(99)00062-4
    """
    gum = _library()
    net = gum.BayesNet()
    for i, table in enumerate(tables):
        net.add(gum.RangeVariable(f"v{i}", "", 0, table.shape[-1] - 1))
    for i, above in enumerate(parents):
        for p in above:
            net.addArc(f"v{p}", f"v{i}")
    for i, table in enumerate(tables):
        cpt, axes = net.cpt(f"v{i}"), [f"v{p}" for p in (*parents[i], i)]
        cpt[:] = np.ascontiguousarray(table.transpose([axes.index(name) for name in reversed(cpt.names)]))
    engine = gum.LazyPropagation(net)
    engine.setNumberOfThreads(1)
    engine.setEvidence({f"v{i}": int(state) for i, state in known.items()})
    names = [f"v{i}" for i in wanted]
    try:
        if len(names) == 1:
            engine.addTarget(names[0])
            return engine.posterior(names[0]).toarray()
        engine.addJointTarget(set(names))
        joint = engine.jointPosterior(set(names))
    except gum.IncompatibleEvidence:
        raise DataError("The given values cannot occur together under this network: change one of them.") from None
    order = list(reversed(joint.names))
    return joint.toarray().transpose([order.index(name) for name in names])


def installed() -> bool:
    """Whether pyAgrum is there."""
    return find_spec("pyagrum") is not None


def _library() -> Any:
    try:
        import pyagrum as gum  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise extra("pyagrum", "networks") from None
    return gum


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
