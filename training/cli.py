"""Console commands `simulate`, `train` and `train-table`; `promotion_cli` has `compare`, `promote` and `rollback`."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import training.promotion_cli
from features.home import state_folder
from training.console import OutputFormat, OutputOption
from training.engines import Engine

if TYPE_CHECKING:
    from features.ingest import OperatingStore
    from training.config import TrainConfig
    from training.labels import Labels
    from training.registry import RegisteredVersion
    from training.run import Run

app = typer.Typer()
app.add_typer(training.promotion_cli.app)

_TrainedBy = Annotated[str | None, typer.Option(help="Name of the trainer. Default: your login name.")]
_Columns = list[str] | None


@app.command()
def simulate(
    out: Annotated[Path, typer.Option(help="Delivery folder to write. It must be new or empty.")],
    sellers: Annotated[int, typer.Option(help="Number of sellers.")] = 2000,
    days: Annotated[int, typer.Option(help="Number of days; the default is four years.")] = 1461,
    seed: Annotated[int, typer.Option(help="Random seed. The same seed and end give the same data.")] = 7,
    end: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Last day of the data. Default: yesterday (UTC)."),
    ] = None,
) -> None:
    """Simulate a marketplace: sellers, orders, refunds, traffic and loans, with fake orders and late or invalid rows.

    Example: sellerscore simulate --sellers 2000 --out var/simulated
    Example: sellerscore simulate --sellers 2000 --seed 7 --end 2025-12-31 --out var/simulated
    """
    from rich.console import Console
    from rich.progress import Progress

    from training.simulation import SimulationConfig
    from training.simulation import simulate as run

    last = end.date() if end else datetime.now(UTC).date() - timedelta(days=1)
    # a first day before year 1 becomes the earliest date, which the configuration rejects
    ordinal = max(last.toordinal() - days + 1, date.min.toordinal())
    config = SimulationConfig(sellers=sellers, days=days, seed=seed, start=date.fromordinal(ordinal))
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Simulating sellers", total=sellers)
        summary = run(config, out, lambda done, total: bar.update(task, completed=done, total=total))
    rows = sum(count for table, count in summary.rows.items() if table != "truth")
    typer.echo(
        f"Wrote {rows:,} rows to {out}: {sellers:,} sellers, {days:,} days, {summary.rows['orders']:,} orders, "
        f"{summary.loans:,} loans ({summary.defaults:,} defaults). {summary.fakers:,} sellers place fake orders."
    )


@app.command()
def train(  # noqa: PLR0917 - options of the command, each given by its name
    labels: Annotated[
        Path | None,
        typer.Option(help="Label table: a CSV file with seller_id, bad, as_of. Default: label the loans of the store."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings file (TOML). --show-config prints all settings and their defaults.")
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(min=0, max=10_000, help="Number of trials of the search for settings. Overrides the file."),
    ] = None,
    engine: Annotated[
        Engine,
        typer.Option(
            help="Where to keep the training data: in memory, on disk in batches, or on a Dask cluster. "
            "SELLERSCORE_DASK_SCHEDULER is the address of its scheduler; without it, two local workers start."
        ),
    ] = Engine.MEMORY,
    trained_by: _TrainedBy = None,
    show_config: Annotated[bool, typer.Option("--show-config", help="Print the settings as TOML and exit.")] = False,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Train a model on the ingested data, test it on later loans of other sellers, and register it in MLflow.

    The exit code is 0 if the version is registered, also with alarms, and 2 if the data or a setting cannot be used.

    Example: sellerscore train
    Example: sellerscore train --trials 50 --trained-by "Ana Silva"
    Example: sellerscore train --engine dask
    Example: sellerscore train --show-config > training.toml; edit it; sellerscore train --config training.toml
    """
    from dataclasses import replace

    from training.config import TrainConfig
    from training.console import print_run
    from training.search import SearchConfig
    from training.settings import read_settings

    settings = read_settings(config, TrainConfig)
    if trials is not None:
        settings = replace(settings, search=SearchConfig(trials))
    if show_config:
        typer.echo(settings.as_toml(), nl=False)
        return
    run, registered, card = _train_and_register(settings, labels, engine, trained_by)
    print_run(run, registered, card, output)


def _train_and_register(
    settings: TrainConfig, labels: Path | None, engine: Engine, trained_by: str | None
) -> tuple[Run, RegisteredVersion, str]:
    from features.ingest import open_store
    from training.console import show_steps

    _let_threads_sleep()
    home, started_at = state_folder(), datetime.now(UTC)
    with show_steps("Labelling loans" if labels is None else f"Reading the labels of {labels.name}") as step:
        store = open_store(home / "operating")
        labelled = _labels(store, labels, settings)  # report mistakes in the labels before the slow imports below
        from training.dataset import build, example_row
        from training.engines import open_engine
        from training.labels import embargo_note
        from training.registry import LabelFile, Provenance, Registry, locate_card, register, require
        from training.run import train as run_training

        provenance = Provenance(started_at, LabelFile.read(labels) if labels else None)
        if labels and (note := embargo_note(labelled, settings.split.embargo_days)):
            typer.echo(note, err=True)
        step("Connecting to the MLflow registry")
        registry = Registry.in_folder(home)
        if ended := require(registry):
            typer.echo(f"Marked runs of killed processes as KILLED in MLflow: {', '.join(ended)}.", err=True)
        with open_engine(engine, home) as training_engine:
            step(f"Computing features of {len(labelled.rows):,} labelled rows")
            dataset = build(store, labelled)
            run = run_training(dataset, settings, step, store, training_engine)
        step("Registering the model in MLflow")
        registered = register(registry, run, example_row(dataset, store.covers_through), trained_by, provenance)
        return run, registered, locate_card(registry, registered.run_id)


def _labels(store: OperatingStore, table: Path | None, settings: TrainConfig) -> Labels:
    """Label the loans of the store, or read the label table."""
    from training.dataset import loan_labels
    from training.errors import ConfigError
    from training.labels import read_label_table

    if table is not None:
        return read_label_table(table, settings.labels, datetime.now(UTC).date())
    if settings.labels.horizon_days or settings.labels.definition:
        raise ConfigError(
            "labels.horizon_days and labels.definition describe a label table. Name the table with --labels, or remove "
            "both settings to label the loans of the store."
        )
    return loan_labels(store, settings.labels.loan_definition)


@app.command(name="train-table")
def train_table(
    file: Annotated[Path, typer.Argument(help="Parquet file, or CSV file with a header.")],
    *,
    target: Annotated[str, typer.Option(metavar="COLUMN", help="Column with the outcome. It has two values.")],
    bad: Annotated[
        str | None,
        typer.Option(metavar="VALUE", help="Value that means bad. Default: 1 (of 0 and 1), true, yes, bad, default."),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Date of each row: the latest rows are the test. Default: an out-of-fold test."
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Groups of rows, such as borrowers. Rows of a group are in the same part."),
    ] = None,
    raises: Annotated[
        _Columns, typer.Option(metavar="COLUMN", help="Column whose rise only raises risk. Repeatable.")
    ] = None,
    lowers: Annotated[
        _Columns, typer.Option(metavar="COLUMN", help="Column whose rise only lowers risk. Repeatable.")
    ] = None,
    leave_out: Annotated[_Columns, typer.Option(metavar="COLUMN", help="Column to ignore. Repeatable.")] = None,
    horizon_days: Annotated[
        int, typer.Option(min=1, max=3_660, help="Days from a row's date to its outcome. Sets the embargo.")
    ] = 1,
    trained_by: _TrainedBy = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Train a model on any labelled table and report the evidence: metrics, alarms, and a model card in MLflow.

    The settings follow from the size of the table. The model is not registered and cannot become the champion. In a CSV
    file, empty cells and the texts NA, N/A, NULL, NaN and None are missing values.

    The exit code is 0 if the run is in MLflow, also with alarms, and 2 if the table or an option cannot be used.

    Example: sellerscore train-table loans.csv --target default --time issued_on --group borrower_id

    Example: sellerscore train-table credit.parquet --target creditability --bad bad --raises duration_in_month
    """
    from training.console import print_table_run, show_steps
    from training.errors import TableError
    from training.registry import Provenance, Registry, locate_card, log_table_run, require
    from training.table_request import TableRequest, read_request
    from training.table_training import train_table as run_training
    from training.tables import read_table

    _let_threads_sleep()
    registry = Registry.in_folder(state_folder())
    if both := sorted(set(raises or ()) & set(lowers or ())):
        raise TableError(f"{both[0]!r} is named by --raises and by --lowers. State one direction.")
    signs = {**dict.fromkeys(raises or (), 1), **dict.fromkeys(lowers or (), -1)}
    request = TableRequest(file.name, target, bad, time, group, signs, tuple(leave_out or ()), horizon_days)
    provenance = Provenance(datetime.now(UTC))
    with show_steps(f"Reading {file.name}") as step:
        table = read_table(file, text=() if group is None else (group,))
        read_request(table, request)  # reject an unusable table before the registry is contacted
        step("Connecting to the MLflow registry")
        require(registry)
        run = run_training(table, request, step)
        step("Logging the run to MLflow")
        run_id = log_table_run(registry, run, trained_by, provenance)
        card = locate_card(registry, run_id)
    print_table_run(run, request, run_id, card, output)


def _let_threads_sleep() -> None:
    """Let waiting OpenMP threads sleep. By default they spin, which slows a busy machine many times over."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
