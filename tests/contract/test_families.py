"""Every family keeps the contract on every kind of data it accepts, and refuses the others by name."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from cases import DATA, TINY, labels, make

from genus import catalogue
from genus.capability import Conditional
from genus.check import check_model
from genus.data import codec_of
from genus.errors import DataError


def test_every_family_of_the_catalogue_has_a_case():
    assert list(TINY) == list(catalogue.FAMILIES)


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("name", TINY)
def test_the_contract_holds(name, data):
    X = DATA[data]()
    model = make(name)
    if not catalogue.likelihood(type(model), codec_of(X).fit(X)):
        with pytest.raises(DataError, match="does not accept"):
            model.fit(X)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert len(check_model(lambda: make(name), X)) >= 12


@pytest.mark.parametrize("data", ["table", "images", "strings", "vectors"])
@pytest.mark.parametrize("name", TINY)
def test_the_contract_holds_under_a_condition(name, data):
    X = DATA[data]()
    if not catalogue.likelihood(catalogue.family(name), codec_of(X).fit(X)):
        pytest.skip("refused, as asked above")
    if not issubclass(catalogue.family(name), Conditional):
        pytest.skip("learns no condition")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert "the condition matters" in check_model(lambda: make(name), X, labels(data))


def test_the_questions_catch_a_family_that_cheats():
    """A density that is sometimes NaN, a sampler that ignores its seed, a family that edits its fields: each is caught."""
    from genus import Gaussian, Resample

    class Hopeful(Gaussian):
        def _log_prob(self, x, y):
            return torch.where(torch.arange(len(x)) > 0, super()._log_prob(x, y), torch.nan)

    class Restless(Resample):
        def _sample(self, n, y):
            np.random.random()
            return super()._sample(n, y)

    class Editor(Gaussian):
        def _fit(self, x, y, run):
            self.shrinkage = 0.5
            super()._fit(x, y, run)

    class Frozen(Resample):
        def _sample(self, n, y):
            return self.items_[:n]

    X = DATA["vectors"]()
    for cheat, question in ((Hopeful, "finite"), (Restless, "global"), (Editor, "fields"), (Frozen, "two seeds")):
        with pytest.raises(AssertionError, match=question):
            check_model(cheat, X)
