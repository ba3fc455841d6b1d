"""What is peculiar to the Transformer: exactness, causality, the cache, completion, and that it learns a known law."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from genus.errors import UsageError
from genus.families.transformer import Transformer
from genus.nets.ancestral import Ancestral
from genus.nets.decode import kept, pick
from genus.nets.transformer import Decoder, attend
from genus.space import Record, Space

RECORD = Record(
    (
        ("a", Space("levels", (), 5, missing=4)),
        ("a/fine", Space("levels", (), 3)),
        ("b", Space("category", (), 2)),
        ("c", Space("binary", (), 2)),
    )
)
TEXT = Space("tokens", (4,), 3, end=2)
RUNNING = Space("tokens", (8,), 5)
IMAGE = Space("levels", (1, 2, 3), 3)
SPACES = {"record": RECORD, "text": TEXT, "running": RUNNING, "image": IMAGE}


def model(space, *, condition=None, scale=0.5, **fields) -> Transformer:
    """A Transformer of random weights over `space`, far from uniform."""
    out = Transformer(width=16, depth=2, heads=2, **fields)
    out.space_, out.condition_ = space, condition
    torch.manual_seed(0)
    out._build()
    with torch.no_grad():
        for p in out.net_.parameters():
            p += scale * torch.randn(p.shape)
    out.net_.eval()
    return out


class Two:
    """A condition of two entries."""

    width = 2
    sequences = ()


def items(space, n=6) -> torch.Tensor:
    levels = [c.levels for _, c in space.fields] if isinstance(space, Record) else [space.levels] * space.size
    return torch.stack([torch.randint(k, (n,)) for k in levels], 1)


def every(space) -> torch.Tensor:
    """All items; of texts with an end symbol, each once, padded."""
    levels = [c.levels for _, c in space.fields] if isinstance(space, Record) else [space.levels] * space.size
    rows = list(itertools.product(*map(range, levels)))
    if getattr(space, "end", None) is not None:
        rows = [r for r in rows if all(b == space.end for a, b in itertools.pairwise(r) if a == space.end)]
    return torch.tensor(rows)


@pytest.mark.parametrize("name", ["record", "text", "image"])
def test_the_probabilities_of_all_items_sum_to_one(name):
    space = SPACES[name]
    with torch.no_grad():
        total = model(space)._log_prob(every(space).view(-1, *space.shape), None).double().exp().sum()
    assert float(total) == pytest.approx(1, abs=1e-5)


def test_without_weights_it_is_uniform_over_each_cells_own_levels():
    free = model(RECORD, scale=0.0)
    with torch.no_grad():
        free.net_.embed.head.zero_()
        assert torch.allclose(free._log_prob(items(RECORD), None), torch.full((6,), -math.log(60.0)).double(), atol=1e-5)


@pytest.mark.parametrize("name", SPACES)
def test_a_later_entry_never_changes_an_earlier_conditional(name):
    m = model(SPACES[name])
    x = items(SPACES[name])
    changed = x.clone()
    changed[:, -2:] = 0
    with torch.no_grad():
        a, b = m.net_(m._ordered(x)), m.net_(m._ordered(changed))
    same = (m._ordered(x) == m._ordered(changed)).cumprod(1).sum(1)
    for row, k in enumerate(same.tolist()):
        assert torch.equal(a[row, : k + 1].argmax(-1), b[row, : k + 1].argmax(-1))
        assert torch.allclose(a[row, : k + 1], b[row, : k + 1], atol=1e-5)
    early = x.clone()
    early[:, 0] = (early[:, 0] + 1) % 2
    with torch.no_grad():
        assert not torch.allclose(m.net_(m._ordered(early))[:, -1], a[:, -1], atol=1e-3)


@pytest.mark.parametrize("name", SPACES)
def test_the_cache_gives_the_same_logits_as_a_full_pass(name):
    m = model(SPACES[name], condition=Two(), qk_norm=name == "text")
    x, y = m._ordered(items(SPACES[name])), torch.randn(6, 2)
    with torch.no_grad():
        full = m.net_(x, y)
        place = m.net_.begin(6)
        steps = torch.stack([m.net_.read(place, x, i + 1, y) for i in range(x.shape[1])], 1)
        late = m.net_.read(m.net_.begin(6), x, x.shape[1], y)
    finite = full.isfinite()
    assert torch.equal(finite, steps.isfinite())
    assert torch.allclose(full[finite], steps[finite], atol=1e-4)
    assert torch.allclose(late[late.isfinite()], full[:, -1][late.isfinite()], atol=1e-4)


def test_a_batch_gives_each_item_what_it_gets_alone():
    m = model(RECORD, condition=Two())
    x, y = items(RECORD), torch.randn(6, 2)
    with torch.no_grad():
        together = m._log_prob(x, y)
        alone = torch.cat([m._log_prob(x[i : i + 1], y[i : i + 1]) for i in range(6)])
        assert torch.allclose(together, alone, atol=1e-4)
        assert not torch.allclose(together, m._log_prob(x, y + 1), atol=1e-2)


def test_training_attention_equals_the_fused_kernel():
    q, k, v = torch.randn(3, 2, 2, 7, 8)
    with torch.no_grad():
        fused = attend(q, k, v)
    assert torch.allclose(fused, attend(q, k, v), atol=1e-5)


def test_rotary_logits_depend_on_distance_alone():
    net = Decoder(16, depth=1, heads=2, length=9)
    h = torch.randn(1, 1, 16).expand(1, 9, 16)
    with torch.no_grad():
        for p in net.parameters():
            p += 0.3 * torch.randn(p.shape)
        out = net(h)
    assert torch.allclose(out[0, 0], out[0, -1], atol=1e-4)


def test_padding_after_the_end_symbol_costs_nothing():
    m = model(TEXT)
    with torch.no_grad():
        a = m._log_prob(torch.tensor([[0, 2, 2, 2]]), None)
        logits = m.net_(torch.tensor([[0, 2, 2, 2]])).log_softmax(-1)
    assert float(a) == pytest.approx(float(logits[0, 0, 0] + logits[0, 1, 2]), abs=1e-5)


@pytest.mark.parametrize("name", ["record", "text", "image"])
def test_samples_have_the_probabilities_the_density_says(name):
    space = SPACES[name]
    m = model(space, scale=0.3)
    rows = every(space)
    with torch.no_grad():
        p = m._log_prob(rows.view(-1, *space.shape), None).double().exp().numpy()
        drawn = m._sample(20_000, None).flatten(1)
    code = {tuple(r): i for i, r in enumerate(rows.tolist())}
    counts = np.bincount([code[tuple(r)] for r in drawn.tolist()], minlength=len(rows))
    z = (counts - 20_000 * p) / np.sqrt(20_000 * p * (1 - p) + 1)
    assert np.abs(z).max() < 5


@pytest.mark.parametrize(("name", "known"), [("record", (0, 1, 1, 0)), ("record", (1, 0, 0, 1)), ("image", (1, 0, 0, 1, 0, 1))])
def test_completion_matches_the_enumerated_conditional(name, known):
    space = SPACES[name]
    m = model(space, scale=0.3, particles=32)
    rows, n = every(space), 1500
    mask = torch.tensor(known).bool()
    target = rows[len(rows) // 3].clone()
    target[~mask] = 0
    x = target.repeat(n, 1).view(n, *space.shape)
    with torch.no_grad():
        filled = m._complete(x, mask.expand(n, -1).view(x.shape), None).flatten(1)
        fits = (rows[:, mask] == target[mask]).all(1)
        if name == "record":
            fits &= (rows[:, 0] != 4) | mask[0]
        p = m._log_prob(rows[fits].view(-1, *space.shape), None).double().softmax(0)
    assert torch.equal(filled[:, mask], target[mask].expand(n, -1))
    found = (filled[:, None] == rows[fits][None]).all(2).double().mean(0)
    assert float(found.sum()) == pytest.approx(1)
    assert float((found - p).abs().sum()) < 4 * float((p * (1 - p) / n).sqrt().sum())


@torch.no_grad()
def test_completion_of_a_prefix_continues_it_and_a_later_letter_keeps_the_text_open():
    m = model(TEXT, scale=0.3)
    x = torch.tensor([[1, 0, 0, 0]]).repeat(50, 1)
    known = torch.tensor([[True, False, False, False]]).expand(50, -1)
    filled = m._complete(x, known, None)
    assert bool((filled[:, 0] == 1).all())
    assert len(filled.unique(dim=0)) > 2
    late = m._complete(x, known.roll(2, 1), None)
    assert bool((late[:, 2] == 0).all())
    assert bool((late[:, :2] != 2).all())


@torch.no_grad()
def test_a_running_text_can_be_longer_than_the_window():
    m = model(RUNNING, length=30)
    assert m._sample(3, None).shape == (3, 30)
    fresh = Ancestral(m.net_, torch.zeros(2, 30, dtype=torch.long), None)
    with torch.no_grad():
        x = fresh.run(0, 13)
        held = fresh.logits(13)
        window = x[:, fresh.offset : 14]
        assert 4 <= window.shape[1] <= 8
        assert torch.allclose(held, m.net_(window)[:, -1], atol=1e-4)


def test_top_k_and_top_p_keep_the_likeliest():
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    assert kept(logits, top_k=2).isfinite().tolist() == [[True, True, False, False]]
    assert kept(logits, top_p=0.6).isfinite().tolist() == [[True, True, False, False]]
    assert kept(logits, top_p=0.5).isfinite().tolist() == [[True, False, False, False]]
    torch.manual_seed(0)
    share = torch.bincount(pick(logits.expand(20_000, -1)), minlength=4) / 20_000
    assert torch.allclose(share, logits.exp()[0], atol=0.02)


def test_few_levels_come_first_and_a_fine_cell_follows_its_own():
    assert model(RECORD).order_.tolist() == [2, 3, 0, 1]
    assert model(RECORD, order="given").order_.tolist() == [0, 1, 2, 3]


def chain(n: int, length: int, seed: int) -> tuple[list[str], float]:
    """Texts of a Markov chain over four letters, and its entropy rate in nats."""
    r = np.random.default_rng(seed)
    step = np.array([[0.05, 0.85, 0.05, 0.05], [0.1, 0.05, 0.8, 0.05], [0.05, 0.1, 0.05, 0.8], [0.7, 0.1, 0.1, 0.1]])
    x = r.integers(4, size=(n, 1))
    for _ in range(length - 1):
        x = np.concatenate([x, (r.random((n, 1)) > step[x[:, -1]].cumsum(1)).sum(1, keepdims=True)], 1)
    values, vectors = np.linalg.eig(step.T)
    share = np.real(vectors[:, np.argmax(np.real(values))])
    share /= share.sum()
    return ["".join("abcd"[i] for i in row) for row in x], float(-(share[:, None] * step * np.log(step)).sum())


def test_it_learns_the_entropy_rate_of_a_markov_chain_and_an_untrained_twin_does_not():
    train, _ = chain(1500, 24, 0)
    test, rate = chain(300, 24, 1)
    expected = -(math.log(4) + 23 * rate)
    fields = {"width": 32, "depth": 1, "batch": 64, "seed": 1}
    trained = Transformer(steps=250, lr=5e-3, **fields).fit(train)
    twin = Transformer(steps=1, **fields).fit(train)
    error = float(np.std(trained.log_prob(test))) / math.sqrt(len(test))
    assert abs(trained.score(test) - expected) < 0.5 + 3 * error
    assert twin.score(test) < expected - 8
    moved = [a + b for text in trained.sample(200, seed=0) for a, b in itertools.pairwise(text)]
    assert abs(np.mean([m == "ab" for m in moved if m[0] == "a"]) - 0.85) < 0.06


def test_the_condition_chooses_what_is_drawn():
    texts, labels = ["aaaa", "bbbb"] * 100, [0, 1] * 100
    m = Transformer(width=16, depth=1, steps=150, lr=1e-2, batch=32).fit(texts, labels)
    assert set(m.sample(20, y=0, seed=0)) == {"aaaa"}
    assert set(m.sample(20, y=1, seed=0)) == {"bbbb"}


def test_fields_that_cannot_work_are_refused_in_words():
    with pytest.raises(UsageError, match="temperature is 0"):
        Transformer(temperature=0.0).fit(["ab", "cd"])
    with pytest.raises(UsageError, match="does not split"):
        Transformer(width=30, heads=4).fit(["ab", "cd"])
