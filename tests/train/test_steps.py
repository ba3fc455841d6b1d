"""What a step does: the schedule, the average, the batches, the decay and the clipping are what their formulas say."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from train_fits import descent

from genus.errors import RunError, UsageError
from genus.maths.quantise import Fuzzy
from genus.train.average import Average
from genus.train.batches import Batches
from genus.train.budget import Budget
from genus.train.descend import descend
from genus.train.duel import duel
from genus.train.engine import Engine
from genus.train.expect import expect
from genus.train.optimiser import clip, make_optimiser, parameter_groups
from genus.train.pace import Pace
from genus.train.recipe import Recipe
from genus.train.run import Run
from genus.train.schedule import factor


def rates(name: str, total: int, warmup: int) -> list[float]:
    pace = Pace(warmup=warmup)
    pace.expect(total)
    return [pace.rate(name, t) for t in range(total)]


def test_the_rate_warms_up_linearly_then_follows_its_formula():
    cosine = rates("cosine", 100, 10)
    assert cosine[:10] == pytest.approx([(t + 1) / 10 for t in range(10)])
    assert cosine[55] == pytest.approx(0.5)
    assert cosine[99] == pytest.approx(0.5 * (1 + math.cos(math.pi * 89 / 90)))
    assert factor("exponential", 1.0) == pytest.approx(0.01)
    assert [factor("step", p) for p in (0, 0.49, 0.5, 0.74, 0.75)] == [1, 1, 0.1, 0.1, 0.01]
    assert rates("constant", 100, 10)[99] == 1
    assert rates("cosine", 40, 1000)[4] == 1.0, "warm-up is a tenth of a short run at most"


def test_the_average_follows_its_recurrence_and_never_keeps_the_start():
    net = nn.Linear(3, 2)
    average, expected = Average(net, 0.9), [p.detach().clone() for p in net.parameters()]
    for t in range(200):
        with torch.no_grad():
            for p in net.parameters():
                p += torch.randn_like(p)
        average.update(t)
        decay = min(0.9, (1 + t) / (10 + t))
        expected = [decay * e + (1 - decay) * p.detach() for e, p in zip(expected, net.parameters(), strict=True)]
    for mine, theirs in zip(average.values, expected, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_an_average_is_lent_and_given_back():
    net = nn.Linear(2, 1)
    average = Average(net, 0.5)
    own = net.weight.detach().clone()
    average.values[0].zero_()
    with average.lent():
        assert not net.weight.any()
    assert torch.equal(net.weight, own)


def test_every_epoch_sees_every_item_once_across_the_seams_of_batches():
    batches = Batches(torch.zeros(50, 2), 16, seed=0)
    stream = torch.cat([batches.next() for _ in range(25)])
    for epoch in stream.split(50):
        assert sorted(epoch.tolist()) == list(range(50))


def test_the_parts_of_a_team_make_up_the_whole_batch():
    x = torch.zeros(50, 2)
    whole = Batches(x, 16, seed=3)
    parts = [Batches(x, 16, seed=3, part=(rank, 2)) for rank in range(2)]
    for _ in range(7):
        assert torch.equal(whole.next(), torch.cat([b.next() for b in parts]))


@pytest.mark.parametrize("x", [torch.zeros(50, 2), torch.zeros(100).unfold(0, 8, 1)])
def test_batches_go_on_where_they_were(x):
    batches = Batches(x, 16, seed=0)
    for _ in range(5):
        batches.next()
    state = batches.state()
    ahead = [batches.next() for _ in range(9)]
    again = Batches(x, 16, seed=99)
    again.restore(state)
    assert all(torch.equal(a, again.next()) for a in ahead)


def test_matrices_decay_and_vectors_norms_and_embeddings_do_not():
    net = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), nn.LayerNorm(4))
    decays, stays = parameter_groups(net, 0.1)
    assert decays["params"] == [net[1].weight]
    assert (decays["weight_decay"], stays["weight_decay"], len(stays["params"])) == (0.1, 0.0, 4)


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "rmsprop"])
def test_every_optimiser_lowers_a_parabola(name):
    net = nn.Linear(3, 1)
    x = torch.randn(64, 3)
    history = descend(net, lambda x, y: net(x).square(), x, None, recipe=Recipe(steps=100, lr=0.01, optimizer=name), run=Run())
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]


def test_an_unknown_optimiser_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match="adamw"):
        make_optimiser(nn.Linear(1, 1), Recipe(optimizer="adamv"))  # type: ignore[arg-type]


def test_clipping_gives_the_norm_and_limits_it():
    gradients = [torch.full((3,), 2.0), None, torch.full((2, 2), 1.0)]
    assert float(clip(gradients, 1.0)) == pytest.approx(4.0)
    assert float(sum(g.square().sum() for g in gradients if g is not None)) == pytest.approx(1.0)
    assert float(clip(gradients, 5.0)) == pytest.approx(1.0)


def test_the_first_budget_to_end_counts():
    assert Budget(Recipe(steps=50, epochs=3), 1000, 100).pace().total == 30
    assert Budget(Recipe(), 1000, 100).pace().total == Recipe.default_steps
    assert Budget(Recipe(minutes=1, steps=10**9), 1000, 100).pace().total is None
    for bad in (Recipe(minutes=0), Recipe(steps=-1), Recipe(epochs=0), Recipe(minutes=math.nan)):
        with pytest.raises(UsageError, match="must be positive"):
            Budget(bad, 10, 1)


SPEEDS = {  # seconds of a step at time t of a run of 60 seconds
    "even": lambda t: 0.05,
    "a slow start": lambda t: 3.0 if t == 0 else 0.5 if t < 3 else 0.05,
    "a neighbour arrives late": lambda t: 0.05 if t < 40 else 0.15,
    "a neighbour leaves": lambda t: 0.15 if t < 20 else 0.05,
    "busy now and then": lambda t: 0.05 if int(t / 7) % 2 else 0.12,
    "long steps": lambda t: 1.0,
}


@pytest.mark.parametrize("name", SPEEDS)
@pytest.mark.parametrize("seconds", [60.0, 1.5])
def test_minutes_end_on_time_with_the_schedule_run_out_whatever_the_speed(monkeypatch, name, seconds):
    """Time passes only in steps (by the speeds above), in validation and in checkpoints."""
    now, unit, seen = 100.0, seconds / 60, []
    monkeypatch.setattr("genus.train.engine.time", SimpleNamespace(perf_counter=lambda: now))

    def passes(amount: float) -> None:
        nonlocal now
        now += amount * unit

    net = nn.Linear(1, 1)

    def loss(x, y):
        passes(SPEEDS[name]((now - 100.0) / unit))
        return net(x).square().sum(1)

    def check(x, y):
        passes(0.4)
        return net(x).square().sum(1)

    engine = Engine({"net": net}, torch.ones(40, 1), None, recipe=Recipe(minutes=seconds / 60, warmup=20),
                    run=Run(validation=(torch.ones(40, 1), None)), averaged="net")  # fmt: skip

    def step() -> None:
        engine.update("net", loss)
        seen.append(engine.optimisers["net"].param_groups[0]["lr"] / 1e-3)

    history = engine.loop(step, check)
    assert now - 100.0 == pytest.approx(seconds, rel=0.05)
    assert seen[-1] < 0.02 if len(seen) > 100 else seen[-1] < 0.1
    peak = seen.index(max(seen))
    assert max((b - a for a, b in zip(seen[peak:], seen[peak + 1 :], strict=False)), default=0) <= 1e-9, "the rate only falls"
    assert "validation" in history[-1]


def test_minutes_are_kept_on_the_wall():
    _, history = descent(minutes=0.01, steps=None)
    assert 0.8 * 0.6 < history[-1]["seconds"] < 1.1 * 0.6


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_its_step_and_leaves_the_last_good_weights(bad, tmp_path):
    net, calls = nn.Linear(2, 1), 0

    def loss(x, y):
        nonlocal calls
        calls += 1
        return net(x).square() * (bad if calls == 38 else 1.0)

    recipe = Recipe(steps=3000)
    with pytest.raises(RunError, match=r"step 37; the learning rate is probably too high.*step 30 were put back"):
        descend(net, loss, torch.randn(64, 2), None, recipe=recipe, run=Run(tmp_path, every_steps=20))
    assert all(torch.isfinite(p).all() for p in net.parameters())
    descend(net, lambda x, y: net(x).square(), torch.randn(64, 2).mul(0), None, recipe=recipe, run=Run())


def test_a_gradient_that_is_not_finite_is_caught_though_the_loss_is_not():
    net = nn.Linear(2, 1, bias=False)
    with pytest.raises(RunError, match=r"gradient of loss became .* at step 0; it was so from the start"):
        descend(net, lambda x, y: (net(x) * 0).sqrt(), torch.randn(64, 2), None, recipe=Recipe(steps=5), run=Run())


def test_patience_ends_a_run_that_no_longer_improves_and_the_best_weights_stay():
    net = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(net.weight)
    seen = []

    def gap(x, y):
        seen.append(float(net.weight.detach()))
        return (net.weight - 0.1).square().sum().expand(len(x))

    recipe = Recipe(steps=1000, patience=3, ema=0, lr=0.01, schedule="constant", optimizer="adam", clip=0)
    x = torch.ones(20, 1)
    history = descend(net, lambda x, y: -net(x)[:, 0], x, None, recipe=recipe, run=Run(validation=(x, None)), evaluate=gap)
    checks = [row["validation"] for row in history if "validation" in row]
    assert history[-1]["step"] < 1000
    assert len(checks) == checks.index(min(checks)) + 1 + 3
    assert float((net.weight.detach() - 0.1) ** 2) == pytest.approx(min(checks), rel=1e-5)


def test_validation_has_the_same_noise_every_time_and_leaves_training_alone():
    a, _ = descent()
    b, _ = descent(run={"progress": False})
    assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))
    x = Fuzzy(torch.zeros(40, 1), 1.0)
    net = nn.Linear(1, 1)
    run = Run(validation=(x, None))
    history = descend(net, lambda x, y: 0 * net(x), x, None, recipe=Recipe(steps=100), run=run, evaluate=lambda x, y: x.sum(1))
    assert len({row["validation"] for row in history if "validation" in row}) == 1


def test_a_player_moves_only_in_its_own_turn():
    players = {"a": nn.Linear(2, 1), "b": nn.Linear(2, 1)}
    before = players["b"].weight.detach().clone()
    both = lambda x, y: (players["a"](x) + players["b"](x)).mean()  # noqa: E731
    recipe = Recipe(steps=5, ema=0)
    duel(players, {"a": (1, both)}, torch.randn(30, 2), None, recipe=recipe, run=Run(), averaged="a")
    assert torch.equal(players["b"].weight, before)


def test_expectation_ends_when_it_gains_too_little_and_stops_on_nan():
    values = iter([-3.0, -2.0, -1.9, -1.8999, -1.0])
    history = expect(lambda: next(values), steps=10, tol=1e-3, run=Run())
    assert [row["log_prob"] for row in history] == [-3.0, -2.0, -1.9, -1.8999]
    with pytest.raises(RunError, match="step 0"):
        expect(lambda: math.nan, steps=3, tol=0, run=Run())
