"""Commands of this package: ingest deliveries, compute vectors and frames, describe features."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.home import state_folder

if TYPE_CHECKING:
    from rich.console import Console

    from features.ingest import IngestReport

app = typer.Typer()

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command()
def ingest(
    delivery: Annotated[Path, typer.Argument(help="A folder with one Parquet or CSV file a table.")],
    page: Annotated[bool, typer.Option("--report", help="Write an HTML page on the quality of its data.")] = False,
    page_file: Annotated[
        Path | None,
        typer.Option("--report-file", help="Write the page to this file, not under reports/ in the state folder."),
    ] = None,
    as_json: _AsJson = False,
) -> None:
    """Take a delivery of operating data in; each row is accepted, a duplicate, or quarantined with its reason.

    Then every seller's features are computed as of the latest covered midnight, and stored for scoring. A file that
    cannot be read is set aside: the other tables go in, and the command ends with 2.

    Example: sellerscore ingest var/simulated --report
    """
    from rich.console import Console

    from features.ingest import ingest as take_in

    errors = Console(stderr=True)
    with errors.status("Reading the delivery") as status:
        report = take_in(delivery, state_folder() / "operating", status.update)
    if as_json:
        typer.echo(report.to_json())
    else:
        _print_report(report)
    if page or page_file is not None:
        with errors.status("Measuring the quality of its data"):
            written = _write_page(report, delivery, page_file)
        typer.echo(f"Quality of its data: {written}", err=as_json)
    _land(quiet=as_json)
    if report.set_aside:
        reasons = "; ".join(each.why for each in report.set_aside)
        typer.echo(f"sellerscore: {reasons}; the other tables are in", err=True)
        raise typer.Exit(2)
    refused = [each for each in report.tables if each.read and each.rejected == each.read]
    if refused:
        tables = " and ".join(f"all {each.read:,} rows of {each.table}" for each in refused)
        typer.echo(
            f"sellerscore: {tables} were quarantined; correct them by the rules above and deliver again", err=True
        )
        raise typer.Exit(2)


class _Engine(StrEnum):
    DUCKDB = "duckdb"
    SPARK = "spark"


@app.command()
def features(
    *,
    engine: Annotated[
        _Engine,
        typer.Option(
            help="What computes the frame: this process, or the Spark master that SELLERSCORE_SPARK_MASTER names "
            "(local\\[*] if unset)."
        ),
    ] = _Engine.DUCKDB,
    as_of: Annotated[
        list[datetime] | None,
        typer.Option(
            formats=["%Y-%m-%d"], metavar="DATE", help="A midnight of the frame, repeatable; the latest by default."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a frame as Parquet into this new folder, store nothing.")
    ] = None,
    describe: Annotated[bool, typer.Option("--describe", help="Print the catalogue, compute nothing.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="With --describe: as docs/features.md.")] = False,
    as_json: _AsJson = False,
) -> None:
    """Compute every seller's features as of the latest covered midnight, and store them for scoring.

    Example: sellerscore features

    A training frame: sellerscore features --as-of 2025-12-01 --as-of 2026-01-01 --out var/frame

    On a cluster: SELLERSCORE_SPARK_MASTER=yarn sellerscore features --engine spark --out /shared/frame

    What they mean: sellerscore features --describe
    """
    if describe:
        _expect(
            not (as_of or out or engine is _Engine.SPARK), "--describe computes nothing; leave out the other options."
        )
        _expect(not (markdown and as_json), "--markdown and --json are two forms; name one.")
        _print_catalogue(markdown, as_json)
        return
    _expect(not markdown, "--markdown is for --describe.")
    if out is not None:
        _write_frame(engine, [day.date() for day in as_of or []], out, as_json)
        return
    _expect(not as_of, "--as-of is for a frame; name its folder with --out.")
    _expect(engine is _Engine.DUCKDB, "--engine spark is for a frame; name its folder with --out.")
    _store_vectors(as_json)


def _land(quiet: bool) -> None:
    """Bring tiles and vectors up to date with a delivery that has landed, if it says through which day it reaches."""
    from features.ingest import open_store
    from features.pipeline import covered_days

    if "orders" in covered_days(open_store(state_folder() / "operating")):
        _store_vectors(as_json=False, quiet=quiet)


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise typer.BadParameter(otherwise)


def _store_vectors(as_json: bool, quiet: bool = False) -> None:
    import json

    from rich.console import Console

    from features.ingest import open_store
    from features.materialize import materialize_vectors
    from features.store.vectors import VectorStore

    home = state_folder()
    store = open_store(home / "operating")
    with Console(stderr=True).status("Computing features from tiles"):
        snapshot, sellers = materialize_vectors(store, VectorStore(home / "vectors.db"))
    if as_json:
        typer.echo(json.dumps({"as_of": snapshot.as_of.isoformat(), "sellers": sellers, "data": snapshot.data_version}))
    elif not quiet:
        typer.echo(f"Vectors of {sellers:,} sellers as of {snapshot.as_of}, catalogue {snapshot.catalogue[:19]}")


def _write_frame(engine: _Engine, midnights: list[date], out: Path, as_json: bool) -> None:
    import json

    from rich.console import Console

    from features.ingest import open_store
    from features.materialize import materialize_frame
    from features.pipeline import latest_midnight

    store = open_store(state_folder() / "operating")
    latest = latest_midnight(store)
    days = sorted(set(midnights)) or [latest]
    _expect(
        days[-1] <= latest,
        f"{days[-1]} is not covered yet: orders and the tables that keep up with them were delivered through {latest}; "
        "ask up to then.",
    )
    with Console(stderr=True).status(f"Computing features on {engine}"):
        rows = materialize_frame(store, days, out.absolute(), engine.value)
    if as_json:
        typer.echo(json.dumps({"as_of": [day.isoformat() for day in days], "rows": rows, "out": str(out)}))
    else:
        typer.echo(f"{rows:,} rows, sellers as of {', '.join(map(str, days))}, in {out}")


def _print_catalogue(markdown: bool, as_json: bool) -> None:
    import json

    from features import describe
    from features.catalogue import CATALOGUE

    if markdown:
        typer.echo(describe.markdown(), nl=False)
    elif as_json:
        typer.echo(json.dumps(list(map(describe.as_data, CATALOGUE)), indent=2, ensure_ascii=False))
    else:
        typer.echo("\n".join(describe.text()))


def _write_page(report: IngestReport, delivery: Path, out: Path | None) -> Path:
    from features.ingest import open_store
    from features.quality import write_page

    home = state_folder()
    digest, *again = report.delivery_id.split("-")
    place = out or home / "reports" / f"{'-'.join([digest[:12], *again])}.html"
    return write_page(open_store(home / "operating"), report, delivery.resolve().name, place)


def _print_quarantine(console: Console, report: IngestReport) -> None:
    """Print where the quarantined rows of each table are, and a few of them."""
    from features.engines.duckdb import open_engine
    from features.quality.analysis import example_lines, quarantine_reasons

    tables = [each for each in report.tables if each.rejected]
    if not tables:
        return
    folder = state_folder() / "operating" / "deliveries" / report.delivery_id / "quarantined"
    with open_engine() as engine:
        for each in tables:
            file = folder / f"{each.table}.parquet"
            lines = [f"  {each.table}: quarantined rows are in {file}. Examples, with ids shortened:"]
            lines += [f"    {line}" for line in example_lines(quarantine_reasons(engine, each, file))]
            console.print("\n".join(lines), markup=False, soft_wrap=True)


def _print_report(report: IngestReport) -> None:
    from rich.console import Console
    from rich.table import Table

    from features.quality.explanations import explain
    from features.schema import BY_NAME

    table = Table("table", box=None, header_style="bold")
    for heading in ("read", "accepted", "duplicates", "quarantined"):
        table.add_column(heading, justify="right")
    for each in report.tables:
        counts = (each.read, each.accepted, each.duplicates, each.rejected)
        table.add_row(each.table, *(f"{count:,}" for count in counts))
    console = Console()
    console.print(table)
    for each in report.tables:
        # a report from before all rules were counted has the first of each row alone
        for rule, count in (each.broken or each.quarantined).items():
            words = explain(BY_NAME[each.table], rule)
            console.print(
                f"  {each.table}: {count:,} {rule}: {words.wrong} {words.permitted or words.remedy}", markup=False
            )
        if each.erased:
            console.print(f"  {each.table}: {each.erased:,} of sellers who were erased, not kept")
    _print_quarantine(console, report)
    if report.already_ingested:
        console.print("This delivery was ingested before; nothing changed.")
    if report.absent:
        console.print(f"The platform does not have, as declared: {', '.join(report.absent)}")
    for name in report.ignored_files:
        console.print(f"Ignored, not a table of the contract: {name}")
    for aside in report.set_aside:
        console.print(f"Set aside as a whole: {aside.table} ({' and '.join(aside.files)})", markup=False)
