"""Output of commands: the `--output table|json` option, printed results, and the progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from features.output import Output, print_json

OutputOption = Annotated[Output, typer.Option("--output", help="Output format: text for people, or JSON.")]
"""The type of the parameter `output` of every command that prints a result."""

ClockOption = Annotated[
    bool,
    typer.Option(
        "--clock-is-right",
        help="Confirm that the clock is right. Without it, the command is refused if the newest row of the ledger is "
        "more than 25 hours old.",
    ),
]
"""The type of the parameter `clock_is_right` of every command that appends to the ledger."""


def print_result(output: Output, value: object, lines: Iterable[str]) -> None:
    """Print a result: a value as JSON, or lines for people."""
    if output is Output.JSON:
        print_json(value)
        return
    for line in lines:
        typer.echo(line)


@contextmanager
def track_progress(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show the progress of a command on standard error. The yielded function takes the number of items done.

    Example: `with track_progress("Scoring sellers") as advance: advance(200)`.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn

    bar: list[ProgressColumn] = [] if total is None else [BarColumn(), TextColumn("of {task.total:,.0f}")]
    columns = (SpinnerColumn(), TextColumn(f"{what}: {{task.completed:,.0f}}"), *bar, TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("work", total=total)
        yield lambda done: progress.update(task, completed=done)
