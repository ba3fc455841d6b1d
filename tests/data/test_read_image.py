"""Image folders: any mode and size becomes one array, and bad files are named."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from genus.data.load import load
from genus.errors import DataError, UsageError

rng = np.random.default_rng(0)
RGB = rng.integers(0, 256, (4, 6, 8, 3), dtype=np.uint8)


def folder(path, arrays, ending="png"):
    path.mkdir(parents=True, exist_ok=True)
    for i, array in enumerate(arrays):
        Image.fromarray(array).save(path / f"{i}.{ending}", **({"lossless": True} if ending == "webp" else {}))
    return path


@pytest.mark.parametrize("ending", ["png", "bmp", "webp", "tiff", "ppm"])
def test_a_folder_comes_back_in_the_order_of_its_names(tmp_path, ending):
    data = load(folder(tmp_path / "a", RGB, ending))
    np.testing.assert_array_equal(data.X, RGB)
    assert data.y is None


def test_jpeg_and_gif_keep_their_shape(tmp_path):
    assert load(folder(tmp_path / "a", RGB, "jpg")).X.shape == RGB.shape
    assert load(folder(tmp_path / "b", RGB[..., 0], "gif")).X.shape[:3] == RGB.shape[:3]


def test_sub_folders_become_labels(tmp_path):
    folder(tmp_path / "cat", RGB[:1])
    folder(tmp_path / "dog", RGB[1:3])
    assert list(load(tmp_path).y) == ["cat", "dog", "dog"]


def test_mixed_modes_take_the_widest(tmp_path):
    folder(tmp_path / "a", RGB[:2])
    folder(tmp_path / "b", RGB[..., 0])
    data = load(tmp_path)
    np.testing.assert_array_equal(data.X[:2], RGB[:2])
    np.testing.assert_array_equal(data.X[2:, ..., 1], RGB[..., 0])
    folder(tmp_path / "c", np.concatenate([RGB[..., :1], RGB[..., :1]], 3)[:1])
    assert load(tmp_path).X.shape[3] == 4


def test_sixteen_bit_grey_is_scaled(tmp_path):
    deep = (np.arange(48, dtype=np.uint16).reshape(6, 8) * 5) * 257
    folder(tmp_path, [deep, deep])
    np.testing.assert_array_equal(load(tmp_path).X[0], deep // 257)


def test_unlike_sizes_need_a_size(tmp_path):
    folder(tmp_path / "a", RGB[:2])
    folder(tmp_path / "b", RGB[:1, :5])
    with pytest.raises(DataError, match=r"0.png is 8×6 but .*0.png is 8×5.*size="):
        load(tmp_path)
    assert load(tmp_path, size=4).X.shape == (3, 4, 4, 3)
    assert load(tmp_path, size=(4, 5)).X.shape == (3, 4, 5, 3)
    with pytest.raises(UsageError, match="number of pixels"):
        load(tmp_path, size=-1)


def test_resizing_keeps_a_flat_image_flat():
    assert (load(np.full((2, 8, 6), 9, np.uint8), size=3).X == 9).all()


def test_a_truncated_image_is_named(tmp_path):
    path = folder(tmp_path, RGB) / "2.png"
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(DataError, match=r"2\.png is a damaged image"):
        load(tmp_path)
    path.write_bytes(b"hello")
    with pytest.raises(DataError, match=r"2\.png is not an image"):
        load(tmp_path)


@pytest.mark.parametrize("side", [4200, 60_000])
def test_a_bomb_is_refused_from_its_header(tmp_path, side):
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = b"IDAT" + zlib.compress(b"\0" * 100)
    chunks = b"".join(struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, body, b"IEND"))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    with pytest.raises(DataError, match=r"bomb\.png .*16\.8"):
        load(tmp_path)


def captioned(path, table, name="captions.csv"):
    folder(path / "pictures", RGB)
    (path / name).write_text(table)
    return path


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("captions.csv", "file,caption\n" + "".join(f"pictures/{i}.png,picture of {i}\n" for i in (2, 0, 3, 1))),
        ("metadata.tsv", "text\tfile_name\n" + "".join(f"picture of {i}\t{i}.png\n" for i in (1, 3, 2, 0))),
    ],
)
def test_captions_in_the_folder_belong_to_their_files(tmp_path, name, table):
    data = load(captioned(tmp_path, table, name))
    np.testing.assert_array_equal(data.X, RGB)
    assert list(data.y) == [f"picture of {i}" for i in range(4)]
    assert data.y.attrs["kinds"] == {data.y.name: "text"}


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("file,caption\n0.png,a\n1.png,b\n", "no caption for pictures/2.png"),
        ("name,caption\na,b\nc,d\n", "no column called file"),
    ],
)
def test_captions_that_do_not_fit_the_images_are_refused(tmp_path, table, says):
    with pytest.raises(DataError, match=says):
        load(captioned(tmp_path, table))
