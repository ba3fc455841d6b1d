"""A run that was stopped, killed or damaged goes on to the same weights, bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from train_fits import channels_last, contest, descent, same, without_time

from genus import GaussianMixture
from genus.errors import RunError, UsageError
from genus.maths.mixing import expectation
from genus.train.interrupt import Interrupted
from genus.train.run import Run

HERE = Path(__file__).parent


@pytest.mark.parametrize("stop_at", [1, 13, 60, 119])
@pytest.mark.parametrize("fields", [{}, {"schedule": "exponential", "optimizer": "sgd", "ema": 0.0, "lr": 1e-3}])
def test_a_stopped_descent_ends_in_the_same_weights(tmp_path, stop_at, fields):
    whole, history = descent(**fields)
    with pytest.raises(Interrupted, match=f"step {stop_at} of 120.*again") as stopped:
        descent(tmp_path, stop_at=stop_at, **fields)
    assert stopped.value.code == 128 + signal.SIGTERM
    weights, resumed = descent(tmp_path, **fields)
    assert same(weights, whole)
    assert without_time(resumed) == without_time(history)


def test_weights_in_another_memory_layout_resume_as_well(tmp_path):
    """Files keep tensors contiguous, and fused optimisers read them as flat memory: layouts must be put back."""
    whole, _ = descent(net=channels_last)
    with pytest.raises(Interrupted):
        descent(tmp_path, stop_at=40, net=channels_last)
    weights, _ = descent(tmp_path, net=channels_last)
    assert same(weights, whole)


@pytest.mark.parametrize("stop_at", [1, 31, 118])
def test_a_stopped_duel_ends_in_the_same_weights(tmp_path, stop_at):
    whole, history = contest()
    with pytest.raises(Interrupted) as stopped:
        contest(tmp_path, stop_at=stop_at)
    assert stopped.value.code == 128 + signal.SIGINT
    weights, resumed = contest(tmp_path)
    assert same(weights, whole)
    assert without_time(resumed) == without_time(history)


def test_a_stopped_mixture_ends_in_the_same_numbers(tmp_path, monkeypatch):
    X = np.random.default_rng(0).normal(size=(300, 3)) ** 3
    fresh = lambda: GaussianMixture(components=4, tol=0, steps=25, restarts=2, seed=3)  # noqa: E731
    whole, calls = fresh().fit(X), 0

    def stopping(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls in (9, 60):
            os.kill(os.getpid(), signal.SIGTERM)
        return expectation(*arguments, **options)

    monkeypatch.setattr("genus.families.mixture.expectation", stopping)
    for place in ("step 9 of at most 25", "step 16 of at most 25"):
        with pytest.raises(Interrupted, match=place):
            fresh().fit(X, run=Run(tmp_path))
        calls = 27 if calls == 9 else calls
    resumed = fresh().fit(X, run=Run(tmp_path))
    assert torch.equal(resumed.mean_, whole.mean_)
    assert torch.equal(resumed.covariance_, whole.covariance_)
    assert without_time(resumed.history_) == without_time(whole.history_)
    with pytest.raises(RunError, match="another components"):
        GaussianMixture(components=5, tol=0, steps=25, restarts=2, seed=3).fit(X, run=Run(tmp_path))


def test_a_mixture_stops_climbing_when_its_minutes_are_over():
    X = np.random.default_rng(0).normal(size=(400, 6))
    model = GaussianMixture(components=8, tol=-1, steps=10**9, minutes=0.005).fit(X)
    assert 0.1 < model.history_[-1]["seconds"] < 0.5
    with pytest.raises(UsageError, match="minutes"):
        GaussianMixture(minutes=0).fit(X)


def test_a_finished_run_gives_its_weights_without_a_step(tmp_path):
    whole, history = descent(tmp_path)
    weights, again = descent(tmp_path, stop_at=1)
    assert same(weights, whole)
    assert again == history
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == len(history)


def test_only_the_last_two_checkpoints_are_kept(tmp_path):
    descent(tmp_path, run={"every_steps": 10})
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_a_checkpoint_damaged_anywhere_is_named_and_the_one_before_used(tmp_path, capsys):
    whole, _ = descent()
    with pytest.raises(Interrupted):
        descent(tmp_path, stop_at=55, run={"every_steps": 20})
    newest = max((tmp_path / "checkpoints").glob("stage*"))
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    weights, _ = descent(tmp_path)
    assert same(weights, whole)
    said = capsys.readouterr().err
    assert newest.name in said
    assert "step000000040" in said.split("going back")[1]


def test_a_run_with_only_damaged_checkpoints_begins_again(tmp_path, capsys):
    whole, _ = descent(tmp_path)
    for path in (tmp_path / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    assert same(descent(tmp_path)[0], whole)
    assert "starting again" in capsys.readouterr().err


@pytest.mark.parametrize(("field", "value"), [("lr", 0.5), ("steps", 240), ("batch", 16)])
def test_another_recipe_in_the_same_folder_is_refused_by_name(tmp_path, field, value):
    descent(tmp_path)
    with pytest.raises(RunError, match=f"another {field}"):
        descent(tmp_path, **{field: value})


def _start(folder: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(HERE / "train_fits.py"), str(folder), *more]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def _wait_for_checkpoint(folder: Path, process: subprocess.Popen[str]) -> None:
    while not list(folder.glob("checkpoints/stage*")):
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.01)


def test_kill_nine_at_any_moment_changes_nothing(tmp_path):
    whole, _ = descent(steps=3000)
    for pause in (0.0, 0.13, 0.27):
        process = _start(tmp_path, "3000")
        _wait_for_checkpoint(tmp_path, process)
        time.sleep(pause)
        process.kill()
        process.wait()
    assert same(descent(tmp_path, steps=3000)[0], whole)
    assert not list((tmp_path / "checkpoints").glob(".*"))


def test_two_processes_never_share_a_folder_and_the_dead_hold_none(tmp_path):
    process = _start(tmp_path, "1000000")
    _wait_for_checkpoint(tmp_path, process)
    with pytest.raises(RunError, match=f"in use by process {process.pid}"):
        descent(tmp_path, steps=1000000)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 143
    process = _start(tmp_path, "1000000")
    time.sleep(2.5)
    process.kill()
    process.wait()
    with pytest.raises(RunError, match="another steps"):
        descent(tmp_path, steps=10)


def test_a_full_disk_is_one_sentence_and_leaves_a_sound_folder(tmp_path, monkeypatch):
    import resource

    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # Python keeps a truncated .pyc of what it first imports here
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))
        with pytest.raises(RunError, match="No space to write"):
            descent(tmp_path, run={"every_steps": 10})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert not [name for name in os.listdir(tmp_path / "checkpoints") if "tmp" in name]
    assert same(descent(tmp_path)[0], descent()[0])
