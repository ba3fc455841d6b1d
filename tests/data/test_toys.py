"""Toys: each density integrates to one and is the density of the points drawn."""

import numpy as np
import pytest

from genus.data.load import load
from genus.data.toys import TOYS

BOX = {"moons": 3.0, "rings": 4.0, "eight_gaussians": 1.2, "twentyfive_gaussians": 4.6, "checkerboard": 4.0}


@pytest.mark.parametrize("name", TOYS)
def test_the_density_integrates_to_one(name):
    line = (np.arange(1200) + 0.5) / 1200 * 2 * BOX[name] - BOX[name]
    points = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    if name == "moons":
        points = points[::4]
    area = (2 * BOX[name]) ** 2 / len(points)
    assert np.exp(TOYS[name].log_density(points)).sum() * area == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("name", TOYS)
def test_the_points_follow_the_density(name):
    """E_q[q(x + shift) / q(x)] is 1 where the support is the whole plane; the wrong density misses it by far."""
    toy = TOYS[name]
    X, _ = toy.draw(20_000, seed=1)
    assert np.isfinite(toy.log_density(X)).all()
    sd = {"eight_gaussians": 0.01, "twentyfive_gaussians": 0.05, "rings": 0.08, "moons": 0.1}.get(name)
    if sd is None:
        assert (TOYS[name].log_density(X + 2.0 * np.array([1, 0])) == -np.inf).all()
        return
    ratio = np.exp(toy.log_density(X + 0.2 * sd) - toy.log_density(X))
    assert ratio.mean() == pytest.approx(1, abs=5 * ratio.std() / np.sqrt(len(X)))


def test_the_mode_toys_follow_the_protocol():
    """Ring of radius 1, sd 0.01; grid of spacing 2, sd 0.05; 98.89 % lie within three sd of a mode."""
    for name, k in (("eight_gaussians", 8), ("twentyfive_gaussians", 25)):
        data = load(name)
        centres, sd = data.modes
        assert len(np.unique(centres.round(6), axis=0)) == k
        nearest = np.linalg.norm(data.X[:, None] - centres, axis=2).min(1)
        assert (nearest < 3 * sd).mean() == pytest.approx(0.9889, abs=0.005)
        np.testing.assert_allclose(data.density(data.X[:9]), TOYS[name].log_density(data.X[:9]))


def test_draws_are_seeded():
    assert (TOYS["moons"].draw(5, 3)[0] == TOYS["moons"].draw(5, 3)[0]).all()
    assert (TOYS["moons"].draw(5, 3)[0] != TOYS["moons"].draw(5, 4)[0]).any()
