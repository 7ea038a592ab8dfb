"""What helps and what hurts: the points of the score, by group and by figure, so that they add up to it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from api.seller_pages.pictures import bar
from api.seller_pages.words import Words
from scoring import Bundle
from scoring.assessment import SCALE_LIMIT as LIMIT
from scoring.reason_catalogue import Reason


@dataclass(frozen=True)
class FigureRow:
    """One figure: the seller's, a typical one, and its points."""

    feature: str
    label: str
    value: str
    typical: str
    points: int


@dataclass(frozen=True)
class GroupRow:
    """A group of figures that say the same: its points together; `said` is the principal reason in it, if any."""

    name: str
    title: str
    points: int
    bar: Markup
    said: str | None
    figures: tuple[FigureRow, ...]


@dataclass(frozen=True)
class PrincipalReason:
    """One principal reason in the seller's words, and the points that the typical value would add."""

    code: str
    statement: str
    gain: int


@dataclass(frozen=True)
class Reasons:
    """All groups: base, limit and the points of all three lists are the score.

    `limit` is what an end of the scale adds or takes; it is no strength and no weakness.
    """

    base: int
    limit: int
    score: int
    principal: tuple[PrincipalReason, ...]
    helps: tuple[GroupRow, ...]
    hurts: tuple[GroupRow, ...]
    neutral: tuple[GroupRow, ...]

    @property
    def added(self) -> int:
        """Points that are added together."""
        return sum(each.points for each in self.helps)

    @property
    def taken(self) -> int:
        """Points that are taken together, negative."""
        return sum(each.points for each in self.hurts)


def reasons_of(assessment: Mapping[str, Any], bundle: Bundle, words: Words) -> Reasons | None:
    """Return the points of an assessment by group, most first; None where it has no number."""
    told = assessment["explanation"]
    if told is None:
        return None
    sums = {each["group"]: each["points"] for each in told["groups"] if each["group"] != LIMIT}
    most = max(map(abs, sums.values()), default=1)
    reasons = [Reason(**each) for each in told["reasons"]]
    said = {each.group: bundle.reasons.statement(each, "seller", words.language) for each in reasons}
    rows = [
        GroupRow(
            name,
            bundle.reasons.label_of(name, words.language),
            points,
            bar(points, most),
            said.get(name),
            _figures([each for each in told["contributions"] if each["reason_group"] == name], words),
        )
        for name, points in sums.items()
    ]
    return Reasons(
        told["base_points"],
        sum(each["points"] for each in told["groups"] if each["group"] == LIMIT),
        assessment["score"],
        tuple(PrincipalReason(each.code, said[each.group], each.gain) for each in reasons),
        _sorted(each for each in rows if each.points > 0),
        _sorted(each for each in rows if each.points < 0),
        _sorted(each for each in rows if each.points == 0),
    )


def _sorted(rows: Iterable[GroupRow]) -> tuple[GroupRow, ...]:
    return tuple(sorted(rows, key=lambda each: -abs(each.points)))


def _figures(those: Sequence[Mapping[str, Any]], words: Words) -> tuple[FigureRow, ...]:
    rows = (
        FigureRow(
            each["feature"],
            words.say(each["label"]),
            words.figure(each["value"], each["unit"]),
            words.figure(each["typical"], each["unit"]),
            each["points"],
        )
        for each in those
    )
    return tuple(sorted(rows, key=lambda each: -abs(each.points)))
