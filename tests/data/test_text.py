"""Text: packed and back as it came, windows counted once when scored, prefixes kept."""

import time

import numpy as np
import pytest
import torch

from genus.data.load import load
from genus.data.read_text import written
from genus.data.split import split_off
from genus.data.text import HOLE, TextCodec
from genus.errors import DataError, UsageError

ITEMS = ["naïve", "", "a", "日本語 text", "x\ny"]
RUNNING = "to be, or not to be: that is the question. " * 10


@pytest.mark.parametrize("unit", ["character", "byte"])
def test_items_come_back(unit):
    codec = TextCodec(unit).fit(ITEMS)
    (view,) = codec.views()
    x = codec.pack(ITEMS, view)
    assert x.shape == (5, codec.length_) == (5, view.shape[0])
    assert (x[:, -1] == view.end).all()
    assert codec.unpack(x, view) == ITEMS


@pytest.mark.parametrize("unit", ["character", "byte"])
def test_scoring_counts_each_character_once_and_training_sees_every_window(unit):
    codec = TextCodec(unit).fit(RUNNING)
    (view,) = codec.views()
    scored, trained = codec.pack(RUNNING, view), codec.pack_fit(RUNNING, view)
    assert RUNNING.startswith("".join(codec.unpack(scored, view)))
    assert len(RUNNING) - len(scored) * codec.length_ < codec.length_
    assert len(trained) == len(RUNNING) - codec.length_ + 1
    assert trained.untyped_storage().nbytes() == 8 * len(RUNNING)
    assert codec.unpack(trained[3:4], view) == [RUNNING[3 : 3 + codec.length_]]


def test_an_unknown_character_is_named_with_its_place():
    codec = TextCodec().fit(["abc", "de"])
    with pytest.raises(DataError, match="'z' \\(item 1, position 1\\)"):
        codec.pack(["ab", "az"], codec.views()[0])
    assert len(TextCodec("byte").fit(["abc", "de"]).pack(["z"], codec.views()[0])) == 1


def test_a_million_characters_take_a_fraction_of_a_second():
    text = load("shakespeare").X
    start = time.process_time()
    codec = TextCodec().fit(text)
    codec.pack_fit(text, codec.views()[0])
    assert time.process_time() - start < 0.3


def test_a_prefix_is_known_and_the_rest_is_not():
    codec = TextCodec().fit(["anna", "bob"])
    (view,) = codec.views()
    X = codec.template(2, {"prefix": "an"})
    x, known = codec.known(X, view)
    assert known.tolist() == [[True, True, False, False, False]] * 2
    assert codec.unpack(x, view)[0].startswith("an")
    assert codec.merge(X, ["anbo", "an"], view) == ["anbo", "an"]
    with pytest.raises(UsageError, match="prefix"):
        codec.template(1, {"suffix": "a"})


def test_holes_are_filled_and_everything_else_is_kept():
    codec = TextCodec().fit(["anna", "bob"])
    (view,) = codec.views()
    X = ["a" + HOLE + "n", None]
    _, known = codec.known(X, view)
    assert known.tolist() == [[True, False, True, True, True], [False] * 5]
    assert codec.merge(X, ["bbb", "bo"], view) == ["abn", "bo"]


def test_too_long_and_too_short_are_refused():
    codec = TextCodec().fit(["ab", "b"])
    with pytest.raises(DataError, match="Item 1 has 3"):
        codec.pack(["a", "bab"], codec.views()[0])
    running = TextCodec().fit("abcabcabcabc")
    with pytest.raises(DataError, match="fewer than one window"):
        running.pack("ab", running.views()[0])
    for nothing in ("", ["", ""], ["one"]):
        with pytest.raises(DataError):
            TextCodec().fit(nothing)


def test_files_are_understood_as_items_or_as_one_text(tmp_path):
    names = [f"name{i}" for i in range(20)]
    verse = "Now is the winter of our discontent\nMade glorious summer\n\nby this sun of York.\n" * 5
    for content, expected in (("\n".join(names), names), ("\r\n".join(names) + "\r\n", names), (verse, verse)):
        (tmp_path / "a.txt").write_bytes(content.encode())
        assert expected == load(tmp_path / "a.txt").X
    (tmp_path / "a.txt").write_text("\n".join(names))
    assert "\n".join(names) == load(tmp_path / "a.txt", kind="text").X
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    assert load(tmp_path / "a.txt", kind="lines").X == ["one", "two"]


@pytest.mark.parametrize("items", [["a\nb", "", "c"], ["x", "\n\n", "y "], ["ab", "cd"]])
def test_written_items_read_back(tmp_path, items):
    (tmp_path / "a.txt").write_bytes(written(items).encode())
    assert items == load(tmp_path / "a.txt", kind="lines").X


def test_padding_is_never_a_character():
    codec = TextCodec().fit(["ab", "b"])
    assert codec.unpack(torch.tensor([[2, 0, 0], [0, 2, 1]]), codec.views()[0]) == ["", "a"]
    assert np.all(np.asarray(codec.pack(["", "a"], codec.views()[0])) == [[2, 2, 2], [0, 2, 2]])


@pytest.mark.parametrize("n", [900, 1000, 1400, 2000, 2900, 4000])
def test_a_running_text_of_any_length_holds_a_window_in_what_is_held_out(n):
    text = ("the cat sat on the mat. " * 200)[:n]
    kept, _, held = split_off(text, None, seed=0)
    codec = TextCodec().fit(kept)
    view = codec.views()[0]
    assert len(codec.pack(kept, view)) >= 2
    assert held is None or len(codec.pack(held[0], view)) >= 1
