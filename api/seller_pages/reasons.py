"""What helps and what hurts: the points of the score, by group and by figure, so that they add up to it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from api.seller_pages.pictures import bar
from api.seller_pages.wording import GROUPS, SCALE_LIMIT
from api.seller_pages.words import Words
from api.seller_sessions.schemas import Language
from scoring import Bundle
from scoring.assess import SCALE_LIMIT as LIMIT


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
    """A group of figures that say the same: its points together; `said` where it costs some."""

    name: str
    title: str
    points: int
    bar: Markup
    said: str | None
    figures: tuple[FigureRow, ...]


@dataclass(frozen=True)
class Reasons:
    """All groups: base and the points of all three lists are the score."""

    base: int
    score: int
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
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for each in told["contributions"]:
        groups.setdefault(each["reason_group"] or LIMIT, []).append(each)
    sums = {name: sum(each["points"] for each in those) for name, those in groups.items()}
    most = max(map(abs, sums.values()), default=1)
    said = _said(bundle, words.language)
    rows = [
        GroupRow(
            name,
            _title(name, words),
            sums[name],
            bar(sums[name], most),
            said.get(name) if sums[name] < 0 else None,
            _figures(those, words),
        )
        for name, those in groups.items()
    ]
    return Reasons(
        told["base_points"],
        assessment["score"],
        _sorted(each for each in rows if each.points > 0),
        _sorted(each for each in rows if each.points < 0),
        _sorted(each for each in rows if each.points == 0),
    )


def _sorted(rows: Iterable[GroupRow]) -> tuple[GroupRow, ...]:
    return tuple(sorted(rows, key=lambda each: -abs(each.points)))


def _title(group: str, words: Words) -> str:
    return words.say(SCALE_LIMIT if group == LIMIT else GROUPS.get(group, group))


def _said(bundle: Bundle, language: Language) -> dict[str, str]:
    return {
        each.group: each.seller.zh if language is Language.CHINESE else each.seller.en
        for each in bundle.reasons.entries
    }


def _figures(those: Sequence[Mapping[str, Any]], words: Words) -> tuple[FigureRow, ...]:
    rows = (
        FigureRow(
            each["feature"],
            words.say(SCALE_LIMIT if each["feature"] == LIMIT else each["label"]),
            words.figure(each["value"], each["unit"]),
            words.figure(each["typical"], each["unit"]),
            each["points"],
        )
        for each in those
    )
    return tuple(sorted(rows, key=lambda each: -abs(each.points)))
