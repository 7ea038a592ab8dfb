"""Console output of the training commands: progress, metrics, alarms and the registered version."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from training.registry import RegisteredVersion
    from training.run import Run
    from training.table_request import TableRequest

Step = Callable[[str], None]
"""Shows the step that begins, such as `fit the benchmark scorecard`."""


class OutputFormat(StrEnum):
    """Format of what a command prints on standard output."""

    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[OutputFormat, typer.Option("--output", help="Output format: a table or JSON.")]
"""The option `--output` of every command that prints a result."""


_NOTED: Final = ("discrimination", "leaks")
"""Studies whose notes are printed, too: a figure beyond its limit of which too few rows decide."""


@contextmanager
def show_steps(first: str) -> Iterator[Step]:
    """Show progress on standard error: a spinner on a terminal, otherwise one line per step with the elapsed time.

    Args:
        first: the first step.

    Yields:
        A function that shows the next step. Example of a line in a log: `   12 s  Fit the benchmark scorecard`.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        started = monotonic()

        def print_line(step: str) -> None:
            line = f"{monotonic() - started:5.0f} s  {_capitalize(step)}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)

        print_line(first)
        yield print_line
        return
    columns = (SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(_capitalize(first), total=None)
        yield lambda step: bar.update(task, description=_capitalize(step))


def print_run(run: Run, registered: RegisteredVersion, card: str, output: OutputFormat) -> None:
    """Print the metrics and the alarms of a training run, and the version under which it is registered."""
    if output is OutputFormat.JSON:
        _print_json(run, {**asdict(registered), "model_card": card, "bundle": run.bundle.digest})
        return
    facts = run.facts
    uncovered = facts.get("uncovered", 0)
    after = f"{uncovered:,} after the data of their seller end, " if uncovered else ""
    test = "Out-of-time" if facts["evidence"] == "out_of_time" else "Out-of-fold"
    _print_tables(
        run,
        f"Training: {facts['train_rows']:,} loans ({facts['train_bad']:,} defaults). {test} test: "
        f"{facts['test_rows']:,} loans ({facts['test_bad']:,} defaults). Not used: {facts['censored']:,} with an open "
        f"outcome, {facts['unscheduled']:,} without instalments, {after}{facts['set_apart']:,} excluded by the split "
        "(embargo or sellers of the other part).",
    )
    typer.echo(
        f"Registered version {registered.version} with bundle {run.bundle.digest[:19]}. Metrics and plots are in "
        f"MLflow run {registered.run_id} (make mlflow). Model card: {card}"
    )


def print_table_run(run: Run, request: TableRequest, run_id: str, card: str, output: OutputFormat) -> None:
    """Print the metrics and the alarms of a run on a table, and the MLflow run that has its evidence."""
    from training.registry.connection import TABLES

    if output is OutputFormat.JSON:
        _print_json(run, {"run_id": run_id, "model_card": card})
        return
    facts = run.facts
    rows = "rows, each predicted out of fold"
    if facts["evidence"] == "out_of_time":
        rows = f"later rows{' of other groups' if request.group else ''}"
    counts = (
        f"Training: {facts['train_rows']:,} rows ({facts['train_bad']:,} bad). Test: {facts['test_rows']:,} {rows} "
        f"({facts['test_bad']:,} bad)."
    )
    if facts["set_apart"]:
        counts += f" Not used: {facts['set_apart']:,} rows {_exclusion(request)}."
    columns = next(finding for finding in run.findings if finding.name == "columns")
    _print_tables(run, counts, columns.summary)
    typer.echo(
        f"Metrics and plots are in MLflow run {run_id} of the experiment {TABLES} (make mlflow). The model is not "
        f"registered and cannot become the champion. Model card: {card}"
    )


def _exclusion(request: TableRequest) -> str:
    """Return why rows are in neither part of the split."""
    from training.evidence.limits import quantity

    days = f"dated within {quantity(request.horizon_days, 'day')} before the test (--horizon-days)"
    if request.group is None:
        return days
    return f"{days}, of test groups before the test, or of other groups after the test begins (--group)"


def _print_json(run: Run, head: dict[str, object]) -> None:
    figures = {name: asdict(figure) for name, figure in run.figures.items()}
    scorecard = {name: asdict(figure) for name, figure in run.logistic_figures.items()}
    alarms = {finding.name: finding.alarms for finding in run.findings if finding.alarms}
    typer.echo(json.dumps({**head, "figures": figures, "logistic": scorecard, "facts": run.facts, "alarms": alarms}))


def _print_tables(run: Run, *sentences: str) -> None:
    from rich.console import Console

    console = Console()
    console.print(_metrics_table(run))
    for sentence in sentences:
        console.print(sentence, highlight=False)
    _print_alarms(run, console)


def _metrics_table(run: Run) -> Table:
    from rich.table import Table

    table = Table("metric (95% interval)", "model", "benchmark scorecard", box=None, header_style="bold")
    for name, figure in run.figures.items():
        table.add_row(name, str(figure), str(run.logistic_figures[name]))
    return table


def _print_alarms(run: Run, console: Console) -> None:
    """Print all alarms, and the notes on a ranking that may be random or a leak and that raise no alarm."""
    from rich.text import Text

    from training.evidence.limits import Standing, quantity
    from training.evidence.model_card_evidence import FEW, words_of

    for finding in run.findings:
        for alarm in finding.alarms:
            console.print(Text.assemble(("Alarm", "yellow"), f" {finding.title}: {alarm}"))
        for check in finding.checks:
            if finding.name in _NOTED and check.standing is Standing.UNCERTAIN:
                console.print(Text.assemble(("Note", "yellow"), f" {finding.title}: {check.note}"))
    if not any(finding.alarms for finding in run.findings):
        console.print("No alarm.", highlight=False)
    bad = int(run.facts["test_bad"])
    if bad < FEW:
        weak = f" {quantity(bad, words_of(run.facts).bad)} in the test are weak evidence; {FEW} or more are usual."
        console.print(Text.assemble(("Note", "yellow"), weak))


def _capitalize(step: str) -> str:
    return step[:1].upper() + step[1:]
