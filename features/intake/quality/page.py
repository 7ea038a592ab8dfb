"""The page itself: one HTML file without a script, a request or a dependency, readable for years."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from features.intake.quality import charts, psi, show
from features.intake.quality.coverage import TableCoverage
from features.intake.quality.findings import findings
from features.intake.quality.gather import Quality, gather
from features.intake.quality.lateness import BUCKETS

if TYPE_CHECKING:
    from jinja2 import Environment

    from features.intake.report import IntakeReport
    from features.intake.store import OperatingStore


def write_page(store: OperatingStore, report: IntakeReport, name: str, out: Path) -> Path:
    """Write the page about a delivery that the store holds, and return where it lies.

    Args:
        store: the store with the delivery in it.
        report: what intake said of the delivery.
        name: what to call the delivery, such as the name of its folder.
        out: the file to write; its folder is made, an older page replaced in one step.

    Raises:
        StoreError: the store does not hold the delivery.
    """
    text = render(gather(store, report, name))
    out.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=f".{out.name}-", dir=out.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(draft).chmod(0o644)
        Path(draft).replace(out)
    finally:
        Path(draft).unlink(missing_ok=True)
    return out


def render(quality: Quality) -> str:
    """Return the page as HTML; everything that came with the delivery is escaped."""
    covered = [table.coverage for table in quality.tables if table.coverage is not None]
    events = [each for each in covered if _is_event(quality, each)]
    return (
        _environment()
        .get_template("page.html")
        .render(
            quality=quality,
            findings=findings(quality),
            events=events,
            axis=charts.axis([each.by_day for each in events]),
            buckets=[name for name, _ in BUCKETS],
        )
    )


def _is_event(quality: Quality, covered: TableCoverage) -> bool:
    return any(table.name == covered.table and table.lateness is not None for table in quality.tables)


@cache
def _environment() -> Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("features.intake.quality", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": show.number, "percent": show.percent, "duration": show.duration}
    environment.globals |= {"charts": charts, "psi": psi, "zip": zip}
    return environment
