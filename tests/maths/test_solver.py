"""Solvers meet known solutions at their order, spend what they were given, and carry densities."""

import math

import pytest
import torch

from genus.errors import UsageError
from genus.maths.solver import SOLVERS, integrate, states, with_trace


def turn(x, t):
    """dx/dt of a rotation at unit speed."""
    return torch.stack([-x[:, 1], x[:, 0]], 1)


def error(solver, evaluations):
    x = integrate(turn, torch.tensor([[1.0, 0.0]], dtype=torch.float64), 0, 1, solver=solver, evaluations=evaluations)
    return float((x - torch.tensor([[math.cos(1), math.sin(1)]])).abs().max())


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2)])
def test_halving_the_step_divides_the_error_by_two_to_the_order(solver, order):
    assert math.log2(error(solver, 40) / error(solver, 80)) == pytest.approx(order, abs=0.15)


def test_dopri5_is_accurate_and_runs_backwards():
    assert error("dopri5", 200) < 1e-4
    x = torch.randn(3, 2, dtype=torch.float64)
    there = integrate(turn, x, 0, 1, solver="dopri5", evaluations=200)
    assert torch.allclose(integrate(turn, there, 1, 0, solver="dopri5", evaluations=200), x, atol=1e-3)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_solver_spends_about_its_evaluations_even_on_a_stiff_or_broken_field(solver):
    for field in (lambda x, t: -1e5 * x, lambda x, t: x * torch.nan):
        count = [0]

        def counted(x, t, field=field, count=count):
            count[0] += 1
            return field(x, t)

        list(states(counted, torch.ones(2, 1), 0, 1, solver=solver, evaluations=60))
        assert 1 <= count[0] <= 70


def test_a_field_may_depend_on_time():
    x = integrate(lambda x, t: 3 * t * t * torch.ones_like(x), torch.zeros(1, 1), 0, 2, solver="dopri5", evaluations=100)
    assert x.item() == pytest.approx(8, abs=1e-3)


def test_an_unknown_solver_is_named():
    with pytest.raises(UsageError, match="'heun'"):
        integrate(turn, torch.zeros(1, 2), 0, 1, solver="huen", evaluations=3)


@pytest.mark.parametrize("probes", [None, 64])
def test_the_trace_of_a_linear_field_is_its_matrix_trace(probes):
    torch.manual_seed(0)
    matrix = torch.randn(3, 3)
    eps = None if probes is None else torch.randn(probes, 5, 3).sign()
    start = torch.cat([torch.randn(5, 3), torch.zeros(5, probes or 1)], 1)
    end = integrate(with_trace(lambda x, t: x @ matrix.T, eps), start, 0, 1, solver="dopri5", evaluations=200)[:, 3:]
    noise = 0.0 if probes is None else 4 * float(end.std(1).max()) / math.sqrt(probes)
    assert (end.mean(1) + matrix.trace()).abs().max() < 1e-3 + noise
