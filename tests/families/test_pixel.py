"""Pixels: what is remembered is what one pass computes, no pixel sees itself or what follows, probabilities sum to one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from genus import PixelCNN, PixelRNN
from genus.errors import UsageError
from genus.nets.pixel import Body
from genus.nets.pixelcnn import BLOCKS, Stack
from genus.nets.pixelrnn import RecurrentStack, Sweep, by_diagonals, by_rows, lstm
from genus.nets.raster import Drawing, Naive, Raster, image_shape, input_channels
from genus.space import Items, Space

KINDS = {
    "binary": Space("binary", (1, 6, 5), 2),
    "grey": Space("levels", (1, 4, 5), 256),
    "colour": Space("levels", (3, 3, 4), 256),
    "categories": Space("category", (2, 4, 4), 5),
    "vector": Space("levels", (6,), 8),
}
BODIES = [*BLOCKS, "row", "diagonal"]


def net_of(body: str, space: Space, condition: int = 0) -> Raster:
    """A small net with weights of size one, so that no path through it is dead."""
    torch.manual_seed(0)
    given = {"width": 8, "depth": 2, "condition": condition}
    make = Stack if body in BLOCKS else RecurrentStack
    made: Body = make(body, input_channels(space), image_shape(space)[1:], **given)
    net = Raster(space, made, mixture=body == "mixture", inner=8).eval()
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.2 * torch.randn_like(p))
    return net


def items_of(space: Space, n: int) -> torch.Tensor:
    return torch.randint(space.levels, (n, space.size), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("kind", KINDS)
def test_steps_that_remember_give_the_conditionals_of_one_pass(body, kind):
    space, y = KINDS[kind], torch.randn(3, 2, generator=torch.Generator().manual_seed(2))
    net, x = net_of(body, space, condition=2), items_of(space, 3)
    drawing, total = Drawing(net, x.clone(), y), torch.zeros(3)
    with torch.no_grad():
        for step, cell in enumerate(net.order()):
            logits = drawing.logits(step).log_softmax(1)
            total += logits.gather(1, x[:, cell, None])[:, 0]
            drawing.put(step, x[:, cell])
        torch.testing.assert_close(total, net(x.view(-1, *space.shape), y), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("body", BODIES)
def test_a_pixel_is_told_by_all_before_it_and_none_after(body):
    """Plain convolutions have their blind spot and a row LSTM its triangle: there some pixels before are not seen either."""
    net = net_of(body, KINDS["binary"])
    x = torch.randn(1, 1, 6, 5, requires_grad=True)
    with torch.enable_grad():
        features = net.body(x, None)
        for at in (0, 7, 13, 29):
            (slope,) = torch.autograd.grad(features[0, :, at // 5, at % 5].sum(), x, retain_graph=True)
            seen = slope.flatten() != 0
            assert not seen[at:].any()
            if body not in ("plain", "row"):
                assert seen[:at].all()


@pytest.mark.parametrize("body", BODIES)
def test_the_same_seed_draws_the_same_pixels_with_and_without_memory(body):
    net = net_of(body, KINDS["binary"])
    drawn = []
    for way in (True, False):
        torch.manual_seed(3)
        with torch.no_grad():
            drawn.append(net.complete(torch.zeros(8, 1, 6, 5, dtype=torch.uint8), cached=way))
    assert torch.equal(*drawn)
    assert 0.1 < float(drawn[0].float().mean()) < 0.9


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("space", [Space("binary", (1, 2, 3), 2), Space("levels", (2, 1, 2), 3), Space("levels", (1, 1, 1), 300)])
def test_probabilities_of_all_images_sum_to_one(body, space):
    net = net_of(body, space)
    every = torch.tensor(list(itertools.product(range(space.levels), repeat=space.size)))
    with torch.no_grad():
        assert float(net(every.view(-1, *space.shape)).double().exp().sum()) == pytest.approx(1.0, abs=2e-5)


@pytest.mark.parametrize(("height", "width", "diagonal"), [(4, 3, True), (3, 5, True), (3, 4, False)])
def test_the_sweep_and_its_gradient_are_those_of_an_lstm_step_by_step(height, width, diagonal):
    path, order = (by_diagonals if diagonal else by_rows)(height, width)
    lines, taps = (height, (0, -1)) if diagonal else (width, (-1, 0, 1))
    assert sorted(order.tolist()) == list(range(height * width))
    torch.manual_seed(0)
    inputs = torch.randn(12, height * width, 2, requires_grad=True)
    weight, mix = torch.randn(12, len(taps) * 3, requires_grad=True), torch.randn(3, height * width, 2)
    with torch.enable_grad():
        fast, slow = Sweep.apply(inputs, weight, lines, path, taps), _slowly(inputs, weight, lines, path, taps)
        torch.testing.assert_close(fast, slow)
        for a, b in zip(*(torch.autograd.grad((h * mix).sum(), [inputs, weight]) for h in (fast, slow)), strict=True):
            torch.testing.assert_close(a, b)


def _slowly(inputs, weight, lines, path, taps):
    zero = torch.zeros(2, 3)
    h, c, out = [zero] * lines, [zero] * lines, []
    for low, high in path:
        before = list(h)
        for line in range(low, high):
            near = torch.cat([before[line + t] if 0 <= line + t < lines else zero for t in taps], 1)
            h[line], c[line] = lstm(inputs[:, len(out)].T + near @ weight.T, c[line])
            out.append(h[line])
    return torch.stack(out).permute(2, 0, 1)


def _copies(n: int, seed: int) -> np.ndarray:
    """Images whose lower half repeats the upper one."""
    top = np.random.default_rng(seed).random((n, 2, 4)) < 0.5
    return np.concatenate([top, top], 1)


@pytest.mark.parametrize("family", [PixelCNN, PixelRNN])
def test_a_copy_is_learnt_and_completed(family):
    """log p of an image whose lower half repeats the upper is 8 log ½; untrained it is 16 log ½."""
    model = family(size="small", steps=250, batch=64, lr=1e-2, ema=0.98, particles=64).fit(_copies(600, 0))
    assert model.log_prob(_copies(200, 1)).mean() == pytest.approx(8 * np.log(0.5), abs=0.5)
    drawn = model.sample(200, seed=0)
    assert (drawn[:, 2:] == drawn[:, :2]).mean() > 0.95
    whole = _copies(40, 2)
    for first in (0, 2):  # what is hidden is told by what follows, and by what went before
        mask = np.zeros(whole.shape, bool)
        mask[:, first] = True
        filled = np.asarray(model.complete(np.ma.masked_array(whole, mask=mask), seed=1))
        assert (filled == whole)[~mask].all()
        assert (filled == whole)[mask].mean() > 0.93


@pytest.mark.parametrize("family", [PixelCNN, PixelRNN])
def test_constant_pixels_and_images_all_equal_are_learnt_and_drawn(family):
    images = np.zeros((50, 4, 4), np.uint8)
    images[:, 1] = 255
    model = family(size="small", steps=150, batch=32, lr=1e-2, ema=0.9).fit(images)
    assert np.isfinite(model.log_prob(images)).all()
    drawn = model.sample(20, seed=0).astype(int)
    assert np.abs(drawn - images[0]).mean() < 20


@pytest.mark.parametrize("family", [PixelCNN, PixelRNN])
def test_the_condition_changes_what_is_drawn(family):
    y = np.arange(200) % 2
    images = np.zeros((200, 4, 4), bool) | (y[:, None, None] == 1)
    model = family(size="small", steps=100, batch=32, lr=1e-2, ema=0.9).fit(images, y)
    assert model.sample(20, y=1, seed=0).mean() > 0.9
    assert model.sample(20, y=0, seed=0).mean() < 0.1


def test_codes_are_taken_as_packed_items():
    space = Space("category", (1, 3, 3), levels=6)
    codes = torch.arange(6).repeat(20)[:, None, None, None].expand(-1, 1, 3, 3).to(space.dtype)
    model = PixelCNN(size="small", steps=200, batch=32, lr=1e-2, ema=0.9).fit(Items(codes, space))
    with torch.no_grad():
        drawn = model._sample(30, None)
        assert drawn.dtype == space.dtype
        assert (drawn == drawn[:, :, :1, :1]).float().mean() > 0.9
        assert float(model._log_prob(codes, None).mean()) == pytest.approx(np.log(1 / 6), abs=0.5)


def test_few_ordered_levels_by_logistics_only_where_asked():
    space = KINDS["vector"]
    assert type(net_of("mixture", space).head).__name__ == "LogisticMixture"
    assert type(net_of("gated", space).head).__name__ == "Softmax"
    assert type(net_of("gated", KINDS["grey"]).head).__name__ == "LogisticMixture"
    assert type(net_of("mixture", KINDS["categories"]).head).__name__ == "Softmax"


def test_a_naive_drawing_is_blind_to_what_is_not_drawn_yet():
    net, x = net_of("gated", KINDS["binary"]), items_of(KINDS["binary"], 2)
    other = x.clone()
    other[:, 12:] = 1 - other[:, 12:]
    with torch.no_grad():
        assert torch.equal(Naive(net, x, None).logits(12), Naive(net, other, None).logits(12))


@pytest.mark.parametrize("wrong", [{"variant": "deep"}, {"width": 0}, {"temperature": 0.0}, {"reach": 0}])
def test_what_cannot_work_is_told_in_one_sentence(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        PixelCNN(**wrong).fit(_copies(20, 0))
    if "variant" in wrong:
        with pytest.raises(UsageError, match="rows"):
            PixelRNN(rows="column").fit(_copies(20, 0))
