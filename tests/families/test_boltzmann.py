"""What is peculiar to a restricted Boltzmann machine: exact sums, a pipeline, completion, an alarm, checkpoints of chains."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from genus import RBM, Model, Run
from genus.errors import RunError, UsageError

EVERY = np.array(list(itertools.product([False, True], repeat=4))).reshape(16, 2, 2)


def stripes(n: int = 300) -> np.ndarray:
    """Two-by-two images whose rows agree nine times in ten."""
    rng = np.random.default_rng(0)
    top = rng.random((n, 1, 2)) < 0.5
    return np.concatenate([top, top ^ (rng.random((n, 1, 2)) < 0.1)], 1)


def pictures(n: int) -> np.ndarray:
    """The first digits, 1 where a pixel is above 8 of 16."""
    return np.asarray(load_digits(return_X_y=True)[0])[:n].reshape(-1, 8, 8) > 8


@pytest.mark.parametrize("method", ["persistent", "contrastive", "tempering"])
def test_its_probabilities_sum_to_one_and_its_samples_have_them(method):
    model = RBM(latent=4, steps=400, method=method, rungs=4, lr=0.5, momentum=0.5, burn=60).fit(stripes())
    log_p, error = model.log_prob_estimate(EVERY)
    assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-5)
    assert (error == 0).all()
    often = (model.sample(3000, seed=0)[:, None] == EVERY).all((2, 3)).mean(0)
    assert np.abs(often - np.exp(log_p)).max() < 0.03
    assert np.ptp(log_p) > 1, "nothing was learnt"


def test_the_energy_is_the_log_probability_up_to_a_constant():
    model = RBM(latent=3, steps=50).fit(stripes())
    total = model.energy(EVERY) + model.log_prob_estimate(EVERY)[0]
    assert np.ptp(total) < 1e-9


def test_missing_entries_are_drawn_given_the_known_ones():
    model = RBM(latent=6, steps=800, lr=0.5).fit(stripes())
    holed = np.ma.masked_array(np.repeat(EVERY[:4], 500, 0), np.tile([[True, True], [False, False]], (2000, 1, 1)))
    filled = model.complete(holed, seed=0).reshape(4, 500, 4)
    p = np.exp(model.log_prob_estimate(EVERY)[0]).reshape(4, 4)
    often = np.stack([[(part[:, :2] == EVERY[4 * i, 0]).all(1).mean() for i in range(4)] for part in filled])
    assert np.abs(often - (p / p.sum(0)).T).max() < 0.08
    assert np.ptp(p / p.sum(0)) > 0.4, "nothing was learnt"


def test_a_table_is_completed_and_sampled_as_it_hangs_together():
    rng = np.random.default_rng(0)
    job = rng.choice(["cook", "pilot"], 600)
    frame = pd.DataFrame({"job": job, "pay": np.where(job == "cook", 1, 5) + rng.integers(0, 2, 600)})
    model = RBM(latent=8, steps=800, lr=0.3).fit(frame)
    drawn = model.sample(400, given={"job": "pilot"}, seed=0)
    assert set(drawn["job"]) == {"pilot"}
    assert (drawn["pay"] > 3).mean() > 0.9
    assert np.exp(model.log_prob_estimate(frame.drop_duplicates())[0]).sum() == pytest.approx(1, abs=0.1)


def test_features_work_in_a_pipeline():
    X, y = pictures(1400), load_digits(return_X_y=True)[1]
    pipe = make_pipeline(RBM(latent=64, steps=500), LogisticRegression(max_iter=300)).fit(X[:1000], y[:1000])
    assert pipe.score(X[1000:1400], y[1000:1400]) > 0.8
    features = pipe[0]
    assert isinstance(features, RBM)
    assert np.array_equal(features.transform(X[:5]), features.encode(X[:5]))


def test_a_fit_that_diverges_is_stopped():
    X = pictures(500)
    with pytest.raises(RunError, match="independent entries: try lr"):
        RBM(latent=8, steps=1000, lr=3.0, batch=10, schedule="constant").fit(X)


def test_a_doubtful_log_z_warns_and_widens_the_error():
    X = pictures(300)
    model = RBM(latent=32, steps=30).fit(X)
    model.partition(chains=20, steps=30)
    model.log_z_ |= {"doubt": "forward and reverse annealing differ by 9.0 nats", "error": 9.0}
    with pytest.warns(UserWarning, match="not to be trusted"):
        assert model.log_prob_estimate(X[:3])[1].tolist() == [9.0] * 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.fit(X).partition(chains=50, steps=300).doubt == ""


def test_an_interrupted_fit_ends_in_the_same_weights_and_chains(tmp_path, monkeypatch):
    from genus.nets.restricted import Restricted

    model = RBM(latent=5, steps=40, momentum=0.5, batch=20)
    whole = {name: value.clone() for name, value in model.fit(stripes()).net_.state_dict().items()}
    learn, calls = Restricted.learn, []

    def broken(self, v, lr):
        calls.append(0)
        if len(calls) == 25:
            raise RuntimeError("the power failed")
        return learn(self, v, lr)

    with monkeypatch.context() as patch:
        patch.setattr(Restricted, "learn", broken)
        with pytest.raises(RuntimeError, match="power"):
            model.fit(stripes(), run=Run(folder=tmp_path, every_steps=10))
    again = model.fit(stripes(), run=Run(folder=tmp_path, every_steps=10)).net_.state_dict()
    assert [name for name, value in whole.items() if not torch.equal(value, again[name])] == []


def test_a_saved_model_keeps_what_it_found_of_log_z(tmp_path):
    model = RBM(latent=4, steps=20).fit(stripes())
    value = model.log_prob_estimate(EVERY)[0]
    model.save(tmp_path)
    again = Model.load(tmp_path)
    assert isinstance(again, RBM)
    assert again.log_z_ == model.log_z_
    assert np.array_equal(again.log_prob_estimate(EVERY)[0], value)


@pytest.mark.parametrize(("fields", "word"), [
    ({"latent": 0}, "latent"), ({"method": "psychic"}, "psychic"), ({"dropout": 0.1}, "dropout"), ({"chains": 0}, "chains"),
    ({"method": "tempering", "rungs": 1}, "rungs"),
])  # fmt: skip
def test_wrong_fields_are_refused_in_one_sentence(fields, word):
    with pytest.raises(UsageError, match=word):
        RBM(**fields).fit(stripes())
