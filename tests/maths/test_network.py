"""Networks: posteriors, explanations, draws and interventions equal enumeration; graphs obey their definitions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from genus.errors import DataError, UsageError
from genus.maths import network as module
from genus.maths.graphs import compelled, layers, min_fill, topological
from genus.maths.network import Network
from genus.maths.ordered import by_rows

YES = ["yes", "no"]


def p(*rows: float) -> list[list[float]]:
    return [[row, 1 - row] for row in rows]


def asia() -> Network:
    """The chest clinic of Lauritzen and Spiegelhalter 1988."""
    names = ["asia", "tub", "smoke", "lung", "bronc", "either", "xray", "dysp"]
    parents = [(), (0,), (), (2,), (2,), (3, 1), (5,), (4, 5)]
    rows = [
        p(0.01)[0],
        p(0.05, 0.01),
        p(0.5)[0],
        p(0.1, 0.01),
        p(0.6, 0.3),
        [p(1, 1), p(1, 0)],
        p(0.98, 0.05),
        [p(0.9, 0.8), p(0.7, 0.1)],
    ]
    return Network(names, [YES] * 8, parents, [torch.tensor(row, dtype=torch.float64) for row in rows])


def random_network(seed: int = 0, d: int = 7) -> Network:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 4, d).tolist()
    parents = [tuple(sorted(rng.choice(i, min(i, rng.integers(0, 4)), replace=False).tolist())) for i in range(d)]
    tables = [torch.from_numpy(rng.dirichlet(np.ones(sizes[i]), [sizes[q] for q in parents[i]])) for i in range(d)]
    return Network([f"v{i}" for i in range(d)], [[str(k) for k in range(s)] for s in sizes], parents, tables)


def enumerated(net: Network) -> tuple[torch.Tensor, torch.Tensor]:
    """Every item and its probability, by the definition."""
    items = torch.tensor(list(itertools.product(*(range(s) for s in net.size))))
    total = torch.ones(len(items), dtype=torch.float64)
    for i, table in enumerate(net.tables):
        total *= table[tuple(items[:, j] for j in (*net.parents[i], i))]
    return items, total


NETWORKS = {"asia": asia(), "random": random_network()}


@pytest.mark.parametrize("name", NETWORKS)
def test_log_prob_is_the_product_of_the_tables(name):
    net = NETWORKS[name]
    items, prob = enumerated(net)
    assert float(prob.sum()) == pytest.approx(1, abs=1e-12)
    assert net.log_prob(items).exp().numpy() == pytest.approx(prob.numpy(), abs=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_posteriors_equal_enumeration(name):
    net = NETWORKS[name]
    items, prob = enumerated(net)
    rng = np.random.default_rng(1)
    for _ in range(25):
        wanted, *known = rng.permutation(len(net.names))[: rng.integers(1, 5)].tolist()
        given = items[int(torch.multinomial(prob, 1))]
        agree = (items[:, known] == given[known]).all(1).double() * prob
        truth = [float(agree[items[:, wanted] == k].sum() / agree.sum()) for k in range(net.size[wanted])]
        evidence = {net.names[i]: net.states[i][given[i]] for i in known}
        assert list(net.posterior(net.names[wanted], evidence).values()) == pytest.approx(truth, abs=1e-9)
        assert net.log_evidence(evidence) == pytest.approx(float(agree.sum().log()), abs=1e-9)


def test_the_posterior_of_several_variables_is_their_joint_table():
    net = NETWORKS["random"]
    items, prob = enumerated(net)
    joint = net.posterior(["v5", "v1", "v0"], {"v6": "1", "v0": "0"})
    keep = (items[:, 6] == 1) & (items[:, 0] == 0)
    for a, b in itertools.product(range(net.size[5]), range(net.size[1])):
        truth = prob[keep & (items[:, 5] == a) & (items[:, 1] == b)].sum() / prob[keep].sum()
        assert joint[a, b, 0] == pytest.approx(float(truth), abs=1e-9)
    assert joint[:, :, 1:].sum() == 0


@pytest.mark.parametrize("name", NETWORKS)
def test_the_most_probable_explanation_is_the_likeliest_item(name):
    net = NETWORKS[name]
    items, prob = enumerated(net)
    for evidence in ({}, {net.names[-1]: net.states[-1][1]}):
        agree = torch.ones(len(items), dtype=torch.bool)
        for word, state in evidence.items():
            agree &= items[:, net.names.index(word)] == net.states[net.names.index(word)].index(state)
        best = items[int((prob * agree).argmax())]
        assert list(net.most_probable(evidence).values()) == [net.states[i][k] for i, k in enumerate(best.tolist())]


def frequencies(net: Network, codes: torch.Tensor) -> torch.Tensor:
    weights = torch.tensor([int(np.prod(net.size[i + 1 :])) for i in range(len(net.size))])
    return torch.bincount((codes * weights).sum(1), minlength=int(np.prod(net.size))).double() / len(codes)


@pytest.mark.parametrize("largest", [module.LARGEST, 0], ids=["elimination", "likelihood weighting"])
def test_completion_draws_from_the_exact_conditional(largest, monkeypatch):
    """Two kinds of rows, one with a gap more; the unknown part's joint frequencies against enumeration."""
    monkeypatch.setattr(module, "LARGEST", largest)
    torch.manual_seed(0)
    net = random_network(3, 5)
    items, prob = enumerated(net)
    n = 20_000 if largest else 4000
    codes = torch.zeros(2 * n, 5, dtype=torch.long)
    codes[:, 4], codes[n:, 2] = 1, 1
    known = torch.zeros(2 * n, 5, dtype=torch.bool)
    known[:, 4], known[n:, 2] = True, True
    drawn = net.complete(codes, known)
    for rows, agree in ((slice(0, n), items[:, 4] == 1), (slice(n, None), (items[:, 4] == 1) & (items[:, 2] == 1))):
        truth = prob * agree / (prob * agree).sum()
        assert float((frequencies(net, drawn[rows]) - truth).abs().sum()) / 2 < (0.03 if largest else 0.06)


def test_samples_have_the_networks_frequencies():
    torch.manual_seed(0)
    net = NETWORKS["random"]
    _, prob = enumerated(net)
    assert float((frequencies(net, net.sample(100_000)) - prob).abs().sum()) / 2 < 0.02


def test_a_weight_forbids_a_state():
    net = random_network(3, 5)
    weights = [torch.ones(s, dtype=torch.float64) for s in net.size]
    weights[0][0] = 0
    drawn = net.complete(torch.zeros(500, 5, dtype=torch.long), torch.zeros(500, 5, dtype=torch.bool), weights=weights)
    assert int(drawn[:, 0].min()) == 1


def test_an_intervention_cuts_a_variable_from_its_causes():
    net = asia()
    assert net.posterior("smoke", {"lung": "yes"})["yes"] > 0.9
    done = net.do({"lung": "yes"})
    assert done.posterior("smoke", {"lung": "yes"})["yes"] == pytest.approx(0.5)
    assert done.posterior("either")["yes"] == 1
    assert done.edges == [edge for edge in net.edges if edge[1] != "lung"]


def test_impossible_evidence_and_wrong_words_are_said():
    net = asia()
    with pytest.raises(DataError, match="cannot occur together"):
        net.posterior("dysp", {"either": "no", "lung": "yes"})
    with pytest.raises(UsageError, match="'smoke'"):
        net.posterior("smoking")
    with pytest.raises(UsageError, match="no state 'maybe'"):
        net.posterior("dysp", {"smoke": "maybe"})
    with pytest.raises(DataError, match=r"given smoke=no sum to 1.2"):
        Network(["smoke", "cough"], [YES] * 2, [(), (0,)], [torch.tensor([0.5, 0.5]), torch.tensor([[0.5, 0.5], [0.6, 0.6]])])


def test_tables_of_words_come_back():
    net = asia()
    frame = net.frame(codes := net.sample(50))
    assert frame["smoke"].cat.categories.tolist() == YES
    assert torch.equal(net.codes(frame.astype(str)), codes)


def test_a_cycle_is_named():
    with pytest.raises(UsageError, match=r"b → c → b|c → b → c"):
        topological([(), (0, 2), (1,)], ["a", "b", "c"])


def test_compelled_arcs_are_those_of_v_structures_and_what_follows():
    assert compelled([(), (0,), (1,)]) == set()
    assert compelled([(), (), (0, 1), (2,)]) == {(0, 2), (1, 2), (2, 3)}
    assert compelled(asia().parents) == {(3, 5), (1, 5), (5, 6), (5, 7), (4, 7)}


def test_min_fill_eliminates_a_chain_from_its_ends():
    order, largest = min_fill([[0, 1], [1, 2], [2, 3]], dict.fromkeys(range(4), 2), range(4))
    assert largest == 4
    assert sorted(order) == [0, 1, 2, 3]


def test_layers_put_children_below():
    rows = layers(asia().parents)
    depth = {i: k for k, row in enumerate(rows) for i in row}
    assert sorted(depth) == list(range(8))
    assert all(depth[q] < depth[i] for i, above in enumerate(asia().parents) for q in above)


def test_rows_of_a_table_are_drawn_in_proportion():
    table = torch.tensor([[0.0, 0.3, 0.7, 0.0], [1.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    torch.manual_seed(0)
    drawn = by_rows(table, torch.tensor([0, 1]).repeat_interleave(20_000))
    assert torch.bincount(drawn[:20_000], minlength=4).div(20_000).tolist() == pytest.approx([0, 0.3, 0.7, 0], abs=0.015)
    assert drawn[20_000:].max() == 0
