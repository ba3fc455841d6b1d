"""What is peculiar to the GAN: its losses and penalties, its coverage of modes, its alarm."""

import warnings

import numpy as np
import pytest
import torch

from genus.capability import capabilities
from genus.errors import DataError, UsageError
from genus.families.gan import GAN, _middle
from genus.maths.quantise import Fuzzy
from genus.nets.critic import Critic
from genus.space import Space

QUICK = {"size": "small", "batch": 64}
pytestmark = pytest.mark.filterwarnings("ignore:Mode collapse")


def corners(n, seed=0):
    """Four tight normals at (±1, ±1), and which."""
    rng = np.random.default_rng(seed)
    k = rng.integers(0, 4, n)
    return np.c_[2 * (k // 2) - 1, 2 * (k % 2) - 1] + rng.normal(0, 0.15, (n, 2)), k


def covered(samples):
    """Share of samples within 0.5 of a corner, and how many corners have at least a twelfth of the samples."""
    near = np.abs(np.abs(samples) - 1).max(1) < 0.5
    code = (samples[near] > 0) @ [2, 1]
    return near.mean(), int((np.bincount(code, minlength=4) > len(samples) / 12).sum())


def test_it_claims_to_sample_and_nothing_else():
    assert capabilities(GAN) == ("Conditional",)


LOSSES = {
    "relativistic": ({"steps": 500}, 0.65),
    "nonsaturating": ({"steps": 500}, 0.65),
    "wasserstein": ({"steps": 300, "critic_turns": 4, "momentum": 0.5}, 0.4),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_covers_four_corners_where_an_untrained_twin_does_not(loss):
    x, _ = corners(2000)
    fields, share = LOSSES[loss]
    good, modes = covered(GAN(loss=loss, seed=1, **fields, **QUICK).fit(x).sample(1000, seed=1))
    untrained, _ = covered(GAN(loss=loss, steps=1, **QUICK).fit(x).sample(1000, seed=1))
    assert modes == 4
    assert good > share > 0.3 > untrained


def test_a_label_chooses_the_corner():
    x, k = corners(2000)
    model = GAN(steps=200, **QUICK).fit(x, k)
    for label in range(4):
        s = model.sample(200, y=label, seed=0)
        assert np.mean((s > 0) @ [2, 1] == label) > 0.8


def test_penalties_are_those_of_the_papers_on_a_linear_critic():
    model = GAN(penalty=3.0)
    model.space_ = Space("real", (2,))
    weight = torch.tensor([3.0, 4.0])
    model._critic = lambda x, y: x @ weight  # pyright: ignore[reportAttributeAccessIssue]
    x = torch.randn(8, 2)
    expected = {"nonsaturating": 3 / 2 * 25, "relativistic": 3 / 2 * 50, "wasserstein": 3 * (5 - 1) ** 2}
    for loss, value in expected.items():
        model.loss = loss
        assert float(model._penalty(x, x + 1, None).detach()) == pytest.approx(value, rel=1e-5)


def test_the_history_holds_both_losses_the_accuracy_and_the_spread():
    model = GAN(steps=60, **QUICK).fit(corners(500)[0])
    names = set().union(*model.history_)
    assert {"critic", "generator", "critic_accuracy", "spread"} <= names
    assert 0 <= model.history_[-1]["critic_accuracy"] <= 1


def test_a_collapse_raises_the_alarm():
    x, _ = corners(500)
    model = GAN(steps=1, **QUICK).fit(x)
    model._critic = Critic(model.space_, size="small")
    with torch.no_grad():
        for p in model.net_.parameters():
            p.mul_(0.1)
    with pytest.warns(UserWarning, match="Mode collapse"):
        model._take_stock(torch.from_numpy(x).float(), None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GAN(steps=200, **QUICK).fit(x)


def test_images_are_read_without_noise_and_written_inside_their_bounds():
    low = torch.arange(4, dtype=torch.uint8).view(4, 1)
    fuzzy = Fuzzy(low, 1.0, lambda u: u / 2 - 1)
    assert _middle(fuzzy)[slice(None)].flatten().tolist() == [-0.75, -0.25, 0.25, 0.75]
    x = np.random.default_rng(0).integers(0, 256, (64, 9, 7), dtype=np.uint8)
    model = GAN(steps=2, **QUICK).fit(x)
    raw = model._sample(8, None).detach()
    assert float(raw.abs().max()) <= 1
    assert model.sample(8, seed=0).shape == (8, 9, 7)
    assert model.sample(8, seed=0).dtype == np.uint8


def grid(n, seed=0):
    """Nine modes of deviation 0.02 on a grid of spacing 1."""
    rng = np.random.default_rng(seed)
    return rng.integers(-1, 2, (n, 2)) + rng.normal(0, 0.02, (n, 2))


def test_a_mixture_of_noise_lies_on_separate_modes_where_one_normal_bridges_them():
    def good(components):
        model = GAN(steps=600, components=components, size="small", batch=128, seed=1).fit(grid(3000))
        s = model.sample(2000, seed=1)
        return float((np.linalg.norm(s - s.round(), axis=1) < 0.1).mean())

    assert good(32) > good(1) + 0.1


def test_a_blank_background_is_where_the_tanh_saturates():
    x = np.zeros((64, 8, 8), dtype=np.uint8)
    x[:, 2:6, 2:6] = np.random.default_rng(0).integers(0, 17, (64, 4, 4))
    model = GAN(steps=2, **QUICK).fit(x)
    assert model.edges_ == pytest.approx([-16 / 17, 16 / 17])
    model.net_ = lambda z, y: torch.full((len(z), 1, 8, 8), -20.0)
    assert not model.sample(4, seed=0).any()


def test_it_is_saved_without_its_critic(tmp_path):
    model = GAN(steps=3, **QUICK).fit(corners(200)[0])
    model.save(tmp_path / "m")
    assert np.array_equal(GAN.load(tmp_path / "m").sample(5, seed=2), model.sample(5, seed=2))


def test_what_it_cannot_do_is_said():
    with pytest.raises(UsageError, match="nonsaturating"):
        GAN(loss="hinge").fit(corners(50)[0])
    with pytest.raises(DataError, match="does not accept text"):
        GAN().fit(["a", "b"])
