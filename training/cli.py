"""Commands of this package: simulate a marketplace and train a model; `champion_cli` holds what comes after."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import training.champion_cli
import training.table_cli
from features.home import state_folder
from training.engine_names import Engine

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from features.ingest import OperatingStore
    from training.config import TrainConfig
    from training.labels import Labels
    from training.registry import Registered
    from training.run import Run

app = typer.Typer()
app.add_typer(training.champion_cli.app)
app.add_typer(training.table_cli.app)

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command()
def simulate(
    out: Annotated[Path, typer.Option(help="The delivery folder to write; it must not exist or be empty.")],
    sellers: Annotated[int, typer.Option(help="How many sellers.")] = 2000,
    days: Annotated[int, typer.Option(help="How many days, four years by default.")] = 1461,
    seed: Annotated[int, typer.Option(help="The same seed and end give the same marketplace.")] = 7,
    end: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            help="The last day of the data, yesterday (UTC) unless given, so that they are fresh.",
        ),
    ] = None,
) -> None:
    """Simulate a marketplace: sellers, orders, refunds, traffic, loans; some fake orders, late and broken rows.

    Example: sellerscore simulate --sellers 2000 --out var/simulated
    Example: sellerscore simulate --sellers 2000 --seed 7 --end 2025-12-31 --out var/simulated
    """
    from rich.console import Console
    from rich.progress import Progress

    from training.simulation import SimulationConfig
    from training.simulation import simulate as run

    last = end.date() if end else datetime.now(UTC).date() - timedelta(days=1)
    # a day before the calendar's first is refused as any that is too early
    ordinal = max(last.toordinal() - days + 1, date.min.toordinal())
    config = SimulationConfig(sellers=sellers, days=days, seed=seed, start=date.fromordinal(ordinal))
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Simulating sellers", total=sellers)
        summary = run(config, out, lambda done, total: bar.update(task, completed=done, total=total))
    rows = sum(count for table, count in summary.rows.items() if table != "truth")
    typer.echo(
        f"{out}: {rows:,} rows of {sellers:,} sellers over {days:,} days, {summary.rows['orders']:,} orders; "
        f"{summary.loans:,} loans, {summary.defaults:,} of them defaulted; {summary.fakers:,} sellers fake orders."
    )


@app.command()
def train(  # noqa: PLR0917 - options of the command, each given by its name
    labels: Annotated[
        Path | None, typer.Option(help="A CSV with seller_id, bad, as_of; without it, loans in the store are labelled.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file of settings; --show-config prints them all with their defaults.")
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(min=0, max=10_000, help="Settings to search among; without it, what the settings file says."),
    ] = None,
    engine: Annotated[
        Engine,
        typer.Option(
            help="Where rows lie while they are learnt from: in memory, in batches from disk, or on a Dask cluster "
            "(SELLERSCORE_DASK_SCHEDULER names its scheduler; without it two workers start on this machine)."
        ),
    ] = Engine.MEMORY,
    trained_by: Annotated[
        str | None, typer.Option(help="Who trains; your login name unless you say otherwise.")
    ] = None,
    show_config: Annotated[bool, typer.Option("--show-config", help="Print the settings as TOML and end.")] = False,
    as_json: _AsJson = False,
) -> None:
    """Train a model on the ingested data, measure it on later loans of unseen sellers, and register it in MLflow.

    Example: sellerscore train
    Example: sellerscore train --trials 50 --trained-by "Ana Silva"
    Example: sellerscore train --engine dask
    Example: sellerscore train --show-config > training.toml; edit it; sellerscore train --config training.toml
    """
    from dataclasses import replace

    from training.config import TrainConfig
    from training.search import SearchConfig
    from training.settings import read_settings

    settings = read_settings(config, TrainConfig)
    if trials is not None:
        settings = replace(settings, search=SearchConfig(trials))
    if show_config:
        typer.echo(settings.as_toml(), nl=False)
        return
    run, registered = _trained(settings, labels, engine, trained_by)
    print_run(run, registered, as_json=as_json)


def _trained(
    settings: TrainConfig, labels: Path | None, engine: Engine, trained_by: str | None
) -> tuple[Run, Registered]:
    """Train, show the steps on standard error, and register the model."""
    import os

    from features.ingest import open_store
    from training.steps import shown_steps

    # threads that wait give way: by default they spin, which on a busy machine costs many times the work itself
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    home, started_at = state_folder(), datetime.now(UTC)
    with shown_steps("Labelling loans" if labels is None else f"Reading the labels of {labels.name}") as step:
        store = open_store(home / "operating")
        known = _labels(store, labels, settings)  # mistakes in them show before the slow imports below
        from training.dataset import build
        from training.engines import learner
        from training.labels import embargo_note
        from training.registry import LabelFile, Provenance, Registry, register, require
        from training.run import train as run_training
        from training.vectors import example_row

        provenance = Provenance(started_at, LabelFile.read(labels) if labels else None)
        if labels and (note := embargo_note(known, settings.split.embargo_days)):
            typer.echo(note, err=True)
        step("Reaching the MLflow registry")
        registry = Registry.in_folder(home)
        if swept := require(registry):
            typer.echo(f"Marked as KILLED what a killed process left running in MLflow: {', '.join(swept)}.", err=True)
        with learner(engine, home) as learning:
            step(f"Computing features of {len(known.rows):,} labelled rows")
            dataset = build(store, known)
            run = run_training(dataset, settings, step, store, learning)
        step("Registering the model in MLflow")
        return run, register(registry, run, example_row(dataset, store.covers_through), trained_by, provenance)


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


def print_run(run: Run, registered: Registered, *, as_json: bool) -> None:
    """Print what a run found and where it is kept, for people or for a program."""
    import json
    from dataclasses import asdict

    from rich.console import Console

    if as_json:
        figures = {name: asdict(figure) for name, figure in run.figures.items()}
        beside = {name: asdict(figure) for name, figure in run.logistic_figures.items()}
        whole = {**asdict(registered), "bundle": run.bundle.digest, "figures": figures, "logistic": beside}
        alarms = {finding.name: finding.alarms for finding in run.findings if finding.alarms}
        typer.echo(json.dumps({**whole, "facts": run.facts, "alarms": alarms}))
        return
    console = Console()
    console.print(figure_table(run))
    facts = run.facts
    console.print(
        f"Trained on {facts['train_rows']} rows ({facts['train_bad']} bad), measured "
        f"{str(facts['evidence']).replace('_', ' ')} on "
        f"{facts['test_rows']} ({facts['test_bad']} bad). Left out: {facts['censored']} still open, "
        f"{facts['unscheduled']} without instalments, {facts['set_apart']} between the parts or of sellers kept apart."
    )
    print_alarms(run, console)
    console.print(
        f"Registered version {registered.version}, bundle {run.bundle.digest[:19]}; its model card, figures and plots "
        f"are those of run {registered.run_id} in MLflow"
    )


def figure_table(run: Run) -> Table:
    """Return the figures of the model and of the benchmark scorecard, a line each."""
    from rich.table import Table

    table = Table("figure (95% interval)", "model", "benchmark scorecard", box=None, header_style="bold")
    for name, figure in run.figures.items():
        table.add_row(name, str(figure), str(run.logistic_figures[name]))
    return table


def print_alarms(run: Run, console: Console) -> None:
    """Print every alarm of the studies."""
    for finding in run.findings:
        for alarm in finding.alarms:
            console.print(f"[yellow]Alarm[/yellow] {finding.title}: {alarm}", highlight=False)
