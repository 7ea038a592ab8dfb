"""Progress of long commands on standard error: a spinner on a terminal, a line for each step anywhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

Step = Callable[[str], None]
"""Receives the text of the step that begins, such as `fit the benchmark scorecard`."""


@contextmanager
def shown_steps(first: str) -> Iterator[Step]:
    """Show a first step, and each step that is passed to the yielded function, with the time since the beginning.

    Example: in a log, a line reads `   12 s  Fit the benchmark scorecard`.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        begun = monotonic()

        def line(step: str) -> None:
            console.print(
                f"{monotonic() - begun:5.0f} s  {_sentence(step)}", markup=False, highlight=False, soft_wrap=True
            )

        line(first)
        yield line
        return
    columns = (SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(_sentence(first), total=None)
        yield lambda step: bar.update(task, description=_sentence(step))


def _sentence(step: str) -> str:
    return step[:1].upper() + step[1:]
