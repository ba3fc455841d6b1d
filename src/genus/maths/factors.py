"""Factors: tables over discrete variables, for many questions at once, multiplied and eliminated one variable at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Factor:
    """A non-negative table over the variables of `scope` (ascending), for a batch of questions.

    Attributes
    ----------
    scope: the variables of the axes after the first. table: (b, …), b the number of questions or 1.
    """

    scope: tuple[int, ...]
    table: Tensor

    @staticmethod
    def of(variables: Sequence[int], table: Tensor) -> Factor:
        """The factor of a table (b, …) whose axes are `variables` in any order."""
        order = sorted(range(len(variables)), key=lambda k: variables[k])
        return Factor(tuple(variables[k] for k in order), table.permute(0, *(k + 1 for k in order)))

    def over(self, scope: tuple[int, ...]) -> Tensor:
        """The table with an axis of length one for each variable of `scope` it lacks."""
        index = [slice(None), *(slice(None) if v in self.scope else None for v in scope)]
        return self.table[tuple(index)]


def product(factors: Sequence[Factor]) -> Factor:
    """The product over the union of the scopes."""
    scope = tuple(sorted({v for f in factors for v in f.scope}))
    table = factors[0].over(scope)
    for f in factors[1:]:
        table = table * f.over(scope)
    return Factor(scope, table)


@dataclass
class Elimination:
    """What is left when variables were eliminated from a product of factors.

    Attributes
    ----------
    rest: the product over what was kept, each question's table scaled. log_scale: (b,) log of what it was divided by.
    cliques: (variable, the product it was summed out of), in the order of elimination.
    """

    rest: Factor
    log_scale: Tensor
    cliques: list[tuple[int, Factor]]


def eliminate(factors: Sequence[Factor], order: Sequence[int], *, maximum: bool = False) -> Elimination:
    """Sum (or maximise) the variables in `order` out of the product of the factors.

    N. Zhang and D. Poole 1996, Exploiting causal independence in Bayesian network inference,
    https://doi.org/10.1613/jair.305
    """
    todo, cliques = list(factors), []
    log_scale = torch.zeros(1, dtype=torch.float64)
    for v in order:
        clique = product([f for f in todo if v in f.scope])
        todo = [f for f in todo if v not in f.scope]
        axis = clique.scope.index(v) + 1
        table = clique.table.amax(axis) if maximum else clique.table.sum(axis)
        scale = table.reshape(len(table), -1).amax(1)
        scale = torch.where(scale > 0, scale, 1.0)
        todo.append(Factor(clique.scope[: axis - 1] + clique.scope[axis:], table / scale.view(-1, *[1] * (table.dim() - 1))))
        log_scale = log_scale + scale.log()
        cliques.append((v, clique))
    return Elimination(product(todo), log_scale, cliques)


def draw_back(cliques: Sequence[tuple[int, Factor]], values: Tensor, question: Tensor, *, maximum: bool = False) -> None:
    """Fill the eliminated variables' columns of `values` (n, variables) in place, last eliminated first.

    Row i is an answer to question[i]: a draw from the joint distribution, or with `maximum` its most probable value.
    """
    for v, clique in reversed(cliques):
        others = [u for u in clique.scope if u != v]
        table = clique.table.movedim(clique.scope.index(v) + 1, -1)
        index = [question if len(table) > 1 else torch.zeros_like(question), *(values[:, u] for u in others)]
        row = table[tuple(index)]
        values[:, v] = row.argmax(1) if maximum else draw(row)


def draw(weight: Tensor) -> Tensor:
    """One column for each row of non-negative weights (n, r), in proportion to them."""
    total = weight.cumsum(1)
    u = torch.rand(len(weight), 1, dtype=weight.dtype) * total[:, -1:]
    return (u >= total).sum(1).clamp_max(weight.shape[1] - 1)
