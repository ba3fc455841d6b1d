"""How a Transformer draws: cuts and penalties, the beam, the cache, and batches that give each item what it gets alone."""

from __future__ import annotations

import itertools

import pytest
import torch

from genus.errors import UsageError
from genus.families.transformer import Transformer
from genus.nets.ancestral import Ancestral
from genus.nets.beam import beam
from genus.nets.decode import discouraged, kept
from genus.space import Space

TEXT = Space("tokens", (4,), 3, end=2)
RUNNING = Space("tokens", (6,), 5)


def model(space: Space, **fields) -> Transformer:
    """A Transformer of random weights, far from uniform."""
    out = Transformer(width=16, depth=2, heads=2, **fields)
    out.space_, out.condition_ = space, None
    torch.manual_seed(0)
    out._build()
    with torch.no_grad():
        for p in out.net_.parameters():
            p += 0.7 * torch.randn(p.shape)
    out.net_.eval()
    return out


def every(space: Space) -> torch.Tensor:
    """All items, each closed once."""
    rows = list(itertools.product(range(space.levels), repeat=space.size))
    if space.end is not None:
        rows = [r for r in rows if all(b == space.end for a, b in itertools.pairwise(r) if a == space.end)]
    return torch.tensor(rows)


def test_min_p_keeps_what_is_near_the_likeliest():
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    assert kept(logits, min_p=0.31).isfinite().tolist() == [[True, True, False, False]]
    assert kept(logits, min_p=0.0).isfinite().all()
    assert kept(logits, top_k=3, top_p=0.9, min_p=0.59).isfinite().tolist() == [[True, True, False, False]]


def test_the_penalty_lowers_what_came_before_and_nothing_else():
    logits = torch.tensor([[2.0, -2.0, 1.0]])
    assert discouraged(logits, torch.tensor([[0, 1, 0]]), 2.0).tolist() == [[1.0, -4.0, 1.0]]
    m = model(RUNNING, repetition_penalty=1e9, top_k=1)
    with torch.no_grad():
        once = m._sample(5, None)[:, :4]
    assert all(len(set(row)) >= 3 for row in once.tolist())


@pytest.mark.parametrize("space", [TEXT, RUNNING], ids=["text", "running"])
@torch.no_grad()
def test_a_beam_as_wide_as_the_space_finds_the_mode_and_says_its_probability(space):
    m = model(space)
    rows = every(space)
    p = m._log_prob(rows, None)
    wide = 300 if space is RUNNING else 16
    items = Ancestral(m.net_, torch.zeros(2, space.size, dtype=torch.long), None, end=space.end)
    x, found = beam(items, 0, space.size, wide)
    assert torch.equal(x[0], x[1])
    assert torch.allclose(m._log_prob(x, None), found.double(), atol=1e-4)
    narrow, less = beam(Ancestral(m.net_, torch.zeros(1, space.size, dtype=torch.long), None, end=space.end), 0, space.size, 1)
    greedy = model(space, top_k=1)._sample(1, None)
    assert torch.equal(narrow, greedy)
    assert float(less[0]) <= float(found[0]) + 1e-5
    if space is TEXT:
        assert torch.equal(x[0], rows[p.argmax()])
        assert float(found[0]) == pytest.approx(float(p.max()), abs=1e-4)


@torch.no_grad()
def test_each_item_of_a_batch_is_drawn_as_it_is_alone():
    m = model(RUNNING, top_k=1)
    x = torch.randint(5, (4, 6))
    known = torch.arange(6) < torch.tensor([[1], [2], [4], [5]])
    together = m._complete(x, known, None)
    alone = torch.cat([m._complete(x[i : i + 1], known[i : i + 1], None) for i in range(4)])
    assert torch.equal(together, alone)
    assert torch.equal(together[known], x[known])


@torch.no_grad()
def test_the_beam_with_the_cache_is_the_beam_by_whole_passes():
    m = model(TEXT)
    beams, ends = 3, [((), 0.0)]
    for _ in range(4):
        more = []
        for row, score in ends:
            if row and row[-1] == 2:
                more.append(((*row, 2), score))
                continue
            each = m.net_(torch.tensor([[*row, *[0] * (4 - len(row))]]))[0, len(row)].log_softmax(-1)
            more += [((*row, k), score + float(each[k])) for k in range(3)]
        ends = sorted(more, key=lambda pair: -pair[1])[:beams]
    x, score = beam(Ancestral(m.net_, torch.zeros(1, 4, dtype=torch.long), None, end=2), 0, 4, beams)
    assert tuple(x[0].tolist()) == ends[0][0]
    assert float(score[0]) == pytest.approx(ends[0][1], abs=1e-4)


def test_a_model_with_beams_gives_one_likeliest_text_whatever_the_seed():
    m = Transformer(steps=60, width=16, depth=1, heads=1, batch=16, beams=4, lr=1e-2).fit(["abab", "abba", "abab", "abab"] * 10)
    assert len({*m.sample(5, seed=0), *m.sample(5, seed=1)}) == 1
    assert m.sample(2, given="abb", seed=0)[0].startswith("abb")


def test_fields_that_cannot_work_are_refused_in_words():
    for fields, words in (
        ({"min_p": 1.0}, "min_p is 1.0"),
        ({"repetition_penalty": 0.0}, "penalty is 0"),
        ({"beams": 0}, "beams is 0"),
    ):
        with pytest.raises(UsageError, match=words):
            Transformer(**fields).fit(["ab", "cd"])


def test_columns_that_are_padding_in_a_whole_batch_are_not_computed_and_cost_nothing():
    m = model(TEXT, precision="f32")
    x = torch.tensor([[0, 2, 2, 2], [1, 0, 2, 2]])
    with torch.no_grad():
        assert m._trimmed(x).shape == (2, 3)
        assert torch.allclose(m._loss(x, None).double(), -m._log_prob(x, None), atol=1e-5)
    assert model(RUNNING)._trimmed(torch.zeros(2, 6, dtype=torch.long)).shape == (2, 6)
