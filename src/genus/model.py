"""Model: the shell with the public verbs, written once and never overridden."""

from __future__ import annotations

import importlib
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self, final

import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from genus import dice, store
from genus.data import codec_from_json, codec_of, split_off
from genus.data.codec import Codec
from genus.data.condition import Condition
from genus.data.stream import Chunks, opened, stored
from genus.errors import DataError, NotAccepted, RunError, UsageError
from genus.maths.quantise import Packed
from genus.space import AnySpace, space_from_json
from genus.train.run import Run

FORMAT = 1
KEYS = ("family", "fields", "space", "codec", "condition", "learnt", "modules", "tensors", "sha256")
TENSORS = f"model-{'[0-9a-f]' * 16}.safetensors"


@dataclass(kw_only=True, eq=False, repr=False)
class Model(BaseEstimator, ABC):
    """A family's public face: fit and sample; capabilities add the other verbs.

    A family is a dataclass of hyper-parameters that declares which kinds of Space it accepts and writes
    `_build` (make the nets for `space_`), `_fit` and `_sample`. Whatever it learns ends in `_` and is a
    tensor, an array, a module made in `_build`, or JSON; `save` keeps exactly that.

    Parameters
    ----------
    seed: of everything drawn while fitting.

    Attributes
    ----------
    codec_: the fitted Codec. space_: the Space it packs into for this family. condition_: the fitted
    Condition, None when `fit` had no y. history_: a list of dicts, one a logged step.
    """

    accepts: ClassVar[tuple[str, ...]] = ()
    holds_out: ClassVar[bool] = False
    chunk: ClassVar[int] = 2048
    reads: ClassVar[bool] = False  # a text in y as a sequence of symbols, rather than as a bag of words

    seed: int = 0

    # -- the hooks a family writes ------------------------------------------------------------------------

    def _check(self) -> None:
        """Raise a UsageError for hyper-parameters that cannot work."""

    def _build(self) -> None:
        """Make the nets for `space_` and `width_y`; called before `_fit` and by `load`."""

    @abstractmethod
    def _fit(self, x: Packed, y: Tensor | None, run: Run) -> None:
        """Learn from x (n, *space) and the condition y (n, m); `run.validation` holds (x, y) or None."""

    @abstractmethod
    def _sample(self, n: int, y: Tensor | None) -> Tensor:
        """n items (n, *space)."""

    # -- the verbs ----------------------------------------------------------------------------------------

    @final
    def fit(self, X: Any, y: Any = None, *, validation: Any = None, run: Run | None = None) -> Self:
        """Learn the distribution of X, given y if it is passed.

        Parameters
        ----------
        X: DataFrame, uint8 images (n, H, W[, C]), list of strings or one running text, or a real array (n, …). A table in
            files (.csv, .parquet) by its path, or as `Chunks`, is streamed where it would take a fifth of the free memory.
        y: labels (n,) or a DataFrame of columns to condition on.
        validation: held-out X, or (X, y); families that train by steps set some rows aside when it is None.
        run: where to keep checkpoints and how to show progress; a silent one in memory by default.
        """
        self._check()
        X = opened(X)
        if isinstance(X, Chunks):
            return self._fit_stream(X, y, validation, run)
        run = replace(run or Run(), validation=None)
        if validation is not None and not isinstance(validation, tuple):
            validation = (validation, None)
        if validation is None and self.holds_out and getattr(self, "epsilon", None) is None:
            X, y, validation = split_off(X, y, seed=self.seed)
        self._forget()
        with dice.private(dice.derive(self.seed, "fit")):
            self.codec_ = codec_of(X, estimator=self).fit(X)
            self.space_ = self._choose(self.codec_)
            self.condition_ = None if y is None or not self._conditional() else Condition(self.reads).fit(y)
            x, c = self._packed(X, y, fitting=True)
            if validation is not None:
                run.validation = self._packed(*validation)
            self.history_: list[dict[str, Any]] = []
            self._build()
            self._fit(x, c, run)
            if run.validation is not None and len(run.validation[0]):
                self.history_ = self.codec_.told(self.history_, run.validation[0])
        return self

    def _fit_stream(self, X: Chunks, y: Any, validation: Any, run: Run | None) -> Self:
        """`fit` on a table in chunks: the codec from a sample, the rows from a compact file that is deleted afterwards."""
        if y is not None:
            raise UsageError("A table that is streamed takes no y: leave the columns in it and give them to sample(given=…).")
        run = replace(run or Run(), validation=None)
        if validation is None and self.holds_out:
            X, validation = X.split_off(self.seed)
        self._forget()
        with dice.private(dice.derive(self.seed, "fit")):
            some = X.sample(seed=self.seed)
            self.codec_ = codec_of(some, estimator=self).fit(some)
            del some
            self.space_ = self._choose(self.codec_)
            self.condition_ = None
            if validation is not None:
                run.validation = self._packed(validation)
            self.history_ = []
            with stored(X, self.codec_, self.space_, run.folder, run.progress) as x:
                self._build()
                self._fit(x, None, run)
        return self

    def _forget(self) -> None:
        """Drop whatever an earlier fit learnt."""
        for name in [name for name in vars(self) if name.endswith("_") and not name.startswith("_")]:
            delattr(self, name)

    @final
    def sample(self, n: int = 1, y: Any = None, *, given: Any = None, seed: int | None = None) -> Any:
        """n new items in the user's own type.

        Parameters
        ----------
        n: how many. y: the condition, one for all or one an item; drawn as in training when left out.
        given: known parts of an item, {column: value}, for families that complete; families that are Constrained also take a
            set or list of values, a range (low, high) with either end None, and None for a missing cell. How likely the
            model thinks the condition, and how many training rows that makes, is told in `attrs["support"]` of the table.
        seed: None draws afresh.
        """
        check_is_fitted(self, "space_")
        if not isinstance(n, int) or n < 0:
            raise UsageError(f"sample(n) wants a count of 0 or more, not {n!r}.")
        if given is not None or getattr(self.codec_, "rules_", None):
            return self._asked(n, given, y, seed)
        return self._free(n, y, seed)

    def _free(self, n: int, y: Any, seed: int | None) -> Any:
        """n items of which nothing is asked."""
        with dice.private(seed), torch.no_grad():
            c = self._conditions(n, y)
            parts = [self._sample(len(i), None if c is None else c[i]) for i in _chunks(n, self.chunk)]
            x = torch.cat(parts) if parts else torch.zeros((0, *self.space_.shape), dtype=self.space_.dtype)
            return self.codec_.unpack(x.cpu(), self.space_)

    @final
    def save(self, path: str | Path) -> None:
        """Write `model.json`, and the tensors it names, into the folder `path`; a model there is replaced at one blow."""
        check_is_fitted(self, "space_")
        folder = Path(path)
        tensors: dict[str, Tensor] = {}
        body = {"genus": FORMAT} | self._frozen(tensors, "")
        content = store.pack_tensors(tensors)
        body["sha256"] = store.digest(content)
        body["tensors"] = f"model-{body['sha256'][:16]}.safetensors"
        store.write(folder / body["tensors"], content)
        store.write(folder / "model.json", store.to_json(body))
        for old in folder.glob(TENSORS):
            if old.name != body["tensors"]:
                old.unlink(missing_ok=True)

    def _frozen(self, tensors: dict[str, Tensor], at: str) -> dict[str, Any]:
        """JSON of the model, its numbers put into `tensors` under names that begin with `at`; so is a model inside it."""
        fields = {k: None if callable(v) else v for k, v in self.get_params(deep=False).items()}
        body: dict[str, Any] = {
            "family": f"{type(self).__module__}:{type(self).__qualname__}",
            "fields": store.freeze(fields, tensors, f"{at}fields"),
            "factories": sorted(k for k, v in self.get_params(deep=False).items() if callable(v)),
        }
        if not hasattr(self, "space_"):
            return body
        learnt = {k: v for k, v in vars(self).items() if k.endswith("_") and not k.startswith("_")}
        special = {"codec_", "space_", "condition_"}
        modules = {k: v for k, v in learnt.items() if isinstance(v, nn.Module)}
        for name, module in modules.items():
            tensors |= {f"{at}{name}/{key}": value for key, value in module.state_dict().items()}
        rest = {k: v for k, v in learnt.items() if k not in special and k not in modules}
        return body | {
            "space": self.space_.to_json(),
            "codec": {"kind": self.codec_.kind, "state": store.freeze(vars(self.codec_), tensors, f"{at}codec")},
            "condition": store.freeze(vars(self.condition_), tensors, f"{at}condition") if self.condition_ else None,
            "learnt": {k: store.freeze(v, tensors, at + k) for k, v in rest.items()},
            "modules": sorted(modules),
        }

    @staticmethod
    @final
    def load(path: str | Path, **fields: Any) -> Model:
        """The model saved in the folder `path`; `fields` replace what JSON cannot hold (a `net=` factory)."""
        folder = Path(path)
        if not (folder / "model.json").is_file():
            raise RunError(f"{folder} holds no model (no model.json): give the folder that `genus fit -o` wrote.")
        body = store.from_json(store.read(folder / "model.json"), str(folder / "model.json"))
        if not isinstance(body, dict) or body.get("genus") != FORMAT:
            raise RunError(f"{folder / 'model.json'} is not a model of this genus (format {FORMAT}).")
        lacking = [name for name in KEYS if name not in body]
        if lacking:
            raise RunError(f"{folder / 'model.json'} lacks {lacking[0]!r}: restore it from a copy, or fit again.")
        file = folder / Path(str(body["tensors"])).name
        content = store.read(file)
        if store.digest(content) != body["sha256"]:
            raise RunError(f"{file} has changed since it was written (its hash differs): restore it from a copy, or fit again.")
        tensors = store.unpack_tensors(content, str(file))
        return _thawed(body, tensors, "", str(folder), fields)

    # -- what the capabilities share ----------------------------------------------------------------------

    @property
    def width_y(self) -> int:
        """Entries of a packed condition, 0 without one."""
        return self.condition_.width if self.condition_ is not None else 0

    @property
    def texts_y(self) -> tuple[tuple[int, int, int], ...]:
        """(first entry, entries, symbols) of each text in a packed condition that comes as symbols, 0 behind its end."""
        return self.condition_.sequences if self.condition_ is not None else ()

    @classmethod
    def _conditional(cls) -> bool:
        return any(base.__name__ == "Conditional" for base in cls.__mro__)

    def _choose(self, codec: Codec) -> AnySpace:
        for view in codec.views():
            if view.kind in self.accepts:
                return view
        offered = " or ".join(sorted({view.kind for view in codec.views()}))
        takes = ", ".join(self.accepts)
        raise NotAccepted(
            f"{type(self).__name__} does not accept {codec.kind} data (packed as {offered}; it takes {takes})", codec
        )

    def _packed(self, X: Any, y: Any = None, *, fitting: bool = False) -> tuple[Packed, Tensor | None]:
        """X and y as tensors of `space_`; outside fit, X is also checked against what was fitted."""
        x = self.codec_.pack_fit(X, self.space_) if fitting else self._packed_items(X)
        if self.condition_ is None:
            return x, None
        if y is None:
            raise UsageError("This model was fitted with a condition: give y as well.")
        c = self.condition_.pack(y, len(x))
        return x, c

    def _packed_items(self, X: Any) -> Packed:
        """X as items of `space_`, checked against what was fitted."""
        kind = codec_of(X, estimator=self, reset=False).kind
        if kind != self.codec_.kind:
            raise DataError(f"The model was fitted on {self.codec_.kind} data, but X is {kind} data: give the same kind.")
        return self.codec_.pack(X, self.space_)

    def _conditions(self, n: int, y: Any) -> Tensor | None:
        if self.condition_ is None:
            if y is not None:
                raise UsageError("This model was fitted without a condition: fit(X, y) first, or leave y out.")
            return None
        return self.condition_.draw(n) if y is None else self.condition_.pack(y, n)

    def _each(self, hook: Callable[..., Tensor], x: Packed, y: Tensor | None, X: Any = None) -> Tensor:
        """The hook over chunks of x, in double precision on the CPU, minus the change of volume, plus what packing X left out."""
        out = []
        with torch.no_grad():
            for i in _chunks(len(x), self.chunk):
                piece = x[i]
                value = hook(piece, None if y is None else y[i]).double().cpu()
                if value.shape != (len(piece),):
                    raise TypeError(f"A hook of {type(self).__name__} gave shape {tuple(value.shape)} for {len(piece)} items.")
                out.append(value - self.codec_.log_volume(piece, self.space_).double())
        value = torch.cat(out) if out else torch.zeros(0, dtype=torch.float64)
        tails = None if X is None else self.codec_.log_tails(X, self.space_)
        return value if tails is None else value + tails.sum(1).double()

    def _asked(self, n: int, given: Any, y: Any, seed: int | None) -> Any:
        """n items of which something is given, or which have rules to keep, as well as a family can that masks nothing."""
        if rules := getattr(self.codec_, "rules_", None):
            warnings.warn(
                f"{type(self).__name__} does not enforce the table's {len(rules)} rule{'s' * (len(rules) > 1)}: "
                "`genus families` shows which families do (constrained).",
                stacklevel=4,
            )
        if given is None:
            return self._free(n, y, seed)
        wide = _restricting(given)
        if wide is not None:
            raise UsageError(
                f"{type(self).__name__} takes one value of {wide!r}, not a set or a range: "
                "`genus families` shows which families do (constrained)."
            )
        return self._given(n, given, y, seed)

    def _given(self, n: int, given: Any, y: Any, seed: int | None) -> Any:
        raise UsageError(f"{type(self).__name__} cannot sample given known parts: `genus families` shows which can (partial).")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.estimator_type = "density_estimator"
        tags.target_tags.required = False
        tags.non_deterministic = False
        return tags


def _restricting(given: Any) -> Any:
    """The first column of which a set or a range is given, None where there is none."""
    items = given.items() if isinstance(given, dict) else ()
    return next((name for name, value in items if isinstance(value, tuple | set | frozenset) or value is None), None)


def _chunks(n: int, size: int) -> Iterator[Tensor]:
    return (torch.arange(i, min(i + size, n)) for i in range(0, n, size))


def _thawed(body: dict[str, Any], tensors: dict[str, Tensor], at: str, where: str, given: dict[str, Any] | None = None) -> Model:
    """The model that `_frozen` wrote, fitted if it was; `given` fields replace what JSON cannot hold."""
    given = given or {}
    missing = [name for name in body.get("factories", []) if given.get(name) is None]
    if missing:
        raise RunError(
            f"{where} was saved with a {missing[0]} of its own, which a file cannot hold: "
            f"give it again, genus.Model.load({where!r}, {missing[0]}=...)."
        )
    model = _family(body["family"])(**(store.thaw(body["fields"], tensors, f"{at}fields") | given))
    if "space" not in body:
        return model
    model.space_ = space_from_json(body["space"])
    model.codec_ = codec_from_json(body["codec"]["kind"], store.thaw(body["codec"]["state"], tensors, f"{at}codec"))
    model.condition_ = None
    if body["condition"] is not None:
        model.condition_ = Condition()
        vars(model.condition_).update(store.thaw(body["condition"], tensors, f"{at}condition"))
    for name, value in body["learnt"].items():
        setattr(model, name, store.thaw(value, tensors, at + name))
    with dice.private(0):
        model._build()
    for name in body["modules"]:
        module: nn.Module = getattr(model, name)
        key = f"{at}{name}/"
        state = {k[len(key) :]: v for k, v in tensors.items() if k.startswith(key)}
        _load_state(module, state, f"{name} of {where}")
        module.eval()
    return model


store.TAGS["$model"] = lambda body, tensors, name: _thawed(body, tensors, f"{name}/", name)


def _load_state(module: nn.Module, state: dict[str, Tensor], where: str) -> None:
    try:
        module.load_state_dict(state)
    except RuntimeError:
        raise RunError(
            f"The weights of {where} do not fit the {type(module).__name__} that was made for them: "
            "give the factory it was fitted with."
        ) from None


def _family(name: str) -> type[Model]:
    """The class a model file names: one of genus's own, or one already imported."""
    module, _, qualname = name.partition(":")
    if module.startswith("genus.families."):
        importlib.import_module(module)
    todo: list[type] = [Model]
    while todo:
        cls = todo.pop()
        todo += cls.__subclasses__()
        if f"{cls.__module__}:{cls.__qualname__}" == name:
            return cls
    raise RunError(f"The model is of family {qualname} from {module}: import that module, then load again.")
