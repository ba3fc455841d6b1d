"""The documents are true: their code runs, their commands exist."""

import re
import sys
import types
from pathlib import Path

ROOT = Path(__file__).parents[2]


def blocks(name, language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / name).read_text(), flags=re.DOTALL)


def test_the_families_of_add_a_family_pass_the_contract():
    module = types.ModuleType("added_family")
    sys.modules["added_family"] = module
    for block in blocks("docs/add-a-family.md", "python"):
        exec(compile(block, "docs/add-a-family.md", "exec"), module.__dict__)
    assert {"Laplace", "LinearFlow"} <= set(vars(module))


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("README.md", "python")
    quick = block.replace("minutes=", "minutes=0.05 or ").replace("VAE(", "VAE(steps=30, ")
    exec(compile(quick, "README.md", "exec"), {"__name__": "readme"})


def test_the_python_of_models_inside_models_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("docs/compose.md", "python")
    exec(compile(block, "docs/compose.md", "exec"), {"__name__": "compose"})
    assert (tmp_path / "runs" / "vae" / "model.json").is_file()


def test_the_python_of_text_runs(capsys):
    (block,) = blocks("docs/text.md", "python")
    exec(compile(block, "docs/text.md", "exec"), {"__name__": "text"})
    filled = capsys.readouterr().out.splitlines()[0]
    assert re.search(r"'emm[^_]'", filled)
    assert re.search(r"'ka[^_]{3}ine'", filled)


def test_the_readme_names_every_family_the_catalogue_computes():
    from genus.catalogue import FAMILIES

    text = (ROOT / "README.md").read_text()
    assert [name for name in FAMILIES if f"`{name}`" not in text] == []


def test_every_command_of_the_readme_exists():
    from genus.cli.app import app

    names = {command.callback.__name__ for command in app.registered_commands}
    used = {line.split()[1] for block in blocks("README.md", "sh") for line in block.splitlines() if line.startswith("genus ")}
    assert used
    assert used <= names
