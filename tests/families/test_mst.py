"""MST: what was counted comes back within its noise, and no attack does better than ε allows."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import rankdata

from genus import MST
from genus.errors import UsageError
from genus.maths import private
from genus.maths.private import largest_auc
from genus.space import Record, Space
from genus.train.run import Run

SPACE = Record((("a", Space("category", (), 4)), ("b", Space("category", (), 4)), ("c", Space("category", (), 3))))


def chain(n, seed=0):
    """a → b → c, each mostly a copy of the one before."""
    rng = np.random.default_rng(seed)
    a = rng.choice(list("wxyz"), n, p=[0.4, 0.3, 0.2, 0.1])
    b = np.where(rng.random(n) < 0.9, a, rng.choice(list("wxyz"), n))
    c = np.where(rng.random(n) < 0.9, b, rng.choice(list("wxyz"), n))
    return pd.DataFrame({"a": a, "c": c, "b": b, "age": (rng.normal(40, 10, n) + 10 * (a == "w")).round(1)})


def test_a_generous_budget_finds_the_tree_and_its_tables():
    frame = chain(4000)
    model = MST(epsilon=50.0, noise="seeded").fit(frame)
    assert {frozenset(edge) for edge in model.edges_} >= {frozenset((0, 2)), frozenset((1, 2))}
    drawn = model.sample(4000, seed=0)
    for pair in (["a", "b"], ["b", "c"], ["a", "c"]):
        real, fake = (f.groupby(pair).size().div(4000) for f in (frame, drawn))
        assert real.sub(fake, fill_value=0).abs().sum() < 0.12, pair
    assert model.score(chain(1000, 1)) > MST(epsilon=0.05, noise="seeded").fit(frame).score(chain(1000, 1)) + 0.5


def test_the_budget_is_spent_and_kept_and_what_it_leaves_out_is_said(tmp_path):
    model = MST(epsilon=2.0, delta=1e-6).fit(chain(500))
    model.save(tmp_path)
    kept = MST.load(tmp_path).privacy_
    assert kept["epsilon"] == pytest.approx(2.0, rel=1e-4)
    assert [what for what, _ in kept["spent"]] == ["single cells", "choice of pairs", "pairs of cells"]
    assert any("levels of a" in word for word in kept["uncovered"])
    assert any("smallest and largest values of age" in word for word in kept["uncovered"])


def test_secret_noise_is_not_repeated_by_the_seed():
    first, second = (MST(epsilon=1.0).fit(chain(300)).rows_ for _ in range(2))
    assert first != second


def test_a_delta_that_publishes_rows_is_refused():
    with pytest.raises(UsageError, match="outright"):
        MST(delta=0.01).fit(chain(200))


def packed(extra):
    """Sixty items, and one more that resembles none."""
    rows = [[i % 2, i % 2, i % 2] for i in range(60)]
    return torch.tensor(rows + [[3, 2, 2]] * extra)


def suspicion(extra):
    """log p of the strange item under a model of the table with or without it."""
    model = MST(epsilon=1.0, delta=1e-3)
    model.space_ = SPACE
    model.codec_, model.history_ = None, []
    model._fit(packed(extra), None, Run(progress=False))
    return float(model._log_prob(torch.tensor([[3, 2, 2]]), None))


def audit(times=60):
    """(AUC, its standard error) of telling neighbouring tables apart by the models learnt from them."""
    scores = np.array([suspicion(extra) for extra in [1] * times + [0] * times])
    ranks = rankdata(scores)
    auc = (ranks[:times].sum() - times * (times + 1) / 2) / times**2
    return auc, math.sqrt(1 / (6 * times))


def test_neighbouring_tables_cannot_be_told_apart_better_than_epsilon_allows():
    auc, error = audit()
    assert auc < largest_auc(1.0, 1e-3) + 2 * error


def test_the_audit_catches_a_mechanism_without_noise(monkeypatch):
    monkeypatch.setattr(private, "sigma_of", lambda rho, sensitivity=1.0: 1e-6)
    auc, error = audit(10)
    assert auc > largest_auc(1.0, 1e-3) + 2 * error
