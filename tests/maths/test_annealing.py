"""log Z: two sums agree, annealing agrees with the sum and knows its error, and what it misses is flagged."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from genus.maths.annealing import Path, anneal, estimate_log_z, floor, log_mean, log_z
from genus.maths.harmonium import Harmonium, enumerate_log_z
from genus.maths.ladder import Ladder
from genus.maths.units import Binary, Categories, Normal, Units

LAYERS: dict[str, Units] = {
    "binary": Binary(9), "uneven": Categories([3, 2, 4]), "even": Categories([3, 3, 3]), "real": Normal(4)
}  # fmt: skip


def machine(units: Units, hidden: int = 6, size: float = 0.7) -> Harmonium:
    """Random weights."""
    torch.manual_seed(3)
    return Harmonium(units, size * torch.randn(units.count, hidden), torch.randn(units.count) / 2, torch.randn(hidden) / 2)


def every_v(units: Units) -> torch.Tensor:
    """All visible states."""
    if isinstance(units, Categories):
        codes = itertools.product(*[range(k) for k in units.sizes.tolist()])
        return units.one_hot(torch.tensor(list(codes)))
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=units.count)))


@pytest.mark.parametrize("name", ["binary", "uneven", "even"])
def test_the_sum_over_hidden_states_is_the_sum_over_visible_ones(name):
    m = machine(LAYERS[name])
    assert enumerate_log_z(m) == pytest.approx(float(torch.logsumexp(-m.free_energy(every_v(m.units)), 0)), abs=1e-5)


def test_the_sum_does_not_depend_on_which_layer_is_smaller():
    wide = machine(Binary(11), 7)
    flipped = Harmonium(Binary(7), wide.weight.T.contiguous(), wide.hidden, wide.visible)
    assert enumerate_log_z(wide) == pytest.approx(enumerate_log_z(flipped), abs=1e-9)


def test_real_units_integrate_to_one():
    m = machine(Normal(1), 3)
    v = torch.linspace(-15, 15, 20001)[:, None]
    mass = torch.logsumexp(-m.free_energy(v), 0) + math.log(30 / 20000)
    assert float(mass) == pytest.approx(enumerate_log_z(m), abs=1e-4)


@pytest.mark.parametrize("name", LAYERS)
def test_draws_have_the_means_of_their_field(name):
    units = LAYERS[name]
    torch.manual_seed(0)
    field = torch.randn(units.count)
    drawn = units.draw(field.repeat(20000, 1)).mean(0)
    assert (drawn - units.mean(field[None])[0]).abs().max() < 0.03
    inverse = units.mean(units.field(units.mean(field[None])))[0]
    assert (inverse - units.mean(field[None])[0]).abs().max() < 1e-3


@pytest.mark.parametrize("name", LAYERS)
def test_annealing_finds_log_z_within_its_error(name):
    m = machine(LAYERS[name])
    torch.manual_seed(0)
    found = estimate_log_z(m, torch.zeros(m.units.count), chains=100, steps=300)
    assert abs(found.value - enumerate_log_z(m)) < 4 * found.error
    assert found.error < 0.1
    assert found.doubt == ""
    assert found.floor < enumerate_log_z(m) + 1e-4


def test_the_standard_error_covers_the_truth():
    m = machine(Binary(9))
    path, truth = Path(m, torch.zeros(9)), enumerate_log_z(m)
    torch.manual_seed(0)
    weight, _ = anneal(path, torch.linspace(0, 1, 60), path.first(40 * 50))
    runs = [log_mean(part) for part in weight.split(50)]
    covered = sum(abs(value + path.log_z_start - truth) < 1.96 * error for value, error, _ in runs)
    assert covered >= 34
    assert sum(abs(value + path.log_z_start - truth) < 0.2 * error for value, error, _ in runs) < 20, "errors are too wide"


def test_reverse_annealing_from_exact_draws_agrees():
    m = machine(Binary(9))
    path, states = Path(m, torch.zeros(9)), every_v(m.units)
    torch.manual_seed(0)
    exact = torch.multinomial((-m.free_energy(states)).softmax(0), 400, replacement=True)
    weight, _ = anneal(path, torch.linspace(1, 0, 200), states[exact])
    value, error, _ = log_mean(weight)
    assert abs(path.log_z_start - value - enumerate_log_z(m)) < 4 * error


def test_the_coldest_chains_of_a_ladder_have_the_machine_s_law():
    m = machine(Binary(5), 4, 1.5)
    states = every_v(m.units)
    p = (-m.free_energy(states)).softmax(0)
    torch.manual_seed(0)
    ladder, seen = Ladder.spread(Path(m, torch.zeros(5)), 5, 200), torch.zeros(32)
    place = 2 ** torch.arange(4, -1, -1)
    for sweep in range(150):
        ladder.sweep()
        if sweep >= 30:
            seen += torch.bincount((ladder.cold.long() * place).sum(1), minlength=32)
    assert float((seen / seen.sum() - p).abs().sum()) < 0.06
    assert float((torch.ones(32) / 32 - p).abs().sum()) > 0.3, "an even law would pass"


def separated() -> Harmonium:
    """784 × 16: nearly even bits, and one pattern 190 nats heavier that no chain reaches but from nearby."""
    torch.manual_seed(1)
    weight = 0.05 * torch.randn(784, 16)
    weight[:, 8:] = ((torch.rand(784) < 0.5).float() * 2 - 1)[:, None]
    hidden = torch.zeros(16)
    hidden[8:] = 90 - weight[:, 8:].clamp_min(0).sum(0)
    return Harmonium(Binary(784), weight, torch.zeros(784), hidden)


def test_a_mode_that_annealing_misses_is_flagged():
    m, base = separated(), torch.zeros(784)
    truth = enumerate_log_z(m, torch.float32)
    torch.manual_seed(0)
    found = estimate_log_z(m, base, chains=50, steps=200)
    assert found.forward < truth - 50, "the trap must be one"
    assert found.ess > 5, "and its weights must look sound"
    assert "modes that annealing missed" in found.doubt
    assert truth - 3 < found.value < truth + 1e-3
    assert found.error > truth - found.forward - 3
    assert log_z(m, base).value == pytest.approx(truth, abs=1e-2)


def test_the_floor_is_below_log_z_whatever_it_is_given():
    m = machine(Binary(9))
    assert floor(m, every_v(m.units)) == pytest.approx(enumerate_log_z(m), abs=1.5)
    assert floor(m, every_v(m.units)[:1]) <= enumerate_log_z(m)
