"""Mutants: plant known faults in a copy of the source, one at a time, and see that the tests turn red.

    python tests/mutants/run.py [word …]      only the faults whose names hold one of the words

A fault is a piece of source text and what replaces it. A fault the tests let pass survives, and the command fails; so it
does when a piece of text is no longer there, because a fault nobody plants proves nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
FAMILIES = "tests/contract/test_families.py::test_the_contract_holds"
PROMISES = "tests/contract/test_promises.py::test_"


class Fault(NamedTuple):
    """A planted fault: its name, the file under src/genus, the text, what replaces it, and the tests that must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


FAULTS = (
    Fault(
        "the sign of a log-determinant is flipped",
        "maths/bijection.py",
        "return (x - mean) * torch.exp(-log_scale), -log_det.expand(len(x))",
        "return (x - mean) * torch.exp(-log_scale), log_det.expand(len(x))",
        ("tests/maths/test_bijection.py::test_log_determinant_is_autograds_and_the_inverse_inverts",),
    ),
    Fault(
        "the change of units is forgotten",
        "model.py",
        "out.append(value - self.codec_.log_volume(piece, self.space_).double())",
        "out.append(value)",
        ("tests/families/test_baseline.py::test_the_normal_density_is_scipys_in_the_users_units",),
    ),
    Fault(
        "a bound is sold as exact",
        "data/image.py",
        "    def exact(self, view: AnySpace) -> bool:\n        return view.discrete",
        "    def exact(self, view: AnySpace) -> bool:\n        return True",
        (PROMISES + "dequantised_data_get_a_bound_and_never_a_density",),
    ),
    Fault(
        "the GAN's generator is never trained",
        "families/gan.py",
        '"generator": (1, self._generator_loss)',
        '"generator": (0, self._generator_loss)',
        (PROMISES + "a_gan_learns_a_correlation_its_untrained_twin_lacks",),
    ),
    Fault(
        "the averaged weights are never updated",
        "train/engine.py",
        "self.average.update(state.step)",
        "pass",
        (PROMISES + "training_trains[VAE]",),
    ),
    Fault(
        "a checkpoint forgets the random state",
        "train/engine.py",
        'dice.restore(content["dice"])',
        "pass",
        (PROMISES + "an_interrupted_fit_ends_in_the_same_weights",),
    ),
    Fault(
        "a checkpoint forgets the optimiser",
        "train/engine.py",
        'restore_optimiser(optimiser, content["optimisers"][name])',
        "pass",
        (PROMISES + "an_interrupted_fit_ends_in_the_same_weights",),
    ),
    Fault(
        "the mask is not causal",
        "nets/transformer.py",
        "is_causal=t > 1",
        "is_causal=False",
        (PROMISES + "an_exact_probability_sums_to_one[transformer]",),
    ),
    Fault(
        "NaN is swallowed",
        "data/array.py",
        "    _check_finite(a, holes)",
        "    _check_finite(a, True)",
        (FAMILIES + "[gaussian-vectors]",),
    ),
    Fault(
        "completion draws the missing level",
        "families/baseline.py",
        "log_p[:, i, level] = -torch.inf",
        "pass",
        (PROMISES + "the_missing_level_is_never_drawn_by_completion",),
    ),
    Fault(
        "the KL has the wrong sign",
        "families/vae.py",
        "- _kl(mean, log_scale).sum(1)",
        "+ _kl(mean, log_scale).sum(1)",
        (PROMISES + "a_bound_sums_to_at_most_one",),
    ),
    Fault(
        "samples come from the global generator",
        "model.py",
        "with dice.private(seed), torch.no_grad():\n            c = self._conditions(n, y)\n            parts",
        "with torch.no_grad():\n            c = self._conditions(n, y)\n            parts",
        (FAMILIES + "[gaussian-vectors]",),
    ),
    Fault(
        "the codec is fitted on the held-out rows too",
        "model.py",
        "X, y, validation = split_off(X, y,",
        "_, _, validation = split_off(X, y,",
        (PROMISES + "only_the_training_rows_teach_the_codec[VAE]",),
    ),
    Fault(
        "the E-step has half the curvature",
        "maths/mixing.py",
        "-0.5 * curve], 1)",
        "-0.25 * curve], 1)",
        ("tests/families/test_mixture.py::test_it_equals_scikit_learn_from_the_same_start",),
    ),
    Fault(
        "completion forgets what it drew before",
        "maths/normal.py",
        "apart[j, mine] - u[mine] * m",
        "apart[j, mine]",
        ("tests/families/test_baseline.py::test_the_normal_completes_by_its_exact_conditional",),
    ),
    Fault(
        "the condition is ignored",
        "maths/groups.py",
        "index = place[inverse[len(keys) :]]",
        "index = 0 * place[inverse[len(keys) :]]",
        (FAMILIES + "_under_a_condition[gaussian-vectors]",),
    ),
    Fault(
        "a changed file is loaded",
        "model.py",
        'if store.digest(content) != body["sha256"]:',
        "if False:",
        (PROMISES + "a_file_that_changed_is_refused",),
    ),
)


def ask(source: Path, tests: list[str], *options: str) -> tuple[int, str]:
    """pytest's exit status and what it said, with the package taken from `source`."""
    environment = os.environ | {"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "--tb=line", *options, *tests]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout


def plant(source: Path, fault: Fault) -> str:
    """Try one fault: "caught", or what went wrong."""
    path = source / "genus" / fault.file
    sound = path.read_text()
    if sound.count(fault.old) != 1:
        return f"CANNOT BE PLANTED: its text occurs {sound.count(fault.old)} times in {fault.file}"
    try:
        path.write_text(sound.replace(fault.old, fault.new))
        status, said = ask(source, list(fault.tests), "-x")
    finally:
        path.write_text(sound)
    return {0: "SURVIVED", 1: "caught"}.get(status, f"BROKE THE TESTS INSTEAD: {said[-1500:]}")


def already_red(source: Path, faults: list[Fault]) -> list[str]:
    """The tests that fail on the sound source, and so prove nothing."""
    _, said = ask(source, sorted({test for fault in faults for test in fault.tests}))
    return [line.split(" ")[1] for line in said.splitlines() if line.startswith(("FAILED ", "ERROR "))]


def main(words: list[str]) -> int:
    """The table of faults; 1 if any was not caught."""
    faults = [fault for fault in FAULTS if not words or any(word in fault.name for word in words)]
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "src")
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        red = already_red(source, faults)
        for fault in faults:
            began = time.perf_counter()
            hollow = [test for test in red if test.startswith(fault.tests) or fault.tests[0].startswith(test)]
            verdict = f"PROVES NOTHING: {hollow[0]} fails without it" if hollow else plant(source, fault)
            missed += verdict != "caught"
            print(f"{fault.name:48} {fault.file:24} {time.perf_counter() - began:5.1f} s  {verdict}", flush=True)
    print(f"{len(faults) - missed} of {len(faults)} faults were caught.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
