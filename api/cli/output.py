"""Output of commands: the `--output table|json` option, JSON printing, and the progress bar."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated

import typer


class Output(StrEnum):
    """The format in which a command prints its result."""

    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", help="Output format: text for people, or JSON.")]
"""The type of the parameter `output` of every command that prints a result."""


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


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
