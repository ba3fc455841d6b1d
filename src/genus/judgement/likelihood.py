"""Likelihoods of held-out items, each named as what it is: exact, a bound, or an estimate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from genus.errors import GenusError
from genus.judgement.score import Kind, Score

WINDOWS = 48


def likelihood(model: Any, X: Any, y: Any = None, *, seed: int = 0, reference: str = "test") -> list[Score]:
    """Mean log-likelihood and bits/dim (text: bits/byte) of X under `model`, every kind the model honestly gives; else nothing.

    The interval is normal, over items; for an estimate the estimator's own standard error is added.
    """
    y = y if getattr(model, "condition_", None) is not None else None
    scores: list[Score] = []
    for kind, verb in claims(model):
        values, error, words = values_of(model, verb, X, y, seed)
        scores += _scores(model, X, kind, values, error, words, len(values), seed, reference)
    return scores


def claims(model: Any) -> list[tuple[Kind, str]]:
    """(kind, verb) of what the model gives for these data: exact and bound never together."""
    claims: list[tuple[Kind, str]] = []
    if hasattr(model, "log_prob"):
        claims.append(("exact", "log_prob") if getattr(model, "exact", True) else ("bound", "log_prob_bound"))
    elif hasattr(model, "log_prob_bound"):
        claims.append(("bound", "log_prob_bound"))
    if hasattr(model, "log_prob_estimate"):
        claims.append(("estimate", "log_prob_estimate"))
    return claims


def values_of(model: Any, verb: str, X: Any, y: Any, seed: int) -> tuple[np.ndarray, float, str]:
    """(value of each item, standard error of their mean from the estimator alone, a word on how)."""
    call = getattr(model, verb)
    options = {} if verb == "log_prob" else {"seed": seed}
    if isinstance(X, str):
        out = call(_part(model, X), **options)
        return np.asarray(out[0] if isinstance(out, tuple) else out), 0.0, "windows of a running text"
    out = call(X, y, **options)
    if isinstance(out, tuple):
        # items may share one error (an estimated log Z), so that it is not averaged down
        return out[0], float(np.sqrt(np.mean(np.square(out[1])))), "with its standard error"
    return np.asarray(out), 0.0, ""


def _scores(
    model: Any, X: Any, kind: Kind, values: np.ndarray, error: float, words: str, n: int, seed: int, reference: str
) -> list[Score]:
    impossible = int(np.sum(~np.isfinite(values)))
    flags = (f"{impossible} of {n} held-out items are impossible under the model",) if impossible else ()
    mean = float(np.mean(values)) if not impossible else -math.inf
    sd = float(np.std(values, ddof=1)) / math.sqrt(n) if n > 1 and not impossible else math.nan
    wide = 1.96 * math.hypot(sd, error)
    codec = model.codec_
    space = f"{codec.kind} in its own units" + ("" if not model.space_.discrete else ", discrete")
    if kind != "exact" and codec.kind in ("image", "table") and not model.space_.discrete:
        space, words = f"{codec.kind} in its own units, discrete", words or "uniform dequantisation: a lower bound"
    common: dict[str, Any] = {
        "kind": kind, "n": n, "n_reference": n, "reference": reference,
        "space": space, "seed": seed, "note": words, "flags": flags
    }  # fmt: skip
    sizes = codec.size_bytes(codec.pack(_part(model, X), model.space_)) if codec.kind == "text" else None
    per = -1 / ((codec.dims() if sizes is None else float(sizes.mean())) * math.log(2))
    unit = "bits_per_dim" if sizes is None else "bits_per_byte"
    return [
        Score("log_likelihood", mean, mean - wide, mean + wide, **common),
        Score(unit, mean * per, (mean + wide) * per, (mean - wide) * per, **common),
    ]


def _part(model: Any, X: Any) -> Any:
    """As much of a running text as is scored; anything else whole."""
    return X[: WINDOWS * model.codec_.span_] if isinstance(X, str) else X


def likelihood_or_reason(model: Any, X: Any, y: Any, *, seed: int, reference: str) -> tuple[list[Score], str]:
    """The likelihoods, or none and one sentence about why."""
    try:
        scores = likelihood(model, X, y, seed=seed, reference=reference)
    except GenusError as error:
        return [], f"No likelihood: {error}"
    name = type(model).__name__
    return scores, "" if scores else f"{name} gives no likelihood: it is judged by its samples alone."
