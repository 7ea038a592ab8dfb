"""The report of monitoring as HTML with charts, and as JSON.

The page needs no script and no network, and suits light and dark, narrow and wide screens. A chart is a list of HTML
rows with an SVG strip each, so that its text keeps its size on a narrow screen.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from scoring import Outcome
from training.evidence.drift import SCORE
from training.evidence.report_blocks import environment, of_frame
from training.monitor import availability, calibration, drift, performance

if TYPE_CHECKING:
    import pandas as pd

    from training.config import MonitorConfig, Threshold
    from training.evidence.study import Finding
    from training.monitor.run import ModelResult, MonitorResult

WIDTH: Final = 1000.0
"""Width of every strip in SVG units."""

_MAX_FEATURES: Final = 15
_MAX_MONTHS: Final = 24
_MAX_PSI: Final = 1.0
_RATIO_RANGE: Final = (0.25, 4.0)

Row = Mapping[str, Any]
Scale = Callable[[float], float]


@dataclass(frozen=True)
class Strip:
    """One row of a chart: name, note, value as text, and positions from 0 to `WIDTH`.

    `low` and `high` are the ends of the interval, `expected` a second mark; None is not drawn.
    """

    name: str
    note: str
    text: str
    at: float | None
    low: float | None = None
    high: float | None = None
    expected: float | None = None


@dataclass(frozen=True)
class Intervals:
    """Values with intervals on one scale; `thresholds` are dashed lines, `ends` the labels of the scale."""

    kind: ClassVar = "intervals"
    title: str
    strips: tuple[Strip, ...]
    ends: tuple[str, str]
    thresholds: tuple[float, ...] = ()
    legend: str = ""


@dataclass(frozen=True)
class Shares:
    """A bar for each row, with its shares of the same kinds."""

    kind: ClassVar = "shares"
    title: str
    kinds: tuple[str, ...]
    rows: Sequence[Row]


Chart = Intervals | Shares


def charts(finding: Finding, config: MonitorConfig) -> Iterator[Chart]:
    """Yield a chart for each table of a study that has one."""
    for title, table in finding.tables.items():
        if title in _CHARTS and len(table):
            rows = [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
            yield _CHARTS[title](title, rows if title == drift.BY_FEATURE else rows[-_MAX_MONTHS:], config)


def _psi_by_feature(title: str, rows: Sequence[Row], config: MonitorConfig) -> Intervals:
    largest = sorted(rows, key=lambda row: (row["figure"] != SCORE, -row["psi"]))[: _MAX_FEATURES + 1]
    names = [(row["label"], f"largest change: {row['moved_most']}") for row in largest]
    return _psi(f"{title}: largest drift", names, largest, config.drift.feature_psi_most)


def _psi_by_month(title: str, rows: Sequence[Row], config: MonitorConfig) -> Intervals:
    names = [(row["month"], f"{row['sellers']:,} sellers") for row in rows]
    return _psi(title, names, rows, config.drift.score_psi_most)


def _psi(title: str, names: list[tuple[str, str]], rows: Sequence[Row], threshold: float) -> Intervals:
    most = max(_number(row.get("psi_high"), row["psi"]) for row in rows)
    end = min(_MAX_PSI, max(2 * threshold, most))

    def scale(value: float) -> float:
        return WIDTH * min(value, end) / end

    strips = tuple(_strip(label, row, "psi", "{:.3f}", scale) for label, row in zip(names, rows, strict=True))
    ends = ("0", f"{end:.2g}{' or more' if most > end else ''}")
    return Intervals(title, strips, ends, (scale(threshold),), f"the dashed line is the threshold, {threshold:g}")


def _rates(title: str, rows: Sequence[Row], _: MonitorConfig) -> Intervals:
    highest = (_number(row[name], 0.0) for row in rows for name in ("default_rate_high", "expected_rate"))
    end = max(0.01, *highest)

    def scale(value: float) -> float:
        return WIDTH * value / end

    strips = tuple(_rate_strip(row, scale) for row in rows)
    return Intervals(
        title, strips, ("0%", f"{end:.0%}"), legend="the thin second mark is the rate that the model expected"
    )


def _rate_strip(row: Row, scale: Scale) -> Strip:
    matured = f"{row['bad']:,} bad of {row['matured']:,} matured loans" if row["matured"] else ""
    still = f"{row['open']:,} open, {row['bad_so_far']:,} of them bad so far" if row["open"] else ""
    note = "; ".join(filter(None, (matured, still)))
    if not row["matured"]:
        return Strip(row["vintage"], note, row["state"], None)
    strip = _strip((row["vintage"], note), row, "default_rate", "{:.1%}", scale)
    text = f"{strip.text}, expected {row['expected_rate']:.1%}"
    return replace(strip, text=text, expected=scale(row["expected_rate"]))


def _ratios(title: str, rows: Sequence[Row], config: MonitorConfig) -> Intervals:
    first, last = _RATIO_RANGE

    def scale(value: float) -> float:
        inside = min(max(value, first), last)
        return WIDTH * math.log(inside / first) / math.log(last / first)

    strips = tuple(
        _strip(
            (
                row["vintage"] if "vintage" in row else f"Band {row['band']}",
                f"{row['bad']:,} bad of {row['loans']:,}, {row['expected_bad']:,.1f} expected",
            ),
            row,
            "observed_over_expected",
            "{:.2f}",
            scale,
        )
        for row in rows
    )
    threshold: Threshold = config.outcomes.observed_over_expected
    lines = (threshold.lower, 1.0, threshold.upper)
    return Intervals(
        f"{title}: observed over expected defaults",
        strips,
        ("¼ or less", "4 or more"),
        tuple(map(scale, lines)),
        f"the dashed lines are {lines[0]:g}, 1 and {lines[2]:g}; the scale is logarithmic",
    )


def _outcomes(title: str, rows: Sequence[Row], _: MonitorConfig) -> Shares:
    return Shares(title, tuple(outcome.value for outcome in Outcome), rows)


def _strip(label: tuple[str, str], row: Row, column: str, template: str, scale: Scale) -> Strip:
    text = template.format(row[column])
    low, high = (_number(row.get(f"{column}_{end}"), math.nan) for end in ("low", "high"))
    if math.isnan(low + high):
        return Strip(*label, text, scale(row[column]))
    interval = f"{text} ({template.format(low)} to {template.format(high)})"
    return Strip(*label, interval, scale(row[column]), scale(low), scale(high))


def _number(value: object, default: float) -> float:
    """Return a number from a frame, or the default if it is missing (NaN, or no such column)."""
    return value if isinstance(value, float) and not math.isnan(value) else default


_CHARTS: Final[Mapping[str, Callable[[str, Sequence[Row], MonitorConfig], Chart]]] = {
    availability.BY_MONTH: _outcomes,
    drift.BY_FEATURE: _psi_by_feature,
    drift.BY_MONTH: _psi_by_month,
    performance.BY_VINTAGE: _rates,
    calibration.BY_VINTAGE: _ratios,
    calibration.BY_BAND: _ratios,
}


def render(result: MonitorResult, config: MonitorConfig) -> str:
    """Return the report as HTML; all data in it are escaped.

    Example: `Path("monitor.html").write_text(render(monitor(inputs, config), config))`.
    """
    template = environment("training.monitor").get_template("report.html")
    return template.render(
        result=result, config=config, charts=lambda finding: list(charts(finding, config)), of_frame=of_frame
    )


def to_json(result: MonitorResult, report: str, run_ids: tuple[str, ...]) -> str:
    """Return the whole result as JSON, with the path of the HTML report and the MLflow runs; NaN becomes null."""
    content = {
        "today": result.today.isoformat(),
        "alarms": list(result.alarms),
        "said": result.notice,
        "nothing_scored": result.nothing_scored,
        "period": _finding_fields(result.period),
        "freshness": _finding_fields(result.freshness),
        "models": [_model_fields(each) for each in result.models],
        "report": report,
        "run_ids": list(run_ids),
    }
    return json.dumps(content, ensure_ascii=False, allow_nan=False)


def _model_fields(result: ModelResult) -> dict[str, Any]:
    model = result.monitored.model
    return {
        "bundle": model.bundle.digest,
        "version": None if model.version is None else model.version.number,
        "in_use": result.monitored.in_use,
        "findings": [_finding_fields(finding) for finding in result.findings],
    }


def _finding_fields(finding: Finding) -> dict[str, Any]:
    return {
        "name": finding.name,
        "title": finding.title,
        "said": finding.summary,
        "figures": dict(finding.figures),
        "tables": {title: _records(frame) for title, frame in finding.tables.items()},
        "alarms": list(finding.alarms),
    }


def _records(frame: pd.DataFrame) -> list[dict[str, object]]:
    return [
        {
            str(name): None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in row.items()
        }
        for row in frame.to_dict("records")
    ]
