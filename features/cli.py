"""The commands `sellerscore ingest` and `sellerscore features`: ingest deliveries, compute and describe features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from features.home import state_folder
from features.output import Output, OutputOption, print_json
from features.wording import count_of

if TYPE_CHECKING:
    from features.ingest import IngestReport, OperatingStore

_MAX_ENDS: Final = 8
"""The days of which the console prints the number of sellers whose data end there."""

app = typer.Typer()
features_app = typer.Typer(invoke_without_command=True)
app.add_typer(features_app, name="features")


@app.command()
def ingest(
    delivery: Annotated[Path, typer.Argument(help="A folder with one Parquet or CSV file per table.")],
    page: Annotated[bool, typer.Option("--report", help="Write an HTML page on the quality of the data.")] = False,
    page_file: Annotated[
        Path | None,
        typer.Option("--report-file", help="Write the page to this file instead of reports/ in the state folder."),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Ingest a delivery of operating data. Each row is accepted, a duplicate, or quarantined with a reason.

    Afterwards, the features of all sellers are computed as of the latest covered midnight and stored for scoring. If a
    file cannot be read, its table is rejected, the other tables are ingested, and the exit code is 2.

    With --output json, `as_of` is the latest day on which the data of sellers end, `sellers_ending_earlier` is the
    number of sellers whose data end before, and `sellers_by_as_of` has the number of sellers by day.

    Example: sellerscore ingest var/simulated --report
    """
    import json

    from rich.console import Console

    from features.ingest import ingest as ingest_delivery

    errors = Console(stderr=True)
    with errors.status("Reading the delivery") as status:
        report = ingest_delivery(delivery, state_folder() / "operating", status.update)
    if output is Output.JSON:
        print_json(json.loads(report.to_json()) | _ends_of_data())
    else:
        _print_report(report)
    if page or page_file is not None:
        with errors.status("Measuring data quality"):
            written = _write_page(report, delivery, page_file)
        typer.echo(f"Data quality: {written}", err=output is Output.JSON)
    _update_vectors(quiet=output is Output.JSON)
    for problem in _problems(report):
        typer.echo(f"sellerscore: {problem}", err=True)
        raise typer.Exit(2)


def _problems(report: IngestReport) -> Iterator[str]:
    """Yield the reasons for exit code 2, most serious first."""
    if report.rejected_tables:
        yield f"{'; '.join(table.why.rstrip('.') for table in report.rejected_tables)}. The other tables were ingested."
    quarantined = [table for table in report.tables if table.read and table.rejected == table.read]
    if quarantined:
        tables = " and ".join(f"all {count_of(table.read, 'row')} of {table.table}" for table in quarantined)
        yield f"{tables} were quarantined. Correct them by the rules above and deliver them again."


def _ends_of_data() -> dict[str, object]:
    """Return the day on which the data of sellers end, as JSON; nothing if no order is covered."""
    from features.ingest import open_store
    from features.pipeline import covered_days, sellers_by_end

    store = open_store(state_folder() / "operating")
    ends = sellers_by_end(store) if "orders" in covered_days(store) else {}
    if not ends:
        return {}
    latest, sellers = max(ends), sum(ends.values())
    by_day = {day.isoformat(): count for day, count in ends.items()}
    return {"as_of": latest, "sellers_ending_earlier": sellers - ends[latest], "sellers_by_as_of": by_day}


def _update_vectors(quiet: bool) -> None:
    """Update tiles and vectors after an ingest, if the store covers orders."""
    from features.ingest import open_store
    from features.pipeline import covered_days

    if "orders" in covered_days(open_store(state_folder() / "operating")):
        text = _store_vectors(Output.TABLE)
        if not quiet:
            typer.echo(text)


@features_app.callback()
def features(context: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Compute the features of all sellers as of the latest covered midnight and store them for scoring.

    Example: sellerscore features
    """
    if context.invoked_subcommand is None:
        typer.echo(_store_vectors(output))


def _store_vectors(output: Output) -> str:
    import json

    from rich.console import Console

    from features.ingest import open_store
    from features.materialize import materialize_vectors
    from features.store.vectors import VectorStore

    home = state_folder()
    store = open_store(home / "operating")
    with Console(stderr=True).status("Computing features from tiles"):
        counts = materialize_vectors(store, VectorStore(home / "vectors.db"))
    newest, sellers = counts[0][0], sum(count for _, count in counts)
    by_day: dict[str, int] = {}
    for snapshot, count in counts:
        by_day[snapshot.as_of.isoformat()] = by_day.get(snapshot.as_of.isoformat(), 0) + count
    if output is Output.JSON:
        found = {"as_of": newest.as_of.isoformat(), "sellers": sellers, "data": newest.data_version}
        return json.dumps(found if len(by_day) == 1 else found | {"sellers_by_as_of": by_day})
    text = f"Vectors of {count_of(sellers, 'seller')} as of {newest.as_of}, catalogue {newest.catalogue[:19]}"
    return text if len(by_day) == 1 else "\n".join([text.replace(f" as of {newest.as_of}", ""), *_ends(by_day)])


def _ends(by_day: Mapping[str, int]) -> Iterator[str]:
    """Yield how many sellers have data up to each day, the latest first, a few days at most."""
    days = list(by_day.items())
    earlier, every = sum(count for _, count in days[1:]), sum(by_day.values())
    yield (
        f"The data of sellers end on different days: of {earlier:,} of {every:,} before {days[0][0]}. Each seller is "
        "computed as of its own latest covered midnight:"
    )
    yield from (f"  {day}: {count_of(count, 'seller')}" for day, count in days[:_MAX_ENDS])
    if len(days) > _MAX_ENDS:
        rest = sum(count for _, count in days[_MAX_ENDS:])
        yield f"  {days[-1][0]} to {days[_MAX_ENDS][0]}: {count_of(rest, 'seller')}"


@features_app.command("list")
def list_features(output: OutputOption = Output.TABLE) -> None:
    """List the features of the catalogue.

    Example: sellerscore features list
    """
    from rich.console import Console
    from rich.table import Table

    from features.catalogue import CATALOGUE
    from features.describe import as_data, marks

    if output is Output.JSON:
        print_json([as_data(feature) for feature in CATALOGUE])
        return
    table = Table("name", "unit", "days", "use", box=None, header_style="bold")
    for feature in CATALOGUE:
        table.add_row(feature.name, feature.unit, str(feature.window or "all"), marks(feature))
    Console().print(table)


@features_app.command("describe")
def describe_features(
    name: Annotated[str | None, typer.Argument(help="A feature; all features by default.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page docs/features.md.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Describe a feature, or all features: meaning, unit, sign with its credit rationale, and use.

    Example: sellerscore features describe orders_90d
    """
    from features import describe
    from features.catalogue import CATALOGUE

    if markdown:
        _expect(name is None and output is Output.TABLE, "--markdown describes all features. Leave out the rest.")
        typer.echo(describe.markdown(), nl=False)
        return
    chosen = [describe.as_data(feature) for feature in CATALOGUE if name in (None, feature.name)]
    _expect(bool(chosen), f"Unknown feature '{name}'. `sellerscore features list` lists all features.")
    if output is Output.JSON:
        print_json(chosen if name is None else chosen[0])
    elif name is None:
        typer.echo("\n".join(describe.text()))
    else:
        typer.echo("\n".join(f"{field}: {value}" for field, value in chosen[0].items()))


@features_app.command("frame")
def write_frame(
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The new folder for the Parquet files.")],
    as_of: Annotated[
        list[datetime] | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            metavar="DATE",
            help="A midnight of the frame; repeatable. By default the latest, if the data of all sellers end there.",
        ),
    ] = None,
    engine: Annotated[
        Literal["duckdb", "spark"],
        typer.Option(
            help="Where to compute: in this process, or on the Spark master in SELLERSCORE_SPARK_MASTER "
            "(local\\[*] if not set)."
        ),
    ] = "duckdb",
    output: OutputOption = Output.TABLE,
) -> None:
    """Write the features of all sellers as of the given midnights as Parquet, without storing them for scoring.

    Example: sellerscore features frame --as-of 2025-12-01 --as-of 2026-01-01 --out var/frame

    On a cluster: SELLERSCORE_SPARK_MASTER=yarn sellerscore features frame --engine spark --out /shared/frame
    """
    from rich.console import Console

    from features.ingest import open_store
    from features.materialize import materialize_frame
    from features.pipeline import latest_midnight

    store = open_store(state_folder() / "operating")
    latest = latest_midnight(store)
    days = sorted({day.date() for day in as_of or []}) or [_only_end(store)]
    _expect(
        days[-1] <= latest,
        f"{days[-1]} is not covered yet: orders and the tables that keep up with them were delivered through {latest}. "
        f"Use dates up to {latest}.",
    )
    if not store.covers_all_stores:
        typer.echo("Sellers whose data end before a date are left out as of that date.", err=True)
    with Console(stderr=True).status(f"Computing features on {engine}"):
        rows = materialize_frame(store, days, out.absolute(), engine)
    if output is Output.JSON:
        print_json({"as_of": days, "rows": rows, "out": out})
    else:
        typer.echo(f"{count_of(rows, 'row')}, sellers as of {', '.join(map(str, days))}, in {out}")


def _only_end(store: OperatingStore) -> date:
    """Return the midnight on which the data of all sellers end; raise BadParameter if they end on different days."""
    from features.pipeline import latest_midnight, sellers_by_end

    ends = list(sellers_by_end(store).items())
    more = f" and {len(ends) - _MAX_ENDS:,} more days" if len(ends) > _MAX_ENDS else ""
    days = ", ".join(f"{day} ({count:,})" for day, count in ends[:_MAX_ENDS])
    _expect(
        len(ends) <= 1,
        f"The data of sellers end on different days: {days}{more}, with the number of sellers. Give the days with "
        "--as-of. As of each day, the frame has the sellers whose data do not end before.",
    )
    return ends[0][0] if ends else latest_midnight(store)


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise typer.BadParameter(otherwise)


def _write_page(report: IngestReport, delivery: Path, out: Path | None) -> Path:
    from features.ingest import open_store
    from features.quality import write_page

    home = state_folder()
    digest, *number = report.delivery_id.split("-")
    path = out or home / "reports" / f"{'-'.join([digest[:12], *number])}.html"
    return write_page(open_store(home / "operating"), report, delivery.resolve().name, path)


def _print_report(report: IngestReport) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("table", box=None, header_style="bold")
    for heading in ("read", "accepted", "duplicates", "quarantined"):
        table.add_column(heading, justify="right")
    for each in report.tables:
        counts = (each.read, each.accepted, each.duplicates, each.rejected)
        table.add_row(each.table, *(f"{count:,}" for count in counts))
    console.print(table)
    for line in (*_rule_lines(report), *_example_lines(report)):
        console.print(line, markup=False, soft_wrap=True)
    if report.already_ingested:
        console.print("This delivery was ingested before. Nothing changed.")
    if report.absent:
        console.print(f"Declared absent: {', '.join(report.absent)}")
    for name in report.ignored_files:
        console.print(f"Ignored, not a table of the contract: {name}")
    for rejected in report.rejected_tables:
        console.print(f"Rejected table: {rejected.table} ({' and '.join(rejected.files)})", markup=False)


def _rule_lines(report: IngestReport) -> Iterator[str]:
    """Yield a line for each broken rule and for erased rows."""
    from features.quality.explanations import explain
    from features.schema import BY_NAME

    for table in report.tables:
        for rule, count in table.broken.items():
            explanation = explain(BY_NAME[table.table], rule)
            hint = explanation.permitted or explanation.remedy
            yield f"  {table.table}: {count:,} {rule}: {explanation.wrong} {hint}"
        if table.erased:
            yield f"  {table.table}: {count_of(table.erased, 'row')} of erased sellers, not stored"


def _example_lines(report: IngestReport) -> Iterator[str]:
    """Yield where the quarantined rows of each table are, and a few of them."""
    from features.engines.duckdb import open_engine
    from features.quality.analysis import example_lines, quarantine_reasons

    folder = state_folder() / "operating" / "deliveries" / report.delivery_id / "quarantined"
    with open_engine() as engine:
        for table in (table for table in report.tables if table.rejected):
            file = folder / f"{table.table}.parquet"
            yield (
                f"  {table.table}: quarantined rows are in {file}. Examples by row of the delivered file, with ids "
                "shortened:"
            )
            yield from (f"    {line}" for line in example_lines(quarantine_reasons(engine, table, file)))
