"""Exploring codes: units move what they mean, paths end at their items, attributes point from those without to those with."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from genus import VAE, GaussianMixture, RealNVP, explore
from genus.cli.app import app
from genus.errors import UsageError
from genus.tasks.explore import route


@pytest.fixture(scope="module")
def cloud() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(400, 3)) * [1.0, 2.0, 4.0]


@pytest.fixture(scope="module")
def flow(cloud) -> Any:
    return RealNVP(steps=60, size="small").fit(cloud)


def test_a_path_begins_and_ends_at_its_items_where_codes_are_exact(cloud, flow):
    found = explore(flow, cloud, pairs=3, steps=5)
    paths = np.asarray(found.paths).reshape(3, 5, 3)
    np.testing.assert_allclose(paths[:, 0], cloud[found.ends[:, 0]], atol=1e-2)
    np.testing.assert_allclose(paths[:, -1], cloud[found.ends[:, 1]], atol=1e-2)


def test_a_traversal_moves_one_unit_alone_between_its_quantiles(cloud, flow):
    found = explore(flow, cloud, units=2, steps=7)
    z = flow.encode(found.traversals).reshape(2, 7, 3)
    for row, unit in enumerate(found.units):
        rest = [i for i in range(3) if i != unit]
        np.testing.assert_allclose(z[row][:, rest], z[row][:1, rest].repeat(7, 0), atol=1e-2)
        np.testing.assert_allclose(z[row][:, unit], found.values[row], atol=1e-2)
    assert len(found.table()) == 14


def test_the_direction_of_a_label_changes_what_the_label_means(cloud, flow):
    labels = np.where(cloud[:, 1] > 0, "high", "low")
    found = explore(flow, cloud, labels=labels, steps=3)
    moved = np.asarray(found.attributes["high"])
    assert moved[-1, 1] > moved[0, 1] + 1
    np.testing.assert_allclose(found.directions["high"], -found.directions["low"], atol=1e-6)


def test_an_arc_keeps_its_length_where_a_line_passes_near_the_middle():
    a, b = np.array([3.0, 0.0]), np.array([-2.9, 0.5])
    assert np.linalg.norm(route(a, b, 5, "spherical"), axis=1).min() > 2.5
    assert np.linalg.norm(route(a, b, 5, "linear"), axis=1).min() < 0.5


def test_what_has_no_codes_is_refused(cloud):
    with pytest.raises(UsageError, match="has no codes"):
        explore(GaussianMixture(components=2).fit(cloud), cloud)
    with pytest.raises(UsageError, match="linear or spherical"):
        explore(VAE(steps=1, size="small").fit(cloud), cloud, path="crooked")


def test_the_command_writes_pictures_of_images_and_tables_of_tables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng, run = np.random.default_rng(0), CliRunner().invoke
    np.savez("bars.npz", X=(rng.random((80, 8, 1)) * 255).astype(np.uint8).repeat(8, 2), y=np.arange(80) % 2)
    pd.DataFrame({"a": rng.normal(size=90), "b": rng.choice(["x", "y"], 90)}).to_csv("t.csv", index=False)
    for data, names in (
        ("bars.npz", ["traversals.png", "paths.gif", "attributes.png"]),
        ("t.csv", ["traversals.csv", "paths.csv"]),
    ):
        assert run(app, ["fit", data, "--family", "vae", "--steps", "3", "--size", "small", "-o", f"r-{data}"]).exit_code == 0
        done = run(app, ["explore", f"r-{data}", "--units", "3", "--steps", "4", "-o", f"out-{data}"])
        assert done.exit_code == 0, done.output
        assert all((tmp_path / f"out-{data}" / name).is_file() for name in names)
    with Image.open(tmp_path / "out-bars.npz" / "paths.gif") as film:
        assert film.n_frames == 6
    assert len(pd.read_csv(tmp_path / "out-t.csv" / "traversals.csv")) == 12
