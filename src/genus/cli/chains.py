"""The command `posterior`; the work is done in posterior.py."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer


def posterior(
    file: Annotated[Path, typer.Argument(metavar="FILE.py", help="Defines log_density and parameters.", show_default=False)],
    data: Annotated[str | None, typer.Option(help="DATA that log_likelihood is given.", show_default=False)] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder for draws and page.", show_default=False)] = None,
    kernel: Annotated[str | None, typer.Option(help="hmc, nuts, mala, slice, ensemble, tempering …", show_default=False)] = None,
    chains: Annotated[int | None, typer.Option(help="That move side by side.", show_default=False)] = None,
    warmup: Annotated[int | None, typer.Option(help="Steps that tune and are thrown away.", show_default=False)] = None,
    draws: Annotated[int | None, typer.Option(help="Of each chain that are kept.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Of every random choice.")] = 0,
) -> None:
    """Draw from a density of one's own, say whether to believe the draws, and keep them with a page; ends with 1 if not.

    FILE.py is run: it defines `log_density(x)`, or `log_prior(x)` and `log_likelihood(x, data)`, of torch tensors (chains, d) or
    numpy arrays, and `parameters`, as {"beta": 3, "sigma": "positive"}.
    """
    from genus.cli.posterior import draw_posterior

    settings = {"kernel": kernel, "chains": chains, "warmup": warmup, "draws": draws, "seed": seed}
    if not draw_posterior(file, data, output, settings, shlex.join(["genus", *sys.argv[1:]])):
        raise typer.Exit(1)
