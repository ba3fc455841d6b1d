"""Pictures: every image is in the grid, where it should be, and bright enough to see."""

import numpy as np
import pytest

from genus.data.load import load
from genus.data.picture import grid, scatter, stretched
from genus.errors import UsageError


@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_each_image_stands_in_its_place(channels):
    X = np.random.default_rng(0).integers(17, 256, (5, 4, 3, *channels), dtype=np.uint8)
    sheet = np.asarray(grid(X, columns=2, scale=2))
    assert sheet.shape[:2] == (3 * 9 + 1, 2 * 7 + 1)
    np.testing.assert_array_equal(sheet[10:18:2, 8:14:2], X[3])


def test_small_levels_are_stretched_to_white():
    assert np.asarray(grid(load("digits").X[:9])).max() == 255
    assert stretched(np.array([[[0, 16]]], np.uint8)).tolist() == [[[0, 255]]]
    assert stretched(np.array([[[False, True]]])).tolist() == [[[0, 255]]]


def test_points_leave_marks():
    picture = np.asarray(scatter(np.zeros((1, 2)) + 0.5, other=np.random.default_rng(0).normal(size=(200, 2))))
    assert picture.shape[2] == 3
    assert (picture != 255).any(2).sum() > 100
    with pytest.raises(UsageError):
        scatter(np.zeros((3, 3)))
