"""What the small pictures share: SVG for a page of HTML, built as a tree, in the page's own colours.

Small pictures on a scale: a bar, a dot on a line, a strip of days. They have no words, which stand beside them.

A series of twelve steps as a small picture: bars for what adds up, a line for what is a rate.

A step that may still change is drawn hollow; one without a figure is a gap. Numbers stand in the page beside it.

Small pictures as SVG: built as trees of elements, so that no word can become markup; colours are the style sheet's.

Beside each stands a table that says the same; the picture itself is hidden from those who cannot see it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as Xml

from markupsafe import Markup

INK, SOFT, ACCENT = "ink", "soft", "accent"
"""Classes of the page's style: their colour, light, dark or on paper, is what `currentColor` means."""


CURRENT: Final = "currentColor"


def picture(width: float, height: float, words: str | None = None) -> Xml.Element:
    """Return an empty picture.

    Args:
        width: of what is drawn; a page makes it as wide as there is room.
        height: likewise.
        words: say what it shows to those who do not see it; None where words beside it do.
    """
    told = {"aria-hidden": "true"} if words is None else {"role": "img", "aria-label": plain(words)}
    return Xml.Element("svg", {"viewBox": f"0 0 {number(width)} {number(height)}", **told})


def rect(parent: Xml.Element, box: tuple[float, float, float, float], colour: str, **style: str) -> None:
    """Add a rectangle: left, top, width, height."""
    names = ("x", "y", "width", "height")
    place = {name: number(value) for name, value in zip(names, box, strict=True)}
    Xml.SubElement(parent, "rect", {**place, "class": colour, "fill": CURRENT, **_dashed(style)})


def line(parent: Xml.Element, ends: tuple[float, float, float, float], colour: str, **style: str) -> None:
    """Add a line: from x, y to x, y."""
    place = {name: number(value) for name, value in zip(("x1", "y1", "x2", "y2"), ends, strict=True)}
    Xml.SubElement(parent, "line", {**place, "class": colour, "stroke": CURRENT, **_dashed(style)})


def ticks(parent: Xml.Element, places: Sequence[float], between: tuple[float, float], colour: str) -> None:
    """Add thin upright lines at some places, each from one height to another."""
    path = "".join(f"M{number(x)} {number(between[0])}V{number(between[1])}" for x in places)
    Xml.SubElement(parent, "path", {"d": path, "class": colour, "stroke": CURRENT, "stroke-opacity": "0.5"})


def dot(parent: Xml.Element, centre: tuple[float, float], radius: float, colour: str, **style: str) -> None:
    """Add a dot."""
    place = {"cx": number(centre[0]), "cy": number(centre[1]), "r": number(radius)}
    Xml.SubElement(parent, "circle", {**place, "class": colour, "fill": CURRENT, **_dashed(style)})


def text(parent: Xml.Element, place: tuple[float, float], words: str, **style: str) -> None:
    """Add words, in the page's soft ink."""
    where = {"x": number(place[0]), "y": number(place[1]), "class": SOFT, "fill": CURRENT, **_dashed(style)}
    Xml.SubElement(parent, "text", where).text = plain(words)


def format_number(drawn: Xml.Element) -> str:
    """Return a picture as it stands in a page."""
    return Xml.tostring(drawn, encoding="unicode")


def number(value: float) -> str:
    """Return a coordinate, to a tenth.

    Example: 12.0 is "12" and 3.14159 is "3.1".
    """
    return f"{value:.1f}".removesuffix(".0")


def plain(words: str) -> str:
    """Return words without control characters, which XML has no way to write."""
    return "".join(letter if letter.isprintable() else "�" for letter in words)


def _dashed(style: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in style.items()}


_BAR_WIDTH: Final = 200.0


_HUNDRED: Final = 100.0


def bar_svg(percent: int | None) -> str:
    """Return a bar of 0 to 100 with a mark at the middle; an empty track where there is no number."""
    drawn = picture(_BAR_WIDTH, 14)
    _track(drawn, 5, 4)
    if percent is not None:
        rect(drawn, (0, 2, max(percent / _HUNDRED * _BAR_WIDTH, 1), 10), ACCENT, rx="1.5")
    line(drawn, (_BAR_WIDTH / 2, 0, _BAR_WIDTH / 2, 14), SOFT, stroke_width="1")
    return format_number(drawn)


def dot_svg(percent: int | None) -> str:
    """Return a dot on a line of 0 to 100, quarters marked; the line alone where there is no number."""
    drawn = picture(_BAR_WIDTH, 14)
    line(drawn, (5, 7, _BAR_WIDTH - 5, 7), SOFT, stroke_opacity="0.5", stroke_width="1.5")
    ticks(drawn, [5 + quarter * (_BAR_WIDTH - 10) / 4 for quarter in range(5)], (4, 10), SOFT)
    if percent is not None:
        dot(drawn, (5 + percent / _HUNDRED * (_BAR_WIDTH - 10), 7), 5, ACCENT)
    return format_number(drawn)


def strip_svg(days: Sequence[int], most: int) -> str:
    """Return a cell a step, filled from below as many of its `most` days have a row."""
    drawn = picture(_BAR_WIDTH, 20)
    width = _BAR_WIDTH / max(len(days), 1)
    for place, held in enumerate(days):
        left = place * width + 0.75
        rect(drawn, (left, 1, width - 1.5, 18), SOFT, fill_opacity="0.15")
        height = 18 * min(held, most) / most
        if held:
            rect(drawn, (left, 19 - max(height, 1), width - 1.5, max(height, 1)), ACCENT)
    return format_number(drawn)


def _track(drawn: Xml.Element, top: float, height: float) -> None:
    rect(drawn, (0, top, _BAR_WIDTH, height), SOFT, fill_opacity="0.2", rx="1.5")


WIDTH, HEIGHT = 240.0, 92.0


_TOP, _BOTTOM, _LEFT, _RIGHT = 8.0, 76.0, 2.0, 238.0


_LABELS_AT: Final = 89.0


_GAP: Final = 3.0


@dataclass(frozen=True)
class SeriesData:
    """What is drawn.

    Attributes:
        values: one a step, None where there is none.
        provisional: of each step, whether it may still change.
        ends: what is written below, at the begin and at the end.
        floor: the least value of the axis where it is no sum; sums begin at zero.
    """

    values: Sequence[float | None]
    provisional: Sequence[bool]
    ends: tuple[str, str]
    floor: float = 0.0


def bars_svg(points: SeriesData, words: str) -> str:
    """Return bars from zero; below it where a value is negative."""
    drawn = picture(WIDTH, HEIGHT, words)
    low, high = _range(points)
    zero = _x_at(0.0, low, high)
    width = (_RIGHT - _LEFT) / max(len(points.values), 1)
    for place, (value, provisional) in enumerate(zip(points.values, points.provisional, strict=True)):
        left = _LEFT + place * width + _GAP / 2
        if value is None:
            _missing_marks(drawn, left + (width - _GAP) / 2, zero)
            continue
        top = _x_at(max(value, 0.0), low, high)
        # what is more than nothing is seen
        height = max(_x_at(min(value, 0.0), low, high) - top, 1.0 if value else 0.0)
        hollow = {"fill_opacity": "0.2", "stroke": "currentColor", "stroke_dasharray": "3 2"} if provisional else {}
        rect(drawn, (left, top, width - _GAP, height), ACCENT, **hollow)
    _frame(drawn, points, zero)
    return format_number(drawn)


def line_svg(points: SeriesData, words: str) -> str:
    """Return points joined where they follow one another; the axis begins at the floor."""
    drawn = picture(WIDTH, HEIGHT, words)
    low, high = _range(points)
    step = (_RIGHT - _LEFT) / max(len(points.values), 1)
    places = [
        None if value is None else (_LEFT + (place + 0.5) * step, _x_at(value, low, high))
        for place, value in enumerate(points.values)
    ]
    _frame(drawn, points, _BOTTOM)
    for before, after, provisional in zip(places, places[1:], points.provisional[1:], strict=False):
        if before is not None and after is not None:
            dashed = {"stroke_dasharray": "3 2"} if provisional else {}
            line(drawn, (*before, *after), ACCENT, stroke_width="2", **dashed)
    for place, (centre, provisional) in enumerate(zip(places, points.provisional, strict=True)):
        if centre is None:
            _missing_marks(drawn, _LEFT + (place + 0.5) * step, _BOTTOM)
        else:
            hollow = {"fill_opacity": "0.2", "stroke": "currentColor"} if provisional else {}
            dot(drawn, centre, 3.0, ACCENT, **hollow)
    return format_number(drawn)


def _range(points: SeriesData) -> tuple[float, float]:
    known = [value for value in points.values if value is not None]
    low = min([points.floor, *known])
    high = max([points.floor, *known])
    return low, high if high > low else low + 1.0


def _x_at(value: float, low: float, high: float) -> float:
    return _BOTTOM - (value - low) / (high - low) * (_BOTTOM - _TOP)


def _missing_marks(drawn: Xml.Element, x: float, y: float) -> None:
    line(drawn, (x - 2, y - 4, x + 2, y - 4), SOFT, stroke_width="1.5")


def _frame(drawn: Xml.Element, points: SeriesData, zero: float) -> None:
    line(drawn, (_LEFT, zero, _RIGHT, zero), SOFT, stroke_opacity="0.6")
    text(drawn, (_LEFT, _LABELS_AT), points.ends[0], font_size="10")
    text(drawn, (_RIGHT, _LABELS_AT), points.ends[1], font_size="10", text_anchor="end")


_CHART_WIDTH: Final = 640


_BAND_SCALE_WIDTH: Final = 340
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
    picture = _chart(_BAND_SCALE_WIDTH, 76, said, "scale")

    def at(points: float) -> float:
        return 2 + (_BAND_SCALE_WIDTH - 4) * (min(max(points, low), high) - low) / (high - low)

    for number, each in enumerate(segments):
        left, right = at(each.low), at(each.high)
        place = {"x": f"{left + 0.5:.1f}", "y": f"{_SCALE_TOP}", "width": f"{max(right - left - 1, 1):.1f}"}
        mine = " here" if each.here else ""
        Xml.SubElement(
            picture, "rect", {**place, "height": f"{_SCALE_HIGH}", "rx": "3", "class": f"band s{number}{mine}"}
        )
        _label(picture, (left + right) / 2, _SCALE_TOP + _SCALE_HIGH + 17, each.name, f"letter{mine}")
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
    _label(picture, min(max(x, 20), _BAND_SCALE_WIDTH - 20), 14, str(score), "now")
    return _render(picture)


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
    picture = _chart(_BAND_SCALE_WIDTH, _HISTORY_FOOT + 38, said, "history")

    def at(number: int, score: int | None) -> tuple[float, float]:
        x = 22 + (_BAND_SCALE_WIDTH - 44) * number / (len(points) - 1)
        y = _HISTORY_FOOT if score is None else 26 + (_HISTORY_FOOT - 44) * (high - score) / (high - low)
        return x, y

    foot = f"{_HISTORY_FOOT + 12}"
    Xml.SubElement(picture, "line", {"x1": "0", "x2": f"{_BAND_SCALE_WIDTH}", "y1": foot, "y2": foot, "class": "axis"})
    places = [at(number, each.score) for number, each in enumerate(points)]
    for run in _runs(points):
        line = " ".join(f"{places[number][0]:.1f},{places[number][1]:.1f}" for number in run)
        Xml.SubElement(picture, "polyline", {"points": line, "class": "path"})
    for each, (x, y) in zip(points, places, strict=True):
        _mark(picture, each, x, y)
    scored = [number for number, each in enumerate(points) if each.score is not None]
    for number in {scored[0], scored[-1]}:
        x, y = places[number]
        _label(picture, x, round(y - 11, 1), str(points[number].score), "now" if number == scored[-1] else "letter")
    for text, x, anchor in ((days[0], 2, "start"), (days[1], _BAND_SCALE_WIDTH - 2, "end")):
        _label(picture, x, _HISTORY_FOOT + 30, text, f"letter {anchor}")
    return _render(picture)


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
    picture = _chart(_CHART_WIDTH, _COLUMNS_HIGH + 12, said)
    most = max((value for value in values if value is not None and value > 0), default=1.0)
    wide = _CHART_WIDTH / max(len(values), 1)
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
    line = {
        "x1": "0",
        "x2": f"{_CHART_WIDTH}",
        "y1": f"{_COLUMNS_HIGH + 3}",
        "y2": f"{_COLUMNS_HIGH + 3}",
        "class": "axis",
    }
    Xml.SubElement(picture, "line", line)
    return _render(picture)


def _chart(width: int, height: int, said: str, style: str = "") -> Xml.Element:
    classes = f"picture {style}".strip()
    return Xml.Element("svg", {"viewBox": f"0 0 {width} {height}", "role": "img", "aria-label": said, "class": classes})


def _label(parent: Xml.Element, x: float, y: float, words: str, style: str) -> None:
    Xml.SubElement(parent, "text", {"x": f"{x:.1f}", "y": f"{y}", "class": style}).text = words


def _render(picture: Xml.Element) -> Markup:
    # every word in it was escaped as the tree was written
    return Markup(Xml.tostring(picture, encoding="unicode"))  # noqa: S704
