"""Files are whole or absent, and a hostile or damaged one is refused in one sentence."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genus import store
from genus.errors import RunError

SOUND = store.pack_tensors({"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.int64)})

ENTRY = b'{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'


def _file(header: bytes, numbers: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + numbers


def test_tensors_come_back_though_views_shared_and_not_contiguous():
    base = torch.arange(12.0).reshape(3, 4)
    given = {"whole": base, "part": base[1:], "turned": base.T, "every": torch.zeros(3).expand(2, 3), "none": torch.zeros(0)}
    back = store.unpack_tensors(store.pack_tensors(given), "x")
    assert all(torch.equal(back[name], t) and back[name].dtype == t.dtype for name, t in given.items())


def test_values_of_every_kind_come_back():
    value = {
        "n": None, 3: [1.5, float("inf"), True], "t": (1, ("a",)), "x": torch.ones(2), "z": np.arange(3, dtype=np.int8),
        "s": np.array(["u", None], dtype=object), "d": np.array(["2020-01-02"], dtype="datetime64[s]"), (1, 2): np.float32(0.5),
    }  # fmt: skip
    tensors: dict[str, torch.Tensor] = {}
    body = store.from_json(store.to_json(store.freeze(value, tensors, "v")), "v")
    back = store.thaw(body, store.unpack_tensors(store.pack_tensors(tensors), "v"))
    assert list(back) == list(value)
    assert back["t"] == (1, ("a",))
    assert back["z"].dtype == np.int8
    assert back["d"] == value["d"]
    assert list(back["s"]) == ["u", None]
    assert torch.equal(back["x"], value["x"])


def test_what_has_no_place_in_a_file_is_named():
    with pytest.raises(TypeError, match="a set"):
        store.freeze({"k": {1}}, {}, "v")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "cut short"),
        (SOUND[:-1], "bytes of numbers"),
        (SOUND + b"more", "bytes of numbers"),
        (SOUND[:20], "cut short"),
        (struct.pack("<Q", 11 * 2**20) + b" " * 100, "over the limit of 10 MB"),
        (_file(b" " * (10 * 2**20 + 1)), "over the limit of 10 MB"),
        (_file(b'{"a":' + ENTRY + b',"a":' + ENTRY + b"}", b"1"), "twice"),
        (_file(json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}}).encode(), b"1234"), "not a sound"),
        (_file(b"not json"), "not a sound"),
        (_file(b"[]"), "not a sound"),
    ],
)  # fmt: skip
def test_an_unsound_file_is_refused_by_name(content, why):
    with pytest.raises(RunError, match=rf"(?s)model\.safetensors.*{why}"):
        store.unpack_tensors(content, "model.safetensors")


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(SOUND) - 1), st.integers(1, 255), st.integers(0, len(SOUND)))
def test_damage_raises_only_what_is_declared(place, change, length):
    content = bytearray(SOUND)
    content[place] ^= change
    for damaged in (bytes(content), SOUND[:length]):
        try:
            store.unpack_tensors(damaged, "x")
        except RunError:
            continue
    assert store.digest(bytes(content)) != store.digest(SOUND)


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "f"
    store.write(path, b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(RunError, match="No space"):
        store.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RunError, match="Cannot write"):
        store.write(tmp_path / "file" / "below", b"x")
