"""Judge: the reference that every model's samples are held against, built once and the same for all of them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from genus import dice
from genus.data import codec_of
from genus.data.split import rows
from genus.errors import DataError
from genus.judgement import tabular, texts, twosample, vision
from genus.judgement.columns import Columns, frame_of
from genus.judgement.features import Features, kind_of, label_features, plain_features
from genus.judgement.frechet import frechet
from genus.judgement.giveaway import given_away
from genus.judgement.interval import share
from genus.judgement.mmd import mmd
from genus.judgement.modes import mode_scores
from genus.judgement.neighbours import closeness, likeness, nearest
from genus.judgement.score import Score

MOST = {"table": 10000, "array": 10000, "image": 5000, "text": 2000}
QUICK = 1000
LIKELY = 2000
DRAWN = 30000


@dataclass
class Judge:
    """What samples are compared with, and in which feature space.

    Parameters
    ----------
    X, y: the held-out test items and their labels. train, y_train: what the models were fitted on, None if unknown.
    validation: other held-out items, for the floor. target: the column that `utility` predicts. modes: known centres.
    n: how many samples to ask for; comparisons take as many as there are test items. name: of the data.
    window: of a running text.

    Attributes
    ----------
    kind: of data. test: the items in use. space: the features of distances; near: those of copying. rules: mined once.
    """

    X: Any
    y: Any = None
    train: Any = None
    y_train: Any = None
    validation: Any = None
    target: Any = None
    modes: Any = None
    n: int | None = None
    seed: int = 0
    quick: bool = False
    name: str = "label"
    window: int = 256
    codec: Any = field(default=None, init=False)
    kind: str = field(init=False)
    draws: int = field(init=False)

    def __post_init__(self) -> None:
        with threadpool_limits(1):
            self._prepare()

    def _prepare(self) -> None:
        self.kind = kind_of(self.X)
        self.test = self._part(self.X, "test", len(self._items(self.X)))
        if len(self.test) < 10:
            raise DataError(f"The test set has {len(self.test)} items; give at least 10 held-out items to judge by.")
        self.draws = min(self.n or self._usual(), 50000)
        self.n = min(len(self.test), self.draws)
        self.rules: list[Any] | None = None
        self.test = self._part(self.X, "test", self.n)
        self.real_train = None if self.train is None else self._part(self.train, "train", 50000)
        fitted_on = self.real_train if self.real_train is not None else self.test
        self.near = plain_features(fitted_on)
        labels = self._labels(fitted_on)
        net = label_features(fitted_on, labels, name=self.name, seed=self.seed) if self.kind == "image" else None
        self.space: Features = net or self.near
        self.frame = frame_of(self.test) if self.kind in ("table", "array") else None
        self.columns = Columns.of(self.frame) if self.frame is not None else None
        self.real = self.space(self.test)
        self.target = self._target()

    # -- the sets -----------------------------------------------------------------------------------------

    def _items(self, X: Any) -> Any:
        return texts.windows(X, self.window) if isinstance(X, str) else X

    def _usual(self) -> int:
        """How many samples to ask for where nobody said: of tables as many as there are training rows, for the attacks."""
        if self.kind != "table" or self.train is None:
            return len(self.test)
        return max(len(self.test), min(len(self.train), DRAWN // 7 if self.quick else DRAWN))

    def _part(self, X: Any, purpose: str, n: int) -> Any:
        """At most n items of X, by seed and limited by kind."""
        items = self._items(X)
        n = min(n, 50000 if purpose == "train" else QUICK if self.quick else MOST[self.kind])
        if len(items) <= n:
            return items
        rng = np.random.default_rng(dice.derive(self.seed, "part", purpose))
        return rows(items, np.sort(rng.permutation(len(items))[:n]))

    def _labels(self, items: Any) -> Any:
        """The labels of the items that features are fitted to."""
        y, X = (self.y_train, self.train) if self.real_train is not None else (self.y, self.X)
        return y if y is not None and len(items) == len(X) and len(y) == len(X) else None

    def _target(self) -> Any:
        if self.kind != "table" or self.frame is None or self.frame.shape[1] < 2:
            return None
        return self.frame.columns[-1] if self.target is None else self.target

    def floor_set(self) -> tuple[Any, str] | None:
        """(real items no model saw or, failing that, training items; which), to show what even real data score."""
        if self.validation is not None and len(self._items(self.validation)) >= (self.n or 0) // 2:
            return self._part(self.validation, "validation", self.n or 0), "validation"
        return None if self.train is None else (self._part(self.train, "floor", self.n or 0), "train")

    def floor_learn(self) -> Any:
        """Real rows to learn predictions from, as many as a model's samples; None but for tables."""
        if self.kind != "table" or self.real_train is None:
            return None
        rng = np.random.default_rng(dice.derive(self.seed, "learn"))
        return rows(self.real_train, rng.permutation(len(self.real_train))[: self.draws])

    def likely(self, X: Any) -> Any:
        """The items whose likelihood is taken, the same for every model: at most 2000 of the test set."""
        if X is None or isinstance(X, str) or len(X) <= LIKELY:
            return X
        return rows(X, np.sort(np.random.default_rng(dice.derive(self.seed, "likely")).permutation(len(X))[:LIKELY]))

    # -- the questions ------------------------------------------------------------------------------------

    def judge(self, samples: Any, *, own: bool = False, learn: Any = None, explain: bool = True) -> list[Score]:
        """Every score of samples against the test items; `own` where they are training items, whose copies mean nothing; `learn`
        what predictions of columns are learnt from, the samples themselves when None; `explain`: name the columns that told.

        One thread: the matrices are small, and idle threads that spin cost more than they give.
        """
        with threadpool_limits(1):
            return self._judge(samples, own, learn, explain)

    def _judge(self, samples: Any, own: bool, learn: Any, explain: bool) -> list[Score]:
        samples = self._items(samples)
        fake = rows(samples, np.arange(min(len(samples), self.n or 0)))
        if len(fake) < 10:
            raise DataError(f"{len(fake)} samples are too few to judge: give at least 10.")
        features = self.space(fake)
        return [
            *self._two_sample(fake, features, explain),
            *self._distances(features),
            *self._copies(samples, own),
            *self._modes(fake),
            *(tabular.scores(self, fake, samples if learn is None else learn, samples, own) if self.columns is not None else []),
            *self._texts(fake),
        ]

    def score(self, metric: str, value: tuple[float, float, float], space: str = "", n: int | None = None, **more: Any) -> Score:
        """A Score with this judge's reference, counts and seed filled in."""
        n = self.n if n is None else n
        return Score(metric, *value, n=n or 0, n_reference=more.pop("n_reference", self.n or 0), reference="test", space=space,
                     seed=self.seed, **more)  # fmt: skip

    def _two_sample(self, fake: Any, features: np.ndarray, explain: bool) -> list[Score]:
        seed, verdicts, detail = self.seed, [], {}
        for name, detector, a, b in self._detectors(fake, features):
            verdicts.append(twosample.detect(name, detector, a, b, seed=seed))
        if explain and self.columns is not None and self.frame is not None:
            detail |= given_away(frame_of(fake), self.frame, self.columns, seed=seed)
        best = twosample.chosen(verdicts)
        detail |= {"detectors": {v.detector: v.auc[0] for v in verdicts}, "p": twosample.p_value(best)}
        each = ", ".join(f"{v.detector} {v.auc[0]:.3f}" for v in verdicts)
        note = f"by {best.detector}, chosen for each fold on the others out of {each}"
        note += "; below 0.5 is chance: 0.5 lies in the interval" if best.auc[0] < 0.5 < best.auc[2] else ""
        return [
            self.score("auc", best.auc, "items", len(fake), note=note, detail=detail),
            self.score("accuracy", best.accuracy, "items", len(fake), note=note),
        ]

    def _detectors(self, fake: Any, features: np.ndarray) -> list[tuple[str, twosample.Detector, Any, Any]]:
        seed = self.seed
        if self.columns is not None and self.frame is not None:
            cells = self.columns.matrix(frame_of(fake)), self.columns.matrix(self.frame)
            return [("trees", twosample.trees(self.columns.categorical, seed=seed), cells[0], cells[1]),
                    ("logistic", twosample.linear(), features, self.real)]  # fmt: skip
        plain = [self.near(fake), self.near(self.test)]
        found: list[Any] = []
        if self.kind == "text":
            plain = [np.concatenate([p, texts.shapes(t)], 1) for p, t in zip(plain, (fake, self.test), strict=True)]
            found.append(("n-grams", twosample.linear(sparse=True), texts.hashed(fake), texts.hashed(self.test)))
        if self.kind == "image":
            top = float(self.test.max()) or 1.0
            found.append(
                ("convolutional net", vision.convolutional(seed=seed), vision.tensor(fake, top), vision.tensor(self.test, top))
            )
            found.append(("logistic", twosample.linear(), features, self.real))
        return [*found, ("trees", twosample.trees(seed=seed), plain[0], plain[1])]

    def _distances(self, features: np.ndarray) -> list[Score]:
        most = 2000
        fake, real, space = features[:most], self.real[:most], str(self.space)
        count: dict[str, Any] = {"n": len(fake), "n_reference": len(real)}
        value, low, high, p = mmd(fake[:QUICK], real[:QUICK], seed=self.seed)
        found = [self.score("mmd", (value, low, high), space, min(QUICK, len(fake)), n_reference=min(QUICK, len(real)),
                             note=f"p = {p:.3f}", detail={"p": p})]  # fmt: skip
        *distance, flags = frechet(features, self.real, seed=self.seed)
        found.append(self.score("frechet", (distance[0], distance[1], distance[2]), space, len(features), flags=flags))
        each = likeness(fake, real)
        return found + [self.score(name, share(values), space, **count) for name, values in each.items()]

    def _copies(self, samples: Any, own: bool) -> list[Score]:
        if self.real_train is None or own:
            return []
        some = rows(samples, np.arange(min(len(samples), 2000)))
        held = rows(self.test, np.arange(min(len(self.test), 2000)))
        train = rows(self.real_train, np.arange(min(len(self.real_train), 20000)))
        copied, base = self._equal(some), self._equal(held)
        close = closeness(self.near(some), self.near(held), self.near(train), seed=self.seed)
        count: dict[str, Any] = {"n": len(some), "n_reference": len(held)}
        return [
            self.score("copies", share(np.array(copied, float)), "items", **count, detail={"held-out": float(np.mean(base))}),
            self.score("near_copies", close["near"], str(self.near), **count),
            self.score("closeness", close["ratio"], str(self.near), **count),
            self.score("copying_z", close["z"], str(self.near), **count),
        ]

    def _equal(self, items: Any) -> list[bool]:
        """Which items are copies of training items: real arrays to four digits of the distance between items, for float32;
        rows of tables cell by cell of the codec's, inside which models draw numbers afresh."""
        if self.kind == "array":
            near = nearest(self.near(items), self.near(self.real_train))[0][:, 0]
            usual = np.median(nearest(self.near(self.test), self.near(self.real_train))[0])
            return list(near < 1e-4 * max(float(usual), 1e-12))
        known = set(self._prints(self.real_train))
        return [p in known for p in self._prints(items)]

    def _prints(self, items: Any) -> list[Any]:
        if self.kind != "table":
            return prints(items)
        if self.codec is None:
            self.codec = codec_of(self.train).fit(self.train)
        view = next(view for view in self.codec.views() if view.discrete)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return prints(self.codec.pack(items, view).numpy())

    def _modes(self, fake: Any) -> list[Score]:
        found = []
        if self.modes is not None and self.kind == "array":
            drawn, held = (np.asarray(a, np.float64).reshape(len(a), -1) for a in (fake, self.test))
            values = mode_scores(drawn, held, self.modes)
            centres = self.modes[0] if isinstance(self.modes, tuple) else self.modes
            note = f"of {len(centres)}"
            found = [self.score("modes", values["modes"], "modes", len(fake), note=note),
                     self.score("good", values["good"], "modes", len(fake)),
                     self.score("mode_kl", values["kl"], "modes", len(fake))]  # fmt: skip
        if self.space.reader is not None:
            found.append(self._classes(self.space.reader(fake), self.space.reader(self.test)))
        return found

    def _classes(self, seen: np.ndarray, truth: np.ndarray) -> Score:
        top = int(max(seen.max(), truth.max())) + 1
        rng, (a, b) = np.random.default_rng(self.seed), (seen, truth)

        def agree(a: np.ndarray, b: np.ndarray) -> float:
            return 1 - float(np.abs(np.bincount(a, minlength=top) / len(a) - np.bincount(b, minlength=top) / len(b)).sum() / 2)

        wide = 1.96 * float(np.std([agree(rng.choice(a, len(a)), rng.choice(b, len(b))) for _ in range(50)], ddof=1))
        value, found = agree(a, b), len(np.unique(a))
        return self.score("classes", (value, value - wide, min(1.0, value + wide)), str(self.space), len(a),
                           note=f"{found} of {len(np.unique(b))} classes drawn",
                           detail={"found": found, "of": len(np.unique(b))})  # fmt: skip

    def _texts(self, fake: Any) -> list[Score]:
        if self.kind != "text":
            return []
        value, detail = texts.ngrams(self.test, fake, seed=self.seed)
        return [
            self.score("lengths", texts.lengths(self.test, fake, seed=self.seed), "characters", len(fake)),
            self.score("ngrams", value, "characters", len(fake), detail=detail),
        ]


def prints(items: Any) -> list[Any]:
    """Something hashable and equal for equal items."""
    if hasattr(items, "itertuples"):
        return [tuple("" if v != v else str(v) for v in row) for row in items.astype(object).itertuples(index=False)]
    if isinstance(items, np.ndarray) and items.dtype.kind not in "OU":
        return [row.tobytes() for row in np.ascontiguousarray(items)]
    return list(items)
