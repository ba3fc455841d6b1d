"""Images: packed and back as they came; a uniform density costs exactly eight bits a pixel."""

import math

import numpy as np
import pytest
import torch

from genus.data.image import ImageCodec
from genus.errors import DataError
from genus.maths.quantise import drawn

rng = np.random.default_rng(0)
CASES = {
    "grey": rng.integers(0, 256, (5, 4, 3), dtype=np.uint8),
    "colour": rng.integers(0, 256, (5, 4, 3, 3), dtype=np.uint8),
    "alpha": rng.integers(0, 256, (5, 4, 3, 4), dtype=np.uint8),
    "one channel": rng.integers(0, 256, (5, 4, 3, 1), dtype=np.uint8),
    "17 levels": rng.integers(0, 17, (5, 4, 3), dtype=np.uint8),
    "0 and 1": rng.integers(0, 2, (5, 4, 3), dtype=np.uint8),
    "bool": rng.random((5, 4, 3)) < 0.5,
}


@pytest.mark.parametrize("name", CASES)
def test_images_come_back_from_every_view(name):
    X = CASES[name].copy()
    X[:, 0, 0] = 0
    codec = ImageCodec().fit(X)
    for view in codec.views():
        out = codec.unpack(drawn(codec.pack(X, view)), view)
        assert out.dtype == X.dtype
        np.testing.assert_array_equal(out, X)
        assert codec.exact(view) == view.discrete


@pytest.mark.parametrize(("name", "bits"), [("grey", 8), ("colour", 8), ("17 levels", math.log2(17)), ("bool", 1)])
def test_a_uniform_density_costs_the_bits_of_its_levels(name, bits):
    codec = ImageCodec().fit(CASES[name])
    discrete, real = codec.views()
    x = drawn(codec.pack(CASES[name], real))
    assert float(x.min()) >= -1
    assert float(x.max()) <= 1
    for view, each in ((real, -math.log(2)), (discrete, -math.log(codec.levels_))):
        log_prob = each * codec.dims() - codec.log_volume(x, view)
        assert -log_prob.numpy() / (codec.dims() * math.log(2)) == pytest.approx(bits, rel=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_known_pixels_stay(name):
    X = CASES[name]
    codec = ImageCodec().fit(X)
    view = codec.views()[0]
    mask = rng.random(X.shape) < 0.3
    for holed in (np.ma.masked_array(X, mask), np.where(mask, np.nan, X)):
        packed, known = codec.known(holed, view)
        assert known.shape == packed.shape
        other = codec.unpack(torch.zeros(packed.shape, dtype=torch.uint8), view)
        np.testing.assert_array_equal(codec.merge(holed, other, view), np.where(mask, 0, X).astype(X.dtype))
    with pytest.raises(DataError, match="whole numbers"):
        codec.known(np.full(X.shape, 0.5), view)


def test_levels_and_shapes_never_seen_are_refused():
    codec = ImageCodec().fit(CASES["17 levels"])
    with pytest.raises(DataError, match="values 0 to 16"):
        codec.pack(CASES["grey"], codec.views()[0])
    with pytest.raises(DataError, match="Expected uint8 images"):
        codec.pack(CASES["colour"], codec.views()[0])
