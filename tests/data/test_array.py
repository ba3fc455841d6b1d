"""Arrays: types come back, and the density of quantile bins is exact, repeated values included."""

import numpy as np
import pytest
import torch

from genus.data.array import ArrayCodec, checked_array
from genus.errors import DataError

rng = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.int16])
@pytest.mark.parametrize("shape", [(40, 1), (40, 3), (40, 2, 3)])
def test_arrays_come_back_in_their_type(dtype, shape):
    X = (rng.normal(size=shape) * 50).astype(dtype)
    codec = ArrayCodec().fit(X)
    out = codec.unpack(codec.pack(X, codec.views()[0]), codec.views()[0])
    assert out.dtype == dtype
    np.testing.assert_allclose(out, X, rtol=1e-4, atol=1e-3)


def test_a_repeated_value_is_a_bin_of_its_own_and_comes_back():
    X = np.where(rng.random((500, 1)) < 0.5, 7.0, rng.normal(size=(500, 1)))
    codec = ArrayCodec().fit(X)
    view = codec.views()[1]
    x = codec.pack(X, view)
    out = codec.unpack(x, view)
    np.testing.assert_array_equal(out[X == 7.0], 7.0)
    assert (codec.log_volume(x[X[:, 0] == 7.0], view) == 0).all()


def test_the_density_of_bins_integrates_to_one():
    X = rng.normal(size=(2000, 1))
    codec = ArrayCodec().fit(X)
    view = codec.views()[1]
    code = torch.bincount(codec.pack(X, view)[:, 0], minlength=view.levels) / len(X)
    line = np.linspace(X.min(), X.max(), 40_001)[:-1, None]
    x = codec.pack(line, view)
    density = code[x[:, 0]].double() * torch.exp(-codec.log_volume(x, view))
    assert float(density.mean()) * (X.max() - X.min()) == pytest.approx(1, abs=1e-3)


def test_values_outside_training_are_told():
    codec = ArrayCodec().fit(rng.normal(size=(50, 2)))
    with pytest.warns(UserWarning, match="1 items of X lie outside"):
        codec.pack(np.array([[0.0, 0.0], [99.0, 0.0]]), codec.views()[1])


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.zeros(3), "Reshape your data"),
        (np.array([[1.0], [np.nan]]), r"NaN, first at index \(1, 0\)"),
        (np.array([[1.0], [np.inf]]), r"infinity, first at index \(1, 0\)"),
        (np.array([[1j]]), "Complex data not supported"),
        (np.zeros((0, 2)), "0 sample"),
    ],
)
def test_wrong_arrays_get_one_sentence(X, words):
    with pytest.raises(DataError, match=words) as caught:
        checked_array(X)
    assert "\n" not in str(caught.value)


def test_objects_that_are_numbers_are_numbers():
    assert checked_array(np.array([[1, 2.5]], dtype=object)).dtype == np.float64
