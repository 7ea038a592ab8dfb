"""SVG charts of the seller pages and the printable documents, and the primitives to draw them.

Charts are trees of elements, so no text can become markup. Colours come from the style sheet through classes and
`currentColor`. A table or text with the same content stands next to each chart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as Xml

from markupsafe import Markup

CURRENT: Final = "currentColor"
GREY: Final = "#6b7280"
SOFT, ACCENT = "soft", "accent"
"""Classes of the page's style sheet that set the colour."""


def svg(width: float, height: float, label: str | None = None, **attributes: float | str) -> Xml.Element:
    """Return an empty drawing; without a label it is hidden from screen readers."""
    role: dict[str, float | str] = {"aria_hidden": "true"}
    if label is not None:
        role = {"role": "img", "aria_label": printable(label)}
    view_box = f"0 0 {coordinate(width)} {coordinate(height)}"
    return Xml.Element("svg", _attributes({"viewBox": view_box, **role, **attributes}))


def add(parent: Xml.Element, tag: str, text: str | None = None, /, **attributes: float | str) -> Xml.Element:
    """Add an element and return it.

    Numbers are rounded to a tenth. In names, `class_` is `class` and `_` is `-`.

    Example: `add(drawing, "rect", x=1, y=2, width=30.25, height=4, class_=ACCENT, fill=CURRENT)`.
    """
    element = Xml.SubElement(parent, tag, _attributes(attributes))
    element.text = None if text is None else printable(text)
    return element


def render(drawing: Xml.Element) -> Markup:
    """Return a drawing as markup for a page."""
    # the serializer escapes all text in the tree
    return Markup(Xml.tostring(drawing, encoding="unicode"))  # noqa: S704


def coordinate(value: float) -> str:
    """Return a coordinate, rounded to a tenth.

    Example: 12.0 is "12" and 3.14159 is "3.1".
    """
    return f"{value:.1f}".removesuffix(".0")


def printable(text: str) -> str:
    """Replace control characters, which XML cannot represent."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _attributes(values: dict[str, float | str]) -> dict[str, str]:
    return {
        name.rstrip("_").replace("_", "-"): value if isinstance(value, str) else coordinate(value)
        for name, value in values.items()
    }


_BAR_WIDTH: Final = 200.0
_PROVISIONAL: Final = {"fill_opacity": "0.2", "stroke": CURRENT}
_DASHED: Final = {"stroke_dasharray": "3 2"}


def percent_bar(percent: int | None) -> Markup:
    """Return a bar from 0 to 100 with a mark at 50; an empty track for None."""
    drawing = svg(_BAR_WIDTH, 14)
    add(drawing, "rect", x=0, y=5, width=_BAR_WIDTH, height=4, class_=SOFT, fill=CURRENT, fill_opacity="0.2", rx=1.5)
    if percent is not None:
        width = max(percent / 100 * _BAR_WIDTH, 1)
        add(drawing, "rect", x=0, y=2, width=width, height=10, class_=ACCENT, fill=CURRENT, rx=1.5)
    middle = _BAR_WIDTH / 2
    add(drawing, "line", x1=middle, y1=0, x2=middle, y2=14, class_=SOFT, stroke=CURRENT, stroke_width=1)
    return render(drawing)


def percent_dot(percent: int | None) -> Markup:
    """Return a dot on a line from 0 to 100 with quarter marks; only the line for None."""
    drawing = svg(_BAR_WIDTH, 14)
    soft = {"class_": SOFT, "stroke": CURRENT, "stroke_opacity": "0.5"}
    add(drawing, "line", x1=5, y1=7, x2=_BAR_WIDTH - 5, y2=7, **soft, stroke_width=1.5)
    ticks = (5 + quarter * (_BAR_WIDTH - 10) / 4 for quarter in range(5))
    add(drawing, "path", d="".join(f"M{coordinate(x)} 4V10" for x in ticks), **soft)
    if percent is not None:
        x = 5 + percent / 100 * (_BAR_WIDTH - 10)
        add(drawing, "circle", cx=x, cy=7, r=5, class_=ACCENT, fill=CURRENT)
    return render(drawing)


def coverage_strip(days: Sequence[int], days_per_step: int) -> Markup:
    """Return one cell per step, filled from below in proportion to its number of days with rows."""
    drawing = svg(_BAR_WIDTH, 20)
    width = _BAR_WIDTH / max(len(days), 1)
    for step, count in enumerate(days):
        box = {"x": step * width + 0.75, "width": width - 1.5}
        add(drawing, "rect", x=box["x"], y=1, width=box["width"], height=18, class_=SOFT, fill=CURRENT,
            fill_opacity="0.15")  # fmt: skip
        if count:
            height = max(18 * min(count, days_per_step) / days_per_step, 1)
            add(drawing, "rect", x=box["x"], y=19 - height, width=box["width"], height=height, class_=ACCENT,
                fill=CURRENT)  # fmt: skip
    return render(drawing)


WIDTH, HEIGHT = 240.0, 92.0
_TOP, _BOTTOM, _LEFT, _RIGHT = 8.0, 76.0, 2.0, 238.0
_LABEL_Y: Final = 89.0
_GAP: Final = 3.0


@dataclass(frozen=True)
class SeriesData:
    """The data of a chart of twelve steps.

    Attributes:
        values: one per step; None if there is no value.
        provisional: per step, whether the value can still change.
        ends: labels of the first and last day; None for no labels.
        floor: the lowest value of the axis. Sums start at zero.
    """

    values: Sequence[float | None]
    provisional: Sequence[bool]
    ends: tuple[str, str] | None
    floor: float = 0.0

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and highest value of the axis."""
        values = [self.floor, *(value for value in self.values if value is not None)]
        low, high = min(values), max(values)
        return low, high if high > low else low + 1.0

    @property
    def latest(self) -> float | None:
        """The last value that can no longer change."""
        final = [value for value, moves in zip(self.values, self.provisional, strict=True) if not moves]
        return final[-1] if final else None

    def y(self, value: float) -> float:
        """Return the height of a value in the drawing."""
        low, high = self.range
        return _BOTTOM - (value - low) / (high - low) * (_BOTTOM - _TOP)


def bar_chart(data: SeriesData, label: str, **attributes: str) -> Markup:
    """Return bars from zero. A provisional bar is hollow; a step without a value has a short mark."""
    drawing = svg(WIDTH, HEIGHT, label, **attributes)
    zero, step = data.y(0.0), (_RIGHT - _LEFT) / max(len(data.values), 1)
    for index, (value, provisional) in enumerate(zip(data.values, data.provisional, strict=True)):
        left = _LEFT + index * step + _GAP / 2
        if value is None:
            _missing_mark(drawing, left + (step - _GAP) / 2, zero)
            continue
        top = data.y(max(value, 0.0))
        # a value other than zero is visible
        height = max(data.y(min(value, 0.0)) - top, 1.0 if value else 0.0)
        style = {**_PROVISIONAL, **_DASHED} if provisional else {}
        add(drawing, "rect", x=left, y=top, width=step - _GAP, height=height, class_=ACCENT, fill=CURRENT, **style)
    _axis(drawing, data, zero)
    return render(drawing)


def line_chart(data: SeriesData, label: str) -> Markup:
    """Return points, joined if they follow one another; the axis starts at the floor."""
    drawing = svg(WIDTH, HEIGHT, label)
    step = (_RIGHT - _LEFT) / max(len(data.values), 1)
    points = [
        None if value is None else (_LEFT + (index + 0.5) * step, data.y(value))
        for index, value in enumerate(data.values)
    ]
    _axis(drawing, data, _BOTTOM)
    for before, after, provisional in zip(points, points[1:], data.provisional[1:], strict=False):
        if before is not None and after is not None:
            (x1, y1), (x2, y2) = before, after
            style = _DASHED if provisional else {}
            add(drawing, "line", x1=x1, y1=y1, x2=x2, y2=y2, class_=ACCENT, stroke=CURRENT, stroke_width=2, **style)
    for index, (point, provisional) in enumerate(zip(points, data.provisional, strict=True)):
        if point is None:
            _missing_mark(drawing, _LEFT + (index + 0.5) * step, _BOTTOM)
        else:
            style = _PROVISIONAL if provisional else {}
            add(drawing, "circle", cx=point[0], cy=point[1], r=3, class_=ACCENT, fill=CURRENT, **style)
    return render(drawing)


def _missing_mark(drawing: Xml.Element, x: float, y: float) -> None:
    add(drawing, "line", x1=x - 2, y1=y - 4, x2=x + 2, y2=y - 4, class_=SOFT, stroke=CURRENT, stroke_width=1.5)


def _axis(drawing: Xml.Element, data: SeriesData, y: float) -> None:
    add(drawing, "line", x1=_LEFT, y1=y, x2=_RIGHT, y2=y, class_=SOFT, stroke=CURRENT, stroke_opacity="0.6")
    if data.ends is not None:
        style = {"class_": SOFT, "fill": CURRENT, "font_size": "10"}
        add(drawing, "text", data.ends[0], x=_LEFT, y=_LABEL_Y, **style)
        add(drawing, "text", data.ends[1], x=_RIGHT, y=_LABEL_Y, **style, text_anchor="end")


_PHONE_WIDTH: Final = 340
"""The width of a phone, so that letters keep their size there."""

_BAND_TOP, _BAND_HEIGHT = 36, 16
_HISTORY_BOTTOM: Final = 104
_LEAST_RANGE: Final = 40
"""Points of the vertical axis of a history, at least. A change of a few points must not look like a cliff."""


@dataclass(frozen=True)
class Segment:
    """A band on the scale, from points to points; `here` is the band of the score."""

    name: str
    low: float
    high: float
    here: bool


def band_scale(segments: Sequence[Segment], score: int, before: int | None, label: str) -> Markup:
    """Return the scale with its bands, the score and the previous score.

    Args:
        segments: bands from the lowest points up.
        score: the score.
        before: the previous score; None if there is none.
        label: the chart in one sentence.
    """
    low, high = segments[0].low, segments[-1].high
    drawing = svg(_PHONE_WIDTH, 76, label, class_="picture scale")

    def x_of(points: float) -> float:
        return 2 + (_PHONE_WIDTH - 4) * (min(max(points, low), high) - low) / (high - low)

    for index, segment in enumerate(segments):
        left, right = x_of(segment.low), x_of(segment.high)
        here = " here" if segment.here else ""
        add(drawing, "rect", x=left + 0.5, y=_BAND_TOP, width=max(right - left - 1, 1), height=_BAND_HEIGHT, rx=3,
            class_=f"band s{index}{here}")  # fmt: skip
        _label(drawing, (left + right) / 2, _BAND_TOP + _BAND_HEIGHT + 17, segment.name, f"letter{here}")
    if before is not None and before != score:
        add(drawing, "circle", cx=x_of(before), cy=_BAND_TOP - 8, r=4, class_="was")
    x = x_of(score)
    top = _BAND_TOP - 14
    marker = f"{x - 6:.1f},{top} {x + 6:.1f},{top} {x:.1f},{_BAND_TOP - 3}"
    add(drawing, "polygon", points=marker, class_="marker")
    add(drawing, "line", x1=x, x2=x, y1=_BAND_TOP - 2, y2=_BAND_TOP + _BAND_HEIGHT, class_="needle")
    _label(drawing, min(max(x, 20), _PHONE_WIDTH - 20), 14, str(score), "now")
    return render(drawing)


@dataclass(frozen=True)
class HistoryPoint:
    """One score of a history and its texts; None leaves a gap. `model` marks a score by an updated model."""

    score: int | None
    model: bool
    day: str
    result: str
    change: str


def score_history(points: Sequence[HistoryPoint], label: str) -> Markup:
    """Return scores as a line, evenly spaced in order of time.

    A point without a score breaks the line and is a cross at the bottom. A diamond marks an updated model.

    Args:
        points: oldest first, at least two, at least one with a score.
        label: the chart in one sentence.
    """
    scores = [point.score for point in points if point.score is not None]
    margin = max((_LEAST_RANGE - (max(scores) - min(scores))) / 2, 0)
    low, high = min(scores) - margin, max(scores) + margin
    drawing = svg(_PHONE_WIDTH, _HISTORY_BOTTOM + 38, label, class_="picture history")

    def place(index: int, score: int | None) -> tuple[float, float]:
        x = 22 + (_PHONE_WIDTH - 44) * index / (len(points) - 1)
        y = _HISTORY_BOTTOM if score is None else 26 + (_HISTORY_BOTTOM - 44) * (high - score) / (high - low)
        return x, y

    axis = _HISTORY_BOTTOM + 12
    add(drawing, "line", x1=0, x2=_PHONE_WIDTH, y1=axis, y2=axis, class_="axis")
    places = [place(index, point.score) for index, point in enumerate(points)]
    for run in _runs(points):
        path = " ".join(f"{places[index][0]:.1f},{places[index][1]:.1f}" for index in run)
        add(drawing, "polyline", points=path, class_="path")
    for point, (x, y) in zip(points, places, strict=True):
        _mark(drawing, point, x, y)
    scored = [index for index, point in enumerate(points) if point.score is not None]
    for index in {scored[0], scored[-1]}:
        x, y = places[index]
        _label(drawing, x, y - 11, str(points[index].score), "now" if index == scored[-1] else "letter")
    _label(drawing, 2, _HISTORY_BOTTOM + 30, points[0].day, "letter start")
    _label(drawing, _PHONE_WIDTH - 2, _HISTORY_BOTTOM + 30, points[-1].day, "letter end")
    return render(drawing)


def _runs(points: Sequence[HistoryPoint]) -> list[list[int]]:
    """Return the indexes of consecutive points with a score, one list per stretch of the line."""
    runs: list[list[int]] = [[]]
    for index, point in enumerate(points):
        if point.score is None:
            runs.append([])
        else:
            runs[-1].append(index)
    return [run for run in runs if len(run) > 1]


def _mark(drawing: Xml.Element, point: HistoryPoint, x: float, y: float) -> None:
    if point.score is None:
        mark = add(drawing, "path", d=f"M{x - 4:.1f},{y - 4:.1f}l8,8m0,-8l-8,8", class_="gap")
    elif point.model:
        mark = add(drawing, "path", d=f"M{x:.1f},{y - 6:.1f}l6,6l-6,6l-6,-6z", class_="point model")
    else:
        mark = add(drawing, "circle", cx=x, cy=y, r=4, class_="point")
    add(mark, "title", f"{point.day}: {point.result} ({point.change})")


def _label(drawing: Xml.Element, x: float, y: float, text: str, style: str) -> None:
    add(drawing, "text", text, x=x, y=y, class_=style)


_TESTED_WIDTH, _TESTED_AXIS, _TESTED_MARGIN = 760, 52, 40
_TESTED_LABEL_MARGIN: Final = 60


def position_chart(score: int, tested: Sequence[int]) -> Markup:
    """Return the range, middle half and median of the percentiles of tested scores, and a score."""
    ends = (min(tested[0], score), max(tested[-1], score))

    def x_of(points: int) -> float:
        return _TESTED_MARGIN + (points - ends[0]) / max(ends[1] - ends[0], 1) * (_TESTED_WIDTH - 2 * _TESTED_MARGIN)

    low, first, middle, third, high = (tested[percent] for percent in (5, 25, 50, 75, 95))
    label = (
        f"This score is {score}. Of 100 tested loans, 5 have at most {low}, half have at most {middle}, and 95 have at "
        f"most {high}. The middle half is between {first} and {third}."
    )
    drawing = svg(_TESTED_WIDTH, 96, label, font_family="system-ui, sans-serif", font_size="12", fill=CURRENT)

    def text(points: int, y: float, words: str, **style: str) -> None:
        inside = min(max(x_of(points), _TESTED_LABEL_MARGIN), _TESTED_WIDTH - _TESTED_LABEL_MARGIN)
        add(drawing, "text", words, x=inside, y=y, text_anchor="middle", **style)

    for begin, end, width in ((tested[0], tested[-1], 1), (low, high, 3)):
        style = {"stroke": GREY, "stroke_width": str(width), "stroke_linecap": "round"}
        add(drawing, "line", x1=x_of(begin), x2=x_of(end), y1=_TESTED_AXIS, y2=_TESTED_AXIS, **style)
    left, right = x_of(first), x_of(third)
    add(drawing, "rect", x=left, y=_TESTED_AXIS - 9, width=max(right - left, 2), height=18, rx=3, fill=GREY,
        fill_opacity="0.35", stroke=GREY)  # fmt: skip
    add(drawing, "rect", x=x_of(middle) - 1, y=_TESTED_AXIS - 12, width=2, height=24)
    for points, words in ((low, f"5 in 100: {low}"), (middle, f"median: {middle}"), (high, f"95 in 100: {high}")):
        text(points, _TESTED_AXIS + 32, words)
    add(drawing, "path", d=f"M{x_of(score):.1f} {_TESTED_AXIS - 12} l-7 -12 h14 z", fill="#1f5fa8")
    text(score, _TESTED_AXIS - 30, f"this score: {score}", font_weight="600")
    return render(drawing)
