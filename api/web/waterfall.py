"""The steps of a waterfall: from the base points to the score, a reason group each.

The waterfall as SVG: no script, no style sheet, no request; made for paper and for pages at least 600 pixels wide.

`narrow` draws it for other pages. Built as a tree of elements, so that no label can become markup. Within a page text
takes the page's colour, light or dark; as a file of its own the picture brings white paper and black ink.

The waterfall for a narrow screen: each step has its words above its bar, so that it is as wide as a phone.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final
from xml.etree import ElementTree as Xml

from api.web.charts import CURRENT, INK, SOFT, format_number, line, number, picture, plain, rect
from scoring import Assessment
from scoring.assessment import SCALE_LIMIT, Explanation, GroupPoints


@dataclass(frozen=True)
class WaterfallStep:
    """One step of the waterfall: from `start` points to `start + points`; the limit of the scale is no group's."""

    label: str
    start: int
    points: int
    is_limit: bool = False


def waterfall_steps(explanation: Explanation) -> list[WaterfallStep]:
    """Return the steps from base to score, largest first; the limit of the scale is the last.

    Groups of no points are left out.

    Example: groups of +14, 0 and -9 points on a base of 600 are the steps 600 to 614 and 614 to 605.
    """
    groups = sorted((each for each in explanation.groups if each.points), key=lambda each: -abs(each.points))
    groups.sort(key=lambda each: each.group == SCALE_LIMIT)
    return list(_running(explanation.base_points, groups))


def extent(base: int, steps: Sequence[WaterfallStep]) -> tuple[int, int]:
    """Return the lowest and the highest points that the steps come by, the base among them."""
    reached = [base, *(step.start + step.points for step in steps)]
    return min(reached), max(reached)


def _running(base: int, groups: Sequence[GroupPoints]) -> Iterator[WaterfallStep]:
    for each in groups:
        yield WaterfallStep(each.label, base, each.points, each.group == SCALE_LIMIT)
        base += each.points


_GAIN, _LOSS, _PLAIN = "#0f7b6c", "#c2570c", "#6b7280"
"""Told apart also by those who see no red or green; the signs beside the bars say it once more."""


_PAPER, _INK = "#ffffff", "#111111"


_WIDTH, _ROW, _TOP, _MARGIN = 760, 28, 58, 12


_LABEL_AT, _BARS_FROM, _BARS_TO, _POINTS_AT = 0, 260, 690, 756


_LONGEST: Final = 34
"""Letters of a label that fit, a Chinese one counted twice; the whole is in its tooltip and in the description."""


def waterfall_svg(seller_id: str, assessment: Assessment, *, alone: bool = False) -> str:
    """Return an SVG document: the steps from base to score as bars, or in words what lacked for a number.

    Args:
        seller_id: whose score it is.
        assessment: the score, explained.
        alone: it shall be a file of its own, with paper and ink.

    Example: `Path("waterfall.svg").write_text(waterfall_svg("S-1", assessment), encoding="utf-8")`.
    """
    explanation = assessment.explanation
    steps = waterfall_steps(explanation) if explanation else []
    rows = len(steps) + 2 if explanation else max(len(assessment.shortfalls), 1)
    height = _TOP + rows * _ROW + 8
    picture = Xml.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"{-_MARGIN} 0 {_WIDTH + 2 * _MARGIN} {height}",
            "role": "img",
            "aria-labelledby": "waterfall-title waterfall-description",
            "font-family": "system-ui, sans-serif",
            "font-size": "13",
            "fill": "currentColor",
            **({"color": _INK} if alone else {}),
        },
    )
    if alone:
        Xml.SubElement(picture, "rect", {"x": f"{-_MARGIN}", "width": "100%", "height": "100%", "fill": _PAPER})
    head = _head(seller_id, assessment)
    Xml.SubElement(picture, "title", id="waterfall-title").text = _plain(head)
    described = _described(explanation, steps) if explanation else _lacking(assessment)
    Xml.SubElement(picture, "desc", id="waterfall-description").text = _plain(" ".join(described))
    _text(picture, _LABEL_AT, 20, head, **{"font-size": "17", "font-weight": "600"})
    if explanation is None:
        for row, line in enumerate(described):
            _text(picture, _LABEL_AT, _TOP + row * _ROW, line)
    else:
        _draw(picture, assessment, explanation, steps)
    return Xml.tostring(picture, encoding="unicode") + "\n"


def shortened(label: str, longest: int) -> str:
    """Return a label that is so many letters long at most, a Chinese one counted twice."""
    widths = list(accumulate(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in label))
    if not widths or widths[-1] <= longest:
        return label
    return label[: sum(width < longest for width in widths)] + "…"


def _head(seller_id: str, assessment: Assessment) -> str:
    if assessment.score is None:
        return f"Seller {seller_id}: no score, {str(assessment.outcome).replace('_', ' ')}"
    return f"Seller {seller_id}: score {assessment.score}, band {assessment.band}, as of {assessment.as_of}"


def _described(explanation: Explanation, steps: list[WaterfallStep]) -> list[str]:
    points = [f"{step.label} {step.points:+d}." for step in steps]
    return [f"From {explanation.base_points} base points:", *points]


def _lacking(assessment: Assessment) -> list[str]:
    return [
        f"{lack.what}: found {'nothing' if lack.found is None else lack.found}, needed {lack.needed}."
        for lack in assessment.shortfalls
    ]


def _draw(picture: Xml.Element, assessment: Assessment, explanation: Explanation, steps: list[WaterfallStep]) -> None:
    low, high = extent(explanation.base_points, steps)
    scale = (_BARS_TO - _BARS_FROM) / max(high - low, 1)
    _text(picture, _POINTS_AT, _TOP - 14, "points", **{"text-anchor": "end", "font-size": "11", "opacity": "0.75"})
    _row(picture, 0, "Base", str(explanation.base_points))
    for row, step in enumerate(steps, 1):
        group = _row(picture, row, step.label, f"{step.points:+d}")
        left, right = sorted(_BARS_FROM + (at - low) * scale for at in (step.start, step.start + step.points))
        colour = _PLAIN if step.is_limit else _GAIN if step.points > 0 else _LOSS
        _bar(group, row, left, max(right - left, 1.5), colour)
        if row == len(steps):
            continue
        # where the next step begins
        x = f"{_BARS_FROM + (step.start + step.points - low) * scale:.1f}"
        y1, y2 = (f"{_TOP + row * _ROW + down}" for down in (_ROW - 6, _ROW + 4))
        Xml.SubElement(group, "line", {"x1": x, "x2": x, "y1": y1, "y2": y2, "stroke": _PLAIN, "stroke-width": "1"})
    _row(picture, len(steps) + 1, "Score", str(assessment.score), **{"font-weight": "600"})


def _row(picture: Xml.Element, row: int, label: str, points: str, **style: str) -> Xml.Element:
    group = Xml.SubElement(picture, "g", style)
    Xml.SubElement(group, "title").text = _plain(f"{label}: {points}")
    _text(group, _LABEL_AT, _middle(row), shortened(label, _LONGEST))
    _text(group, _POINTS_AT, _middle(row), points, **{"text-anchor": "end"})
    return group


def _bar(group: Xml.Element, row: int, left: float, width: float, colour: str) -> None:
    place = {"x": f"{left:.1f}", "y": f"{_TOP + row * _ROW + 4}", "width": f"{width:.1f}", "height": f"{_ROW - 10}"}
    Xml.SubElement(group, "rect", {**place, "rx": "2", "fill": colour})


def _middle(row: int) -> float:
    return _TOP + row * _ROW + _ROW / 2 + 3


def _text(parent: Xml.Element, x: float, y: float, words: str, **style: str) -> None:
    Xml.SubElement(parent, "text", {"x": f"{x}", "y": f"{y}", **style}).text = _plain(words)


def _plain(words: str) -> str:
    # XML has no way to write a control character
    return "".join(letter if letter.isprintable() else "�" for letter in words)


_NARROW_WIDTH: Final = 320.0


_NARROW_ROW: Final = 40.0


_NARROW_END: Final = 24.0
"""Of the rows of base and score, which have no bar."""


_BAR_AT, _BAR_HIGH = 24.0, 9.0


_LONGEST_NARROW: Final = 36


def narrow_waterfall_svg(explanation: Explanation, score: int) -> str:
    """Return the steps from base to score as a picture for a page of HTML, in the page's colours.

    Args:
        explanation: of the score.
        score: where the steps end.
    """
    steps = waterfall_steps(explanation)
    told = " ".join(f"{each.label} {each.points:+d}." for each in steps)
    drawn = picture(
        _NARROW_WIDTH,
        2 * _NARROW_END + len(steps) * _NARROW_ROW,
        f"From {explanation.base_points} base points to {score}: {told}",
    )
    low, high = extent(explanation.base_points, steps)
    scale = _NARROW_WIDTH / max(high - low, 1)
    _narrow_text(drawn, 16, "Base", str(explanation.base_points))
    for place, step in enumerate(steps):
        group = Xml.SubElement(drawn, "g", {"transform": f"translate(0 {number(_NARROW_END + place * _NARROW_ROW)})"})
        _narrow_step(group, step, *((at - low) * scale for at in (step.start, step.start + step.points)))
    _narrow_text(drawn, _NARROW_END + len(steps) * _NARROW_ROW + 18, "Score", str(score), **{"font-weight": "600"})
    return format_number(drawn)


def _narrow_step(group: Xml.Element, step: WaterfallStep, begins: float, ends: float) -> None:
    Xml.SubElement(group, "title").text = plain(f"{step.label}: {step.points:+d}")
    _narrow_text(group, 16, shortened(step.label, _LONGEST_NARROW), f"{step.points:+d}")
    left, width = min(begins, ends), max(abs(ends - begins), 1.5)
    colour = SOFT if step.is_limit else "gain" if step.points > 0 else "loss"
    rect(group, (min(left, _NARROW_WIDTH - width), _BAR_AT, width, _BAR_HIGH), colour, rx="2")
    # where the next step begins
    line(group, (ends, _BAR_AT + _BAR_HIGH, ends, _NARROW_ROW + 4), SOFT, stroke_opacity="0.5")


def _narrow_text(parent: Xml.Element, top: float, label: str, points: str, **style: str) -> None:
    base = {"y": number(top), "font-size": "13", "class": INK, "fill": CURRENT, **style}
    Xml.SubElement(parent, "text", {"x": "0", **base}).text = plain(label)
    Xml.SubElement(parent, "text", {"x": number(_NARROW_WIDTH), "text-anchor": "end", **base}).text = plain(points)
