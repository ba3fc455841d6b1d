"""Recommend: the command's work."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from genus.cli.flags import parse_given
from genus.cli.folder import Folder, read_data
from genus.data.ratings import Ratings
from genus.data.write import write
from genus.errors import UsageError
from genus.tasks.recommend import recommend

console = Console(stderr=True, highlight=False)


def recommend_run(path: Path, user: str | None, n: int, given: list[str], output: Path | None) -> None:
    """Recommend to a user of the data, or to a new one who tells some ratings."""
    folder = Folder(path)
    model = folder.model()
    if (user is None) == (not given):
        raise UsageError('Say for whom: --user NAME, or a new user\'s ratings as --given "ITEM=RATING".')
    described = folder.description["data"]
    train = read_data(described["source"], described["reading"]).X
    if not isinstance(train, Ratings):
        raise UsageError(f"{path} was not fitted on ratings: genus fit ratings.csv --kind ratings --family rbm.")
    known = train.of(user) if user is not None else model.codec_.template(1, parse_given(given))
    found = recommend(model, known, n=n, train=train)
    if output is not None:
        write(found, output)
        console.print(f"{len(found)} recommendations → {output}")
        return
    table = Table("", "item", "expected", "by bias alone", "rated by")
    for row in found.to_dict("records"):
        table.add_row(str(row["rank"]), str(row["item"]), f"{row['expected']:.2f}", f"{row['bias']:.2f}", str(row["popularity"]))
    Console(highlight=False).print(table)
