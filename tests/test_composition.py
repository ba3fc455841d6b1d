"""A model inside a model: a field holds one unfitted, what was learnt holds it fitted, and files keep both."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import Tensor

from genus import Gaussian, Model, RealNVP
from genus.capability import Density
from genus.cli.flags import parse_fields
from genus.errors import UsageError
from genus.space import Items, Space


@dataclass(kw_only=True, eq=False, repr=False)
class Doubled(Density):
    """Twice an inner model's items."""

    accepts: ClassVar[tuple[str, ...]] = ("real",)

    prior: Model | None = None

    def _fit(self, x, y, run) -> None:
        prior: Any = clone(self.prior)
        self.prior_ = prior.fit(Items(x[:] / 2, self.space_), y, run=run.part("prior"))

    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        return 2 * self.prior_._sample(n, y)

    def _log_prob(self, x: Tensor, y: Tensor | None) -> Tensor:
        return self.prior_._log_prob(x / 2, y) - self.space_.size * np.log(2)


X = np.random.default_rng(0).normal(size=(80, 3)) * [1.0, 2.0, 3.0]


@pytest.mark.parametrize("prior", [Gaussian(), RealNVP(steps=5, size="small")], ids=["gaussian", "flow"])
def test_a_model_with_a_model_inside_survives_its_file(prior, tmp_path):
    model = Doubled(prior=prior).fit(X)
    model.save(tmp_path)
    again: Any = Model.load(tmp_path)
    assert type(again.prior) is type(prior)
    assert repr(again.prior) == repr(prior)
    assert not hasattr(prior, "space_"), "the field stays unfitted"
    np.testing.assert_array_equal(again.sample(5, seed=1), model.sample(5, seed=1))
    np.testing.assert_allclose(again.log_prob(X), model.log_prob(X))


def test_an_inner_gaussian_is_the_gaussian_itself():
    np.testing.assert_allclose(Doubled(prior=Gaussian()).fit(X).log_prob(X), Gaussian().fit(X).log_prob(X), rtol=1e-4)


def test_packed_items_are_split_conditioned_and_checked():
    x, y = torch.randn(100, 2), torch.randn(100, 3)
    inner = RealNVP(steps=3, size="small").fit(Items(x, Space("real", (2,))), y)
    assert inner.width_y == 3
    assert inner._sample(4, y[:4]).shape == (4, 2)
    with pytest.raises(ValueError, match="fitted on real 2"):
        inner.log_prob(Items(torch.zeros(2, 3), Space("real", (3,))), torch.zeros(2, 3))


def test_a_family_in_a_field_is_given_by_its_name_on_the_command_line():
    made = parse_fields(Doubled, ["--prior", "flow:steps=7,size=small"])["prior"]
    assert (type(made), made.steps, made.size) == (RealNVP, 7, "small")
    with pytest.raises(UsageError, match="transformer:width"):
        parse_fields(Doubled, ["--prior", "flow:steps"])
