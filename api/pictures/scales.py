"""Small pictures on a scale: a bar, a dot on a line, a strip of days. They have no words, which stand beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from xml.etree import ElementTree as Xml

from api.pictures.elements import ACCENT, SOFT, dot, line, picture, rect, ticks, written

_WIDTH: Final = 200.0
_HUNDRED: Final = 100.0


def bar_svg(percent: int | None) -> str:
    """Return a bar of 0 to 100 with a mark at the middle; an empty track where there is no number."""
    drawn = picture(_WIDTH, 14)
    _track(drawn, 5, 4)
    if percent is not None:
        rect(drawn, (0, 2, max(percent / _HUNDRED * _WIDTH, 1), 10), ACCENT, rx="1.5")
    line(drawn, (_WIDTH / 2, 0, _WIDTH / 2, 14), SOFT, stroke_width="1")
    return written(drawn)


def dot_svg(percent: int | None) -> str:
    """Return a dot on a line of 0 to 100, quarters marked; the line alone where there is no number."""
    drawn = picture(_WIDTH, 14)
    line(drawn, (5, 7, _WIDTH - 5, 7), SOFT, stroke_opacity="0.5", stroke_width="1.5")
    ticks(drawn, [5 + quarter * (_WIDTH - 10) / 4 for quarter in range(5)], (4, 10), SOFT)
    if percent is not None:
        dot(drawn, (5 + percent / _HUNDRED * (_WIDTH - 10), 7), 5, ACCENT)
    return written(drawn)


def strip_svg(days: Sequence[int], most: int) -> str:
    """Return a cell a step, filled from below as many of its `most` days have a row."""
    drawn = picture(_WIDTH, 20)
    width = _WIDTH / max(len(days), 1)
    for place, held in enumerate(days):
        left = place * width + 0.75
        rect(drawn, (left, 1, width - 1.5, 18), SOFT, fill_opacity="0.15")
        height = 18 * min(held, most) / most
        if held:
            rect(drawn, (left, 19 - max(height, 1), width - 1.5, max(height, 1)), ACCENT)
    return written(drawn)


def _track(drawn: Xml.Element, top: float, height: float) -> None:
    rect(drawn, (0, top, _WIDTH, height), SOFT, fill_opacity="0.2", rx="1.5")
