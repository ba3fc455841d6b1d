"""Posterior: draw from a density that a Python file defines, say whether to believe it, keep the draws and a page."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from genus.cli.folder import read_data
from genus.errors import UsageError
from genus.judgement.chains import write_posterior
from genus.posterior import Posterior

console = Console(highlight=False)
PARTS = ("log_density", "log_prior", "log_likelihood", "parameters", "gradient", "conditionals", "start")


def draw_posterior(file: Path, source: str | None, output: Path | None, settings: dict[str, Any], command: str | None) -> bool:
    """Run the chains of a file; whether they converged.

    The file is run as Python. It defines `posterior`, a Posterior; or log_density, or log_prior and log_likelihood, and
    parameters, as Posterior has them.
    """
    chains = _of_file(file)
    known = chains.get_params()
    chains.set_params(**{name: value for name, value in settings.items() if value is not None and name in known})
    data = None if source is None else read_data(source, {}).X
    if data is not None and chains.log_likelihood is None:
        raise UsageError(f"--data is handed to log_likelihood(parameters, data), which {file} does not define.")
    chains.fit(data)
    console.print(chains.summary().to_string(float_format=lambda v: f"{v:.4g}"))
    for reason in chains.reasons_:
        console.print(f"✗ {reason}")
    if chains.converged_:
        console.print("✓ Nothing speaks against these draws.")
    if output is not None:
        chains.save(output)
        page = write_posterior(output / "report.html", chains, title=file.stem.replace("_", " "), command=command)
        console.print(f"draws → {output}, page → {page}")
    return chains.converged_


def _of_file(file: Path) -> Posterior:
    """The Posterior that a Python file defines."""
    if not file.is_file():
        raise UsageError(f"There is no file {file}: give a Python file that defines log_density and parameters.")
    spec = importlib.util.spec_from_file_location(f"genus_posterior_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise UsageError(f"{file} is no Python file: its name must end in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise UsageError(f"{file}, line {error.lineno}: {error.msg}.") from None
    made = getattr(module, "posterior", None)
    if isinstance(made, Posterior):
        return made
    parts = {name: getattr(module, name) for name in PARTS if hasattr(module, name)}
    if not {"log_density", "log_likelihood", "conditionals"} & set(parts):
        raise UsageError(
            f"{file} defines no posterior: write `log_density = ...` (or log_prior and log_likelihood) and `parameters = ...`."
        )
    return Posterior(**parts)
