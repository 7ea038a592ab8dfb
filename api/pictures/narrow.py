"""The waterfall for a narrow screen: each step has its words above its bar, so that it is as wide as a phone."""

from __future__ import annotations

from typing import Final
from xml.etree import ElementTree as Xml

from api.pictures.elements import CURRENT, INK, SOFT, line, number, picture, plain, rect, written
from api.pictures.steps import Step, extent, steps_of
from api.pictures.svg import shortened
from scoring.assessment import Explanation

_WIDTH: Final = 320.0
_ROW: Final = 40.0
_END: Final = 24.0
"""Of the rows of base and score, which have no bar."""

_BAR_AT, _BAR_HIGH = 24.0, 9.0
_LONGEST: Final = 36


def narrow_waterfall_svg(explanation: Explanation, score: int) -> str:
    """Return the steps from base to score as a picture for a page of HTML, in the page's colours.

    Args:
        explanation: of the score.
        score: where the steps end.
    """
    steps = steps_of(explanation)
    told = " ".join(f"{each.label} {each.points:+d}." for each in steps)
    drawn = picture(
        _WIDTH, 2 * _END + len(steps) * _ROW, f"From {explanation.base_points} base points to {score}: {told}"
    )
    low, high = extent(explanation.base_points, steps)
    scale = _WIDTH / max(high - low, 1)
    _words(drawn, 16, "Base", str(explanation.base_points))
    for place, step in enumerate(steps):
        group = Xml.SubElement(drawn, "g", {"transform": f"translate(0 {number(_END + place * _ROW)})"})
        _step(group, step, *((at - low) * scale for at in (step.start, step.start + step.points)))
    _words(drawn, _END + len(steps) * _ROW + 18, "Score", str(score), **{"font-weight": "600"})
    return written(drawn)


def _step(group: Xml.Element, step: Step, begins: float, ends: float) -> None:
    Xml.SubElement(group, "title").text = plain(f"{step.label}: {step.points:+d}")
    _words(group, 16, shortened(step.label, _LONGEST), f"{step.points:+d}")
    left, width = min(begins, ends), max(abs(ends - begins), 1.5)
    colour = SOFT if step.is_limit else "gain" if step.points > 0 else "loss"
    rect(group, (min(left, _WIDTH - width), _BAR_AT, width, _BAR_HIGH), colour, rx="2")
    # where the next step begins
    line(group, (ends, _BAR_AT + _BAR_HIGH, ends, _ROW + 4), SOFT, stroke_opacity="0.5")


def _words(parent: Xml.Element, top: float, label: str, points: str, **style: str) -> None:
    base = {"y": number(top), "font-size": "13", "class": INK, "fill": CURRENT, **style}
    Xml.SubElement(parent, "text", {"x": "0", **base}).text = plain(label)
    Xml.SubElement(parent, "text", {"x": number(_WIDTH), "text-anchor": "end", **base}).text = plain(points)
