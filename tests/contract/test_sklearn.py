"""Families that take vectors are scikit-learn estimators: its own checks, searches, pipelines and clones agree."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from cases import TINY, make
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from genus import GaussianMixture, Marginals, catalogue
from genus.data import codec_of

VECTORS = codec_of(np.eye(4)).fit(np.random.default_rng(0).normal(size=(9, 4)))
EXPECTED_FAILURES: dict[str, dict[str, str]] = {}


def takes_vectors() -> list:
    """One quick model of each family that accepts arrays of real numbers."""
    return [make(name) for name in TINY if catalogue.likelihood(catalogue.family(name), VECTORS)]


@parametrize_with_checks(takes_vectors(), expected_failed_checks=lambda model: EXPECTED_FAILURES.get(type(model).__name__, {}))
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_agrees(estimator, check):
    check(estimator)


def test_a_grid_search_finds_the_number_of_components():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(c, 0.2, (60, 2)) for c in (-2, 0, 2)])
    search = GridSearchCV(GaussianMixture(), {"components": [1, 3]}, cv=3).fit(rng.permutation(X))
    assert search.best_params_ == {"components": 3}
    assert search.best_estimator_.sample(4).shape == (4, 2)


def test_a_randomised_search_runs_over_any_field():
    X = np.random.default_rng(0).normal(size=(90, 2))
    search = RandomizedSearchCV(Marginals(), {"bins": [2, 4, 60], "smoothing": [0.1, 1.0]}, n_iter=4, cv=3, random_state=0).fit(X)
    assert search.best_params_["bins"] < 60


def test_a_pipeline_ends_in_a_model():
    X = np.random.default_rng(0).normal(5, 3, size=(90, 2))
    pipe = make_pipeline(StandardScaler(), GaussianMixture(components=1, regularise=0)).fit(X)
    assert abs(pipe.score(X) - -2 * 0.5 * (1 + np.log(2 * np.pi))) < 0.01
    assert pipe[-1].sample(3).shape == (3, 2)


def test_a_clone_has_the_fields_and_nothing_learnt():
    model = GaussianMixture(components=2, covariance="diag").fit(np.random.default_rng(0).normal(size=(40, 2)))
    twin = clone(model)
    assert twin.get_params() == model.get_params()
    assert not [name for name in vars(twin) if name.endswith("_")]


def test_an_unknown_field_is_refused_by_name():
    with pytest.raises(TypeError, match="component"):
        GaussianMixture(component=3)  # type: ignore[call-arg]
    with warnings.catch_warnings(), pytest.raises(ValueError, match="component"):
        GaussianMixture().set_params(component=3)
