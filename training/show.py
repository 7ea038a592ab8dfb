"""Comparisons and gates as tables in the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.table import Table

from training.gates import Check, Verdict

if TYPE_CHECKING:
    from rich.console import RenderableType

    from training.compare import Comparison, Paired

_COLOURS = {Verdict.PASSED: "green", Verdict.FAILED: "red", Verdict.DOES_NOT_APPLY: "yellow"}


def comparison_tables(found: Comparison, candidate: int, champion: int) -> Iterator[RenderableType]:
    """Yield what a comparison found: figures, agreement of the scores, and AUC by segment.

    Example: `Console().print(*comparison_tables(found, 4, 3))`.
    """
    names = (f"version {candidate}", f"version {champion}", "difference (95% interval)")
    yield f"On {found.rows:,} loans that neither was trained on, {found.bad:,} of them bad:"
    figures = _table("figure", *names)
    for name, paired in found.figures.items():
        figures.add_row(name, *_cells(paired))
    yield figures
    agreement = found.agreement
    correlation = "none" if agreement.rank_correlation is None else f"{agreement.rank_correlation:.3f}"
    yield (
        f"Scores: rank correlation {correlation}, {agreement.mean_points_apart:.1f} points apart on "
        f"average, within 20 points in {agreement.within_20_points:.1%}, in the same band in {agreement.same_band:.1%}."
    )
    segments = _table("AUC where", "loans", "bad", *names)
    for each in found.segments:
        cells = ("too few to judge", "", "") if each.auc is None else _cells(each.auc)
        segments.add_row(f"{each.by} {each.value}", f"{each.rows:,}", f"{each.bad:,}", *cells)
    yield segments


def gate_table(checks: Iterable[Check]) -> Table:
    """Return a line for each gate: what it says and what it saw."""
    table = Table("gate", "", "what it saw", box=None, header_style="bold")
    for check in checks:
        table.add_row(check.gate, f"[{_COLOURS[check.verdict]}]{check.verdict}", check.said)
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(first, box=None, header_style="bold")
    for name in others:
        table.add_column(name, justify="right")
    return table


def _cells(paired: Paired) -> tuple[str, str, str]:
    low, high = paired.difference.low, paired.difference.high
    difference = f"{paired.difference.value:+.3f} ({low:+.3f} to {high:+.3f})"
    return f"{paired.candidate:.3f}", f"{paired.champion:.3f}", difference
