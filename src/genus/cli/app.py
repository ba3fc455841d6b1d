"""The commands: what each takes, in words; the work is done in the modules beside this one."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from genus.cli.chains import posterior

app = typer.Typer(
    name="genus",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Learn the distribution of a dataset; then generate, score, complete and judge.

DATA is an embedded name (`genus data` lists them), a file (.csv .tsv .parquet .npy .npz .txt, also .gz; idx images),
a folder of images, or hf:owner/name.

Begin with `genus demo`, or `genus fit digits --family vae -o runs/a` and then `genus sample runs/a -n 64 -o grid.png`.
Any command takes --debug for a traceback.""",
)

Data = Annotated[str, typer.Argument(metavar="DATA", help="Embedded name, file, folder or hf:owner/name.", show_default=False)]
RunArg = Annotated[Path, typer.Argument(metavar="RUN", help="The folder that `genus fit -o` wrote.", show_default=False)]
Out = Annotated[Path | None, typer.Option("-o", "--output", help="Where to write.", show_default=False)]
Seed = Annotated[int, typer.Option(help="Of every random choice.")]
Given = Annotated[
    list[str] | None,
    typer.Option(
        help="A known part or condition: column=value, column=A|B, column=LOW..HIGH, column= (missing); repeat for more.",
        show_default=False,
    ),
]
Kind = Annotated[str | None, typer.Option(help="Read DATA as table, image, text, lines, array or ratings.", show_default=False)]
Size = Annotated[int | None, typer.Option("--image-size", help="Resize images to this many pixels a side.", show_default=False)]
Time = Annotated[str | None, typer.Option(help="Column of time: the split is then by time.", show_default=False)]


@app.command()
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the report.")] = Path("runs/demo"),
    minutes: Annotated[float, typer.Option(help="Training time, shared by the families.")] = 3.5,
    seed: Seed = 0,
) -> None:
    """Compare seven unlike families on handwritten digits and write a report (about five minutes on two cores)."""
    from genus.cli.judge import DEMO, compare_families

    compare_families("digits", DEMO, minutes, seed, output / "report.html", {}, _command())


@app.command()
def doctor() -> None:
    """Check this machine: versions, threads, GPU, extras, disk; say what to do about each."""
    from genus.cli.doctor import examine

    raise typer.Exit(examine())


@app.command()
def families(
    name: Annotated[str | None, typer.Argument(help="One family, to see its fields.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """The catalogue: family × capability × kind of data, computed; or one family's fields."""
    from genus.cli.show import show_catalogue, show_family

    show_catalogue(as_json) if name is None else show_family(name)


@app.command()
def data(
    source: Annotated[str | None, typer.Argument(metavar="[DATA]", help="What to describe.", show_default=False)] = None,
    kind: Kind = None,
    image_size: Size = None,
    schema: Annotated[
        Path | None, typer.Option(help="Where to write what a table's columns are, as JSON to edit.", show_default=False)
    ] = None,
) -> None:
    """List the embedded datasets, or describe DATA: its kind, size, columns and how each is understood."""
    from genus.cli.show import show_data
    from genus.data.read_tables import is_tables

    if is_tables(source):
        from genus.cli.relational import describe_tables

        print(*describe_tables(str(source)), sep="\n")
        return
    show_data(source, kind, image_size, schema)


@app.command()
def rules(
    source: Data,
    schema: Annotated[
        Path | None, typer.Option(help="Schema file to put the rules into; made if it is not there.", show_default=False)
    ] = None,
    drop: Annotated[str | None, typer.Option(help="Numbers of rules to leave out, as 2,5.", show_default=False)] = None,
    seed: Seed = 0,
) -> None:
    """Find the rules that the rows of a table keep, show them for approval, and write them into a schema.

    `genus fit DATA --schema FILE` then makes samples keep every one of them (families that are constrained).
    """
    from genus.cli.rules import show_rules

    show_rules(source, schema, drop, seed)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def fit(
    context: typer.Context,
    source: Data,
    family: Annotated[
        str,
        typer.Option(help="Short name (`genus families`); left out: tables made, text transformer, images vae, arrays flow."),
    ] = "",
    output: Out = None,
    condition: Annotated[
        str | None,
        typer.Option(help="Columns to condition on, comma-separated (name:text is free text), or `labels`.", show_default=False),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Say that going on is meant; it is what happens anyway.")] = False,
    devices: Annotated[int, typer.Option(help="Processes that share each batch.")] = 1,
    every: Annotated[float, typer.Option(help="Seconds between checkpoints.")] = 30.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
    kind: Kind = None,
    image_size: Size = None,
    time: Time = None,
    schema: Annotated[
        Path | None,
        typer.Option(help="What a table's columns are: JSON, as `genus data DATA --schema` writes.", show_default=False),
    ] = None,
    tokens: Annotated[
        str | None,
        typer.Option(help="What texts are cut into: character, byte, bpe:SIZE, unigram:SIZE.", show_default=False),
    ] = None,
    dp_epsilon: Annotated[
        float | None,
        typer.Option(help="Differential privacy: 1 strong, 3 usual, 10 weak; family mst, or a net.", show_default=False),
    ] = None,
    dp_delta: Annotated[float, typer.Option(help="Chance that the promise fails; below 1 / rows.")] = 1e-5,
    keys: Annotated[
        Path | None, typer.Option(help="Keys of a folder of tables, as JSON; its keys.json by default.", show_default=False)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="The keys that were found are right.")] = False,
    key: Annotated[
        str | None, typer.Option(help="Column whose rows are one sequence, ordered by --time.", show_default=False)
    ] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Read a table in chunks; meant anyway when it would take a fifth of the free memory.")
    ] = False,
    fields_of: Annotated[bool, typer.Option("--fields", help="List the family's fields and stop.")] = False,
) -> None:
    """Fit a family to DATA and keep it in a run folder.

    Any field of the family is a flag: `--latent 16`, `--steps 2000`, `--minutes 2`, `--seed 1`, `--size small`
    (`genus fit digits --family vae --fields` lists them). The same command again goes on where it stopped, to the
    same weights; a finished run is left as it is.
    """
    from genus.cli.show import show_family
    from genus.cli.work import fit_run
    from genus.data.read_tables import is_tables

    if fields_of:
        return show_family(family)
    reading = {"kind": kind, "size": image_size, "time": time, "schema": schema, "tokens": tokens}
    words = context.args if dp_epsilon is None else [*context.args, f"--epsilon={dp_epsilon}", f"--delta={dp_delta}"]
    if key is not None or keys is not None or is_tables(source):
        from genus.cli.relational import fit_tables

        return fit_tables(source, family, output, words, keys=keys, yes=yes, key=key, time=time, quiet=quiet, every=every,
                          command=_command())  # fmt: skip
    from genus.cli.stream import fit_stream, streams

    if streams(source, stream):
        return fit_stream(source, family, output, words, condition=condition, every=every, quiet=quiet, reading=reading,
                          command=_command())  # fmt: skip
    fit_run(source, family, output, words, condition=condition, must_exist=resume, devices=devices, every=every,
            quiet=quiet, reading=reading, command=_command())  # fmt: skip
    return None


@app.command()
def sample(
    run: RunArg,
    n: Annotated[int | None, typer.Option("-n", help="How many; 16, or of tables as many as in training.")] = None,
    output: Out = None,
    given: Given = None,
    seed: Annotated[int | None, typer.Option(help="Of the draw; fresh when left out.", show_default=False)] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Below 1 more typical, above 1 more varied.", show_default=False)
    ] = None,
    balance: Annotated[
        str | None,
        typer.Option(help='Columns whose combinations shall be equally frequent, or "column:level=share,…".', show_default=False),
    ] = None,
    conditions: Annotated[
        Path | None,
        typer.Option(help="A table whose rows are conditions, one item each: sources to translate.", show_default=False),
    ] = None,
    kernel: Annotated[
        str | None,
        typer.Option(help="Draw by a Markov chain: hmc, nuts, mala … of real items, gibbs of discrete ones.", show_default=False),
    ] = None,
    stream: Annotated[bool, typer.Option("--stream", help="Print a text while it is drawn, token by token.")] = False,
) -> None:
    """Draw new items: to .csv .parquet .txt .npz .npy, .png (a grid), or DIR/ (one file an image)."""
    from genus.cli.work import sample_run

    if stream:
        from genus.cli.live import stream_run

        return stream_run(run, 1 if n is None else n, output, given or [], seed, temperature)
    if (run / "tables.json").is_file():
        from genus.cli.relational import sample_tables

        return sample_tables(run, n, output, seed)
    return sample_run(run, 16 if n is None else n, output, given or [], seed, temperature, balance, conditions, kernel)


app.command()(posterior)


@app.command()
def score(
    run: RunArg,
    source: Data,
    output: Out = None,
    by: Annotated[
        str | None, typer.Option(help="`column`: nats of each column beside, which say why.", show_default=False)
    ] = None,
    seed: Seed = 0,
    kind: Kind = None,
    image_size: Size = None,
) -> None:
    """Score each item of DATA: log_prob, bound, estimate or energy, named as what it is, in nats and bits/dim."""
    from genus.cli.work import score_run

    if (run / "tables.json").is_file():
        from genus.cli.relational import score_tables

        return score_tables(run, source, output)

    return score_run(run, source, output, seed, {"kind": kind, "size": image_size}, by)


@app.command()
def compress(
    run: RunArg,
    source: Data,
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.", show_default=False)],
    part: Annotated[str, typer.Option(help="`all` of DATA, or only the `test` part the run never saw.")] = "all",
    kind: Kind = None,
    image_size: Size = None,
) -> None:
    """Write DATA as a file as short as the run finds it likely; `genus decompress` gives every bit back.

    Entry by entry the model says how likely each symbol is; rANS spends -log2 p bits on the one that comes. Needs a family that
    is `sequential` (`genus families`), and the same run to read the file again. Sizes stand beside those of gzip, bz2 and xz.
    """
    from genus.cli.compress import compress_run

    compress_run(run, source, output, part, {"kind": kind, "size": image_size})


@app.command()
def decompress(
    run: RunArg,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="What `genus compress` wrote.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write the data.", show_default=False)],
) -> None:
    """Give back, bit for bit, what `genus compress` wrote with the same run: to .npz .npy .txt .csv .parquet or DIR/."""
    from genus.cli.compress import decompress_run

    decompress_run(run, source, output)


@app.command()
def complete(run: RunArg, source: Data, output: Out = None, seed: Seed = 0, kind: Kind = None) -> None:
    """Fill the missing cells of DATA; the known ones stay untouched."""
    from genus.cli.work import complete_run

    complete_run(run, source, output, seed, {"kind": kind})


@app.command()
def predict(
    run: RunArg,
    source: Data,
    target: Annotated[str, typer.Option(help="The column to predict from the others.")],
    output: Out = None,
    seed: Seed = 0,
    kind: Kind = None,
) -> None:
    """Predict a column of DATA: probabilities of its labels, or mean and quantiles of a number, and how good they are."""
    from genus.cli.predict import predict_run

    predict_run(run, source, target, output, seed, kind)


@app.command()
def explore(
    run: RunArg,
    source: Annotated[str | None, typer.Argument(metavar="[DATA]", help="Where codes are taken; the run's own data.")] = None,
    output: Out = None,
    units: Annotated[int, typer.Option(help="Latent units to move, those that vary most.")] = 8,
    steps: Annotated[int, typer.Option(help="Items of each traversal and path.")] = 9,
    path: Annotated[str, typer.Option(help="Between items: spherical or linear.")] = "spherical",
    seed: Seed = 0,
) -> None:
    """What the codes mean: each latent unit moved alone, paths between items, attributes of labels; pictures, GIFs or tables."""
    from genus.cli.explore import explore_run

    explore_run(run, source, output, units, steps, path, seed)


@app.command()
def recommend(
    run: RunArg,
    user: Annotated[str | None, typer.Option(help="One of the users of the data.", show_default=False)] = None,
    n: Annotated[int, typer.Option("-n", help="How many.")] = 10,
    given: Given = None,
    output: Out = None,
) -> None:
    """What a user of a ratings run would rate highest; a new user tells some ratings: --given "Alien=5" --given "Heat=2"."""
    from genus.cli.recommend import recommend_run

    recommend_run(run, user, n, given or [], output)


@app.command()
def evaluate(
    run: RunArg,
    source: Data,
    output: Out = None,
    target: Annotated[str | None, typer.Option(help="Column to predict, train on synthetic, test on real.")] = None,
    n: Annotated[int | None, typer.Option("-n", help="Items to sample.", show_default=False)] = None,
    quick: Annotated[bool, typer.Option("--quick", help="At most 1000 items, and a quarter of the attacks.")] = False,
    seed: Seed = 0,
    kind: Kind = None,
    image_size: Size = None,
) -> None:
    """Judge a run on held-out data and write a report that opens without network."""
    from genus.cli.judge import evaluate_run

    if (run / "tables.json").is_file():
        from genus.cli.relational import evaluate_tables

        return evaluate_tables(run, source, seed)

    return evaluate_run(run, source, output, {"kind": kind, "size": image_size}, target, n, seed, _command(), quick)


@app.command()
def compare(
    source: Data,
    families: Annotated[str | None, typer.Option(help="Comma-separated; all that accept DATA when left out.")] = None,
    minutes: Annotated[float, typer.Option(help="Training time, shared by the families.")] = 5.0,
    condition: Annotated[
        str | None, typer.Option(help="Columns to condition on, comma-separated, or `labels`.", show_default=False)
    ] = None,
    output: Out = None,
    seed: Seed = 0,
    kind: Kind = None,
    image_size: Size = None,
    time: Time = None,
) -> None:
    """Fit several families to DATA on equal terms and judge them against the same held-out items."""
    from genus.cli.judge import compare_families

    reading = {"kind": kind, "size": image_size, "time": time}
    compare_families(source, families, minutes, seed, output, reading, _command(), condition)


def _version(show: bool) -> None:
    if show:
        from genus import __version__

        print(f"genus {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> Any:
    pass


def _command() -> str:
    """The command as typed, for the report and the run file."""
    return shlex.join(["genus", *sys.argv[1:]])
