"""Compress: digits and other data as codes by models, beside gzip, bz2 and xz; every code is read back and compared.

Models are fitted on the training part; `test` rows are codes of the part they never saw, `all` rows of the whole data set (what
the general compressors like best). The model itself is not counted: it must be at both ends.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import genus
from genus import catalogue
from genus.data.split import split
from genus.tasks.compress import compress, decompress, own_nats, usual_sizes
from record import Clock, record

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "made": ("digits", {"steps": 1200}),
    "transformer": ("digits", {"steps": 800, "size": "small"}),
    "pixelcnn": ("digits", {"steps": 600, "size": "small"}),
    "anyorder": ("digits", {"steps": 800}),
    "hmm": ("names", {"components": 16}),
}


def main() -> None:
    """Fit, write, read, compare."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="Comma-separated families.")
    arguments = parser.parse_args()
    clock, rows = Clock(), []
    for name, (source, fields) in MODELS.items():
        if arguments.only and name not in arguments.only.split(","):
            continue
        data = genus.load(source)
        parts = split(data.X, None, seed=arguments.seed)
        model = catalogue.family(name)(seed=arguments.seed, **fields)
        model.fit(parts.train[0], validation=parts.validation[0])
        for part, X in (("test", parts.test[0]), ("all", data.X)):
            rows += _rows(f"{name} on {source}, {part}", model, X)
            print(rows[-2:])
    record("compress", rows, seed=arguments.seed, seconds=clock.seconds, note=__doc__ or "")


def _rows(title: str, model: Any, X: Any) -> list[dict[str, Any]]:
    """Size against the model's nats, against the best of bz2 and xz, and processor seconds."""
    clock = Clock()
    content = compress(model, X)
    wrote = clock.cpu_seconds
    back = decompress(model, content)[0]
    same = back.equals(X) if hasattr(back, "equals") else bool((back == X).all()) if hasattr(back, "all") else back == list(X)
    if not same:
        raise SystemExit(f"{title}: what came back is not what was given.")
    usual, own = usual_sizes(X), own_nats(model, X) / math.log(2) / 8
    best = min(usual["bz2 -9"], usual["xz -9e"])
    seconds = f"written in {wrote:.1f} s, read in {clock.cpu_seconds - wrote:.1f} s of processor time"
    return [
        {"metric": f"{title}: bytes over the model's nats", "value": len(content) / own, "unit": "ratio", "target": "≤ 1.02",
         "met": len(content) <= 1.02 * own, "n": len(X), "note": seconds},
        {"metric": f"{title}: bytes", "value": len(content), "unit": "bytes", "target": "< bz2 and xz",
         "met": len(content) < best, "peer": "the smaller of bz2 -9 and xz -9e", "peer_value": best, "usual": usual, "n": len(X)},
    ]  # fmt: skip


if __name__ == "__main__":
    main()
