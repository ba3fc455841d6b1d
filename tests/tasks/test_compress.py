"""Compress: every sequential family gives back the very items, at the length its log_prob asks for."""

import numpy as np
import pandas as pd
import pytest
import torch

import genus
from genus import catalogue
from genus.capability import Density, Sequential
from genus.errors import DataError, RunError, UsageError
from genus.tasks.compress import _counted, _counts, compress, decompress, own_nats, usual_sizes

STEPS = {"steps": 3, "batch": 16, "warmup": 1}
TINY = {
    "made": STEPS | {"width": 16}, "anyorder": STEPS | {"width": 16}, "transformer": STEPS | {"size": "small"},
    "pixelcnn": STEPS | {"size": "small"}, "pixelrnn": STEPS | {"size": "small"}, "hmm": {"components": 2, "steps": 3},
    "nade": STEPS | {"width": 16},
}  # fmt: skip
RNG = np.random.default_rng(0)
DATA = {
    "images": RNG.integers(0, 17, (70, 4, 5)).astype(np.uint8),
    "colours": RNG.integers(0, 256, (40, 3, 2, 3)).astype(np.uint8),
    "binary": RNG.random((60, 4, 4)) < 0.3,
    "strings": ["".join(RNG.choice(list("abcde"), RNG.integers(1, 7))) for _ in range(50)],
    "running": "to be, or not to be, that is the question: " * 7,
    "labels": pd.DataFrame({"job": pd.Categorical(RNG.choice(["cook", "pilot"], 60)), "member": RNG.random(60) < 0.4}),
}


def same(a, b):
    if isinstance(a, pd.DataFrame):
        return a.equals(b)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return a == b


def sequential():
    return [name for name in catalogue.FAMILIES if issubclass(catalogue.family(name), Sequential)]


def test_every_sequential_family_is_tried():
    assert set(sequential()) <= set(TINY)


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("name", TINY)
def test_what_comes_back_is_what_was_given_at_the_length_of_its_nats(name, data):
    X = DATA[data]
    model = catalogue.family(name)(**TINY[name])
    try:
        model.fit(X)
    except DataError:
        pytest.skip("refused")
    if not model.space_.discrete:
        pytest.skip("seen as real")
    content = compress(model, X, batch=32)
    assert same(decompress(model, content)[0], X)
    bits = own_nats(model, X) / np.log(2)
    slack = 8 * 200 + 64 * 4 if data == "running" else 8 * 60 + 64 * 4
    assert bits < 8 * len(content) < 1.01 * bits + slack


def made(X=None, **fields):
    return catalogue.family("made")(**TINY["made"] | fields).fit(DATA["images"] if X is None else X)


def test_a_model_that_has_learnt_is_shorter_than_bz2_and_xz():
    digits = genus.load("digits").X
    model = catalogue.family("made")(steps=60, width=64, batch=64).fit(digits[:1400])
    size, usual = len(compress(model, digits[1400:])), usual_sizes(digits[1400:])
    assert size < min(usual["bz2 -9"], usual["xz -9e"])
    assert size < 1.02 * own_nats(model, digits[1400:]) / np.log(2) / 8
    assert len(compress(made(digits[:1400], steps=1), digits[1400:])) > size


def test_what_the_nats_promise_is_the_log_prob():
    model = made()
    assert isinstance(model, Density)
    assert own_nats(model, DATA["images"]) == pytest.approx(-model.log_prob(DATA["images"]).sum(), rel=1e-6)


def test_labels_a_model_was_conditioned_on_come_back():
    y = np.array([0, 3, 7])[RNG.integers(0, 3, 70)]
    model = catalogue.family("made")(**TINY["made"]).fit(DATA["images"], y)
    X, labels = decompress(model, compress(model, DATA["images"], y))
    assert same(X, DATA["images"])
    assert labels == y.tolist()
    with pytest.raises(UsageError, match="give y"):
        compress(model, DATA["images"])


def test_a_saved_model_reads_what_the_fitted_one_wrote(tmp_path):
    model = made()
    content = compress(model, DATA["images"])
    model.save(tmp_path)
    again = genus.Model.load(tmp_path)
    assert same(decompress(again, content)[0], DATA["images"])
    assert compress(again, DATA["images"]) == content


def test_another_model_damage_and_foreign_files_get_one_sentence():
    model = made()
    content = compress(model, DATA["images"])
    with pytest.raises(RunError, match="another model"):
        decompress(made(seed=1), content)
    for broken in (content[:-3], content[:-1] + bytes([content[-1] ^ 1])):
        with pytest.raises(RunError, match="damaged"):
            decompress(model, broken)
    with pytest.raises(RunError, match="genus compress"):
        decompress(model, b"PK nothing of ours, but long enough to hold a head of forty bytes")


def test_a_machine_that_rounds_otherwise_is_told_and_gives_nothing(monkeypatch):
    model = made()
    content = compress(model, DATA["images"])
    cls, unfold = type(model), type(model)._unfold

    def shaken(self, n, y):
        items, order = unfold(self, n, y)
        logits = items.logits
        items.logits = lambda step: logits(step) + (step == 7) * 1e-2 * (torch.arange(17) % 2)
        return items, order

    monkeypatch.setattr(cls, "_unfold", shaken)
    with pytest.raises(RunError, match="rounds the model's probabilities"):
        decompress(model, content)


def test_what_cannot_be_kept_is_refused_in_a_sentence():
    frame = DATA["labels"].assign(age=RNG.normal(40, 10, 60))
    with pytest.raises(DataError, match="'age'"):
        compress(made(frame), frame)
    with pytest.raises(UsageError, match="entry by entry"):
        compress(catalogue.family("vae")(**STEPS, size="small").fit(DATA["images"]), DATA["images"])


def test_the_counts_of_a_file_are_as_short_as_their_numbers():
    numbers = [0, 127, 128, 300_000, 2**40]
    written = _counted(numbers)
    assert len(written) == 1 + 1 + 2 + 3 + 6
    assert _counts(b"x" + written + b"y", 1, 5) == (numbers, 1 + len(written))
