"""Tables in files: read in chunks, packed on disk, fitted without being held in memory."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from genus.data import stream
from genus.data.read_table import read_table
from genus.data.stream import Chunks, stored
from genus.data.table import TableCodec
from genus.errors import DataError, UsageError
from genus.families.baseline import Marginals
from genus.families.bayesnet import BayesianNetwork
from genus.families.mixture import GaussianMixture
from genus.maths.statistics import Statistics
from genus.maths.stored import BLOCK, WINDOW, Stored, Writer
from genus.train.batches import Batches


@pytest.fixture(autouse=True)
def _nothing_left():
    place = Path(tempfile.gettempdir())
    before = set(place.glob(".rows-*"))
    yield
    assert set(place.glob(".rows-*")) <= before


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    n = 3000
    kind = rng.integers(0, 3, n)
    gaps = np.where(rng.random(n) < 0.2, None, rng.integers(0, 5, n))
    return pd.DataFrame({
        "x": rng.normal(size=n) + 6 * (kind == 1),
        "z": rng.normal(size=n) - 6 * (kind == 2),
        "count": pd.array(gaps, dtype="Int64"),
        "kind": np.array(["low", "mid", "top"])[kind],
        "yes": (kind == 0) ^ (rng.random(n) < 0.1),
    })  # fmt: skip


@pytest.fixture(scope="module")
def folder(frame, tmp_path_factory):
    place = tmp_path_factory.mktemp("tables")
    frame.to_csv(place / "t.csv", index=False)
    frame.to_csv(place / "t.csv.gz", index=False)
    frame.to_parquet(place / "t.parquet", row_group_size=701)
    (place / "parts").mkdir()
    frame[:1000].to_parquet(place / "parts" / "a.parquet")
    frame[1000:].to_parquet(place / "parts" / "b.parquet")
    return place


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet", "parts"])
def test_chunks_hold_what_the_file_holds(folder, name):
    whole = read_table(folder / (name if name != "parts" else "t.parquet"))
    chunks = Chunks(folder / name, rows=337)
    for _ in range(2):
        pieces = list(chunks)
        assert max(map(len, pieces)) <= 337
        assert all((p.dtypes == pieces[0].dtypes).all() for p in pieces)
        pd.testing.assert_frame_equal(pd.concat(pieces, ignore_index=True), whole, check_dtype=name.startswith("t.csv"))
    assert len(chunks) == len(whole)


def test_only_the_columns_asked_for_are_read(folder):
    assert [list(c.columns) for c in Chunks(folder / "t.parquet", rows=2000, columns=["kind", "x"])] == [["kind", "x"]] * 2


def test_the_sample_is_uniform_and_knows_every_level_and_the_range(tmp_path):
    rng = np.random.default_rng(1)
    n = 20_000
    words = np.array([f"w{i}" for i in rng.integers(0, 30, n)], dtype=object)
    words[n - 3] = "once"
    numbers = np.arange(n) / n
    pd.DataFrame({"n": numbers, "w": words}).to_parquet(tmp_path / "t.parquet")
    sample = Chunks(tmp_path / "t.parquet", rows=999).sample(1000, seed=0)
    assert set(sample["w"]) == set(words)
    assert sample["n"].min() == 0
    assert sample["n"].max() == numbers[-1]
    drawn = sample["n"][:1000]
    assert drawn.is_unique
    assert abs(drawn.mean() - 0.5) < 4 * 0.2887 / 1000**0.5


def test_the_split_is_the_same_however_the_file_is_read(folder):
    kept, held = Chunks(folder / "t.parquet", rows=100).split_off(seed=3)
    other, again = Chunks(folder / "parts", rows=777).split_off(seed=3)
    pd.testing.assert_frame_equal(held, again)
    assert len(kept) + len(held) == len(other) + len(again) == 3000
    assert 200 < len(held) < 400
    assert not set(kept.table()["x"]) & set(held["x"])
    assert not held.equals(Chunks(folder / "parts").split_off(seed=4)[1])


def test_files_with_other_columns_are_no_table_in_parts(folder, tmp_path):
    pd.DataFrame({"a": [1, 2]}).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(DataError, match="other columns"):
        Chunks([tmp_path / "a.csv", folder / "t.csv"])
    with pytest.raises(DataError, match="no file"):
        Chunks(tmp_path / "none.parquet")


def test_a_file_cut_short_is_said(folder, tmp_path):
    (tmp_path / "cut.parquet").write_bytes((folder / "t.parquet").read_bytes()[:-100])
    with pytest.raises(DataError, match="not a sound Parquet"):
        Chunks(tmp_path / "cut.parquet")


def test_stored_items_are_indexed_like_a_tensor(folder, frame):
    codec = TableCodec().fit(frame)
    for view in codec.views()[:1]:
        whole = codec.pack(read_table(folder / "t.parquet"), view)
        with stored(Chunks(folder / "t.parquet", rows=500), codec, view, None) as x:
            assert isinstance(x, Stored)
            assert x.kind.itemsize < 8
            assert x.shape == whole.shape
            index = torch.randint(len(x), (400,))
            assert torch.equal(x[index], whole[index])
            assert x[index].dtype == view.dtype
            assert torch.equal(x[10:2000:7], whole[10:2000:7])
            assert torch.equal(x[torch.arange(len(x)) % 5 == 0], whole[::5])
        with pytest.raises(OSError):
            x[0:1]


@pytest.fixture
def long(tmp_path):
    n = BLOCK * WINDOW * 2 + 1234
    writer = Writer(tmp_path / "rows", (2,), n, torch.int64)
    writer.add(torch.stack([torch.arange(n), torch.arange(n)], 1))
    x = writer.done()
    yield x
    x.close()


def test_an_epoch_on_disk_sees_every_item_once_and_keeps_few_blocks(long):
    batches, seen = Batches(long, 1000, seed=0), []
    while sum(map(len, seen)) < len(long):
        i = batches.next()
        assert torch.equal(long[i][:, 0], i)
        seen.append(i)
    seen = torch.cat(seen)[: len(long)]
    assert torch.equal(seen.sort().values, torch.arange(len(long)))
    assert (seen[1:] - seen[:-1]).abs().float().mean() > BLOCK
    assert len(long.slots) <= (WINDOW + 2) * BLOCK < len(long)


def test_batches_on_disk_go_on_where_they_stopped(long):
    one = Batches(long, 5000, seed=1)
    for _ in range(40):
        one.next()
    two = Batches(long, 5000, seed=1)
    two.restore(one.state())
    assert all(torch.equal(one.next(), two.next()) for _ in range(40))


# -- sufficient statistics ------------------------------------------------------------------------------------


def _halves(frame):
    return frame.iloc[:1111].reset_index(drop=True), frame.iloc[1111:].reset_index(drop=True)


def test_two_processes_climb_as_one_does(frame):
    X = frame[["x", "z"]]
    one = GaussianMixture(components=3, dtype="float64", steps=1).fit(X)
    two = GaussianMixture(components=3, dtype="float64", steps=1).fit(X)
    before = one.mean_.clone()
    for _ in range(5):
        one.update(one.summarize(X))
        parts = [Statistics.from_bytes(two.summarize(half).to_bytes()) for half in _halves(X)]
        two.update(parts[0] + parts[1])
    assert not torch.allclose(one.mean_, before, atol=1e-6)
    for name in ("log_weight_", "mean_", "covariance_"):
        assert torch.allclose(getattr(one, name), getattr(two, name), rtol=0, atol=1e-10)


@pytest.mark.parametrize("family", [Marginals(), BayesianNetwork()])
def test_counts_of_halves_are_the_counts_of_all(frame, family):
    one = family.fit(frame)
    total = one.summarize(frame)
    a, b = map(one.summarize, _halves(frame))
    assert all(torch.equal(t, (a + b).sums[name]) for name, t in total.sums.items())
    before = one.log_prob(frame)
    assert not np.allclose(one.update(a).log_prob(frame), before)
    assert np.array_equal(one.update(a + b).log_prob(frame), before)


def test_statistics_of_different_models_do_not_add(frame):
    a, b = (Marginals().fit(frame[names]).summarize(frame[names]) for names in (["x", "z"], ["x"]))
    with pytest.raises(UsageError, match="different models"):
        a + b


# -- fitting --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [Marginals(), BayesianNetwork(), GaussianMixture(components=3, steps=8)])
def test_a_fit_on_chunks_is_as_good_as_one_in_memory(frame, folder, family, monkeypatch):
    test = frame.sample(500, random_state=0)
    whole = family.fit(read_table(folder / "t.parquet")).log_prob_bound(test).mean()
    streamed = family.fit(Chunks(folder / "t.parquet", rows=512)).log_prob_bound(test).mean()
    worse = family.fit(frame.sample(40, random_state=0)).log_prob_bound(test).mean()
    assert abs(streamed - whole) < 0.03 < whole - worse


def test_a_path_is_streamed_where_it_would_not_fit_with_comfort(folder, monkeypatch):
    seen = []
    monkeypatch.setattr(stream, "free_memory", lambda: 1000.0)
    monkeypatch.setattr(Chunks, "table", lambda self: seen.append("table"))
    model = Marginals().fit(str(folder / "t.csv"))
    assert not seen
    assert len(model.sample(5)) == 5
    assert json.loads(json.dumps(model.codec_.names_)) == ["x", "z", "count", "kind", "yes"]
