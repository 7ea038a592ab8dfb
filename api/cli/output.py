"""The progress bar of commands that go through many rows; on standard error, so that output stays clean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def track_progress(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show how far a command is; yields what takes the number done so far.

    Example: `with counting("Scoring sellers") as advance: advance(200)`.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn

    bar: list[ProgressColumn] = [] if total is None else [BarColumn(), TextColumn("of {task.total:,.0f}")]
    columns = (SpinnerColumn(), TextColumn(f"{what}: {{task.completed:,.0f}}"), *bar, TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("work", total=total)
        yield lambda done: progress.update(task, completed=done)
