"""Bad input to the classical families gets one sentence that names what is wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from genus import BayesianNetwork, CategoricalMixture, GaussianMixture, Posterior
from genus.errors import GenusError

ROWS = np.random.default_rng(0).normal(size=(6, 3))
WORDS = pd.DataFrame({"a": list("xyxyxx") * 9, "b": list("uvvuvu") * 9})


def test_a_singular_covariance_is_made_regular():
    X = np.c_[ROWS, ROWS[:, 0]]
    assert np.isfinite(GaussianMixture(components=2).fit(X).score(X))


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (lambda: GaussianMixture(components=20).fit(ROWS), "20 components but only 6 items"),
        (lambda: CategoricalMixture(components=20).fit(ROWS > 0), "20 components but only 6 items"),
        (lambda: BayesianNetwork(edges=[("a", "b"), ("b", "a")]).fit(WORDS), "form a cycle, a → b → a"),
        (lambda: Posterior(log_density=lambda x: x.sum(1) * float("nan"), parameters=2).fit(), "is not finite"),
        (lambda: Posterior(log_density=lambda x: -x.square(), parameters=2).fit(), "return one number a row"),
        (lambda: Posterior(log_density=lambda x: -x.square().sum(), parameters=2).fit(), "return one number a row"),
    ],
)
def test_one_sentence_says_what_is_wrong(attempt, words):
    with pytest.raises(GenusError, match=words) as told:
        attempt()
    assert "\n" not in str(told.value)
    assert str(told.value).endswith(".")


@pytest.mark.parametrize("sign", [0.0, 1.0])
def test_a_density_that_cannot_be_normalised_is_not_believed(sign):
    chains = Posterior(log_density=lambda x: sign * x.square().sum(1), parameters=2, chains=16, draws=50).fit()
    assert not chains.converged_
    assert "R-hat" in chains.reasons_[0]
