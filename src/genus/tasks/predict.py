"""Predict: a column of a table from the others, by a model that was never told which column would be asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from genus import dice
from genus.capability import Density, Partial
from genus.data.cells import cells
from genus.data.column import Column
from genus.data.table import TableCodec
from genus.errors import DataError, UsageError, nearest
from genus.maths.quantise import drawn

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
BLOCK = 200_000  # rows scored at once
MOST = 2_000_000  # rows scored at most before places inside bins are sampled
PLACES = 2  # of a bin that are then tried
FILLINGS = 64  # completions over which a row with unknown cells is averaged


def predict(
    model: Any, X: Any, target: Any, *, quantiles: Sequence[float] = QUANTILES, draws: int = 200, seed: int = 0
) -> pd.DataFrame:
    """p(target | the other columns) for each row of X: probabilities of its levels, or mean and quantiles of a number or time.

    For a family with an exact density every value the target can take is put into the row, p(row) is taken of each, and the
    values' probabilities are those divided by their sum: Bayes' rule, exactly. Where a number has so many places in its bins
    that this would take too long, places are sampled (unbiased in the sums). Other families complete the row `draws` times.

    A missing cell of another column is a value like any other where training had missing ones; where it had none, the cell is
    unknown and p(target | known) is the mean of p(target | known, filled) over 64 completions of the row,
    unbiased, with a standard error of .06 at most.

    Parameters
    ----------
    model: fitted on a table. X: rows; the target's column, if it is there, is not looked at.
    target: the column. quantiles, draws: of numbers. seed: of what is drawn.

    Raises UsageError for a column the model does not have, or one left out of the model, and for a model fitted with y.
    """
    codec = getattr(model, "codec_", None)
    if not isinstance(codec, TableCodec):
        raise UsageError("predict wants a model fitted on a table.")
    if model.condition_ is not None:
        raise UsageError("predict wants a model of whole rows, not one fitted with y: leave y out and its columns in X.")
    if target not in codec.names_:
        raise UsageError(f"The model has no column {target!r}.{nearest(str(target), map(str, codec.names_))}")
    if target in codec.left_out_:
        raise UsageError(f"Column {target!r} is left out of the model (constant, empty, personal or an identifier).")
    view, held = model.space_, _with(X, target, codec)
    place = codec.names_.index(target)
    mine = [i for i, owner in enumerate(codec.owners(view)) if owner == place]
    column = next((column for column, owner in codec._coded(view) if owner == place), None)
    simple = column is not None and view.kind == "record" and len(mine) == 1 + bool(column.fine) and column.name == target
    with dice.private(seed), torch.no_grad():
        if column is not None and simple and isinstance(model, Density):
            leaves, chance = _chances(model, held, column, mine)
            if column.levels:
                return _levels(column, leaves, chance)
            return _summary(_values(model, held, column, mine, leaves, chance, draws), quantiles)
    return _by_completion(model, held, target, quantiles, draws, seed)


def _with(X: Any, target: Any, codec: TableCodec) -> pd.DataFrame:
    """X with a column `target` that holds nothing."""
    if not isinstance(X, pd.DataFrame):
        raise DataError("predict wants rows as a DataFrame with the names of training.")
    empty = pd.Series([None] * len(X), index=X.index, dtype=object)
    return pd.DataFrame(
        {name: empty if name == target else X[name] for name in codec.names_ if name == target or name in X.columns}
    )


def _chances(model: Any, held: pd.DataFrame, column: Column, mine: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """(leaves tried, p(leaf | the other columns) of each row (n, leaves))."""
    x, row = _without_gaps(model, held, mine)
    leaves = np.flatnonzero(np.arange(len(column.mass)) != column.missing)
    weight = np.zeros(len(leaves))
    if len(x) * len(leaves) > MOST and not column.levels and column.fine:
        leaves, weight = _some_places(column, leaves)
    codes = torch.from_numpy(np.stack(cells(column, leaves), 1)).long()
    total = torch.zeros(len(held), len(leaves), dtype=torch.float64)
    for i in torch.arange(len(x)).split(max(1, BLOCK // len(leaves))):
        wide = x[i].repeat_interleave(len(codes), 0)
        wide[:, mine] = codes.repeat(len(i), 1)
        value = torch.cat([model._log_prob(chunk, None).double().cpu() for chunk in wide.split(model.chunk)])
        total.index_add_(0, row[i], (value.view(len(i), -1) + torch.from_numpy(weight)).softmax(1))
    return leaves, (total / total.sum(1, keepdim=True)).numpy()


def _without_gaps(model: Any, held: pd.DataFrame, mine: list[int]) -> tuple[Tensor, Tensor]:
    """(packed rows, the place in `held` of each): every row once, or FILLINGS completions of it where cells are unknown."""
    packed, known = model.codec_.known(held, model.space_)
    x, at = drawn(packed).long(), 0
    for column, _ in model.codec_._coded(model.space_):
        part = slice(at, at + 1 + bool(column.fine))
        if column.missing >= 0:
            gone = ~known[:, at]
            x[gone, part] = torch.from_numpy(np.stack(cells(column, np.array([column.missing])), 1)).long()
            known[gone, part] = True
        at = part.stop
    known[:, mine] = True
    full, gaps = known.all(1).nonzero()[:, 0], (~known.all(1)).nonzero()[:, 0]
    if not len(gaps):
        return x, full
    if not isinstance(model, Partial):
        lost = f"{len(gaps)} rows lack cells that training never lacked"
        raise DataError(f"{lost}: {type(model).__name__} cannot fill them, made can.")
    known[:, mine] = False
    many = gaps.repeat_interleave(FILLINGS)
    filled = [model._complete(x[i], known[i], None).long() for i in many.split(model.chunk)]
    return torch.cat([x[full], *filled]), torch.cat([full, many])


def _some_places(column: Column, leaves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A few of each token's leaves at random, and the log of how many each stands for."""
    kept, weight = [], []
    for token in np.unique(column.token[leaves]):
        own = leaves[column.token[leaves] == token]
        some = own[torch.randperm(len(own))[:PLACES].numpy()]
        kept.append(some)
        weight.append(np.full(len(some), np.log(len(own) / len(some))))
    return np.concatenate(kept), np.concatenate(weight)


def _levels(column: Column, leaves: np.ndarray, chance: np.ndarray) -> pd.DataFrame:
    """Probabilities (n, levels); rare levels that share a leaf share its probability."""
    at = np.searchsorted(leaves, column.level_leaf)
    return pd.DataFrame(chance[:, at] / column.size[column.level_leaf], columns=pd.Index(column.levels, dtype=object))


def _values(
    model: Any, held: pd.DataFrame, column: Column, mine: list[int], leaves: np.ndarray, chance: np.ndarray, draws: int
) -> pd.DataFrame:
    """Draws of the target, (n, draws)."""
    picked = torch.multinomial(torch.from_numpy(chance), draws, replacement=True).flatten().numpy()
    codes = torch.from_numpy(np.stack(cells(column, leaves[picked]), 1)).long()
    x: Tensor = drawn(model.codec_.known(held.head(1), model.space_)[0]).long().repeat(len(codes), 1)
    x[:, mine] = codes
    values = model.codec_.unpack(x, model.space_)[column.name]
    return pd.DataFrame(values.to_numpy().reshape(len(chance), draws))


def _by_completion(
    model: Any, held: pd.DataFrame, target: Any, quantiles: Sequence[float], draws: int, seed: int
) -> pd.DataFrame:
    """From `draws` completions of each row."""
    if not isinstance(model, Partial):
        raise UsageError(f"{type(model).__name__} neither scores nor completes this table, so that it cannot predict: try made.")
    many = held.loc[held.index.repeat(draws)].reset_index(drop=True)
    filled = model.complete(many, seed=seed)[target]
    values = pd.DataFrame(filled.to_numpy().reshape(len(held), draws))
    if pd.api.types.is_numeric_dtype(filled) and not pd.api.types.is_bool_dtype(filled):
        return _summary(values, quantiles)
    if pd.api.types.is_datetime64_any_dtype(filled):
        return _summary(values, quantiles)
    levels = sorted(pd.unique(filled), key=str)
    return pd.DataFrame({level: (values == level).mean(axis=1) for level in levels})


def _summary(values: pd.DataFrame, quantiles: Sequence[float]) -> pd.DataFrame:
    """Mean and quantiles of draws (n, draws) of numbers or times."""
    table = values.to_numpy()
    times = [pd.to_datetime(values[column]) for column in values] if _timed(table) else None
    numbers = table.astype(float) if times is None else np.stack([t.astype("int64").to_numpy() for t in times], 1)
    found = {"mean": np.nanmean(numbers, 1)} | {f"q{100 * q:g}": np.nanquantile(numbers, q, axis=1) for q in quantiles}
    out = pd.DataFrame(found)
    return out if times is None else out.astype("int64").astype(str(times[0].dtype))


def _timed(table: np.ndarray) -> bool:
    return table.dtype.kind == "M" or (table.dtype == object and table.size > 0 and isinstance(table.flat[0], pd.Timestamp))
