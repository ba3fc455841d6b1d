"""The house rules: layers, documentation, one word an idea, small files, nothing that runs code from a file."""

from __future__ import annotations

import ast
import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from genus import catalogue

ROOT = Path(__file__).parent.parent
SOURCE = sorted((ROOT / "src" / "genus").rglob("*.py"))
LONGEST = 400
VERBS = "fit sample save load log_prob log_prob_bound energy encode decode complete trace score"
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "core", "misc", "base", "config", "manager"}

# One word an idea: what a field of any family may be called, and what it means wherever it occurs.
GLOSSARY = {
    "missing": "what missing cells are",
    "structure": "which graph, or how it is searched",
    "edges": "arcs a graph must have",
    "forbidden": "arcs a graph must not have",
    "criterion": "what a search of graphs maximises",
    "parents": "the most of a variable",
    "tabu": "steps that are not undone",
    "prior": "imagined rows",
    "weights": "of components: free or with a prior",
    "concentration": "of a Dirichlet prior",
    "order": "in which cells are read",
    "inner": "width of a cell's vector",
    "particles": "copies of an item, weighed",
    "fields": "rounds of mean field",
    "sweeps": "of Gibbs sampling",
    "chains": "run side by side",
    "burn": "sweeps before a draw",
    "seed": "what random numbers come from",
    "components": "parts of a mixture",
    "covariance": "shape of a component's covariance",
    "init": "how a fit starts",
    "means": "where a fit starts",
    "latent": "numbers in a code",
    "qk_norm": "queries and keys of unit mean square",
    "width": "units of a layer",
    "depth": "blocks or levels of a net",
    "layers": "transformations in a row",
    "evaluations": "of a differential equation's slope",
    "base": "density of the noise",
    "scales": "levels of an image",
    "heads": "of attention",
    "activation": "of the units",
    "steps": "of training",
    "epochs": "passes over the data",
    "minutes": "of training",
    "batch": "items a step",
    "lr": "peak learning rate",
    "optimizer": "of training",
    "weight_decay": "of matrices",
    "schedule": "of the learning rate",
    "warmup": "steps of growing learning rate",
    "clip": "largest gradient norm",
    "ema": "decay of averaged weights",
    "dropout": "share of units dropped",
    "patience": "validations without progress",
    "momentum": "of training",
    "beta2": "memory of squared gradients",
    "precision": "of a net's arithmetic",
    "device": "where to compute",
    "size": "of the default net",
    "net": "factory that replaces the default net",
    "tol": "gain below which a fit ends",
    "regularise": "strength of a prior",
    "restarts": "fits of which the best is kept",
    "dtype": "of arithmetic",
    "bins": "of a number",
    "smoothing": "pseudo-observations",
    "shrinkage": "towards a simple covariance",
    "temperature": "of sampling",
    "floor": "smallest standard deviation",
    "body": "kind of the default nets",
    "noise": "added while fitting",
    "cells": "entries of the largest table",
    "levels": "of codes",
    "draws": "codes or sweeps behind one estimate",
    "epsilon": "of differential privacy",
    "delta": "of differential privacy",
}


def modules() -> Iterator[tuple[Path, ast.Module]]:
    """Every source file with its syntax tree."""
    return ((path, ast.parse(path.read_text())) for path in SOURCE)


def public(body: list[ast.stmt]) -> Iterator[ast.ClassDef | ast.FunctionDef]:
    """Public classes and functions, and the public methods of the classes."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body)


def families() -> list:
    """The classes of the catalogue."""
    return [catalogue.family(name) for name in catalogue.FAMILIES]


def test_imports_run_downward_only():
    done = subprocess.run([Path(sys.executable).parent / "lint-imports", "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]


def test_every_public_thing_says_what_it_is():
    """A method may leave it to the class where its name was first explained."""
    trees = {path: tree for path, tree in modules() if tree.body}
    nodes = {path: list(public(tree.body)) for path, tree in trees.items()}
    explained = {node.name for found in nodes.values() for node in found if ast.get_docstring(node)} | {"forward"}
    bare = {path.name: [n.name for n in found if n.name not in explained and not _plain(n)] for path, found in nodes.items()}
    bare |= {path.name: ["the file itself"] for path, tree in trees.items() if not ast.get_docstring(tree)}
    assert {name: found for name, found in bare.items() if found} == {}


def _plain(node: ast.ClassDef | ast.FunctionDef) -> bool:
    """Overloads and one-line properties say what they are by their names and types."""
    names = {d.id for d in node.decorator_list if isinstance(d, ast.Name)}
    return "overload" in names or ("property" in names and len(node.body) == 1)


@pytest.mark.parametrize("name", catalogue.FAMILIES)
def test_a_family_is_a_dataclass_whose_every_field_is_explained(name):
    cls = catalogue.family(name)
    assert dataclasses.is_dataclass(cls)
    assert all(field.kw_only for field in dataclasses.fields(cls))
    assert cls.__eq__ is object.__eq__
    assert [field.name for field in catalogue.fields(cls) if not field.help] == []
    assert cls.accepts


def test_the_verbs_are_written_once():
    verbs = set(VERBS.split())
    for path, tree in modules():
        if path.parent.name == "families":
            wrong = [n.name for c in tree.body if isinstance(c, ast.ClassDef) for n in c.body if getattr(n, "name", "") in verbs]
            assert wrong == [], path.name


def test_a_field_shared_by_families_is_in_the_glossary():
    uses: dict[str, set[str]] = {}
    for cls in families():
        for field in dataclasses.fields(cls):
            uses.setdefault(field.name, set()).add(cls.__name__)
    assert sorted(name for name, users in uses.items() if len(users) > 1 and name not in GLOSSARY) == []


def test_no_file_has_a_name_that_says_nothing():
    assert [str(path) for path in SOURCE if path.stem.lower() in FORBIDDEN_NAMES] == []


def test_files_stay_small():
    assert {path.name: n for path in SOURCE if (n := len(path.read_text().splitlines())) > LONGEST} == {}


def test_nothing_runs_code_from_a_file():
    danger = re.compile(r"(import|from) pickle|joblib|\btorch\.load\(|allow_pickle=True|\beval\(|(?<!\.)\bexec\(|yaml\.load")
    calls = {}
    for path in SOURCE:
        found = [line.strip() for line in path.read_text().splitlines() if danger.search(line) and ".eval()" not in line]
        if found:
            calls[path.name] = found
    assert calls == {}


def test_families_know_no_kind_of_data():
    for path in (ROOT / "src" / "genus" / "families").glob("*.py"):
        imported = re.findall(r"(?:from|import) (genus\.\S+)", path.read_text())
        assert [name for name in imported if name.startswith(("genus.data", "genus.families", "genus.judgement"))] == [], (
            path.name
        )


def test_importing_genus_and_the_catalogue_needs_no_torch():
    code = "import sys, genus, genus.catalogue; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
