"""What the words promise: exact sums to one, a bound stays below, training trains, resuming resumes, test rows teach nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from genus import GAN, VAE, FlowMatching, GaussianMixture, Marginals, RealNVP, Run, Transformer
from genus.data import split_off
from genus.errors import RunError

EVERY = np.array(list(itertools.product([False, True], repeat=4))).reshape(16, 2, 2)


def stripes(n: int = 200) -> np.ndarray:
    """Two-by-two images whose rows agree nine times in ten."""
    rng = np.random.default_rng(0)
    top = rng.random((n, 1, 2)) < 0.5
    return np.concatenate([top, top ^ (rng.random((n, 1, 2)) < 0.1)], 1)


@pytest.mark.parametrize("model", [Marginals(), Transformer(steps=30, size="small", warmup=1)], ids=["marginals", "transformer"])
def test_an_exact_probability_sums_to_one(model):
    model.fit(stripes())
    assert model.exact
    assert np.exp(model.log_prob(EVERY)).sum() == pytest.approx(1, abs=1e-4)


def test_the_transformer_samples_what_it_scores():
    model = Transformer(steps=60, size="small", warmup=1).fit(stripes())
    drawn = model.sample(4000, seed=0)
    often = (drawn[:, None] == EVERY).all((2, 3)).mean(0)
    assert np.abs(often - np.exp(model.log_prob(EVERY))).max() < 0.03


def test_a_bound_sums_to_at_most_one():
    model = VAE(steps=40, size="small", latent=2, warmup=1).fit(stripes())
    assert np.exp(model.log_prob_bound(EVERY, draws=300)).sum() <= 1.02
    assert (model.log_prob_bound(EVERY, draws=300) > model.log_prob_bound(EVERY)).mean() > 0.7


def test_dequantised_data_get_a_bound_and_never_a_density():
    X = (stripes() * 200).astype(np.uint8)
    for model in (GaussianMixture(components=2), RealNVP(steps=3, size="small")):
        model.fit(X)
        assert not model.exact
        with pytest.raises(ValueError, match="log_prob_bound"):
            model.log_prob(X)
        assert np.isfinite(model.log_prob_bound(X[:5])).all()


@pytest.mark.parametrize("family", [VAE, RealNVP, FlowMatching])
def test_only_the_training_rows_teach_the_codec(family):
    X = np.random.default_rng(0).normal(size=(80, 3))
    kept = split_off(X, None, seed=0)[0]
    assert len(kept) < len(X)
    model = family(steps=2, size="small").fit(X)
    assert model.codec_.mean_ == pytest.approx(kept.mean(0), abs=1e-12)


@pytest.mark.parametrize("family", [VAE, RealNVP])
def test_training_trains(family):
    X = np.random.default_rng(0).normal(size=(400, 2)) * [[1, 0.1]]
    X[:, 1] += X[:, 0] ** 2
    twin, trained = (family(steps=steps, size="small", lr=3e-3).fit(X[:300]) for steps in (1, 150))
    assert trained.score(X[300:]) > twin.score(X[300:]) + 0.3


def test_an_interrupted_fit_ends_in_the_same_weights(tmp_path, monkeypatch):
    X = np.random.default_rng(0).normal(size=(100, 3))
    model = VAE(steps=20, size="small", dropout=0.2)
    whole = model.fit(X).net_.state_dict()
    whole = {name: value.clone() for name, value in whole.items()}
    loss, calls = VAE._loss, []

    def broken(self, x, y):
        calls.append(0)
        if len(calls) == 13:
            raise RuntimeError("the power failed")
        return loss(self, x, y)

    with monkeypatch.context() as patch:
        patch.setattr(VAE, "_loss", broken)
        with pytest.raises(RuntimeError, match="power"):
            model.fit(X, run=Run(folder=tmp_path, every_steps=5))
    again = model.fit(X, run=Run(folder=tmp_path, every_steps=5)).net_.state_dict()
    assert [name for name, value in whole.items() if not torch.equal(value, again[name])] == []


def test_the_missing_level_is_never_drawn_by_completion():
    import pandas as pd

    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.choice(["x", "y", None], 80, p=[0.2, 0.2, 0.6]), "b": rng.choice(["u", "v"], 80)})
    for model in (Marginals(), Transformer(steps=3, size="small")):
        filled = model.fit(frame).complete(frame, seed=0)
        assert not filled.isna().any().any()
        assert model.sample(80, seed=0)["a"].isna().any()
        x = model.codec_.pack(frame, model.space_)
        with torch.no_grad():
            drawn = model._complete(x, torch.zeros(x.shape, dtype=torch.bool), None)
        never = [space.missing for _, space in model.space_.fields]
        assert [i for i, level in enumerate(never) if level is not None and (drawn[:, i] == level).any()] == []


def test_a_file_that_changed_is_refused(tmp_path):
    model = GaussianMixture(components=1).fit(np.random.default_rng(0).normal(size=(30, 2)))
    model.save(tmp_path)
    (path,) = tmp_path.glob("model-*.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match="has changed"):
        GaussianMixture.load(tmp_path)


def test_a_gan_learns_a_correlation_its_untrained_twin_lacks():
    rng = np.random.default_rng(0)
    a = rng.normal(size=600)
    X = np.c_[a, a + 0.2 * rng.normal(size=600)]
    drawn = [GAN(steps=steps, size="small", batch=64, warmup=1).fit(X).sample(500, seed=0) for steps in (1, 150)]
    untrained, trained = (abs(np.corrcoef(sample.T)[0, 1]) for sample in drawn)
    assert trained > 0.8
    assert untrained < trained - 0.2
