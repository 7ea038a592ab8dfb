"""Where a score stands among the loans that its model was tested on, in numbers and as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as Xml

from scoring import Assessment, Bundle
from scoring.track_record import TrackRecord

_WIDTH, _HEIGHT, _FROM, _TO = 760, 96, 40, 720
_AXIS: Final = 52
_MARK, _PLAIN = "#1f5fa8", "#6b7280"


@dataclass(frozen=True)
class BandShown:
    """A band of the tested loans: the share of them in it, and the share of those that went bad (None of none)."""

    name: str
    up_to: float
    loans: int
    share: float
    bad: int
    rate: float | None
    here: bool


@dataclass(frozen=True)
class Standing:
    """A score among the tested loans: of 100 of them, `lower` had a lower score."""

    score: int
    lower: int
    record: TrackRecord
    bands: tuple[BandShown, ...]

    @property
    def svg(self) -> str:
        """The picture: the middle half of the tested scores, its median, all but the ends, and this score."""
        return _drawn(self.score, self.record.scores)


def standing_of(assessment: Assessment, bundle: Bundle | None) -> Standing | None:
    """Return where a score stands; None without a number, or where the bundle knows no tested loans."""
    record = bundle.reference.track_record if bundle else None
    if assessment.score is None or bundle is None or record is None:
        return None
    limits = {band.name: band.up_to for band in bundle.policy.bands.items}
    bands = tuple(
        BandShown(
            name=each.name,
            up_to=limits[each.name],
            loans=each.loans,
            share=each.loans / record.count,
            bad=each.bad,
            rate=each.bad / each.loans if each.loans else None,
            here=each.name == assessment.band,
        )
        for each in record.bands
    )
    return Standing(assessment.score, record.percent_below(assessment.score), record, bands)


def _drawn(score: int, tested: tuple[int, ...]) -> str:
    ends = (min(tested[0], score), max(tested[-1], score))

    def at(points: int) -> float:
        return _FROM + (points - ends[0]) / max(ends[1] - ends[0], 1) * (_TO - _FROM)

    low, first, middle, third, high = (tested[each] for each in (5, 25, 50, 75, 95))
    said = (
        f"This score is {score}. Of 100 tested loans 5 have at most {low}, half at most {middle}, 95 at most {high}; "
        f"the middle half lies between {first} and {third}."
    )
    picture = Xml.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {_WIDTH} {_HEIGHT}",
            "role": "img",
            "aria-label": said,
            "font-family": "system-ui, sans-serif",
            "font-size": "12",
            "fill": "currentColor",
        },
    )
    _line(picture, at(tested[0]), at(tested[-1]), _AXIS, "1")
    _line(picture, at(low), at(high), _AXIS, "3")
    left, right = at(first), at(third)
    box = {"x": f"{left:.1f}", "y": f"{_AXIS - 9}", "width": f"{max(right - left, 2):.1f}", "height": "18", "rx": "3"}
    Xml.SubElement(picture, "rect", {**box, "fill": _PLAIN, "fill-opacity": "0.35", "stroke": _PLAIN})
    tick = {"x": f"{at(middle) - 1:.1f}", "y": f"{_AXIS - 12}", "width": "2", "height": "24"}
    Xml.SubElement(picture, "rect", tick)
    for points, words in ((low, f"5 in 100: {low}"), (middle, f"half: {middle}"), (high, f"95 in 100: {high}")):
        _text(picture, at(points), _AXIS + 32, words)
    x = at(score)
    Xml.SubElement(picture, "path", {"d": f"M{x:.1f} {_AXIS - 12} l-7 -12 h14 z", "fill": _MARK})
    _text(picture, x, _AXIS - 30, f"this score: {score}", **{"font-weight": "600"})
    return Xml.tostring(picture, encoding="unicode")


def _line(picture: Xml.Element, left: float, right: float, y: float, width: str) -> None:
    place = {"x1": f"{left:.1f}", "x2": f"{right:.1f}", "y1": f"{y}", "y2": f"{y}"}
    Xml.SubElement(picture, "line", {**place, "stroke": _PLAIN, "stroke-width": width, "stroke-linecap": "round"})


def _text(picture: Xml.Element, x: float, y: float, words: str, **style: str) -> None:
    # kept inside of the picture, however far out its place is
    inside = min(max(x, 60), _WIDTH - 60)
    Xml.SubElement(picture, "text", {"x": f"{inside:.1f}", "y": f"{y}", "text-anchor": "middle", **style}).text = words
