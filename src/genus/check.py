"""The contract as runnable questions: `check_model` asks them of any family over any data it accepts."""

from __future__ import annotations

import inspect
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from genus.capability import Bound, Conditional, Density, Energy, Estimate, Latent, Partial, Stepwise
from genus.data.split import rows
from genus.errors import GenusError
from genus.model import Model

Factory = Callable[[], Model]


def check_model(factory: Factory, X: Any, y: Any = None) -> list[str]:
    """Ask every question of the contract; returns the names of those asked, raises AssertionError at the first failure.

    Parameters
    ----------
    factory: makes an unfitted model, quick to fit. X: the user's data. y: a condition, for families that take one.

    >>> from genus import Gaussian
    >>> len(check_model(Gaussian, np.random.default_rng(0).normal(size=(50, 3)))) > 10
    True
    """
    asked = []
    for name, ask in questions(factory, X, y):
        try:
            ask()
        except AssertionError as error:
            raise AssertionError(f"{type(factory()).__name__}, {name}: {error}") from error
        asked.append(name)
    return asked


def questions(factory: Factory, X: Any, y: Any = None) -> Iterator[tuple[str, Callable[[], None]]]:
    """(name, question) for what the family claims; the model is fitted once and shared."""
    model, condition = factory(), y if isinstance(factory(), Conditional) else None
    yield "an unfitted model says so", lambda: _unfitted(model)
    yield "fields are fields", lambda: _fields(factory)
    before = repr(model.get_params(deep=False))
    streams = _streams()
    model.fit(X, condition)
    yield "fitting leaves the fields", lambda: _same(before, repr(model.get_params(deep=False)), "a field changed")
    yield "fitting leaves the global generators", lambda: _same(streams, _streams(), "a global generator moved")
    yield "fitting again is fitting afresh", lambda: _refit(model, factory, X, condition)
    yield "samples have the user's type", lambda: _types(model, X)
    yield "a seed decides the draw", lambda: _seeds(model)
    yield "sampling leaves the global generators", lambda: _leaves_streams(model)
    yield "none and one can be drawn", lambda: _few(model)
    yield "a model survives its file", lambda: _file(model, X, condition)
    yield "bad data get one sentence", lambda: _bad_data(factory, X)
    yield "another kind of data is refused", lambda: _other_data(model, X)
    claims: tuple[tuple[type, str, Callable[[], None]], ...] = (
        (Density, "densities are finite, one an item", lambda: _density(model, X, condition)),
        (Bound, "bounds are finite, one an item, and repeat", lambda: _bound(model, X, condition)),
        (Estimate, "estimates come with errors", lambda: _estimate(model, X, condition)),
        (Energy, "energies are finite, one an item", lambda: _energy(model, X, condition)),
        (Latent, "codes decode to the user's type", lambda: _codes(model, X, condition)),
        (Partial, "completing leaves known cells alone", lambda: _complete(model, X, condition)),
        (Stepwise, "a trace ends in samples", lambda: _trace(model, X)),
    )
    yield from ((name, ask) for claim, name, ask in claims if isinstance(model, claim))
    if condition is not None:
        yield "the condition matters", lambda: _condition(model, condition)
    elif isinstance(model, Conditional):
        yield "a condition never trained on is refused", lambda: _refuses(lambda: model.sample(2, y="anything"))


# -- asked of all -----------------------------------------------------------------------------------------


def _unfitted(model: Model) -> None:
    try:
        model.sample(1)
    except NotFittedError:
        return
    raise AssertionError("sample before fit must raise NotFittedError")


def _fields(factory: Factory) -> None:
    model = factory()
    params = model.get_params(deep=False)
    twin: Any = clone(model)
    _same(repr(params), repr(twin.get_params(deep=False)))
    assert model.set_params(**params) is model, "set_params must return the model"
    try:
        model.set_params(no_such_field=1)
    except ValueError:
        return
    raise AssertionError("set_params must refuse an unknown field")


def _refit(model: Model, factory: Factory, X: Any, y: Any) -> None:
    once = model.sample(5, seed=1)
    _same(once, model.fit(X, y).sample(5, seed=1), "a second fit differs from the first")
    _same(once, factory().fit(X, y).sample(5, seed=1), "a fresh model's fit differs")


def _types(model: Model, X: Any) -> None:
    drawn = model.sample(7, seed=0)
    assert len(drawn) == 7, f"7 were asked for, {len(drawn)} came"
    _like(drawn, X)


def _like(drawn: Any, X: Any) -> None:
    """The same type, columns, dtypes and shape of an item as X."""
    if isinstance(X, pd.DataFrame):
        assert isinstance(drawn, pd.DataFrame), f"a table was fitted, {type(drawn).__name__} came back"
        assert list(drawn.columns) == list(X.columns), f"columns {list(drawn.columns)} for {list(X.columns)}"
        wrong = [c for c in X.columns if drawn[c].dtype != X[c].dtype]
        assert not wrong, f"column {wrong[0]!r} came back as {drawn[wrong[0]].dtype}, not {X[wrong[0]].dtype}"
    elif isinstance(X, str) or (isinstance(X, list | tuple) and isinstance(X[0], str)):
        assert all(isinstance(item, str) for item in drawn), "strings were fitted, something else came back"
    else:
        a = np.asarray(X)
        assert isinstance(drawn, np.ndarray), f"an array was fitted, {type(drawn).__name__} came back"
        assert drawn.shape[1:] == a.shape[1:], f"items of shape {drawn.shape[1:]} for {a.shape[1:]}"
        assert drawn.dtype == a.dtype, f"{drawn.dtype} for {a.dtype}"
        assert a.dtype.kind != "f" or np.isfinite(drawn).all(), "a sample is not finite"


def _seeds(model: Model) -> None:
    _same(model.sample(4, seed=3), model.sample(4, seed=3), "one seed gave two draws")
    assert not _equal(model.sample(12, seed=3), model.sample(12, seed=4)), "two seeds gave one draw"
    assert not _equal(model.sample(12), model.sample(12)), "without a seed, two draws are the same"


def _leaves_streams(model: Model) -> None:
    before = _streams()
    model.sample(3)
    model.sample(3, seed=0)
    _same(before, _streams(), "a global generator moved")


def _few(model: Model) -> None:
    assert len(model.sample(0)) == 0, "sample(0) is not empty"
    assert len(model.sample(1)) == 1, "sample(1) is not one item"
    _refuses(lambda: model.sample(-1))


def _file(model: Model, X: Any, y: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, "m"))
        again = Model.load(Path(folder, "m"))
    _same(model.sample(6, seed=2), again.sample(6, seed=2), "draws differ after save and load")
    _same(repr(model.get_params(deep=False)), repr(again.get_params(deep=False)), "fields differ after save and load")
    if isinstance(model, Density | Bound):
        assert isinstance(again, Density | Bound)
        _same(
            model.log_prob_bound(_head(X), _head(y)),
            again.log_prob_bound(_head(X), _head(y)),
            "scores differ after save and load",
        )


def _bad_data(factory: Factory, X: Any) -> None:
    _refuses(lambda: factory().fit(X[:0]))
    if isinstance(X, np.ndarray) and X.dtype.kind == "f":
        for bad in (np.nan, np.inf):
            spoilt = X.copy()
            spoilt.flat[0] = bad
            _refuses(lambda spoilt=spoilt: factory().fit(spoilt))


def _other_data(model: Model, X: Any) -> None:
    if isinstance(X, str) or not isinstance(model, Density | Bound):
        return
    other = ["x", "yz"] * 5 if not _is_text(X) else np.random.default_rng(0).normal(size=(10, 3))
    _refuses(lambda: model.log_prob_bound(other))
    if isinstance(X, np.ndarray) and X.ndim == 2:
        _refuses(lambda: model.log_prob_bound(X[:, :1]))


# -- asked of those that claim it -------------------------------------------------------------------------


def _count(model: Model, X: Any) -> int:
    return len(model.codec_.pack(_head(X), model.space_))


def _finite(values: np.ndarray, n: int) -> None:
    assert values.shape == (n,), f"shape {values.shape} for {n} items"
    assert np.isfinite(values).all(), f"{(~np.isfinite(values)).sum()} of {n} are not finite"


def _density(model: Any, X: Any, y: Any) -> None:
    _finite(model.log_prob_bound(_head(X), _head(y)), _count(model, X))
    assert np.isfinite(model.score(_head(X), _head(y))), "the score is not finite"
    if model.exact:
        _finite(model.log_prob(_head(X), _head(y)), _count(model, X))
    else:
        _refuses(lambda: model.log_prob(_head(X), _head(y)))


def _bound(model: Any, X: Any, y: Any) -> None:
    once = model.log_prob_bound(_head(X), _head(y), seed=5)
    _finite(once, _count(model, X))
    _same(once, model.log_prob_bound(_head(X), _head(y), seed=5), "one seed gave two bounds")
    assert not hasattr(model, "log_prob"), "a bound may not be called log_prob"


def _estimate(model: Any, X: Any, y: Any) -> None:
    value, error = model.log_prob_estimate(_head(X), _head(y))
    _finite(value, _count(model, X))
    _finite(error, _count(model, X))
    assert (error >= 0).all(), "a standard error is negative"


def _energy(model: Any, X: Any, y: Any) -> None:
    _finite(model.energy(_head(X), _head(y)), _count(model, X))


def _codes(model: Any, X: Any, y: Any) -> None:
    codes = model.encode(_head(X), _head(y))
    assert codes.ndim == 2, f"codes are (n, k), not {codes.shape}"
    assert len(codes) == _count(model, X), f"{len(codes)} codes for {_count(model, X)} items"
    back = model.decode(codes, _head(y))
    assert len(back) == len(codes), f"{len(back)} items of {len(codes)} codes"
    _like(back, X)


def _complete(model: Any, X: Any, y: Any) -> None:
    holed, known = holes(X)
    if holed is None:
        return
    filled = model.complete(holed, _head(y), seed=0)
    _same(filled, model.complete(holed, _head(y), seed=0), "one seed gave two completions")
    a, b = np.asarray(filled, dtype=object), np.asarray(_head(X), dtype=object)
    assert a.shape == b.shape, f"completing changed the shape to {a.shape}"
    wrong = [(u, v) for u, v in zip(a[known], b[known], strict=True) if u != v and not (pd.isna(u) and pd.isna(v))]
    assert not wrong, f"a known cell changed from {wrong[0][1]!r} to {wrong[0][0]!r}"
    assert not pd.isna(a[~known]).any(), "a missing cell is still missing"


def holes(X: Any) -> tuple[Any, np.ndarray]:
    """The first items of X with every third cell missing, and the mask of what is known; (None, empty) for text."""
    head = _head(X)
    if _is_text(X):
        return None, np.zeros(0, bool)
    if isinstance(X, pd.DataFrame):
        hidden = (np.arange(head.size) % 3 == 0).reshape(head.shape)
        numeric = [pd.api.types.is_bool_dtype(t) or pd.api.types.is_integer_dtype(t) for t in head.dtypes]
        loose = head.astype({c: object for c, plain in zip(head.columns, numeric, strict=True) if plain})
        return loose.mask(hidden), ~hidden & ~head.isna().to_numpy()
    hidden = (np.arange(head.size) % 3 == 0).reshape(head.shape)
    if head.dtype.kind == "f":
        return np.where(hidden, np.nan, head), ~hidden
    return np.ma.masked_array(head, hidden), ~hidden


def _trace(model: Any, X: Any) -> None:
    frames = model.trace(3, seed=0)
    assert frames, "a trace has no frames"
    for frame in (frames[0], frames[-1]):
        assert len(frame) == 3, f"a frame of {len(frame)} items for 3"
    _like(frames[-1], X)


def _condition(model: Any, y: Any) -> None:
    labels = np.unique(np.asarray(y))
    draws = [model.sample(60, y=label, seed=0) for label in labels[:2]]
    assert not _equal(*draws), "two conditions gave one draw"
    assert len(model.sample(3, y=list(labels[:1]) * 3)) == 3, "a condition an item was not taken"
    assert len(model.sample(4)) == 4, "without a condition, one must be drawn as in training"
    _refuses(lambda: model.sample(2, y="no such label"))


# -- comparing --------------------------------------------------------------------------------------------


def _is_text(X: Any) -> bool:
    return isinstance(X, str) or (isinstance(X, list | tuple) and isinstance(X[0], str))


def _head(X: Any, n: int = 9) -> Any:
    if X is None or isinstance(X, str):
        return X
    return rows(X, np.arange(min(n, len(X))))


def _streams() -> str:
    state: Any = np.random.get_state()
    return repr((torch.get_rng_state().tolist(), state[1].tolist(), state[2:], random.getstate()))


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, pd.DataFrame):
        return a.equals(b)
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return a == b


def _same(a: Any, b: Any, why: str = "it changed") -> None:
    assert _equal(a, b), why


def _refuses(call: Callable[[], Any]) -> None:
    """The call must fail with one sentence of ours, or a ValueError."""
    try:
        call()
    except (GenusError, ValueError) as error:
        text = str(error)
        assert text, "the refusal says nothing"
        assert len(text) < 700, f"the refusal is not one sentence but {len(text)} characters"
        return
    except Exception as error:
        raise AssertionError(f"refused by {type(error).__name__}: {error}") from error
    raise AssertionError(f"accepted: {inspect.getsource(call).strip()}")
