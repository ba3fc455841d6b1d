"""Balance: draws in which chosen groups are as frequent as one asks, everything else following as it does in each group."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from genus import dice
from genus.capability import Partial
from genus.data.column import Column
from genus.data.table import TableCodec
from genus.errors import UsageError, nearest

MOST = 1000  # groups


def balance(
    model: Any, n: int, columns: Sequence[Any] | Mapping[Any, Mapping[Any, float]], *, seed: int | None = None
) -> pd.DataFrame:
    """n rows with all combinations of the columns' levels equally often, or with the shares given.

    Rows are drawn from p(rest | combination), never drawn and thrown away. Balancing a sensitive column together with the
    target (`["sex", "income"]`) makes them independent in the draws: what is trained on them meets demographic parity in its
    data. A share for some levels of a column leaves the rest to the others in equal parts. With a Constrained family,
    `attrs["support"]` lists each combination's probability and how many training rows that makes, and a warning names
    those of less than one row: they are extrapolation.

    Parameters
    ----------
    model: fitted on a table, and able to complete. columns: names, or {column: {level: share}}. seed: None draws afresh.

    Raises UsageError for a column that is none of the model's labels, an unknown level, or shares that do not fit, and
    DataError for a combination that the table's rules forbid.
    """
    codec = getattr(model, "codec_", None)
    if not isinstance(codec, TableCodec) or not isinstance(model, Partial):
        raise UsageError("balance wants a family that completes tables, such as made, fitted on one.")
    named = columns if isinstance(columns, Mapping) else {name: {} for name in columns}
    shares = [_shares(codec, name, dict(given)) for name, given in named.items()]
    groups = list(itertools.product(*[part.items() for part in shares]))
    if not groups or len(groups) > MOST:
        raise UsageError(f"balance takes 1 to {MOST} combinations of levels, not {len(groups)}.")
    chance = np.array([np.prod([share for _, share in group]) for group in groups])
    counts = _counts(chance / chance.sum(), n)
    parts, support = [], []
    for i, group in enumerate(groups):
        if not counts[i]:
            continue
        given = {name: level for name, (level, _) in zip(named, group, strict=True)}
        own = None if seed is None else dice.derive(seed, f"group {i}")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The model gives ")
            parts.append(model.sample(int(counts[i]), given=given, seed=own))
        if "support" in parts[-1].attrs:
            support.append({"given": given} | parts[-1].attrs["support"])
            parts[-1].attrs = {k: v for k, v in parts[-1].attrs.items() if k != "support"}
    _tell(support)
    rows = pd.concat(parts, ignore_index=True) if parts else model.sample(0)
    order = np.random.default_rng(dice.derive(seed or 0, "balance") if seed is not None else None).permutation(n)
    rows = rows.iloc[order].reset_index(drop=True)
    rows.attrs |= {"support": support} if support else {}
    return rows


def _tell(support: list[dict[str, Any]]) -> None:
    """Warn of combinations that hardly any training row had."""
    poor = sorted((each for each in support if each["rows"] < 1), key=lambda each: each["rows"])
    if poor:
        worst = ", ".join(f"{name} {level}" for name, level in poor[0]["given"].items())
        warnings.warn(
            f"{len(poor)} of {len(support)} combinations are extrapolation, with less than one training row expected in each: "
            f"the model gives {worst} a probability of {poor[0]['probability']:.2g}.",
            stacklevel=3,
        )


def _shares(codec: TableCodec, name: Any, given: dict[Any, float]) -> dict[Any, float]:
    """{level: share} of a column, the levels that are not given sharing the rest."""
    if name not in codec.names_:
        raise UsageError(f"The model has no column {name!r}.{nearest(str(name), map(str, codec.names_))}")
    state = codec.columns_.get(name)
    levels = list(state["levels"]) if state else []
    if state and not levels and len(state["atoms"]) and not len(state["edges"]):
        levels = [v.item() for v in Column(**state).values(np.asarray(state["atoms"]))]
    if not levels:
        raise UsageError(f"Column {name!r} has no levels to balance: give a column of labels or few values.")
    texts = {str(level): level for level in levels}
    asked = {}
    for word, share in given.items():
        if str(word) not in texts:
            raise UsageError(f"{name!r} has no level {word!r}.{nearest(str(word), texts)}")
        asked[texts[str(word)]] = float(share)
    total, others = sum(asked.values()), [level for level in levels if level not in asked]
    if min(asked.values(), default=0) < 0 or total > 1 + 1e-9 or (not others and abs(total - 1) > 1e-6):
        raise UsageError(f"The shares of {name!r} sum to {total:g}: they must be positive and fit into 1.")
    return asked | {level: (1 - total) / len(others) for level in others}


def _counts(share: np.ndarray, n: int) -> np.ndarray:
    """Whole numbers nearest to n · share that sum to n."""
    exact = share * n
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: n - counts.sum()]] += 1
    return counts
