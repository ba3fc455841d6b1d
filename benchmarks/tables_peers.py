"""SDV's synthesizers and MOSTLY AI's engine, by default, on a CSV; benchmarks/tables.py runs this in their environment.

PYTHON tables_peers.py copula|tvae|ctgan|argn TRAIN.csv N OUT.csv SEED: writes N rows to OUT.csv and one line of JSON with
processor seconds to standard output. One thread.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
import warnings
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd
import torch


def sdv(name: str, rows: pd.DataFrame, n: int) -> tuple[pd.DataFrame, float, float]:
    """(rows, fit seconds, sample seconds) of SDV 2's GaussianCopula, TVAE or CTGAN."""
    from sdv.metadata import Metadata  # pyright: ignore[reportMissingImports]
    from sdv.single_table import (  # pyright: ignore[reportMissingImports]
        CTGANSynthesizer,
        GaussianCopulaSynthesizer,
        TVAESynthesizer,
    )

    maker = {"copula": GaussianCopulaSynthesizer, "tvae": TVAESynthesizer, "ctgan": CTGANSynthesizer}[name]
    metadata = Metadata.detect_from_dataframes({"table": rows})
    begin = time.process_time()
    synthesizer = maker(metadata, enable_gpu=False) if name != "copula" else maker(metadata)
    synthesizer.fit({"table": rows})
    middle = time.process_time()
    drawn: Any = synthesizer.sample(n)
    return drawn["table"], middle - begin, time.process_time() - middle


def argn(rows: pd.DataFrame, n: int, seed: int) -> tuple[pd.DataFrame, float, float]:
    """(rows, fit seconds, sample seconds) of MOSTLY AI's TabularARGN."""
    from mostlyai.engine import TabularARGN  # pyright: ignore[reportMissingImports]

    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        model = TabularARGN(random_state=seed, workspace_dir=folder, device="cpu")
        model.fit(rows)
        middle = time.process_time()
        drawn = model.sample(n)
        return drawn, middle - begin, time.process_time() - middle


def main() -> None:
    name, train, n, out, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    warnings.simplefilter("ignore")
    rows = pd.read_csv(train, keep_default_na=False, na_values=[""])
    with contextlib.redirect_stdout(sys.stderr):
        drawn, fit, sample = argn(rows, n, seed) if name == "argn" else sdv(name, rows, n)
    drawn[list(rows.columns)].to_csv(out, index=False)
    print(json.dumps({"peer": name, "seed": seed, "fit": fit, "sample": sample, "load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
