"""Bad input gets one sentence that names what, where and what to do, exit code 2 or 3, and leaves nothing half written."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import struct
import sys
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from genus import store
from genus.cli import main

QUICK = ["--steps", "3", "--size", "small", "--quiet"]


@pytest.fixture
def genus(folder, monkeypatch, capsys):
    """Run a command in the folder; (exit code, what it printed on standard error)."""

    def run(*words):
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["genus", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code or 0, capsys.readouterr().err

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Good data, two good runs, and everything that is wrong with other files."""
    here = tmp_path_factory.mktemp("bad")
    rng = np.random.default_rng(0)
    good = pd.DataFrame(
        {"age": rng.integers(18, 80, 150), "job": rng.choice(["boss", "clerk"], 150), "pay": rng.normal(size=150)}
    )
    good.to_csv(here / "good.csv", index=False)
    good.head(1).to_csv(here / "one.csv", index=False)
    good.assign(hole=np.nan).to_csv(here / "hole.csv", index=False)
    good.assign(same=7).to_csv(here / "same.csv", index=False)
    _write(here, {
        "empty.csv": b"", "empty.txt": b"", "empty.npy": b"", "empty.parquet": b"", "blank.txt": b"\n\n \n", "head.csv": b"a,b\n",
        "ragged.csv": b"a,b\n1,2\n3,4,5\n6,7\n", "latin.txt": b"caf\xe9 " * 50, "latin.csv": b"a,b\ncaf\xe9,1\nx,2\n",
        "x.xlsx": b"PK\x03\x04", "npy.npz": b"PK\x03\x04broken", "file": b"",
    })  # fmt: skip
    bad = rng.normal(size=(30, 4))
    for name, value in {"nan": np.nan, "inf": np.inf}.items():
        bad[5, 2] = value
        np.save(here / f"{name}.npy", bad)
    np.save(here / "objects.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
    _images(here)
    return here


def _write(here, files):
    for name, content in files.items():
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_bytes(content)


def _images(here):
    (here / "noimages").mkdir()
    (here / "noimages" / "notes.md").write_text("none")
    for name in ("cut", "bomb"):
        (here / name).mkdir()
        for i in range(3):
            Image.fromarray(np.full((9, 9), 40 * i, dtype=np.uint8)).save(here / name / f"{i}.png")
    whole = (here / "cut" / "1.png").read_bytes()
    (here / "cut" / "1.png").write_bytes(whole[: len(whole) // 2])
    head = b"IHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    (here / "bomb" / "1.png").write_bytes(bomb + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT")))


@pytest.fixture(scope="module")
def runs(folder):
    """Runs that are sound: `table` can complete, `labels` has a condition, `copies` can only draw."""
    from genus.cli.work import fit_run

    common = {"must_exist": False, "devices": 1, "every": 30.0, "quiet": True, "reading": {}, "command": "genus fit"}
    fit_run(str(folder / "good.csv"), "marginals", folder / "table", [], condition=None, **common)
    fit_run(str(folder / "good.csv"), "gaussian", folder / "labels", [], condition="job", **common)
    fit_run(str(folder / "good.csv"), "resample", folder / "copies", [], condition=None, **common)
    return folder


DATA = {  # what is wrong: (command, exit code, words that must occur)
    "missing file": ("fit nowhere.csv --family vae", 3, ["nowhere.csv", "genus data"]),
    "missing file, nearly": ("fit god.csv --family vae", 3, ["good.csv"]),
    "empty csv": ("fit empty.csv --family gaussian", 3, ["empty.csv", "empty"]),
    "empty text": ("fit empty.txt --family transformer", 3, ["empty.txt", "empty"]),
    "empty npy": ("fit empty.npy --family gaussian", 3, ["empty.npy", "empty"]),
    "empty parquet": ("fit empty.parquet --family gaussian", 3, ["empty.parquet", "empty"]),
    "blank text": ("fit blank.txt --family transformer", 3, ["blank.txt"]),
    "a heading and no rows": ("fit head.csv --family gaussian", 3, ["head.csv"]),
    "no images": ("fit noimages --family vae", 3, ["noimages", "image"]),
    "truncated image": ("fit cut --family vae", 3, ["1.png"]),
    "decompression bomb": ("fit bomb --family vae", 3, ["1.png", "16.8"]),
    "ragged csv": ("fit ragged.csv --family gaussian", 3, ["ragged.csv", "3"]),
    "non-UTF-8 text": ("fit latin.txt --family transformer", 3, ["latin.txt", "byte 3"]),
    "non-UTF-8 csv": ("fit latin.csv --family gaussian", 3, ["latin.csv", "UTF-8"]),
    "NaN in an array": ("fit nan.npy --family gaussian", 3, ["NaN"]),
    "infinity in an array": ("fit inf.npy --family gaussian", 3, ["inf.npy", "infinit"]),
    "pickled objects": ("fit objects.npy --family gaussian", 3, ["objects.npy"]),
    "a broken npz": ("fit npy.npz --family gaussian", 3, ["npy.npz"]),
    "one row": ("fit one.csv --family gaussian", 3, ["one.csv", "two"]),
    "too few rows": ("fit good.csv --family mixture --components 190", 3, ["190", "components"]),
    "unknown ending": ("fit x.xlsx --family vae", 3, [".xlsx", ".csv"]),
    "wrong family": ("fit names --family vae", 3, ["does not accept", "transformer"]),
    "unknown field": ("fit digits --family vae --laten 8", 2, ["latent"]),
    "unknown family": ("fit digits --family vea", 2, ["vae"]),
    "bad field value": ("fit digits --family vae --latent 0", 2, ["latent"]),
    "no minutes": ("fit good.csv --family transformer --minutes 0", 2, ["minutes"]),
    "condition without such column": ("fit good.csv --family vae --condition jop", 2, ["job"]),
    "condition on all columns": ("fit good.csv --family gaussian --condition age,job,pay", 2, ["column"]),
    "time without such column": ("fit good.csv --family gaussian --time agee", 2, ["age"]),
    "output is a file": ("fit good.csv --family gaussian -o file", 2, ["file", "folder"]),
    "output is another folder": ("fit good.csv --family gaussian -o noimages", 2, ["noimages", "-o"]),
    "unknown option": ("sample table --nonsense 3", 2, ["nonsense"]),
    "unknown command": ("smaple table", 2, ["sample"]),
    "no devices": ("fit digits --family vae --devices 0", 2, ["devices"]),
}


@pytest.mark.parametrize("name", DATA)
def test_bad_data_are_refused_in_one_sentence(genus, folder, name):
    command, code, hints = DATA[name]
    before = sorted(folder.rglob("*"))
    words = command.split()
    if words[0] == "fit" and "-o" not in words:
        words += ["-o", "out"]
    _refused(genus(*words), code, hints)
    assert sorted(folder.rglob("*")) == before


def _refused(answer, code, hints):
    got, said = answer
    assert got == code, said
    assert "Traceback" not in said
    assert "Unexpected" not in said
    assert len(said.strip().splitlines()) <= 6, said
    for hint in hints:
        assert hint.lower() in said.lower(), said


RUNS = {
    "not a run": ("sample noimages", 3, ["noimages", "genus fit"]),
    "no folder": ("sample nowhere", 3, ["nowhere", "genus fit"]),
    "a file for a run": ("sample good.csv", 3, ["good.csv", "genus fit"]),
    "score a run that is not one": ("score noimages good.csv", 3, ["noimages", "genus fit"]),
    "level unseen": ("sample labels --given job=king", 3, ["king", "job"]),
    "column unknown": ("sample labels --given jop=boss", 2, ["job"]),
    "level unseen, completing": ("sample table --given job=king", 3, ["king", "job"]),
    "given without value": ("sample table --given job", 2, ["column=value"]),
    "a word for a number": ("sample table --given age=old", 3, ["age", "old"]),
    "negative count": ("sample table -n -3", 2, ["-3"]),
    "no temperature": ("sample table --temperature 2", 2, ["temperature"]),
    "ending unknown": ("sample table -o out.cvs", 2, [".csv"]),
    "a table as a picture": ("sample table -o out.png", 2, [".csv"]),
    "a table as a folder": ("sample table -o out/", 2, [".csv"]),
    "other data": ("score table digits", 3, ["table", "image"]),
    "other columns": ("score table iris", 3, ["age"]),
    "cannot complete": ("complete copies same.csv", 2, ["cannot complete", "genus families"]),
    "report not html": ("evaluate table good.csv -o out.txt", 2, [".html"]),
    "no such target": ("evaluate table good.csv --target jop -o out.html", 2, ["job"]),
    "unknown in compare": ("compare good.csv --families marginals,vea -o out.html", 2, ["vae"]),
}


@pytest.mark.parametrize("name", RUNS)
def test_bad_use_of_a_run_is_refused_in_one_sentence(genus, runs, name):
    command, code, hints = RUNS[name]
    before = sorted(runs.rglob("*"))
    _refused(genus(*command.split()), code, hints)
    assert sorted(runs.rglob("*")) == before


@pytest.mark.parametrize("name", ["hole.csv", "same.csv"])
def test_a_column_without_information_is_named_and_does_no_harm(genus, runs, name):
    shutil.rmtree(runs / "dull", ignore_errors=True)
    code, said = genus("fit", name, "--family", "gaussian", "-o", "dull")
    assert code == 0, said
    assert name.removesuffix(".csv") in said
    genus("sample", "dull", "-n", "5", "-o", "dull.csv")
    back = pd.read_csv(runs / "dull.csv")
    assert list(back) == list(pd.read_csv(runs / name))


def _tampered(runs, change):
    """A copy of a run whose tensors, and the hash beside them, an attacker changed."""
    copy = runs / "tampered"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(runs / "labels", copy)
    (path,) = copy.glob("model-*.safetensors")
    content = change(path.read_bytes())
    path.write_bytes(content)
    body = json.loads((copy / "model.json").read_bytes())
    return copy, body, store.digest(content)


CHANGES = {
    "a changed byte": (lambda c: c[:-1] + bytes([c[-1] ^ 1]), False, "has changed"),
    "cut short": (lambda c: c[:-5], True, "not a sound safetensors"),
    "a header over 10 MB": (lambda c: struct.pack("<Q", 11 * 2**20) + b" " * (11 * 2**20), True, "10 MB"),
    "a name that occurs twice": (
        lambda c: struct.pack("<Q", 113) + b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
        b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}       ' + b"1", True, "twice"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_tampered_file_is_refused(genus, runs, name):
    change, consistent, hint = CHANGES[name]
    copy, body, digest = _tampered(runs, change)
    if consistent:
        (copy / "model.json").write_bytes(store.to_json(body | {"sha256": digest}))
    _refused(genus("sample", "tampered", "-n", "3"), 3, ["tampered", hint])


@pytest.mark.parametrize(("content", "hint"), [(b"{", "not JSON"), (b"[]", "format"), (b'{"genus": 1}', "lacks")])
def test_a_damaged_description_is_refused(genus, runs, content, hint):
    copy, _, _ = _tampered(runs, lambda c: c)
    (copy / "model.json").write_bytes(content)
    _refused(genus("sample", "tampered", "-n", "3"), 3, ["model.json", hint])


WRITERS = [
    "fit digits --family vae -o full",
    "sample table -n 5000 -o full.csv",
    "score table good.csv -o full.csv",
    "evaluate table good.csv -o full.html",
]


@pytest.mark.parametrize("command", WRITERS)
def test_a_full_disk_is_one_sentence_and_leaves_nothing_half_written(genus, runs, command, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # Python keeps a truncated .pyc of what it first imports here
    shutil.rmtree(runs / "full", ignore_errors=True)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limit[1]))
        answer = genus(*command.split(), *(QUICK if "vae" in command else []))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    _refused(answer, 3, ["No space", "full"])
    assert not [path for path in runs.rglob("*") if path.name.endswith(".tmp")]
    assert not (runs / "full.csv").exists()
    assert not (runs / "full.html").exists()
    assert not (runs / "full" / "model.json").exists()
