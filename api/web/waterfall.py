"""The waterfall of a score: a bar per reason group from the base points to the score, as SVG.

`waterfall_svg` draws it for paper and wide screens, `narrow_waterfall_svg` for phones, with each label above its bar.
Neither has a script, a style sheet or a request. Text takes the colour of the page, light or dark.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final
from xml.etree import ElementTree as Xml

from api.web.charts import CURRENT, GREY, SOFT, add, coordinate, printable, svg
from scoring import Assessment
from scoring.assessment import SCALE_LIMIT, Explanation


@dataclass(frozen=True)
class WaterfallStep:
    """One step: from `start` points to `start + points`; `is_limit` marks the limit of the scale."""

    label: str
    start: int
    points: int
    is_limit: bool = False

    @property
    def end(self) -> int:
        """The points after the step."""
        return self.start + self.points

    @property
    def kind(self) -> str:
        """Return `gain`, `loss` or `limit`."""
        return "limit" if self.is_limit else "gain" if self.points > 0 else "loss"


def waterfall_steps(explanation: Explanation) -> list[WaterfallStep]:
    """Return the steps from base to score, largest first; the limit of the scale is the last.

    Groups without points are left out.

    Example: groups of +14, 0 and -9 points on a base of 600 are the steps 600 to 614 and 614 to 605.
    """
    groups = sorted(
        (group for group in explanation.groups if group.points),
        key=lambda group: (group.group == SCALE_LIMIT, -abs(group.points)),
    )
    starts = accumulate((group.points for group in groups), initial=explanation.base_points)
    return [
        WaterfallStep(group.label, start, group.points, group.group == SCALE_LIMIT)
        for group, start in zip(groups, starts, strict=False)
    ]


def extent(base: int, steps: Sequence[WaterfallStep]) -> tuple[int, int]:
    """Return the lowest and the highest points of base and steps."""
    points = [base, *(step.end for step in steps)]
    return min(points), max(points)


@dataclass(frozen=True)
class _Layout:
    """Sizes and colours of a waterfall. `end_height` is the height of the rows of base and score."""

    top: float
    row_height: float
    end_height: float
    label_width: int
    points_x: float
    left: float
    right: float
    limit: float
    bar_y: float
    bar_height: float
    colours: Mapping[str, Mapping[str, str]]
    line: Mapping[str, str]


_PAPER, _INK = "#ffffff", "#111111"
_TEXT_Y: Final = 17
_WIDE_WIDTH, _MARGIN = 760, 12
_NARROW_WIDTH: Final = 320.0
_WIDE: Final = _Layout(
    top=58,
    row_height=28,
    end_height=28,
    label_width=34,
    points_x=756,
    left=260,
    right=690,
    limit=692,
    bar_y=4,
    bar_height=18,
    # distinguishable without seeing red and green; the signs of the points repeat it
    colours={"gain": {"fill": "#0f7b6c"}, "loss": {"fill": "#c2570c"}, "limit": {"fill": GREY}},
    line={"stroke": GREY, "stroke_width": "1"},
)
_NARROW: Final = _Layout(
    top=0,
    row_height=40,
    end_height=24,
    label_width=36,
    points_x=_NARROW_WIDTH,
    left=0,
    right=_NARROW_WIDTH,
    limit=_NARROW_WIDTH,
    bar_y=24,
    bar_height=9,
    colours={
        "gain": {"class_": "gain", "fill": CURRENT},
        "loss": {"class_": "loss", "fill": CURRENT},
        "limit": {"class_": SOFT, "fill": CURRENT},
    },
    line={"class_": SOFT, "stroke": CURRENT, "stroke_opacity": "0.5"},
)


def waterfall_svg(seller_id: str, assessment: Assessment, *, alone: bool = False) -> str:
    """Return an SVG document with the steps from base to score, or with the shortfalls if there is no score.

    Args:
        seller_id: the seller.
        assessment: the assessment.
        alone: whether it is a file of its own, with white paper and black ink.

    Example: `Path("waterfall.svg").write_text(waterfall_svg("S-1", assessment), encoding="utf-8")`.
    """
    explanation = assessment.explanation
    rows = len(waterfall_steps(explanation)) + 2 if explanation else max(len(assessment.shortfalls), 1)
    height = _WIDE.top + rows * _WIDE.row_height + 8
    drawing = Xml.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"{-_MARGIN} 0 {_WIDE_WIDTH + 2 * _MARGIN} {coordinate(height)}",
            "role": "img",
            "aria-labelledby": "waterfall-title waterfall-description",
            "font-family": "system-ui, sans-serif",
            "font-size": "13",
            "fill": CURRENT,
            **({"color": _INK} if alone else {}),
        },
    )
    if alone:
        add(drawing, "rect", x=-_MARGIN, width="100%", height="100%", fill=_PAPER)
    title = _title(seller_id, assessment)
    lines = [_description(explanation)] if explanation else _shortfalls(assessment)
    add(drawing, "title", title, id="waterfall-title")
    add(drawing, "desc", " ".join(lines), id="waterfall-description")
    add(drawing, "text", title, x=0, y=20, font_size="17", font_weight="600")
    if explanation is None or assessment.score is None:
        for row, line in enumerate(lines):
            add(drawing, "text", line, x=0, y=_WIDE.top + row * _WIDE.row_height)
    else:
        style = {"text_anchor": "end", "font_size": "11", "opacity": "0.75"}
        add(drawing, "text", "points", x=_WIDE.points_x, y=_WIDE.top - 14, **style)
        _draw(drawing, explanation, assessment.score, _WIDE)
    return Xml.tostring(drawing, encoding="unicode") + "\n"


def narrow_waterfall_svg(explanation: Explanation, score: int) -> str:
    """Return the steps from base to score for a phone, in the colours of the page."""
    height = 2 * _NARROW.end_height + len(waterfall_steps(explanation)) * _NARROW.row_height
    drawing = svg(_NARROW_WIDTH, height, f"{_description(explanation)} Score {score}.", font_size="13", fill=CURRENT)
    _draw(drawing, explanation, score, _NARROW)
    return Xml.tostring(drawing, encoding="unicode")


def _title(seller_id: str, assessment: Assessment) -> str:
    if assessment.score is None:
        return f"Seller {seller_id}: no score, {str(assessment.outcome).replace('_', ' ')}"
    return f"Seller {seller_id}: score {assessment.score}, band {assessment.band}, as of {assessment.as_of}"


def _description(explanation: Explanation) -> str:
    steps = (f"{step.label} {step.points:+d}." for step in waterfall_steps(explanation))
    return " ".join([f"From {explanation.base_points} base points:", *steps])


def _shortfalls(assessment: Assessment) -> list[str]:
    return [
        f"{item.what}: found {'nothing' if item.found is None else item.found}, needed {item.needed}."
        for item in assessment.shortfalls
    ]


def _draw(drawing: Xml.Element, explanation: Explanation, score: int, layout: _Layout) -> None:
    steps = waterfall_steps(explanation)
    low, high = extent(explanation.base_points, steps)
    scale = (layout.right - layout.left) / max(high - low, 1)
    _row(drawing, layout, layout.top, ("Base", str(explanation.base_points)))
    top = layout.top + layout.end_height
    for index, step in enumerate(steps):
        group = add(drawing, "g", transform=f"translate(0 {coordinate(top)})")
        add(group, "title", f"{step.label}: {step.points:+d}")
        _row(group, layout, 0, (step.label, f"{step.points:+d}"))
        start, end = (layout.left + (points - low) * scale for points in (step.start, step.end))
        width = max(abs(end - start), 1.5)
        left = min(start, end, layout.limit - width)
        add(
            group,
            "rect",
            x=left,
            y=layout.bar_y,
            width=width,
            height=layout.bar_height,
            rx=2,
            **layout.colours[step.kind],
        )
        if index < len(steps) - 1:
            # a line to the start of the next bar
            add(group, "line", x1=end, x2=end, y1=layout.bar_y + layout.bar_height, y2=layout.row_height + layout.bar_y,
                **layout.line)  # fmt: skip
        top += layout.row_height
    _row(drawing, layout, top, ("Score", str(score)), font_weight="600")


def _row(parent: Xml.Element, layout: _Layout, top: float, texts: tuple[str, str], **style: str) -> None:
    label, points = texts
    add(parent, "text", shorten_label(label, layout.label_width), x=0, y=top + _TEXT_Y, **style)
    add(parent, "text", points, x=layout.points_x, y=top + _TEXT_Y, text_anchor="end", **style)


def shorten_label(label: str, width: int) -> str:
    """Cut a label to a width in letters; a Chinese letter counts as two. Tooltip and description have all of it."""
    widths = list(accumulate(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in label))
    if not widths or widths[-1] <= width:
        return printable(label)
    return printable(label[: sum(used < width for used in widths)] + "…")
