"""Load: every source becomes one Dataset, and whatever is wrong becomes one sentence."""

import gzip
import struct
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import genus
from genus.data.embedded import EMBEDDED
from genus.data.load import describe, load
from genus.errors import DataError, UsageError

rng = np.random.default_rng(0)
GREY = rng.integers(0, 256, (6, 5, 7), dtype=np.uint8)


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()


def png(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_data_are_as_listed(name):
    kind, items, _, licence, _ = EMBEDDED[name]
    data = genus.load(name)
    assert (data.kind, len(data.X), bool(licence)) == (kind, items, True)
    assert data.sha256 == load(name).sha256
    assert data.y is None or len(data.y) == items


def test_the_list_of_embedded_data_needs_neither_torch_nor_numpy():
    code = "import sys, genus.data.embedded; print([m for m in ('torch', 'sklearn', 'numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_digits_have_seventeen_levels():
    data = load("digits")
    assert (data.X.dtype, data.X.shape, data.X.max(), sorted(set(data.y))) == (np.uint8, (1797, 8, 8), 16, list(range(10)))


def test_the_hash_tells_other_content_apart():
    X = rng.normal(size=(5, 2))
    other = X.copy()
    other[3, 1] += 1e-9
    assert load(X).sha256 == load(X.copy()).sha256 != load(other).sha256
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    assert load(frame).sha256 != load(frame.rename(columns={"a": "c"})).sha256
    assert load(["ab", "c"]).sha256 != load(["a", "bc"]).sha256


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx_finds_the_labels_beside_it(tmp_path, ending):
    pack = gzip.compress if ending else bytes
    (tmp_path / f"train-images-idx3-ubyte{ending}").write_bytes(pack(idx(GREY)))
    (tmp_path / f"train-labels-idx1-ubyte{ending}").write_bytes(pack(idx(np.arange(6))))
    data = load(tmp_path / f"train-images-idx3-ubyte{ending}")
    np.testing.assert_array_equal(data.X, GREY)
    np.testing.assert_array_equal(data.y, np.arange(6))
    with pytest.raises(DataError, match="labels"):
        load(tmp_path / f"train-labels-idx1-ubyte{ending}")


def test_a_cut_idx_says_so(tmp_path):
    (tmp_path / "x-images-idx3-ubyte").write_bytes(idx(GREY)[:-3])
    with pytest.raises(DataError, match="210 bytes of data and holds 207"):
        load(tmp_path / "x-images-idx3-ubyte")


def test_npz_takes_items_labels_and_class_names(tmp_path):
    np.savez(tmp_path / "a.npz", x=GREY, y=np.arange(6) % 2, classes=np.array(["cat", "dog"]))
    data = load(tmp_path / "a.npz")
    assert (data.kind, list(data.y[:2])) == ("image", ["cat", "dog"])
    np.savez(tmp_path / "b.npz", p=GREY, q=GREY)
    with pytest.raises(DataError, match="p, q"):
        load(tmp_path / "b.npz")


def test_pickled_objects_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.array([{}, {}], dtype=object))
    np.save(tmp_path / "b.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    for name in ("a.npz", "b.npy"):
        with pytest.raises(DataError, match="pickled objects"):
            load(tmp_path / name)


def test_infinity_is_named_by_its_index(tmp_path):
    X = np.zeros((4, 3))
    X[2, 1] = np.inf
    np.save(tmp_path / "a.npy", X)
    with pytest.raises(DataError, match=r"infinity, first at index \(2, 1\)"):
        load(tmp_path / "a.npy")
    with pytest.raises(DataError, match=r"NaN, first at index \(2, 1\)"):
        genus.Gaussian().fit(np.where(np.isinf(X), np.nan, X))


def test_kind_overrules_the_guess(tmp_path):
    np.save(tmp_path / "a.npy", GREY)
    assert load(tmp_path / "a.npy", kind="array").X.dtype == np.int64
    assert load(GREY / 255.0, kind="image").X.tolist() == GREY.tolist()
    assert load(np.zeros((3, 3, 9, 8), np.uint8)).X.shape == (3, 9, 8, 3)
    with pytest.raises(UsageError, match="kind"):
        load("iris", kind="text")
    with pytest.raises(UsageError, match="Did you mean 'image'"):
        load("iris", kind="imag")


def test_columns_become_labels_and_time():
    frame = pd.DataFrame({"when": [1, 2, 3], "income": list("aba"), "age": [3.0, 4.0, 5.0]})
    data = load(frame, labels="income", time="when")
    assert (list(data.X.columns), list(data.y), data.time) == (["when", "age"], ["a", "b", "a"], "when")
    with pytest.raises(UsageError, match="Did you mean 'income'"):
        load(frame, labels="incom")
    with pytest.raises(DataError, match="3 items but 2 labels"):
        load(np.zeros((3, 1)), labels=[1, 2])


def test_windows_cut_a_series():
    X = np.arange(10.0).reshape(5, 2)
    np.testing.assert_array_equal(load(X, window=3).X[1], X[1:4])
    assert load("shakespeare", window=100).X[0].startswith("First Citizen")


def test_a_local_dataset_of_the_hub_is_understood(tmp_path):
    datasets = pytest.importorskip("datasets")
    frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"], "c": [0.5, 1.5, 2.5]})
    frame.to_parquet(tmp_path / "train.parquet")
    pd.testing.assert_frame_equal(load(f"hf:{tmp_path}").X, frame, check_dtype=False)
    names = datasets.ClassLabel(names=["no", "yes"])
    features = datasets.Features({"image": datasets.Image(), "label": names})
    rows = {"image": [Image.fromarray(g) for g in GREY], "label": [0, 1, 0, 1, 0, 1]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "images")
    data = load(f"hf:{tmp_path / 'images'}")
    np.testing.assert_array_equal(data.X, GREY)
    assert list(data.y[:2]) == ["no", "yes"]
    datasets.Dataset.from_dict({"text": ["ab", "cd"]}).save_to_disk(tmp_path / "texts")
    assert load(f"hf:{tmp_path / 'texts'}").X == ["ab", "cd"]
    with pytest.raises(DataError, match="cannot be loaded"):
        load(f"hf:{tmp_path / 'nowhere'}")


def test_what_is_no_data_gets_one_sentence(tmp_path):
    (tmp_path / "empty.csv").touch()
    (tmp_path / "empty.npy").touch()
    (tmp_path / "empty.txt").touch()
    (tmp_path / "odd.xyz").write_text("abc")
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(b"some text\n" * 1000)[:-20])
    (tmp_path / "latin.txt").write_bytes("caf\xe9 au lait".encode("latin1"))
    (tmp_path / "one.npy").write_bytes(b"")
    png(tmp_path / "single.png", GREY[0])
    np.save(tmp_path / "one.npy", np.zeros((1, 3)))
    (tmp_path / "void").mkdir()
    (tmp_path / "void" / "a.csv").write_text("a\n1\n")
    cases = {
        "empty.csv": "empty", "empty.npy": "empty", "empty.txt": "empty", "odd.xyz": "ending", "cut.txt.gz": "cut short",
        "latin.txt": "byte 3", "single.png": "one image", "one.npy": "one item", "void": "no images.*a.csv", "iriss": "iris",
        "odd.xy": "odd.xyz",
    }  # fmt: skip
    for name, words in cases.items():
        with pytest.raises(DataError, match=words) as caught:
            load(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="Did you mean 'digits'"):
        load("digit")


def test_a_description_names_kind_shape_columns_and_licence(tmp_path):
    lines = "\n".join(describe("iris"))
    assert all(
        word in lines for word in ("table, 150 rows × 4 columns", "petal width (cm)", "setosa (50)", "CC BY 4.0", "sha256")
    )
    np.save(tmp_path / "a.npy", GREY)
    assert "6 items of 5×7" in describe(str(tmp_path / "a.npy"))[0]
