"""Draws of a posterior: kept and loaded, shown on a page, and chains on fitted models of reals and of cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from genus import RBM, Gaussian, Posterior
from genus.errors import RunError, UsageError
from genus.judgement.chains import ranks, write_posterior
from genus.maths.flips import flips
from genus.tasks.chains import draw_by_chains

NAMES = {"centre": 1, "scale": "positive"}


def log_density(x: torch.Tensor) -> torch.Tensor:
    return -0.5 * (x[:, 0] - 3).square() - 2 * x[:, 1] + x[:, 1].log()


@pytest.fixture(scope="module")
def chains() -> Posterior:
    return Posterior(log_density=log_density, parameters=NAMES, chains=32, draws=100, warmup=80).fit()


def test_what_is_saved_comes_back(chains, tmp_path):
    chains.save(tmp_path)
    again = Posterior.load(tmp_path)
    np.testing.assert_array_equal(again.draws_, chains.draws_)
    assert again.parameters == NAMES
    assert again.reasons_ == chains.reasons_
    assert again.sample(5, seed=1).equals(chains.sample(5, seed=1))
    assert again.summary().equals(chains.summary())
    assert not list(tmp_path.glob("*.pkl"))
    file = tmp_path / "posterior.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x07")
    with pytest.raises(RunError, match="has changed since"):
        Posterior.load(tmp_path)
    with pytest.raises(RunError, match="holds no draws"):
        Posterior.load(tmp_path / "elsewhere")


def test_the_page_tells_what_the_verdict_is(chains, tmp_path):
    page = write_posterior(tmp_path / "a.html", chains).read_text()
    assert "Nothing speaks against" in page
    assert page.count("<svg") == 4
    assert "http" not in page.replace("http-equiv", "")
    few = Posterior(log_density=log_density, parameters=NAMES, chains=4, draws=8, warmup=10, kernel="random_walk").fit()
    told = write_posterior(tmp_path / "b.html", few).read_text()
    assert "Not to be believed yet" in told
    assert few.reasons_[0].split(",")[0].replace("'", "&#39;") in told


def test_ranks_show_a_chain_that_is_elsewhere():
    """The axis ends at 2 where chains agree; a bundle that is elsewhere has some ranks four times too often."""
    values = np.random.default_rng(0).normal(size=(200, 8))
    assert ">2<" in ranks(values, "x")
    assert ">4<" in ranks(values + np.where(np.arange(8) < 2, 30.0, 0.0), "x")


def test_the_export_says_what_to_install(chains):
    try:
        import arviz  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError:
        with pytest.raises(UsageError, match="pip install"):
            chains.to_arviz()
        return
    tree = chains.to_arviz()
    assert tree["posterior"]["centre"].shape == (32, 100)


def test_gibbs_from_an_energy_leaves_its_distribution_invariant():
    """Three cells of 2, 3 and 2 values with a random table: shares after sweeps from exact draws, and from random ones."""
    torch.manual_seed(0)
    table = torch.randn(2, 3, 2).double()
    p = torch.softmax(-table.flatten(), 0)

    def energy(x: torch.Tensor) -> torch.Tensor:
        return table[x[:, 0], x[:, 1], x[:, 2]]

    x = torch.zeros(20_000, 3, dtype=torch.long)
    for _ in range(12):
        x = flips(x, energy, [2, 3, 2])
    share = torch.bincount((x[:, 0] * 3 + x[:, 1]) * 2 + x[:, 2], minlength=12) / len(x)
    assert float((share - p).abs().max()) < 0.012


def test_fitted_models_are_drawn_by_chains():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]]) + 2
    normal = Gaussian().fit(X)
    np.testing.assert_allclose(np.cov(draw_by_chains(normal, 2000, "mala", seed=0).T), np.cov(X.T), atol=0.2)
    images = rng.random((200, 3, 3)) < np.linspace(0.1, 0.9, 9).reshape(3, 3)
    rbm = RBM(latent=3, steps=100).fit(images)
    one, two = draw_by_chains(rbm, 200, "gibbs", seed=0), rbm.sample(200, seed=0)
    assert one.shape == two.shape
    np.testing.assert_allclose(np.mean(one > 0, 0), np.mean(two > 0, 0), atol=0.2)
    wrong = (("hmc", rbm, "discrete: take gibbs"), ("gibbs", normal, "real: take hmc"), ("hcm", rbm, "is not one of"))
    for kernel, model, words in wrong:
        with pytest.raises(UsageError, match=words):
            draw_by_chains(model, 3, kernel)


def test_the_command_draws_keeps_and_refuses(tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from genus.cli.app import app

    file = tmp_path / "line.py"
    file.write_text("parameters = 2\n\ndef log_density(x):\n    return -0.5 * (x ** 2).sum(-1)\n")
    done = CliRunner().invoke(app, ["posterior", str(file), "-o", str(tmp_path / "out"), "--chains", "32"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "report.html").exists()
    assert Posterior.load(Path(tmp_path / "out")).draws_.shape[1] == 32
    for text, words in (("x = (", "line 1"), ("x = 1", "defines no posterior")):
        file.write_text(text)
        assert words in str(CliRunner().invoke(app, ["posterior", str(file)]).exception)
