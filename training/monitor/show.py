"""What monitoring found, for a terminal, for a program, and for MLflow."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table

from training.registry import ALARM, NOT_MEASURED
from training.registry.monitoring import Monitored

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from rich.console import RenderableType

    from training.evidence.finding import Finding
    from training.monitor.watch import Monitoring, OfModel

_NOTHING: Final = "–"
Figures = Mapping[str, float]


def figures(findings: tuple[Finding, ...]) -> dict[str, float]:
    """Return the figures of all studies: `drift.score_psi`."""
    return {f"{finding.name}.{name}": value for finding in findings for name, value in finding.figures.items()}


def tables(found: Monitoring) -> Iterator[RenderableType]:
    """Yield what to print: a column a model, then every alarm that counts."""
    if found.said:
        yield found.said
    if found.models:
        columns = [each.name if each.watched.in_use else f"{each.name}, not in use" for each in found.models]
        table = Table("", *columns, box=None, header_style="bold")
        for label, cell in _LINES.items():
            table.add_row(label, *(cell(figures(each.findings)) for each in found.models))
        yield table
    stale = found.freshness.figures["stale_tables"]
    state = f"{stale:.0f} tables are stale or lacking" if stale else "every table is fresh"
    yield f"Data as of {found.today}: {state}."
    for alarm in found.alarms:
        yield f"[red]Alarm[/red] {_escaped(alarm)}"
    if not found.alarms:
        yield "No alarm, but nothing was scored." if found.nothing_scored else "[green]No alarm.[/green]"


def as_json(found: Monitoring, report: str, run_ids: tuple[str, ...]) -> str:
    """Return all of it as JSON; NaN is null.

    Args:
        found: what was found.
        report: where the page lies.
        run_ids: of the runs in MLflow, none where nothing was logged.
    """
    whole = {
        "today": found.today.isoformat(),
        "alarms": list(found.alarms),
        "said": found.said,
        "nothing_scored": found.nothing_scored,
        "period": _finding(found.period),
        "freshness": _finding(found.freshness),
        "models": [_model(each) for each in found.models],
        "report": report,
        "run_ids": list(run_ids),
    }
    return json.dumps(whole, ensure_ascii=False, allow_nan=False)


def runs(found: Monitoring, data_version: str) -> tuple[Monitored, ...]:
    """Return the runs to log: one a model, or one of the data alone where no model gave a score."""
    shared = {"today": found.today.isoformat(), "data_version": data_version}
    shared["nothing_scored"] = str(found.nothing_scored).lower()
    of_all = (found.period, found.freshness)
    if not found.models:
        return (_run(f"monitor {found.today}", shared, of_all),)
    made = []
    for each in found.models:
        model = each.watched.model
        tags = {"bundle": model.bundle.digest, "in_use": str(each.watched.in_use).lower()}
        if model.version is not None:
            tags["version"] = str(model.version.number)
        name = f"monitor {found.today} {each.name}"
        made.append(_run(name, shared | tags, (*of_all, *each.findings)))
    return tuple(made)


def _run(name: str, tags: dict[str, str], findings: tuple[Finding, ...]) -> Monitored:
    raised = {finding.name: " ".join(finding.alarms) for finding in findings if finding.alarms}
    silent = {finding.name: finding.said for finding in findings if not finding.figures}
    lines = []
    for finding in findings:
        lines += [f"**{finding.title}** {finding.said}", *(f"- Alarm: {alarm}" for alarm in finding.alarms), ""]
    counted = sum(len(finding.alarms) for finding in findings)
    named = {f"{ALARM}{study}": words for study, words in raised.items()}
    named |= {f"{NOT_MEASURED}{study}": words for study, words in silent.items()}
    return Monitored(name, {**tags, "alarms": str(counted), **named}, "\n".join(lines), figures(findings))


def _model(each: OfModel) -> dict[str, Any]:
    model = each.watched.model
    return {
        "bundle": model.bundle.digest,
        "version": None if model.version is None else model.version.number,
        "in_use": each.watched.in_use,
        "findings": [_finding(finding) for finding in each.findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "name": finding.name,
        "title": finding.title,
        "said": finding.said,
        "figures": dict(finding.figures),
        "tables": {title: _records(frame) for title, frame in finding.tables.items()},
        "alarms": list(finding.alarms),
    }


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): _plain(value) for name, value in row.items()} for row in frame.to_dict("records")]


def _plain(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _cell(name: str, shape: str, beside: str = "") -> Callable[[Figures], str]:
    """Return what writes a figure, its interval and one beside it into a shape; a dash where it was not measured."""

    def write(found: Figures) -> str:
        if name not in found:
            return _NOTHING
        ends = {end: found.get(f"{name}_{end}", math.nan) for end in ("low", "high")}
        return shape.format(value=found[name], beside=found.get(beside, math.nan), **ends)

    return write


_LINES: Final[Mapping[str, Callable[[Figures], str]]] = {
    "answers, recent ones": _cell("answers.given", "{value:,.0f}, {beside:,.0f}", "answers.recent"),
    "PSI of the score": _cell("drift.score_psi", "{value:.3f} ({low:.3f} to {high:.3f})"),
    "features surely moved": _cell("drift.features_surely_moved", "{value:.0f}"),
    "matured loans, bad": _cell("vintages.matured", "{value:,.0f}, {beside:,.0f}", "vintages.bad"),
    "open loans, bad so far": _cell("vintages.open", "{value:,.0f}, {beside:,.0f}", "vintages.bad_so_far"),
    "observed over expected": _cell("calibration.observed_over_expected", "{value:.2f} ({low:.2f} to {high:.2f})"),
    "calibration slope": _cell("calibration.slope", "{value:.2f} ({low:.2f} to {high:.2f})"),
    "AUC": _cell("vintages.auc", "{value:.3f} ({low:.3f} to {high:.3f})"),
}
"""The lines of the short table, and how each is written."""
