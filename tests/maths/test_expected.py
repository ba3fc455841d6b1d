"""Expected counts and likelihoods of what is known equal enumeration over the gaps."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from genus.maths.expected import expected_counts, log_known
from genus.maths.network import Network


def test_expected_counts_are_those_of_enumeration():
    rng = np.random.default_rng(0)
    sizes, parents = [2, 3, 2, 3], [(), (0,), (0, 1), (2,)]
    tables = [torch.from_numpy(rng.dirichlet(np.ones(sizes[i]), [sizes[q] for q in parents[i]])) for i in range(4)]
    net = Network(list("abcd"), [[str(k) for k in range(s)] for s in sizes], parents, tables)
    torch.manual_seed(0)
    codes, known = net.sample(40), torch.rand(40, 4) < 0.6
    items = torch.tensor(list(itertools.product(*(range(s) for s in sizes))))
    p = net.log_prob(items).exp()
    truth = [torch.zeros_like(t) for t in tables]
    values = []
    for code, seen in zip(codes, known, strict=True):
        agree = p * ((items == code) | ~seen).all(1)
        values.append(agree.sum().log())
        for i, above in enumerate(parents):
            index = tuple(items[:, j] for j in (*above, i))
            truth[i].index_put_(index, agree / agree.sum(), accumulate=True)
    counts, value = expected_counts(net, codes, known)
    for mine, true in zip(counts, truth, strict=True):
        assert mine.numpy() == pytest.approx(true.numpy(), abs=1e-9)
    assert value.numpy() == pytest.approx(torch.stack(values).numpy(), abs=1e-9)
    assert torch.equal(log_known(net, codes, known), value)
