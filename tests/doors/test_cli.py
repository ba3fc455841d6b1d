"""The command line does what its help says, and says in one sentence what was wrong."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from genus import load

QUICK = ["--steps", "30", "--size", "small"]


def genus(*words, cwd, code=0):
    """Run the command as a user would; returns the finished process after checking its exit code."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "160", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-c", "from genus.cli import main; main()", *map(str, words)],
        cwd=cwd, capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == code, f"exit {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("doors")


@pytest.fixture(scope="module")
def people(folder):
    """A mixed table with missing cells and a pattern: the jobs of the old pay more."""
    rng = np.random.default_rng(0)
    age = rng.integers(18, 80, 600)
    job = np.where(rng.random(600) < (age - 18) / 80, "boss", "clerk")
    pay = np.where(job == "boss", 60.0, 30.0) + rng.normal(0, 3, 600)
    frame = pd.DataFrame({"age": age, "job": job, "pay": pay.round(1)})
    frame.loc[rng.random(600) < 0.1, "pay"] = np.nan
    path = folder / "people.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def run(folder, people):
    genus("fit", people, "--family", "transformer", "-o", "run", "--steps", "150", "--size", "small", cwd=folder)
    return folder / "run"


def test_help_answers_without_torch(folder):
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        done = genus("--help", cwd=folder)
        seconds.append(time.perf_counter() - begin)
    assert "compare" in done.stdout
    probe = "import sys, genus.cli.app; assert 'torch' not in sys.modules and 'sklearn' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0


def test_a_table_comes_back_as_it_went_in(folder, people, run):
    genus("sample", run, "-n", "50", "-o", "out.csv", "--seed", "1", cwd=folder)
    real, fake = pd.read_csv(people), pd.read_csv(folder / "out.csv")
    assert list(fake) == list(real)
    assert len(fake) == 50
    assert set(fake["job"]) <= set(real["job"])
    assert fake["age"].dtype == real["age"].dtype


def test_the_same_seed_gives_the_same_file(folder, run):
    for name in ("a.csv", "b.csv"):
        genus("sample", run, "-n", "20", "-o", name, "--seed", "3", cwd=folder)
    assert (folder / "a.csv").read_bytes() == (folder / "b.csv").read_bytes()


def test_given_parts_are_kept(folder, run):
    genus("sample", run, "-n", "20", "--given", "job=boss", "-o", "boss.csv", "--seed", "0", cwd=folder)
    assert set(pd.read_csv(folder / "boss.csv")["job"]) == {"boss"}


def test_scores_are_named_as_what_they_are(folder, people, run):
    genus("score", run, people, "-o", "scores.csv", cwd=folder)
    scores = pd.read_csv(folder / "scores.csv")
    assert list(scores) == ["log_prob", "bits_per_dim", "distance", "typicality"]
    assert scores["typicality"].between(0, 1).all()
    assert len(scores) == 600
    assert np.isfinite(scores["log_prob"]).all()


def test_complete_fills_holes_and_touches_nothing_else(folder, people, run):
    genus("complete", run, people, "-o", "filled.csv", cwd=folder)
    before, after = pd.read_csv(people), pd.read_csv(folder / "filled.csv")
    known = before.notna()
    assert after.notna().all().all()
    assert (after["age"] == before["age"]).all()
    assert np.allclose(after["pay"][known["pay"]], before["pay"][known["pay"]])


def test_a_finished_run_is_left_as_it_is(folder, people, run):
    (tensors,) = run.glob("model-*.safetensors")
    before = tensors.stat().st_mtime_ns
    done = genus("fit", people, "--family", "transformer", "-o", "run", "--steps", "150", "--size", "small", cwd=folder)
    assert "finished already" in done.stderr
    assert tensors.stat().st_mtime_ns == before


def test_another_run_is_never_overwritten(folder, people, run):
    done = genus("fit", people, "--family", "transformer", "-o", "run", "--steps", "151", "--size", "small", cwd=folder, code=2)
    assert "choose another -o" in done.stderr


def test_each_kind_of_data_has_a_family_that_need_not_be_named(folder):
    from genus.catalogue import FAMILIES
    from genus.cli.work import DEFAULTS

    assert set(DEFAULTS) >= {"table", "text", "image", "array"}
    assert set(DEFAULTS.values()) <= set(FAMILIES)
    (folder / "unnamed.txt").write_text("".join(f"line {i} of a short text\n" for i in range(200)))
    genus("fit", "unnamed.txt", "-o", "unnamed", "--steps", "3", "--size", "small", cwd=folder)
    assert json.loads((folder / "unnamed" / "run.json").read_text())["family"] == "transformer"


def test_condition_by_label(folder):
    genus("fit", "digits", "--family", "gaussian", "--condition", "labels", "-o", "digits", cwd=folder)
    genus("sample", "digits", "-n", "9", "--given", "labels=3", "-o", "threes.png", cwd=folder)
    assert (folder / "threes.png").stat().st_size > 100
    done = genus("sample", "digits", "--given", "labels=eleven", cwd=folder, code=3)
    assert "eleven" in done.stderr


def test_evaluate_writes_a_report_that_needs_no_network(folder, people, run):
    genus("evaluate", run, people, "-o", "report.html", "--target", "job", cwd=folder)
    page = (folder / "report.html").read_text()
    assert "<html" in page
    assert 'src="http' not in page
    assert 'href="http' not in page


def test_families_as_json(folder):
    rows = json.loads(genus("families", "--json", cwd=folder).stdout)
    assert {"vae", "flow", "gan", "diffusion", "transformer", "mixture"} <= {row["name"] for row in rows}


def test_data_describes_columns(folder, people):
    done = genus("data", people, cwd=folder)
    assert "pay" in done.stdout
    assert "digits" in genus("data", cwd=folder).stdout


def test_doctor_names_torch(folder):
    assert "torch" in genus("doctor", cwd=folder).stdout


MISTAKES = {
    "unknown family": (["fit", "digits", "--family", "vea"], 2, "vae"),
    "unknown field": (["fit", "digits", "--family", "vae", "--laten", "8"], 2, "latent"),
    "a word for a number": (["fit", "digits", "--family", "vae", "--latent", "many"], 2, "whole number"),
    "missing file": (["fit", "nowhere.csv", "--family", "vae"], 3, "nowhere.csv"),
    "misspelt dataset": (["fit", "digit", "--family", "vae"], 3, "digits"),
    "not a run": (["sample", "nothing"], 3, "nothing"),
    "family refuses data": (["fit", "names", "--family", "gan"], 3, "does not accept"),
    "condition without column": (["fit", "people.csv", "--family", "vae", "--condition", "jop"], 2, "job"),
    "given without value": (["sample", "run", "--given", "job"], 2, "column=value"),
    "given unknown column": (["sample", "run", "--given", "jop=boss"], 2, "job"),
    "given unseen level": (["sample", "run", "--given", "job=king"], 3, "king"),
    "report without html": (["compare", "digits", "-o", "report.txt"], 2, ".html"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_one_sentence(name, folder, people, run):
    words, code, hint = MISTAKES[name]
    done = genus(*words, cwd=folder, code=code)
    assert hint in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 6


def _start(*words, cwd):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    program = [sys.executable, "-c", "from genus.cli import main; main()", *map(str, words)]
    return subprocess.Popen(program, cwd=cwd, stderr=subprocess.PIPE, text=True, env=environment)


def _wait(happened, process):
    end = time.monotonic() + 120
    while not happened() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)


def test_a_fit_that_is_stopped_says_how_to_go_on_and_the_same_command_does(folder):
    words = ["fit", "iris", "--family", "vae", "--steps", "2500", "--size", "small", "--every", "0.3", "--quiet", "-o"]
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        process = _start(*words, "stopped", cwd=folder)
        lock = folder / "stopped" / ".lock"
        _wait(lambda: lock.is_file() and lock.read_text() == str(process.pid), process)  # noqa: B023
        time.sleep(0.3)
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
        assert process.returncode == code, said
        assert "give the same command again to go on" in said
        assert "Traceback" not in said
        assert not (folder / "stopped" / "model.json").exists()
    genus(*words, "stopped", cwd=folder)
    genus(*words, "whole", cwd=folder)
    one, other = ({p.name: p.read_bytes() for p in (folder / name).glob("model-*")} for name in ("stopped", "whole"))
    assert one == other


def test_ctrl_c_before_anything_has_begun_is_quiet(folder):
    process = _start("fit", "digits", "--family", "vae", "-o", "early", cwd=folder)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert not (folder / "early").exists()


def test_a_code_is_read_back_bit_for_bit_and_scores_come_with_their_caveat(folder):
    (folder / "digits").mkdir(exist_ok=True)  # a folder of a dataset's name is not the dataset
    genus("fit", "digits", "--family", "made", "--steps", "20", "--width", "32", "-o", "codes", cwd=folder)
    told = genus("compress", "codes", "digits", "-o", "digits.gnz", cwd=folder).stderr
    assert "xz -9e" in told
    assert "times the model's own nats" in told
    genus("decompress", "codes", "digits.gnz", "-o", "back.npz", cwd=folder)
    assert np.array_equal(np.load(folder / "back.npz")["X"], load("digits").X)
    done = genus("decompress", "codes", "back.npz", "-o", "again.npz", cwd=folder, code=3)
    assert "not a file that" in done.stderr
    assert "typicality" in genus("score", "codes", "digits", "-o", "scores.csv", cwd=folder).stderr
    frame = pd.read_csv(folder / "scores.csv")
    assert {"log_prob", "distance", "typicality"} <= set(frame.columns)
    assert frame["typicality"].between(0, 1).all()
    assert 0.3 < frame["typicality"].mean() < 0.7
