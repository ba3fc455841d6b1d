"""What is peculiar to the VQ-VAE: finitely many codes, a bound below the enumerated truth, priors of any family, two levels."""

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from genus import GAN, VQVAE, CategoricalMixture, Model, PixelCNN, Transformer
from genus.errors import UsageError

QUICK: Any = {"size": "small", "batch": 32, "warmup": 1, "lr": 3e-3}


def bars(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Binary images (n, 8, 8), in each of two columns of blocks a bar that stands left or right; and which kind of four."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 4, n)
    x = np.zeros((n, 8, 8), bool)
    for side, bit in enumerate((kind & 1, kind >> 1)):
        for i in range(n):
            x[i, :, 4 * side + (1 if bit[i] else 2)] = True
    return x, kind


@pytest.fixture(scope="module")
def fitted() -> Any:
    return VQVAE(steps=150, codes=8, **QUICK).fit(bars(400)[0])


def test_few_codes_tell_the_kinds_of_image_apart_and_samples_are_of_those_kinds(fitted):
    test, drawn = bars(100, 1)[0], fitted.sample(60, seed=0)
    assert (fitted.decode(fitted.encode(test)) != test).mean() < 0.01
    kinds = {image.tobytes() for image in test}
    close = [min(int((image != np.frombuffer(kind, bool).reshape(8, 8)).sum()) for kind in kinds) for image in drawn]
    assert np.mean(np.array(close) <= 2) > 0.9
    untrained = VQVAE(codes=8, **QUICK | {"lr": 1e-9, "steps": 2}).fit(bars(400)[0])
    assert (untrained.decode(untrained.encode(test)) != test).mean() > 0.05
    assert fitted.score(test) > -6 > untrained.score(test)  # log 4 = 1.4 nats are the truth


def test_the_bound_lies_below_the_sum_over_all_codes_which_a_sample_agrees_with():
    """p(x) = Σ_c p(c) p(x | c) by enumeration of 3 × 3 codes and 16 items: it sums to one, is above the bound, and is sampled."""
    rng = np.random.default_rng(0)
    x = rng.random((300, 1, 1, 1)) < 0.5
    x = np.concatenate([x, x ^ (rng.random(x.shape) < 0.1), rng.random((300, 1, 1, 2)) < 0.3], 3).reshape(300, 1, 4)
    model: Any = VQVAE(steps=100, codes=3, residual=2, latent=4, **QUICK).fit(x)
    every = torch.tensor(list(itertools.product([0, 1], repeat=4)), dtype=torch.uint8).view(16, *model.space_.shape)
    codes = torch.tensor(list(itertools.product(range(3), repeat=2)))
    with torch.no_grad():
        log_c = model._log_prior(codes, None, 1).double()
        joint = torch.stack([model._log_likelihood(every, c.expand(16, 2), None).double() for c in codes])
        truth, bound = (joint + log_c[:, None]).logsumexp(0), model._bound(every, None, 1).double()
    assert abs(float(log_c.exp().sum()) - 1) < 1e-5
    assert abs(float(truth.exp().sum()) - 1) < 1e-5
    assert (bound <= truth + 1e-6).all()
    drawn = torch.as_tensor(np.asarray(model.sample(4000, seed=1))).flatten(1).long()
    share = torch.bincount((drawn * torch.tensor([8, 4, 2, 1])).sum(1), minlength=16) / 4000
    assert (share - truth.exp()).abs().max() < 0.03


@pytest.mark.parametrize(
    "prior",
    [PixelCNN(steps=60, width=16, depth=2, batch=32), CategoricalMixture(components=4), Transformer(steps=30, width=32, depth=1)],
    ids=lambda p: type(p).__name__,
)
def test_any_family_of_categories_is_a_prior_and_is_saved_along(prior, tmp_path):
    x, kind = bars(300)
    model: Any = VQVAE(steps=60, codes=8, prior=prior, **QUICK).fit(x, kind)
    assert not hasattr(prior, "space_")  # what was given stays unfitted
    assert model.sample(3, seed=0).shape == (3, 8, 8)
    bound = model.log_prob_bound(x[:20], kind[:20])
    model.save(tmp_path / "m")
    assert np.allclose(Model.load(tmp_path / "m").log_prob_bound(x[:20], kind[:20]), bound, atol=1e-4)  # pyright: ignore[reportAttributeAccessIssue]


def test_a_prior_that_knows_no_likelihood_is_refused():
    with pytest.raises(UsageError, match="neither a density nor a bound"):
        VQVAE(prior=GAN()).fit(bars(40)[0])


@pytest.mark.parametrize("quantiser", ["ema", "fsq"])
def test_two_grids_of_codes_are_one_picture_whose_empty_cells_cost_nothing(quantiser):
    x = bars(200)[0]
    model: Any = VQVAE(steps=10, codes=8, levels=2, residual=2, quantiser=quantiser, **QUICK).fit(x[:, :7, :6])
    net = model.net_
    assert net.grids == [(2, 2), (4, 3)]
    codes = model.encode(x[:10, :7, :6])
    assert codes.shape == (10, 2 * (4 + 12))
    index = torch.from_numpy(codes)
    pictures = net.drawn(index, model._pictures)
    assert torch.equal(net.undrawn(pictures), index)
    assert int((~model.raster_.inside).sum()) == 2 * 2  # the upper rows are one place narrower
    with torch.no_grad():
        drawn = model.raster_.drawn(5, None)
        assert (drawn.flatten(1)[:, ~model.raster_.inside] == 0).all()
        whole = net.read(torch.from_numpy(x[:10, None, :7, :6]).to(torch.uint8), None).z
        assert torch.allclose(net.look(index), whole, atol=1e-4)
    assert model.sample(4, seed=0).shape == (4, 7, 6)


def test_a_condition_reaches_prior_and_decoder():
    x, kind = bars(600)
    model = VQVAE(steps=150, codes=8, **QUICK).fit(x, kind)
    for k in range(4):
        right = x[kind == k][0]
        assert (model.sample(20, y=[k] * 20, seed=0) != right).mean() < 0.08


def test_usage_and_perplexity_stand_in_the_history_of_each_validation(fitted):
    rows = [row for row in fitted.history_ if "validation" in row]
    assert len(rows) > 1
    assert all(0 < row["usage"] <= 1 <= row["perplexity"] <= 8 for row in rows)
    assert fitted.usage_[0] == rows[-1]["usage"] or len(fitted.usage_) == 1
    assert fitted.prior_history_[-1]["loss"] < fitted.prior_history_[0]["loss"]


def test_a_book_larger_than_the_data_becomes_smaller_with_one_warning():
    x = np.random.default_rng(0).normal(size=(30, 3))
    with pytest.warns(UserWarning, match=r"codes=500 is more than the \d+ vectors"):
        model = VQVAE(steps=3, codes=500, **QUICK).fit(x)
    assert model.codes_ <= 30
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert VQVAE(steps=3, **QUICK).fit(x).codes_ < 30  # nobody asked for a size: no warning


def test_pixels_that_never_change_are_learnt():
    x = np.full((300, 8, 8), 7, np.uint8)
    x[::2, 0, 0] = 200
    model = VQVAE(steps=100, temperature=0.0, **QUICK).fit(x)
    assert np.abs(model.sample(5, seed=0).astype(int) - 7)[:, 1:].max() < 16
    assert np.isfinite(model.log_prob_bound(x[:4])).all()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"codes": 1}, "codes must be 2 or more"),
        ({"levels": 3}, "give 1 or 2, not 3"),
        ({"stride": 3}, "a power of two"),
        ({"decay": 1.0}, "less than 1"),
        ({"commitment": -1.0}, "0 or more"),
    ],
)
def test_fields_that_cannot_work_are_refused_in_one_sentence(fields, said):
    with pytest.raises(UsageError, match=said):
        VQVAE(**fields).fit(bars(40)[0])


def test_codes_are_whole_numbers_of_the_book(fitted):
    z = fitted.encode(bars(3)[0])
    assert z.dtype == np.int64
    for wrong in (z + 8, z - 9, z + 0.5):
        with pytest.raises(UsageError, match="whole numbers from 0 to 7"):
            fitted.decode(wrong)
    with pytest.raises(UsageError, match="indices: give an array"):
        fitted.decode(z[:, :3])


def test_a_collapsed_book_is_told():
    with pytest.warns(UserWarning, match="Codebook collapse: only 1.6% of the codes"):
        VQVAE(steps=40, codes=64, expire=0.0, **QUICK).fit(np.eye(300, 3)[:, [2, 2]])


def test_two_levels_of_vectors_are_refused():
    with pytest.raises(UsageError, match="which only images have"):
        VQVAE(levels=2).fit(np.random.default_rng(0).normal(size=(30, 3)))
