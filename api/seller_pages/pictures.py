"""Small pictures as SVG: built as trees of elements, so that no word can become markup; colours are the style sheet's.

Beside each stands a table that says the same; the picture itself is hidden from those who cannot see it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as Xml

from markupsafe import Markup

_WIDTH: Final = 640
_SCALE_WIDTH: Final = 340
"""As wide as a phone, so that letters are as large there as they are drawn."""

_SCALE_TOP, _SCALE_HIGH = 36, 16
_COLUMNS_HIGH: Final = 130
_HISTORY_FOOT: Final = 104
_LEAST_SPAN: Final = 40
"""Points that the height of a history stands for at least."""

_BAR: Final = Markup(
    '<svg viewBox="0 0 100 10" class="bar" aria-hidden="true" preserveAspectRatio="none"><rect x="{}" y="1" width="{}" '
    'height="8" rx="1" class="{}"/><line x1="50" x2="50" y1="0" y2="10" class="axis"/></svg>'
)


@dataclass(frozen=True)
class Segment:
    """A band on the scale, from points to points."""

    name: str
    low: float
    high: float
    here: bool


def scale_picture(segments: Sequence[Segment], score: int, before: int | None, said: str) -> Markup:
    """Draw where a score stands among the bands, and where it stood before.

    Args:
        segments: bands from the lowest points up.
        score: to mark.
        before: an earlier score to mark too.
        said: the picture in one sentence.
    """
    low, high = segments[0].low, segments[-1].high
    picture = _picture(_SCALE_WIDTH, 76, said, "scale")

    def at(points: float) -> float:
        return 2 + (_SCALE_WIDTH - 4) * (min(max(points, low), high) - low) / (high - low)

    for number, each in enumerate(segments):
        left, right = at(each.low), at(each.high)
        place = {"x": f"{left + 0.5:.1f}", "y": f"{_SCALE_TOP}", "width": f"{max(right - left - 1, 1):.1f}"}
        mine = " here" if each.here else ""
        Xml.SubElement(
            picture, "rect", {**place, "height": f"{_SCALE_HIGH}", "rx": "3", "class": f"band s{number}{mine}"}
        )
        _text(picture, (left + right) / 2, _SCALE_TOP + _SCALE_HIGH + 17, each.name, f"letter{mine}")
    if before is not None and before != score:
        x = at(before)
        Xml.SubElement(picture, "circle", {"cx": f"{x:.1f}", "cy": f"{_SCALE_TOP - 8}", "r": "4", "class": "was"})
    x = at(score)
    points = f"{x - 6:.1f},{_SCALE_TOP - 14} {x + 6:.1f},{_SCALE_TOP - 14} {x:.1f},{_SCALE_TOP - 3}"
    Xml.SubElement(picture, "polygon", {"points": points, "class": "marker"})
    Xml.SubElement(
        picture,
        "line",
        {
            "x1": f"{x:.1f}",
            "x2": f"{x:.1f}",
            "y1": f"{_SCALE_TOP - 2}",
            "y2": f"{_SCALE_TOP + _SCALE_HIGH}",
            "class": "needle",
        },
    )
    _text(picture, min(max(x, 20), _SCALE_WIDTH - 20), 14, str(score), "now")
    return _done(picture)


@dataclass(frozen=True)
class ChartPoint:
    """One score of a history; None leaves a gap. `model` marks a score by an updated model, `title` is its tooltip."""

    score: int | None
    model: bool
    title: str


def history_picture(points: Sequence[ChartPoint], days: tuple[str, str], said: str) -> Markup:
    """Draw scores as a line, evenly spaced in order of time.

    A point without a score breaks the line and is a cross at the foot of the chart. A diamond marks a score by an
    updated model.

    Args:
        points: oldest first, at least two, at least one with a score.
        days: the first and the last day, as labels.
        said: the chart in one sentence.
    """
    numbers = [each.score for each in points if each.score is not None]
    # a change of a few points must not look like a cliff
    spare = max((_LEAST_SPAN - (max(numbers) - min(numbers))) / 2, 0)
    low, high = min(numbers) - spare, max(numbers) + spare
    picture = _picture(_SCALE_WIDTH, _HISTORY_FOOT + 38, said, "history")

    def at(number: int, score: int | None) -> tuple[float, float]:
        x = 22 + (_SCALE_WIDTH - 44) * number / (len(points) - 1)
        y = _HISTORY_FOOT if score is None else 26 + (_HISTORY_FOOT - 44) * (high - score) / (high - low)
        return x, y

    foot = f"{_HISTORY_FOOT + 12}"
    Xml.SubElement(picture, "line", {"x1": "0", "x2": f"{_SCALE_WIDTH}", "y1": foot, "y2": foot, "class": "axis"})
    places = [at(number, each.score) for number, each in enumerate(points)]
    for run in _runs(points):
        line = " ".join(f"{places[number][0]:.1f},{places[number][1]:.1f}" for number in run)
        Xml.SubElement(picture, "polyline", {"points": line, "class": "path"})
    for each, (x, y) in zip(points, places, strict=True):
        _mark(picture, each, x, y)
    scored = [number for number, each in enumerate(points) if each.score is not None]
    for number in {scored[0], scored[-1]}:
        x, y = places[number]
        _text(picture, x, round(y - 11, 1), str(points[number].score), "now" if number == scored[-1] else "letter")
    for text, x, anchor in ((days[0], 2, "start"), (days[1], _SCALE_WIDTH - 2, "end")):
        _text(picture, x, _HISTORY_FOOT + 30, text, f"letter {anchor}")
    return _done(picture)


def _runs(points: Sequence[ChartPoint]) -> list[list[int]]:
    """Return the numbers of consecutive points with a score, one list for each stretch of the line."""
    runs: list[list[int]] = [[]]
    for number, each in enumerate(points):
        if each.score is None:
            runs.append([])
        else:
            runs[-1].append(number)
    return [run for run in runs if len(run) > 1]


def _mark(picture: Xml.Element, point: ChartPoint, x: float, y: float) -> None:
    if point.score is None:
        path = f"M{x - 4:.1f},{y - 4:.1f}l8,8m0,-8l-8,8"
        mark = Xml.SubElement(picture, "path", {"d": path, "class": "gap"})
    elif point.model:
        path = f"M{x:.1f},{y - 6:.1f}l6,6l-6,6l-6,-6z"
        mark = Xml.SubElement(picture, "path", {"d": path, "class": "point model"})
    else:
        place = {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": "4"}
        mark = Xml.SubElement(picture, "circle", {**place, "class": "point"})
    Xml.SubElement(mark, "title").text = point.title


def bar(points: int, most: int) -> Markup:
    """Draw points as a bar from the middle: to the right what helps, to the left what hurts."""
    long = 48 * abs(points) / max(most, 1)
    left, style = (50.0, "gain") if points >= 0 else (50 - long, "loss")
    # there are dozens on a page, and no words in them
    return _BAR.format(f"{left:.1f}", f"{max(long, 0.8):.1f}", style)


def columns_picture(values: Sequence[float | None], settled: Sequence[bool], said: str) -> Markup:
    """Draw a figure of each of twelve steps as a column; what may still change has a dashed edge."""
    picture = _picture(_WIDTH, _COLUMNS_HIGH + 12, said)
    most = max((value for value in values if value is not None and value > 0), default=1.0)
    wide = _WIDTH / max(len(values), 1)
    for place, (value, done) in enumerate(zip(values, settled, strict=True)):
        x = f"{place * wide + 4:.1f}"
        if value is None:
            Xml.SubElement(
                picture,
                "rect",
                {"x": x, "y": f"{_COLUMNS_HIGH - 1}", "width": f"{wide - 8:.1f}", "height": "3", "class": "none"},
            )
            continue
        high = _COLUMNS_HIGH * max(value, 0) / most
        Xml.SubElement(
            picture,
            "rect",
            {
                "x": x,
                "y": f"{_COLUMNS_HIGH - high + 2:.1f}",
                "width": f"{wide - 8:.1f}",
                "height": f"{max(high, 1):.1f}",
                "rx": "2",
                "class": "column" if done else "column open",
            },
        )
    line = {"x1": "0", "x2": f"{_WIDTH}", "y1": f"{_COLUMNS_HIGH + 3}", "y2": f"{_COLUMNS_HIGH + 3}", "class": "axis"}
    Xml.SubElement(picture, "line", line)
    return _done(picture)


def _picture(width: int, height: int, said: str, style: str = "") -> Xml.Element:
    classes = f"picture {style}".strip()
    return Xml.Element("svg", {"viewBox": f"0 0 {width} {height}", "role": "img", "aria-label": said, "class": classes})


def _text(parent: Xml.Element, x: float, y: float, words: str, style: str) -> None:
    Xml.SubElement(parent, "text", {"x": f"{x:.1f}", "y": f"{y}", "class": style}).text = words


def _done(picture: Xml.Element) -> Markup:
    # every word in it was escaped as the tree was written
    return Markup(Xml.tostring(picture, encoding="unicode"))  # noqa: S704
