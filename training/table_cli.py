"""The command that trains on a table of one's own columns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.home import state_folder

if TYPE_CHECKING:
    from training.run import Run
    from training.table_training import TableRequest

app = typer.Typer()


@app.command(name="train-table")
def train_table(
    file: Annotated[Path, typer.Argument(help="A Parquet file, or a CSV file with a header.")],
    *,
    target: Annotated[str, typer.Option(metavar="COLUMN", help="The column with the outcome; it holds two values.")],
    bad: Annotated[
        str | None, typer.Option(metavar="VALUE", help="The value that means bad: 1, true, yes or bad unless given.")
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The date of each row. The latest rows are the test; else out of fold."),
    ] = None,
    group: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The borrower. Rows of one are never in both parts.")
    ] = None,
    raises: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="A column along which risk only rises; repeatable.")
    ] = None,
    lowers: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="A column along which risk only falls; repeatable.")
    ] = None,
    leave_out: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="A column that is no feature; repeatable.")
    ] = None,
    horizon_days: Annotated[
        int, typer.Option(min=1, max=3_660, help="Days from a row's date to its outcome, for the embargo.")
    ] = 1,
    trained_by: Annotated[str | None, typer.Option(help="The trainer; your login name unless given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Train on any labelled table and examine it: figures with intervals, alarms, a model card in MLflow.

    Settings follow from the size of the table. The model is not registered: it cannot become the champion.

    Example: sellerscore train-table loans.csv --target default --time issued_on --group borrower_id

    Example: sellerscore train-table credit.parquet --target creditability --bad bad --raises duration_in_month
    """
    import os
    from datetime import UTC, datetime

    from training.errors import TableError
    from training.registry import Provenance, Registry, log_table_run, require
    from training.steps import shown_steps
    from training.table_training import TableRequest, read_request
    from training.table_training import train_table as run_training
    from training.tables import read_table

    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as in `train`
    registry = Registry.in_folder(state_folder())
    if both := sorted(set(raises or ()) & set(lowers or ())):
        raise TableError(f"{both[0]!r} is stated with --raises and with --lowers; state one direction.")
    signs = {**dict.fromkeys(raises or (), 1), **dict.fromkeys(lowers or (), -1)}
    request = TableRequest(file.name, target, bad, time, group, signs, tuple(leave_out or ()), horizon_days)
    provenance = Provenance(datetime.now(UTC))
    with shown_steps(f"Reading {file.name}") as step:
        table = read_table(file)
        read_request(table, request)  # refuses what cannot be trained on before it reaches the registry
        step("Reaching the MLflow registry")
        require(registry)
        run = run_training(table, request, step)
        step("Logging the run to MLflow")
        run_id = log_table_run(registry, run, trained_by, provenance)
    _print_run(run, request, run_id, as_json=as_json)


def _why_left_out(request: TableRequest) -> str:
    """Return why rows are in neither part."""
    days = f"dated within {request.horizon_days} days before the test (--horizon-days)"
    if request.group is None:
        return days
    return f"{days}, of groups in the test before it begins, or of other groups after it (--group)"


def _print_run(run: Run, request: TableRequest, run_id: str, *, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    from rich.console import Console

    from training.registry import TABLES
    from training.run_output import figure_table, print_alarms

    if as_json:
        figures = {name: asdict(figure) for name, figure in run.figures.items()}
        scorecard = {name: asdict(figure) for name, figure in run.logistic_figures.items()}
        alarms = {finding.name: finding.alarms for finding in run.findings if finding.alarms}
        shown = {"run_id": run_id, "figures": figures, "logistic": scorecard, "facts": run.facts, "alarms": alarms}
        typer.echo(json.dumps(shown))
        return
    console, facts = Console(), run.facts
    console.print(figure_table(run))
    later = facts["evidence"] == "out_of_time"
    rows = f"later rows{' of other groups' if request.group else ''}" if later else "rows, each predicted out of fold"
    console.print(
        f"Training: {facts['train_rows']:,} rows, {facts['train_bad']:,} bad. Test: {facts['test_rows']:,} {rows}, "
        f"{facts['test_bad']:,} bad."
        + (f" Left out: {facts['set_apart']:,} rows, {_why_left_out(request)}." if facts["set_apart"] else "")
    )
    columns = next(finding for finding in run.findings if finding.name == "columns")
    console.print(columns.summary, highlight=False)
    print_alarms(run, console)
    console.print(
        f"Run {run_id} of the experiment {TABLES} in MLflow has the model card and the evidence (make mlflow). The "
        "model is not registered: it cannot become the champion."
    )
