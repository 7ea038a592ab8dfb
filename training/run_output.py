"""What the training commands print: metrics, alarms and the registered version of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from training.registry import RegisteredVersion
    from training.run import Run


def print_run(run: Run, registered: RegisteredVersion, *, as_json: bool) -> None:
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
