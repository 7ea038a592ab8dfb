"""A series of twelve steps as a small picture: bars for what adds up, a line for what is a rate.

A step that may still change is drawn hollow; one without a figure is a gap. Numbers stand in the page beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as Xml

from api.pictures.elements import ACCENT, SOFT, dot, line, picture, rect, text, written

WIDTH, HEIGHT = 240.0, 92.0
_TOP, _BOTTOM, _LEFT, _RIGHT = 8.0, 76.0, 2.0, 238.0
_LABELS_AT: Final = 89.0
_GAP: Final = 3.0


@dataclass(frozen=True)
class Points:
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


def bars_svg(points: Points, words: str) -> str:
    """Return bars from zero; below it where a value is negative."""
    drawn = picture(WIDTH, HEIGHT, words)
    low, high = _range(points)
    zero = _at(0.0, low, high)
    width = (_RIGHT - _LEFT) / max(len(points.values), 1)
    for place, (value, provisional) in enumerate(zip(points.values, points.provisional, strict=True)):
        left = _LEFT + place * width + _GAP / 2
        if value is None:
            _missing(drawn, left + (width - _GAP) / 2, zero)
            continue
        top = _at(max(value, 0.0), low, high)
        # what is more than nothing is seen
        height = max(_at(min(value, 0.0), low, high) - top, 1.0 if value else 0.0)
        hollow = {"fill_opacity": "0.2", "stroke": "currentColor", "stroke_dasharray": "3 2"} if provisional else {}
        rect(drawn, (left, top, width - _GAP, height), ACCENT, **hollow)
    _frame(drawn, points, zero)
    return written(drawn)


def line_svg(points: Points, words: str) -> str:
    """Return points joined where they follow one another; the axis begins at the floor."""
    drawn = picture(WIDTH, HEIGHT, words)
    low, high = _range(points)
    step = (_RIGHT - _LEFT) / max(len(points.values), 1)
    places = [
        None if value is None else (_LEFT + (place + 0.5) * step, _at(value, low, high))
        for place, value in enumerate(points.values)
    ]
    _frame(drawn, points, _BOTTOM)
    for before, after, provisional in zip(places, places[1:], points.provisional[1:], strict=False):
        if before is not None and after is not None:
            dashed = {"stroke_dasharray": "3 2"} if provisional else {}
            line(drawn, (*before, *after), ACCENT, stroke_width="2", **dashed)
    for place, (centre, provisional) in enumerate(zip(places, points.provisional, strict=True)):
        if centre is None:
            _missing(drawn, _LEFT + (place + 0.5) * step, _BOTTOM)
        else:
            hollow = {"fill_opacity": "0.2", "stroke": "currentColor"} if provisional else {}
            dot(drawn, centre, 3.0, ACCENT, **hollow)
    return written(drawn)


def _range(points: Points) -> tuple[float, float]:
    known = [value for value in points.values if value is not None]
    low = min([points.floor, *known])
    high = max([points.floor, *known])
    return low, high if high > low else low + 1.0


def _at(value: float, low: float, high: float) -> float:
    return _BOTTOM - (value - low) / (high - low) * (_BOTTOM - _TOP)


def _missing(drawn: Xml.Element, x: float, y: float) -> None:
    line(drawn, (x - 2, y - 4, x + 2, y - 4), SOFT, stroke_width="1.5")


def _frame(drawn: Xml.Element, points: Points, zero: float) -> None:
    line(drawn, (_LEFT, zero, _RIGHT, zero), SOFT, stroke_opacity="0.6")
    text(drawn, (_LEFT, _LABELS_AT), points.ends[0], font_size="10")
    text(drawn, (_RIGHT, _LABELS_AT), points.ends[1], font_size="10", text_anchor="end")
