"""Figures of a study as shapes: where an interval begins and ends, how wide a share is. The template draws them.

Charts are rows of HTML with a drawn strip each, not one picture: so that their words stay as large as all others on a
narrow screen, and take the colours of a dark one.

The report: one page of HTML with everything in it, no script, no network, light and dark, narrow and wide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Final

from scoring import Outcome
from training.evidence.drift import SCORE
from training.evidence.report_blocks import of_frame
from training.monitor import availability, calibration, drift, performance

if TYPE_CHECKING:
    import pandas as pd
    from jinja2 import Environment

    from training.evidence.study import Finding
    from training.monitor.config import MonitorConfig
    from training.monitor.run import MonitorResult


WIDTH: Final = 1000.0
"""Every strip is so many units wide and stretched to the room there is."""


_FEATURES: Final = 15


_MONTHS: Final = 24


_PSI_END: Final = 1.0


_RATIO_ENDS: Final = (0.25, 4.0)


Line = Mapping[str, Any]


Scale = Callable[[float], float]


@dataclass(frozen=True)
class Strip:
    """One line of a chart: its name, a note, the words of its value, and places from 0 to `WIDTH`.

    `low` and `high` are the ends of the interval, `beside` a second value to compare with; None draws nothing.
    """

    name: str
    note: str
    words: str
    at: float | None
    low: float | None = None
    high: float | None = None
    beside: float | None = None


@dataclass(frozen=True)
class Intervals:
    """Values with intervals on one scale; `limits` are upright lines, `ends` the words below both ends."""

    kind: ClassVar = "intervals"
    title: str
    strips: tuple[Strip, ...]
    ends: tuple[str, str]
    limits: tuple[float, ...] = ()
    legend: str = ""


@dataclass(frozen=True)
class Piece:
    """A piece of a bar: what it is of, where it begins and how wide it is."""

    name: str
    x: float
    width: float


@dataclass(frozen=True)
class Bar:
    """One bar of shares."""

    name: str
    note: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Shares:
    """Bars of shares of the same kinds."""

    kind: ClassVar = "shares"
    title: str
    kinds: tuple[str, ...]
    bars: tuple[Bar, ...]


Chart = Intervals | Shares


def charts(finding: Finding, config: MonitorConfig) -> Iterator[Chart]:
    """Yield the charts of a study's tables, in the order of the tables; tables that none is made for have none."""
    for title, table in finding.tables.items():
        if title in _CHARTS and len(table):
            lines = _lines(table)
            of_months = lines if title == drift.BY_FEATURE else lines[-_MONTHS:]
            yield _CHARTS[title](title, of_months, config)


def _lines(table: pd.DataFrame) -> list[Line]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _psi_by_feature(title: str, lines: Sequence[Line], config: MonitorConfig) -> Intervals:
    shown = sorted(lines, key=lambda line: (line["figure"] != SCORE, -line["psi"]))[: _FEATURES + 1]
    names = [(line["label"], f"most moved: {line['moved_most']}") for line in shown]
    limits = (config.drift.feature_psi_most,)
    return _psi(f"{title}: those that moved farthest", names, shown, limits)


def _psi_by_month(title: str, lines: Sequence[Line], config: MonitorConfig) -> Intervals:
    names = [(line["month"], f"{line['sellers']:,} sellers") for line in lines]
    return _psi(title, names, lines, (config.drift.score_psi_most,))


def _psi(title: str, names: list[tuple[str, str]], lines: Sequence[Line], limits: tuple[float, ...]) -> Intervals:
    most = max(_number(line.get("psi_high"), line["psi"]) for line in lines)
    end = min(_PSI_END, max(2 * max(limits), most))

    def scale(value: float) -> float:
        return WIDTH * min(value, end) / end

    strips = tuple(
        Strip(name, note, _interval(line, "psi", "{:.3f}"), scale(line["psi"]), *_ends(line, "psi", scale))
        for (name, note), line in zip(names, lines, strict=True)
    )
    beyond = " or more" if most > end else ""
    legend = f"the dashed line is the limit, {limits[0]:g}"
    return Intervals(title, strips, ("0", f"{end:.2g}{beyond}"), tuple(map(scale, limits)), legend)


def _rates(title: str, lines: Sequence[Line], _: MonitorConfig) -> Intervals:
    high = [_number(line["default_rate_high"], 0.0) for line in lines]
    end = max(*high, *(_number(line["expected_rate"], 0.0) for line in lines), 0.01)

    def scale(value: float) -> float:
        return WIDTH * value / end

    strips = []
    for line in lines:
        closed = f"{line['bad']:,} bad of {line['matured']:,} matured loans" if line["matured"] else ""
        still = f"{line['open']:,} still open, {line['bad_so_far']:,} of them bad so far" if line["open"] else ""
        note = "; ".join(filter(None, (closed, still)))
        if not line["matured"]:
            strips.append(Strip(line["vintage"], note, line["state"], None))
            continue
        words = f"{_interval(line, 'default_rate', '{:.1%}')}, expected {line['expected_rate']:.1%}"
        at, beside = scale(line["default_rate"]), scale(line["expected_rate"])
        strips.append(Strip(line["vintage"], note, words, at, *_ends(line, "default_rate", scale), beside))
    return Intervals(
        title, tuple(strips), ("0%", f"{end:.0%}"), legend="the thin second mark is what the model expected"
    )


def _ratios(title: str, lines: Sequence[Line], config: MonitorConfig) -> Intervals:
    first, last = _RATIO_ENDS

    def scale(value: float) -> float:
        inside = min(max(value, first), last)
        return WIDTH * math.log(inside / first) / math.log(last / first)

    of = "vintage" if "vintage" in lines[0] else "band"
    strips = tuple(
        Strip(
            line[of] if of == "vintage" else f"Band {line[of]}",
            f"{line['bad']:,} bad of {line['loans']:,}, {line['expected_bad']:,.1f} expected",
            _interval(line, "observed_over_expected", "{:.2f}"),
            scale(line["observed_over_expected"]),
            *_ends(line, "observed_over_expected", scale),
        )
        for line in lines
    )
    limits = config.outcomes.observed_over_expected_least, 1.0, config.outcomes.observed_over_expected_most
    legend = f"the dashed lines are {limits[0]:g}, 1 and {limits[2]:g}; the scale is logarithmic"
    return Intervals(
        f"{title}: observed over expected defaults",
        strips,
        ("¼ or less", "4 or more"),
        tuple(map(scale, limits)),
        legend,
    )


def _answers(title: str, lines: Sequence[Line], _: MonitorConfig) -> Shares:
    kinds = tuple(each.value for each in Outcome)
    return Shares(title, kinds, tuple(_bar(line, kinds) for line in lines))


def _bar(line: Line, kinds: tuple[str, ...]) -> Bar:
    pieces, x = [], 0.0
    for kind in kinds:
        width = WIDTH * float(line[kind])
        pieces.append(Piece(f"{kind.replace('_', ' ')}: {line[kind]:.1%}", round(x, 1), round(width, 1)))
        x += width
    return Bar(line["month"], f"{line['answers']:,} answers, {line['sellers']:,} sellers", tuple(pieces))


def _ends(line: Line, name: str, scale: Scale) -> tuple[float | None, float | None]:
    ends = [_number(line.get(f"{name}_{end}"), math.nan) for end in ("low", "high")]
    if any(map(math.isnan, ends)):
        return None, None
    return scale(ends[0]), scale(ends[1])


def _interval(line: Line, name: str, shape: str) -> str:
    low, high = (_number(line.get(f"{name}_{end}"), math.nan) for end in ("low", "high"))
    interval = "" if math.isnan(low) else f" ({shape.format(low)} to {shape.format(high)})"
    return shape.format(line[name]) + interval


def _number(value: object, otherwise: float) -> float:
    """Return a number that is there; what is missing in a frame is NaN, or not even a column."""
    return value if isinstance(value, float) and not math.isnan(value) else otherwise


_CHARTS: Final[Mapping[str, Callable[[str, Sequence[Line], MonitorConfig], Chart]]] = {
    availability.BY_MONTH: _answers,
    drift.BY_FEATURE: _psi_by_feature,
    drift.BY_MONTH: _psi_by_month,
    performance.BY_VINTAGE: _rates,
    calibration.BY_VINTAGE: _ratios,
    calibration.BY_BAND: _ratios,
}


def render(found: MonitorResult, config: MonitorConfig) -> str:
    """Return the page; what came with the data is escaped.

    Example: `Path("monitor.html").write_text(render(monitor(given, config), config))`.
    """
    return (
        _environment()
        .get_template("report.html")
        .render(found=found, config=config, charts=lambda finding: list(charts(finding, config)), of_frame=of_frame)
    )


@cache
def _environment() -> Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("training.monitor", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
