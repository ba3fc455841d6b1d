"""Predict and balance: the commands' work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from sklearn.metrics import r2_score, roc_auc_score

from genus.cli.folder import Folder, read_data
from genus.data.write import write
from genus.errors import UsageError
from genus.tasks.balance import balance
from genus.tasks.predict import predict

console = Console(stderr=True, highlight=False)


def predict_run(path: Path, source: str, target: str, output: Path | None, seed: int, kind: str | None) -> None:
    """Predict a column of every row of the data, and say how well where they hold it."""
    folder = Folder(path)
    model = folder.model()
    reading = folder.description["data"]["reading"] | ({"kind": kind} if kind else {})
    X = read_data(source, reading).X
    name = next((n for n in getattr(model.codec_, "names_", []) if str(n) == target), target)
    found = predict(model, X, name, seed=seed)
    if name in getattr(X, "columns", ()):
        for line in _quality(found, X[name]):
            console.print(line)
    if output is None:
        print(found.to_csv(index=False), end="")
        return
    write(found, output)
    console.print(f"{len(found)} predictions → {output}")


def _quality(found: pd.DataFrame, truth: Any) -> list[str]:
    """What the predictions are worth against the true column."""
    held = truth.notna().to_numpy()
    if "q50" not in found.columns:
        best = found.columns.to_numpy()[found.to_numpy().argmax(1)]
        right = [str(a) == str(b) for a, b in zip(best[held], truth[held], strict=True)]
        lines = [f"accuracy: {np.mean(right):.4f} over {held.sum()} rows"]
        if found.shape[1] == 2:
            last = found.columns[1]
            lines.append(f"AUC of {last!r}: {roc_auc_score(truth[held].astype(str) == str(last), found.loc[held, last]):.4f}")
        return lines
    value = pd.to_datetime(truth).astype("int64") if found["mean"].dtype.kind == "M" else truth
    told = found.astype("int64") if found["mean"].dtype.kind == "M" else found
    true, mean = value[held].to_numpy(float), told.loc[held, "mean"].to_numpy(float)
    inside = (true >= told.loc[held, "q5"].to_numpy(float)) & (true <= told.loc[held, "q95"].to_numpy(float))
    return [
        f"R² of the mean: {r2_score(true, mean):.4f} over {held.sum()} rows; 90 % intervals cover {100 * inside.mean():.1f} %"
    ]


def balanced_rows(model: Any, n: int, words: str, seed: int | None) -> Any:
    """Rows balanced as `--balance sex,income` or `--balance "income:>50K=.5"` asks."""
    columns: dict[Any, dict[Any, float]] = {}
    for word in filter(None, (part.strip() for part in words.split(","))):
        name, colon, rest = word.partition(":")
        if not colon and "=" in word and columns:  # a further level of the column before
            name, rest = list(columns)[-1], word
        known = next((c for c in getattr(model.codec_, "names_", []) if str(c) == name), name)
        shares = columns.setdefault(known, {})
        if rest:
            level, equals, share = rest.rpartition("=")
            try:
                shares[level] = float(share)
            except ValueError:
                equals = ""
            if not equals or not level:
                raise UsageError(f'--balance takes columns, or "column:level=share", not {word!r}.')
    return balance(model, n, columns, seed=seed)
