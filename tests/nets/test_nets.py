"""Nets keep shapes for every Space and size, and a condition changes what they say."""

import pytest
import torch

from genus.errors import DataError, UsageError
from genus.nets.conv import ConvDecoder, ConvEncoder
from genus.nets.critic import Critic, deviation
from genus.nets.default import decoder_for, encoder_for
from genus.nets.dropout import Dropout
from genus.nets.generator import generator_for
from genus.nets.heads import Logistics, head_for
from genus.nets.mlp import MLP
from genus.space import Record, Space

TABLE = Record((("a", Space("levels", (), 5)), ("b", Space("category", (), 3, missing=2)), ("c", Space("binary", (), 2))))
SPACES = {
    "binary image": Space("binary", (1, 8, 8), 2),
    "grey image": Space("levels", (1, 9, 13), 17),
    "colour image": Space("levels", (3, 20, 17), 256),
    "four channels": Space("real", (4, 64, 64), bounds=(-1.0, 1.0)),
    "thin image": Space("real", (1, 2, 30)),
    "vector": Space("real", (5,)),
    "levels": Space("levels", (6,), 40),
    "categories": Space("category", (4,), 7),
    "record": TABLE,
}


def item(space, n=3):
    if isinstance(space, Record):
        return torch.stack([torch.randint(cell.levels, (n,)) for _, cell in space.fields], 1)
    if space.kind == "real":
        return torch.rand(n, *space.shape)
    return torch.randint(space.levels, (n, *space.shape)).to(space.dtype)


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("size", ["small", "base"])
def test_default_nets_read_and_write_items_of_every_space(name, size):
    space, y = SPACES[name], torch.rand(3, 2)
    head, x = head_for(space), item(space)
    encoder = encoder_for(space, 4, size=size, condition=2)
    decoder = decoder_for(space, 4, head.raw, size=size, condition=2)
    code = encoder(x, y)
    raw = decoder(code, y)
    assert code.shape == (3, 4)
    assert raw.shape == (3, *head.raw)
    assert head.log_prob(raw, x).shape == (3,)
    for drawn in (head.sample(raw), head.mode(raw)):
        assert drawn.shape == x.shape
        assert drawn.dtype == space.dtype
    assert not torch.allclose(raw, decoder(code, y + 1))
    assert not torch.allclose(code, encoder(x, y + 1))


@pytest.mark.parametrize("height", [4, 5, 7, 8, 11, 16, 17, 28])
@pytest.mark.parametrize("width", [4, 9, 30])
def test_images_of_any_height_and_width_pass(height, width):
    z = ConvEncoder((2, height, width), 5, channels=8)(torch.zeros(2, 2, height, width))
    assert ConvDecoder(5, (3, height, width), channels=8)(z).shape == (2, 3, height, width)


def test_a_dropped_condition_is_an_option_of_the_mlp():
    net = MLP(3, 2, width=16, condition=4, norm="layer", dropout=0.1, activation="gelu").eval()
    x, y = torch.randn(5, 3), torch.randn(5, 4)
    assert net(x, y).shape == (5, 2)
    assert not torch.allclose(net(x, y), net(x))


def test_wrong_names_are_answered_with_the_right_ones():
    with pytest.raises(UsageError, match="silu"):
        MLP(2, 2, activation="sily")
    with pytest.raises(UsageError, match="layer"):
        MLP(2, 2, norm="group")
    with pytest.raises(DataError, match="sequences"):
        head_for(Space("tokens", (9,), 4))


@pytest.mark.parametrize("levels", [2, 33, 256])
def test_discretised_logistics_sum_to_one(levels):
    head = Logistics(Space("levels", (1,), levels))
    raw = 3 * torch.randn(64, *head.raw, dtype=torch.float64)
    total = sum(head.log_prob(raw, torch.full((64, 1), v)).exp() for v in range(levels))
    torch.testing.assert_close(total, torch.ones(64, dtype=torch.float64), atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", ["binary image", "grey image", "colour image"])
def test_draws_occur_as_often_as_their_probability(name):
    space = Space(SPACES[name].kind, (1,), SPACES[name].levels)
    head = head_for(space)
    raw = torch.randn(1, *head.raw)
    p = torch.cat([head.log_prob(raw, torch.tensor([[v]])).exp() for v in range(space.levels)])
    torch.manual_seed(0)
    drawn = head.sample(raw.expand(20000, *head.raw)).long()[:, 0]
    assert (torch.bincount(drawn, minlength=space.levels) / 20000 - p).abs().max() < 0.02
    assert abs(float(p.sum()) - 1) < 1e-4


def test_cells_of_a_record_are_distributions_of_their_own():
    head = head_for(TABLE)
    raw = torch.randn(1, *head.raw)
    table = head.table(raw)[0].exp()
    assert torch.allclose(table.sum(1), torch.ones(3))
    assert bool((table[1, 3:] == 0).all())
    drawn = head.sample(raw.expand(500, -1))
    assert drawn.max(0).values.tolist() <= [4, 2, 1]
    by_hand = table[0, 4] * table[1, 2] * table[2, 0]
    assert torch.allclose(head.log_prob(raw, torch.tensor([[4, 2, 0]])).exp(), by_hand[None])


def test_a_temperature_of_zero_is_the_mode_and_a_low_one_varies_less():
    head = head_for(Space("real", (3,)))
    raw = torch.randn(1, *head.raw).expand(2000, -1, -1)
    cool, warm = head.sample(raw, 0.3).std(0), head.sample(raw, 1.0).std(0)
    assert bool((head.sample(raw, 0.0) == head.moments(raw)[0]).all())
    assert torch.allclose(cool, 0.3 * warm, rtol=0.15)


def test_the_critic_sees_a_collapse_through_the_deviation():
    varied, same = torch.randn(16, 5), torch.randn(1, 5).expand(16, 5)
    assert deviation(varied).shape == (16, 1)
    assert float(deviation(same).max()) < 1e-3 < float(deviation(varied).min())
    assert deviation(torch.randn(5, 4)).shape == (5, 1)


def test_the_critic_projects_the_condition():
    critic = Critic(Space("real", (2,)), size="small", condition=3)
    x, y = torch.randn(8, 2), torch.eye(3)[torch.arange(8) % 3]
    assert critic(x, y).shape == (8,)
    assert not torch.allclose(critic(x, y), critic(x, y.flip(1)))


def test_a_generator_makes_items_of_its_space():
    for space in (Space("real", (2,)), Space("real", (3, 9, 8), bounds=(-1.0, 1.0))):
        assert generator_for(space, 6, size="small")(torch.randn(4, 6)).shape == (4, *space.shape)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(p):
    torch.manual_seed(0)
    drop, x = Dropout(p), torch.ones(400, 501, requires_grad=True)
    out = drop(x)
    assert abs(float((out == 0).float().mean()) - p) < 0.005
    assert abs(float(out.detach().mean()) - 1) < 0.02 / (1 - p)
    assert len(out.detach().unique()) == 2
    out.sum().backward()
    assert torch.equal(x.grad, out.detach())
    assert torch.equal(drop.eval()(x), x)


def test_dropout_keeps_layout_and_type():
    x = torch.ones(2, 3, 5, 7, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
    out = Dropout(0.5)(x)
    assert out.stride() == x.stride()
    assert out.dtype == x.dtype
    alone = torch.func.vmap(Dropout(0.5), randomness="different")(torch.ones(8, 500))
    assert not torch.equal(alone[0], alone[1])
