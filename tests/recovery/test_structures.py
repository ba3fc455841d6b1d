"""A network's skeleton is recovered from its samples; shuffled columns, and too few rows, give none of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from genus import BayesianNetwork
from genus.maths.graphs import compelled, skeleton
from genus.maths.network import Network

PARENTS = [(), (0,), (0,), (1, 2), (3,), (), (5, 3), (6,)]


def known() -> Network:
    """Eight variables, two v-structures, dependences strong enough to be seen in 5,000 rows."""
    rng = np.random.default_rng(5)
    sizes = [2, 3, 2, 3, 2, 2, 3, 2]
    tables = []
    for i, above in enumerate(PARENTS):
        shape = [sizes[p] for p in above]
        favoured = (sum(np.indices(shape)) + rng.integers(0, 2)) % sizes[i] if above else np.array(0)
        tables.append(torch.from_numpy(0.7 * np.eye(sizes[i])[favoured] * bool(above) + (1 - 0.7 * bool(above)) / sizes[i]))
    return Network([f"v{i}" for i in range(8)], [[str(k) for k in range(s)] for s in sizes], PARENTS, tables)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    torch.manual_seed(0)
    return known().frame(known().sample(5000))


def found(frame: pd.DataFrame, **fields: object) -> Network:
    return BayesianNetwork(**fields).fit(frame).network()


@pytest.mark.parametrize("criterion", ["bic", "bdeu"])
def test_the_skeleton_and_the_compelled_arcs_are_recovered(frame, criterion):
    net = found(frame, criterion=criterion)
    assert skeleton(net.parents) == skeleton(PARENTS)
    assert compelled(net.parents) == compelled(PARENTS)


def test_shuffled_columns_have_no_arcs(frame):
    rng = np.random.default_rng(0)
    shuffled = pd.DataFrame({name: frame[name].to_numpy()[rng.permutation(len(frame))] for name in frame})
    assert found(shuffled).edges == []


def test_twenty_rows_are_too_few(frame):
    assert len(skeleton(found(frame[:20]).parents) & skeleton(PARENTS)) < 6


def test_a_tree_is_recovered_by_chow_and_lius(frame):
    some = [0, 1, 2, 4]
    net = found(frame[[f"v{i}" for i in some]], structure="tree")
    assert {frozenset(edge) for edge in net.edges} >= {frozenset(("v0", "v1")), frozenset(("v0", "v2"))}


def test_the_tables_are_recovered(frame):
    truth, edges = known(), known().edges
    net = found(frame, structure="given", edges=edges)
    items = truth.sample(2000)
    assert float((truth.log_prob(items) - net.log_prob(net.codes(truth.frame(items)))).mean()) < 0.02
