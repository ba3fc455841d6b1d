"""Attacks: what samples, and a model, give away about the people they were learnt from, each attack beside its two controls.

`attacks(judge, samples, model=…)` gives a list of Scores, strongest evidence first read from `value` with `low` and `high`:

metric               value                                      nothing leaks at
`distance_attack`    AUC of membership by nearest sample        0.5
`density_attack`     AUC of membership by density ratio         0.5
`likelihood_attack`  AUC of membership by the model's log p     0.5   (only with a model that has likelihoods)
`singling_out`       risk that a released row singles out       0
`inference`          risk that a secret is guessed from it      0
`exact_rows`         share of samples equal to a training row   `detail["control"]`

and each Score's `detail` holds, as [value, low, high],
    "copy": the same attack on a verbatim copy of training rows (the positive control: must be caught),
    "control": the same attack on real rows that have nothing to do with training (the negative control),
    "tpr", "copy_tpr", "control_tpr": members caught while 1 % of outsiders are accused (membership attacks only),
and "sound": True where the copy was told from the control, "caught": True where the samples were, "says": one sentence.
An attack that does not catch the copy proves nothing, and is flagged so.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from genus import dice
from genus.data.split import rows
from genus.errors import GenusError
from genus.judgement import disclosure
from genus.judgement.columns import Columns
from genus.judgement.interval import Interval, wilson
from genus.judgement.judge import Judge
from genus.judgement.membership import auc, by_density, by_distance, reach, true_rate
from genus.judgement.score import Score

TARGETS = 6500  # members and outsiders each
RELEASED = 30000  # samples an attacker uses
PREDICATES = 3000
LIKELY = 2000  # members and outsiders each whose likelihood is taken
REPEATED = 0.1  # distinct values over rows, above which a column makes every row unique
QUICK = 4  # times fewer in a quick judgement
HALF = 0.5


@dataclass
class Scene:
    """The sets an attack needs, cut once from a judge's.

    Attributes
    ----------
    train: what the models were fitted on. members: some of it. outsiders: held-out items, as many. half: how many of these are
    not among `spare`, the held-out items that stand for other people's data. copy: training items drawn with replacement.
    size: items in a release.
    """

    judge: Judge
    size: int
    train: Any = field(init=False)
    members: Any = field(init=False)
    outsiders: Any = field(init=False)
    spare: Any = field(init=False)
    half: int = field(init=False)
    copy: Any = field(init=False)

    def __post_init__(self) -> None:
        judge, quick = self.judge, QUICK if self.judge.quick else 1
        rng = np.random.default_rng(dice.derive(judge.seed, "attacks"))
        self.train = judge.real_train
        order = rng.permutation(len(judge.test))
        n = min(len(order), len(self.train), TARGETS // quick)
        self.half = min(n, len(order) // 2)
        self.outsiders, self.spare = rows(judge.test, order[:n]), rows(judge.test, order[len(order) // 2 :])
        self.members = rows(self.train, rng.permutation(len(self.train))[:n])
        self.copy = rows(self.train, rng.integers(0, len(self.train), self.size))

    @property
    def spares(self) -> tuple[Any, Any]:
        """The spare half, halved: a release of real rows, and rows to compare it with."""
        middle = len(self.spare) // 2
        return rows(self.spare, np.arange(middle)), rows(self.spare, np.arange(middle, len(self.spare)))


def attacks(judge: Judge, samples: Any, *, model: Any = None) -> list[Score]:
    """Every attack on `samples` (and on `model`) that the judge's sets allow; none without training items.

    Parameters
    ----------
    judge: with `train`, what the model was fitted on, and held-out test items. samples: of the model, the more the better,
    at most 30,000 are used. model: fitted, for the attack by likelihood.

    Reference: J. Hayes et al. 2019 (LOGAN), https://arxiv.org/abs/1705.07663; G. Ganev and E. De Cristofaro 2023, on the
    inadequacy of similarity-based privacy metrics, https://arxiv.org/abs/2312.05114
    """
    if judge.real_train is None or len(judge.test) < 40 or len(samples) < 10:
        return []
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        size = min(len(samples), RELEASED // (QUICK if judge.quick else 1))
        scene, release = Scene(judge, size), rows(samples, np.arange(size))
        found = by_neighbours(scene, release)
        found += by_likelihood(scene, model) if model is not None else []
        if judge.kind == "table":
            found += [single_out(scene, release), infer(scene, release), exact_rows(scene, release)]
    return found


def by_neighbours(scene: Scene, release: Any) -> list[Score]:
    """Membership by the distance to the nearest sample, and by the ratio of densities."""
    near, n, half = scene.judge.near, len(scene.members), scene.half
    members, outsiders = near(scene.members), near(scene.outsiders)
    targets, some = np.concatenate([members, outsiders]), np.concatenate([members[:half], outsiders[:half]])
    usual, small = reach(some, near(scene.spare)), [near(part) for part in scene.spares]
    distance, density = {}, {}
    for who, released in (("samples", near(release)), ("copy", near(scene.copy))):
        reached = reach(targets, released)
        few = np.concatenate([reached[:half], reached[n : n + half]])
        distance[who], density[who] = _pair(by_distance(reached), n), _pair(by_density(few, usual), half)
    alone = reach(some, small[0])
    distance["control"] = _pair(by_distance(alone), half)
    density["control"] = _pair(by_density(alone, reach(some, small[1])), half)
    return [
        _membership(scene, "distance_attack", distance, len(release)),
        _membership(scene, "density_attack", density, len(release)),
    ]


def _pair(suspicion: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """(of the members, of the outsiders)."""
    return suspicion[:n], suspicion[n:]


def by_likelihood(scene: Scene, model: Any) -> list[Score]:
    """Membership by log p under the model less log p under independent columns learnt from other real items.

    The copy here is a model that stores its training items: half of its mass lies on them. The control is a model of independent
    columns learnt from other real items.
    """
    from genus.catalogue import family

    verb = next((v for v in ("log_prob", "log_prob_bound", "log_prob_estimate") if hasattr(model, v)), None)
    if verb is None or getattr(model, "condition_", None) is not None:
        return []
    verb = "log_prob_bound" if verb == "log_prob" and not model.exact else verb
    n = min(scene.half, LIKELY // (QUICK if scene.judge.quick else 1))
    sets = [rows(items, np.arange(n)) for items in (scene.members, scene.outsiders)]
    try:
        plain: Any = family("marginals")(seed=scene.judge.seed)
        plain.fit(scene.spare)
        raw = [np.asarray(_first(getattr(model, verb)(items)), np.float64) for items in sets]
        usual = [np.asarray(plain.log_prob(i) if plain.exact else plain.log_prob_bound(i), np.float64) for i in sets]
    except GenusError:
        return []
    raw, usual = [np.nan_to_num(a, neginf=-1e9) for a in raw], [np.nan_to_num(a, neginf=-1e9) for a in usual]
    known = set(_prints(scene, scene.train))
    stored = [np.array([p in known for p in _prints(scene, items)], float) for items in sets]
    pairs = {
        "samples": (raw[0] - usual[0], raw[1] - usual[1]),
        "copy": (stored[0], stored[1]),
        "control": (usual[0], usual[1]),
    }
    score = _membership(scene, "likelihood_attack", pairs, 0)
    score.detail["raw"] = list(auc(raw[0], raw[1]))
    return [score]


def single_out(scene: Scene, release: Any) -> Score:
    """Predicates made of released rows, put to the training rows and to the held-out ones."""
    cells = disclosure.Cells(Columns.of(scene.train))
    people, held = cells(scene.train), cells(scene.judge.test)
    count = PREDICATES // (QUICK if scene.judge.quick else 1)
    seed = dice.derive(scene.judge.seed, "singling out")
    half = len(held) // 2

    def risk(released: np.ndarray, others: np.ndarray) -> tuple[Interval, dict[str, float]]:
        return disclosure.singled_out(released, people, others, cells.numbers, attacks=count, seed=seed)

    (value, rates), (copy, _) = risk(cells(release), held), risk(cells(scene.copy), held)
    control, _ = risk(held[:half], held[half:])
    return _told(scene, "singling_out", value, copy, control, count, len(release), rates)


def infer(scene: Scene, release: Any) -> Score:
    """Secrets guessed from the nearest released row, for training rows and for held-out ones; every column in turn."""
    cells = disclosure.Cells(Columns.of(scene.train))
    seed = dice.derive(scene.judge.seed, "inference")
    some, others = (rows(items, np.arange(scene.half)) for items in (scene.members, scene.outsiders))
    value, rates = disclosure.inferred(release, scene.members, scene.outsiders, cells, seed=seed)
    copy, _ = disclosure.inferred(scene.copy, scene.members, scene.outsiders, cells, seed=seed)
    control, _ = disclosure.inferred(scene.spare, some, others, cells, seed=seed)
    return _told(scene, "inference", value, copy, control, len(scene.members), len(release), rates)


def exact_rows(scene: Scene, release: Any) -> Score:
    """Released rows equal to a training row, in the columns whose values repeat; beside the same share of held-out rows."""
    train = scene.train
    names = [c for c in train.columns if train[c].nunique(dropna=False) <= max(2, REPEATED * len(train))] or list(train.columns)
    known = set(_texts(train[names]))

    def share_of(frame: Any) -> Interval:
        hits = [t in known for t in _texts(frame[names])]
        return wilson(float(np.sum(hits)), len(hits))

    value, copy, control = share_of(release), share_of(scene.copy), share_of(scene.judge.test)
    more = {"columns": len(names), "of": train.shape[1]}
    return _told(scene, "exact_rows", value, copy, control, len(release), len(train), more)


# -- Scores ---------------------------------------------------------------------------------------------------


def _membership(scene: Scene, metric: str, pairs: dict[str, tuple[np.ndarray, np.ndarray]], released: int) -> Score:
    value, copy, control = (auc(*pairs[who]) for who in ("samples", "copy", "control"))
    rates = {"tpr": "samples", "copy_tpr": "copy", "control_tpr": "control"}
    more = {name: list(true_rate(*pairs[who])) for name, who in rates.items()}
    return _told(scene, metric, value, copy, control, len(pairs["samples"][0]), released, more)


def _told(
    scene: Scene, metric: str, value: Interval, copy: Interval, control: Interval, n: int, released: int, more: dict[str, Any]
) -> Score:
    """The Score of one attack with its controls."""
    nothing = control[2] if metric == "exact_rows" else max(control[0], HALF if metric.endswith("_attack") else 0.0)
    sound, caught = bool(copy[1] > control[2]), bool(value[1] > nothing)
    says = (
        f"{'The samples give members away' if caught else 'Nothing was found'}: {value[0]:.3f} "
        f"[{value[1]:.3f}, {value[2]:.3f}], a verbatim copy {copy[0]:.3f}, unrelated real rows {control[0]:.3f}"
    )
    flags = () if sound else ("a verbatim copy is not caught, so that this attack says nothing here",)
    detail = {"copy": list(copy), "control": list(control), "sound": sound, "caught": caught, "says": says, **more}
    return Score(
        metric, *value, n=n, n_reference=released, reference="train and test", space=str(scene.judge.near), seed=scene.judge.seed,
        note=says, flags=flags, detail=detail,
    )  # fmt: skip


def _first(values: Any) -> Any:
    return values[0] if isinstance(values, tuple) else values


def _prints(scene: Scene, items: Any) -> list[bytes]:
    """Items as bytes, equal for equal items."""
    return [row.tobytes() for row in np.round(scene.judge.near(items), 6)]


def _texts(frame: Any) -> list[tuple[str, ...]]:
    """Rows as texts: numbers in their shortest form, so that 3 and 3.0 are the same."""
    columns = []
    for name in frame.columns:
        column = frame[name]
        number = column.dtype.kind in "iufb" if hasattr(column.dtype, "kind") else False
        columns.append([f"{v:.10g}" for v in column.to_numpy(float)] if number else column.astype(str).tolist())
    return list(zip(*columns, strict=True))
