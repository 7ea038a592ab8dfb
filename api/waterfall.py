"""One assessment in the terminal: from the base points to the score, step by step. It says that it is internal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from scoring import Assessment
from scoring.assess import SCALE_LIMIT, Contribution, Explanation

NOTICE: Final = "Internal and unsigned: printed only, not stored, no evidence for a bank."
_SHOWN: Final = 10
_MOST_DECIMALS_BELOW: Final = 1000
_AFFIXES: Final = {"USD": ("$", ""), "days": ("", " d")}


@dataclass(frozen=True)
class Step:
    """One step of the waterfall: from `start` points to `start + points`."""

    label: str
    value: str
    typical: str
    start: int
    points: int


def steps_of(explanation: Explanation, shown: int = _SHOWN) -> list[Step]:
    """Return the steps from base to score, largest first; small ones are one step, an end of the scale is the last.

    Example: points 14, -9, 1 and 0 with `shown=2` are the steps +14, -9 and "2 others" +1.
    """
    features = [item for item in explanation.contributions if item.feature != SCALE_LIMIT]
    limit = [item for item in explanation.contributions if item.feature == SCALE_LIMIT]
    features.sort(key=lambda item: -abs(item.points))
    told = [item for item in features[:shown] if item.points]
    others = features[len(told) :]
    rows = [(item.label, _number(item, item.value), _number(item, item.typical), item.points) for item in told]
    if others:
        label = f"{len(others)} {'other' if len(others) == 1 else 'others'}"
        rows.append((label, "", "", sum(item.points for item in others)))
    rows += [(item.label, "", "", item.points) for item in limit]
    return list(_running(explanation.base_points, rows))


def waterfall(seller_id: str, assessment: Assessment) -> RenderableType:
    """Return an assessment as Rich prints it: its steps as bars, or what lacked for a number.

    Example: `Console().print(waterfall("S-1", assessment))`.
    """
    dates = f"as of {assessment.as_of}, data through {assessment.data_through or 'unknown'}"
    parts: list[RenderableType] = [Text.assemble((f"Seller {seller_id}", "bold"), f"  {dates}"), Text()]
    if assessment.explanation is None:
        parts += _without_number(assessment)
    else:
        parts += _with_number(assessment, assessment.explanation)
    return Group(*parts, Text(), Text(NOTICE, style="yellow"))


def _running(base: int, rows: Sequence[tuple[str, str, str, int]]) -> Iterator[Step]:
    for label, value, typical, points in rows:
        yield Step(label, value, typical, base, points)
        base += points


def _with_number(assessment: Assessment, explanation: Explanation) -> Iterator[RenderableType]:
    steps = steps_of(explanation)
    reached = [explanation.base_points, *(step.start + step.points for step in steps)]
    low, high = min(reached), max(reached)
    table = Table(box=None, padding=(0, 1, 0, 0), expand=True, pad_edge=False)
    table.add_column("")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("typical", justify="right", no_wrap=True)
    table.add_column("points", justify="right", no_wrap=True)
    table.add_column("", ratio=1, min_width=16)
    table.add_row("Base", "", "", str(explanation.base_points), "")
    for step in steps:
        table.add_row(step.label, step.value, step.typical, f"{step.points:+d}", _Bar(step, low, high))
    table.add_row(Text("Score", "bold"), "", "", Text(str(assessment.score), "bold"), "")
    yield Text.assemble(
        (f"Score {assessment.score}", "bold"),
        f"   band {assessment.band}   probability of default {assessment.probability_of_default:.2%}",
    )
    yield Text(f"({assessment.default_definition}; compared with: {explanation.reference_population})", "dim")
    yield Text()
    yield table
    if explanation.reasons:
        yield Text("\nPrincipal reasons", "bold")
    for reason in explanation.reasons:
        yield Padding(Text(f"{reason.code}  {reason.points:+4d}  {reason.statement}"), (0, 0, 0, 2))


def _without_number(assessment: Assessment) -> Iterator[RenderableType]:
    yield Text.assemble(("No score: ", "bold"), str(assessment.outcome).replace("_", " "))
    for lack in assessment.shortfalls:
        found = "nothing" if lack.found is None else lack.found
        yield Padding(Text(f"{lack.what}: found {found}, needed {lack.needed}"), (0, 0, 0, 2))


def _number(item: Contribution, value: float | None) -> str:
    if value is None:
        return "missing"
    if item.unit == "ratio":
        return f"{value:.1%}"
    plain = f"{value:,.0f}" if abs(value) >= _MOST_DECIMALS_BELOW else f"{value:.4g}"
    before, after = _AFFIXES.get(item.unit, ("", ""))
    return f"{before}{plain}{after}"


@dataclass(frozen=True)
class _Bar:
    """A step drawn between the lowest and highest points of the waterfall, as wide as its column."""

    step: Step
    low: int
    high: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        scale = (width - 1) / max(self.high - self.low, 1)
        ends = sorted((self.step.start, self.step.start + self.step.points))
        left, right = (round((end - self.low) * scale) for end in ends)
        gain = self.step.points > 0
        # without colour or outside UTF-8 the two directions still differ
        mark = ("+" if gain else "-") if options.ascii_only else ("█" if gain else "▒")
        length = max(right - left, 1) if self.step.points else 0
        yield Segment(" " * left)
        yield Segment(mark * length, Style(color="green" if gain else "red"))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(16, options.max_width)
