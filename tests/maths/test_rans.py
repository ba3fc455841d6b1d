"""rANS: what is written is read, at the length its probabilities ask for, and nothing else is read as if it were whole."""

import numpy as np
import pytest
import torch

from genus.maths.rans import Decoder, encode, interval, lanes_for, nats, quantise


def message(n=700, steps=40, levels=17, seed=0, sharpness=2.0):
    """(bounds of each step, symbols of each step) drawn from the bounds' own probabilities."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(steps, n, levels, generator=generator) * sharpness
    bounds = [quantise(step) for step in logits]
    slots = np.random.default_rng(seed).integers(0, 1 << 24, (steps, n))
    return bounds, [(b[:, 1:] <= s[:, None]).sum(1) for b, s in zip(bounds, slots, strict=True)]


@pytest.mark.parametrize("lanes", [1, 3, 64, 700, 1000])
def test_what_is_written_is_read_whatever_the_lanes(lanes):
    bounds, symbols = message(n=700 if lanes > 1 else 60)
    intervals = [interval(b, s) for b, s in zip(bounds, symbols, strict=True)]
    content = encode(intervals, lanes)
    decoder = Decoder(content, lanes)
    assert all(np.array_equal(decoder.read(b), s) for b, s in zip(bounds, symbols, strict=True))
    assert decoder.finished
    cost = nats(intervals) / np.log(2)
    assert cost < 8 * len(content) < cost + 64 * lanes + 32


def test_every_level_can_be_written_and_the_probabilities_are_kept():
    logits = torch.tensor([[0.0, -torch.inf, 3.0, -200.0], [0.0, 0.0, 0.0, 0.0]])
    frequency = np.diff(quantise(logits).astype(np.int64))
    assert frequency.min() >= 1
    assert (frequency.sum(1) == 1 << 24).all()
    assert np.allclose(frequency / (1 << 24), logits.softmax(1), atol=1e-6)
    rare = interval(quantise(logits[:1]), np.array([1]))
    assert np.array_equal(Decoder(encode([rare] * 9, 1), 1).read(quantise(logits[:1])), [1])


def test_a_sure_symbol_costs_nothing():
    sure = quantise(torch.tensor([[50.0, 0.0, 0.0]]).repeat(100, 1))
    assert len(encode([interval(sure, np.zeros(100, dtype=int))] * 100, 1)) == 8


def test_a_code_cut_short_is_noticed():
    bounds, symbols = message(n=50)
    content = encode([interval(b, s) for b, s in zip(bounds, symbols, strict=True)], 4)
    decoder = Decoder(content[:-40], 4)
    with pytest.raises(ValueError, match="cut short"):
        list(map(decoder.read, bounds))
    with pytest.raises(ValueError, match="cut short"):
        Decoder(content[:8], 4)


def test_other_probabilities_read_something_else():
    bounds, symbols = message(n=50)
    content = encode([interval(b, s) for b, s in zip(bounds, symbols, strict=True)], 4)
    decoder, other = Decoder(content, 4), message(n=50, seed=1)[0]
    with pytest.raises((AssertionError, ValueError)):
        assert all(np.array_equal(decoder.read(b), s) for b, s in zip(other, symbols, strict=True))


def test_lanes_are_few_where_the_message_is_short():
    assert lanes_for(10.0, 512) == 1
    assert lanes_for(1e9, 512) == 512
    assert 64 * lanes_for(3e5, 512) < 0.01 * 3e5 / np.log(2)


def test_a_level_too_many_is_refused():
    with pytest.raises(ValueError, match="too many"):
        quantise(torch.zeros(1, 1 << 22))
