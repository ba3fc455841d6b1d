"""A condition that is text: read symbol by symbol by the transformer, as a bag of words by everybody else."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from genus import VAE, Transformer
from genus.data.condition import Condition
from genus.errors import DataError

TINY: Any = {"width": 32, "depth": 1, "heads": 2, "batch": 64, "lr": 6e-3, "top_k": 1}


def pairs(n: int, seed: int = 0) -> tuple[list[str], list[str]]:
    rng = np.random.default_rng(seed)
    source = ["".join(rng.choice(list("0123"), rng.integers(2, 5))) for _ in range(n)]
    return source, [s[::-1] for s in source]


def reversing(steps: int) -> Any:
    source, target = pairs(1500)
    y = pd.Series(source, name="source")
    y.attrs["kinds"] = {"source": "text"}  # so few different ones would be labels
    return Transformer(steps=steps, **TINY).fit(target, y)


@pytest.fixture(scope="module")
def reverser() -> Any:
    return reversing(250)


def test_it_learns_to_reverse_what_an_untrained_twin_cannot(reverser):
    source, target = pairs(200, 1)
    drawn = [model.sample(200, source, seed=0) for model in (reverser, reversing(1))]
    right = [np.mean([a == b for a, b in zip(texts, target, strict=True)]) for texts in drawn]
    assert right[0] > 0.9 > 0.3 > right[1]


def test_reading_from_the_cache_agrees_with_one_pass(reverser):
    texts = ["3210"]
    log_p = reverser.log_prob(texts, ["0123"])
    assert log_p[0] > np.log(0.5)
    x, y = reverser._packed(["12", "3210"], ["21", "0123"])
    with torch.no_grad():
        whole = reverser.net_(x, y)
        place = reverser.net_.begin(2)
        steps = torch.stack([reverser.net_.read(place, x, i + 1, y) for i in range(x.shape[1])], 1)
    torch.testing.assert_close(steps, whole, atol=1e-4, rtol=1e-4)


def test_padding_of_the_source_changes_nothing(reverser):
    encoder = reverser.net_.listener.encoder
    short, long = torch.tensor([[1.0, 2.0, 0.0, 0.0]]), torch.tensor([[1.0, 2.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0]])
    torch.testing.assert_close(encoder(short)[0][0, :2], encoder(long)[0][0, :2])
    with torch.no_grad():
        encoder.symbols[0].weight[0] += 5.0
        moved = encoder(short)[0][0, :2]
        encoder.symbols[0].weight[0] -= 5.0
    torch.testing.assert_close(moved, encoder(short)[0][0, :2])


def test_it_survives_its_file(reverser, tmp_path):
    reverser.save(tmp_path)
    again: Any = Transformer.load(tmp_path)
    assert again.sample(5, ["01", "12", "23", "330", "0123"], seed=0) == reverser.sample(
        5, ["01", "12", "23", "330", "0123"], seed=0
    )


@pytest.mark.parametrize(
    ("source", "says"), [("01230123", "model reads 4"), ("01x", "'x' .condition 'source', row 0"), ("", "is empty")]
)
def test_a_source_that_cannot_be_read_is_refused_in_one_sentence(reverser, source, says):
    with pytest.raises(DataError, match=says):
        reverser.sample(1, [source])


def test_sentences_are_text_and_classes_are_labels():
    words = ["red", "blue", "green", "big", "small"]
    captions = [f"a {a} {b} thing" for a in words for b in words]
    assert Condition(reads=True).fit(captions).sequences
    assert Condition(reads=True).fit(["red", "blue"] * 20).sequences == ()
    frame = pd.DataFrame({"word": ["red", "blue"] * 20})
    frame.attrs["kinds"] = {"word": "text"}
    assert Condition(reads=True).fit(frame).sequences == ((0, 4, 7),)


def test_other_families_get_the_bag_of_words_and_the_condition_matters():
    captions = [f"the left is {a} and right {b}" for a in ("dark", "light") for b in ("dim", "bright", "grey") for _ in range(30)]
    captions += [f"{c} number {i}" for i, c in enumerate(captions[:20])]
    x = np.array([["light" in c, "bright" in c] * 2 for c in captions])
    model: Any = VAE(steps=150, size="small", latent=2, kl_warmup=0, lr=5e-3).fit(x, captions)
    assert model.sample(100, "the left is light and right dim", seed=0)[:, 0].mean() > 0.9
    assert model.sample(100, "right grey, left dark", seed=0)[:, 0].mean() < 0.1
    with pytest.raises(DataError, match="no word of the training"):
        model.sample(1, "zebra")


@pytest.mark.parametrize("conditional", [False, True])
def test_a_packed_batch_has_the_loss_and_gradient_of_a_padded_one(conditional, monkeypatch):
    source, target = ([text.translate(str.maketrans("0123", "abcd")) for text in texts] for texts in pairs(60))
    target = [text * (1 + 3 * (i % 2)) for i, text in enumerate(target)]
    told = pd.Series(source, name="source") if conditional else None
    if told is not None:
        told.attrs["kinds"] = {"source": "text"}
    model = Transformer(steps=3, precision="f32", **TINY).fit(target, told)
    x, y = model._packed(target, told)
    torch.manual_seed(0)
    with torch.no_grad():
        for part in model.net_.parameters():
            part.add_(0.05 * torch.randn_like(part))
    weights, found = [part for part in model.net_.parameters() if part.numel()], []
    for full in (0.0, 2.0):
        monkeypatch.setattr("genus.families.transformer.FULL", full)
        loss = model._loss(x, y)
        found.append((loss.detach(), torch.autograd.grad(loss.sum(), weights)))
    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-4, rtol=1e-5)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)
