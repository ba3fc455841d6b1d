"""Frames with every kind of column users bring, made by seed."""

import numpy as np
import pandas as pd

START = pd.Timestamp("2019-12-30")


def _gaps(rng, values, share=0.15):
    out = pd.Series(values, dtype=object)
    out[rng.random(len(out)) < share] = None
    return out


def zoned(times):
    """The same moments, told in Tokyo."""
    return times.tz_localize("UTC").tz_convert("Asia/Tokyo")


MAKERS = {
    "int8": lambda r, n: r.integers(-5, 90, n).astype("int8"),
    "uint16": lambda r, n: r.integers(0, 60000, n).astype("uint16"),
    "int64 heavy": lambda r, n: np.where(r.random(n) < 0.8, 0, np.exp(r.normal(6, 2, n)).astype("int64")),
    "int64 negative huge": lambda r, n: r.integers(-(2**60), 2**60, n),
    "Int64": lambda r, n: pd.array(_gaps(r, r.poisson(40, n)), dtype="Int64"),
    "float32": lambda r, n: r.normal(size=n).astype("float32"),
    "float64 gaps": lambda r, n: np.where(r.random(n) < 0.3, np.nan, r.standard_cauchy(n)),
    "float64 tiny": lambda r, n: r.random(n) * 1e-300,
    "Float64": lambda r, n: pd.array(_gaps(r, r.normal(size=n)), dtype="Float64"),
    "price": lambda r, n: np.round(r.gamma(2, 30, n), 2),
    "price32": lambda r, n: np.round(r.gamma(2, 30, n), 1).astype("float32"),
    "whole floats": lambda r, n: np.where(r.random(n) < 0.2, np.nan, r.integers(0, 9, n)),
    "four decimals": lambda r, n: np.round(r.random(n) * 100, 4),
    "thousands": lambda r, n: 1000 * r.integers(20, 90, n),
    "bool": lambda r, n: r.random(n) < 0.4,
    "boolean": lambda r, n: pd.array(_gaps(r, list(r.random(n) < 0.4)), dtype="boolean"),
    "bool object": lambda r, n: _gaps(r, list(r.random(n) < 0.4)),
    "str": lambda r, n: pd.Series(_gaps(r, r.choice(["x", "y y", "", "é"], n)), dtype="str"),
    "string": lambda r, n: pd.array(_gaps(r, r.choice(["x", "y"], n)), dtype="string"),
    "objects": lambda r, n: pd.Series(_gaps(r, r.choice(np.array(["1", 1, True, 2.5], dtype=object), n))),
    "category": lambda r, n: pd.Categorical(r.choice(["lo", "hi", "mid"], n), ["lo", "mid", "hi", "never"], ordered=True),
    "category int": lambda r, n: pd.Categorical(r.choice([30, 4], n)),
    "many levels": lambda r, n: np.array([f"L{i}" for i in range(400)])[np.minimum(r.zipf(1.4, n), 400) - 1],
    "datetime": lambda r, n: START + pd.to_timedelta(r.integers(0, 900, n), unit="D"),
    "datetime ms": lambda r, n: (START + pd.to_timedelta(r.integers(0, 10**9, n), unit="ms")).astype("datetime64[ms]"),
    "datetime tz": lambda r, n: zoned(START + pd.to_timedelta(r.integers(0, 9 * 10**6, n), unit="min")),
    "datetime gaps": lambda r, n: pd.Series(START + pd.to_timedelta(r.integers(0, 99, n), unit="h")).where(r.random(n) < 0.8),
    "dates": lambda r, n: pd.Series((START + pd.to_timedelta(r.integers(0, 900, n), unit="D")).date, dtype=object),
    "date text": lambda r, n: pd.Series((START + pd.to_timedelta(r.integers(0, 900, n), unit="D")).strftime("%d/%m/%Y")),
    "timedelta": lambda r, n: pd.to_timedelta(r.integers(0, 10**5, n), unit="s"),
    "constant": lambda r, n: np.full(n, 7, dtype="int16"),
    "constant text": lambda r, n: ["same"] * n,
    "empty": lambda r, n: np.full(n, np.nan),
    "uuid": lambda r, n: [f"{a:08x}-{a % 65521:04x}" for a in r.integers(0, 2**32, n).tolist()],
    "row": lambda r, n: np.arange(1, n + 1),
}  # fmt: skip


def frame(seed: int, n: int | None = None, names: list[str] | None = None) -> pd.DataFrame:
    """A frame of some of the columns above (all where `names` says so), of 2 to 2000 rows."""
    rng = np.random.default_rng(seed)
    n = n or int(rng.choice([2, 3, 7, 25, 60, 200, 700, 2000]))
    names = names or [*rng.permutation(list(MAKERS))[: rng.integers(3, 12)], "float32"]
    columns = {name: pd.Series(MAKERS[name](rng, n)) for name in dict.fromkeys(names)}
    return pd.DataFrame(columns)
