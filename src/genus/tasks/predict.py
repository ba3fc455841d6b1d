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
WAYS = 4096  # rows scored at most for one row with unknown cells, or FILLINGS of each leaf
FILLINGS = 32  # completions of a row whose unknown cells can be filled in too many ways


def predict(
    model: Any, X: Any, target: Any, *, quantiles: Sequence[float] = QUANTILES, draws: int = 200, seed: int = 0
) -> pd.DataFrame:
    """p(target | the other columns) for each row of X: probabilities of its levels, or mean and quantiles of a number or time.

    For a family with an exact density every value the target can take is put into the row, p(row) is taken of each, and the
    values' probabilities are those divided by their sum: Bayes' rule, exactly. Where a number has so many places in its bins
    that this would take too long, places are sampled (unbiased in the sums). Other families complete the row `draws` times.

    A missing cell of another column is a value like any other where training had missing ones. Where it had none, the cell is
    unknown: p is summed over all it may hold, exactly, or where those are thousands p(target | row) is averaged over 32
    completions of the row.

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
    x, unknown = _read(model, held, mine)
    leaves = np.flatnonzero(np.arange(len(column.mass)) != column.missing)
    weight = np.zeros(len(leaves))
    if len(x) * len(leaves) > MOST and not column.levels and column.fine:
        leaves, weight = _some_places(column, leaves)
    codes = torch.from_numpy(np.stack(cells(column, leaves), 1)).long()
    chance = torch.zeros(len(x), len(leaves), dtype=torch.float64)
    for gap in unknown.unique(dim=0):
        ways = _ways(model, gap, max(FILLINGS, WAYS // len(leaves)))
        rows = (unknown == gap).all(1).nonzero()[:, 0]
        for i in rows.split(max(1, BLOCK // (len(leaves) * (FILLINGS if ways is None else len(ways))))):
            filled = _filled(model, x[i], gap, ways, mine)
            wide = filled.repeat_interleave(len(codes), 0)
            wide[:, mine] = codes.repeat(len(filled), 1)
            value = torch.cat([model._log_prob(part, None).double().cpu() for part in wide.split(model.chunk)])
            value = value.view(len(i), -1, len(codes)) + torch.from_numpy(weight)
            chance[i] = value.softmax(2).mean(1) if ways is None else value.logsumexp(1).softmax(1)
    return leaves, chance.numpy()


def _read(model: Any, held: pd.DataFrame, mine: list[int]) -> tuple[Tensor, Tensor]:
    """(packed rows, mask of the unknown cells beside the target's); missing cells that training had too are known."""
    packed, known = model.codec_.known(held, model.space_)
    x, unknown, at = drawn(packed).long(), ~known, 0
    for column, _ in model.codec_._coded(model.space_):
        part = slice(at, at + 1 + bool(column.fine))
        if column.missing >= 0:
            gone = unknown[:, at].clone()
            x[gone, part] = torch.from_numpy(np.stack(cells(column, np.array([column.missing])), 1)).long()
            unknown[gone, part] = False
        at = part.stop
    unknown[:, mine] = False
    return x, unknown


def _ways(model: Any, gap: Tensor, most: int) -> Tensor | None:
    """All that the unknown cells may hold together, (ways, unknown cells), None where it is more than `most`."""
    ways, at = torch.zeros(1, 0, dtype=torch.long), 0
    for column, _ in model.codec_._coded(model.space_):
        if gap[at]:
            own = torch.from_numpy(np.stack(cells(column, np.arange(len(column.mass))), 1)).long()
            if len(ways) * len(own) > most:
                return None
            ways = torch.cat([ways.repeat_interleave(len(own), 0), own.repeat(len(ways), 1)], 1)
        at += 1 + bool(column.fine)
    return ways


def _filled(model: Any, x: Tensor, gap: Tensor, ways: Tensor | None, mine: list[int]) -> Tensor:
    """Each row of x with its unknown cells filled in all ways, or completed FILLINGS times."""
    if ways is not None:
        x = x.repeat_interleave(len(ways), 0)
        x[:, gap] = ways.repeat(len(x) // len(ways), 1)
        return x
    if not isinstance(model, Partial):
        raise UsageError(f"Too much is missing to sum over, and {type(model).__name__} cannot fill it in: made can.")
    x, known = x.repeat_interleave(FILLINGS, 0), ~gap
    known[mine] = False
    return torch.cat([model._complete(part, known.expand(len(part), -1).clone(), None).long() for part in x.split(model.chunk)])


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
