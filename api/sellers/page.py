"""The picture as a page to print: what each part shows, in words and as small pictures. It says what the JSON says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Final

from fastapi import Response

from api.pages.documents import document
from api.pictures.scales import bar_svg, dot_svg, strip_svg
from api.pictures.series import Points, bars_svg, line_svg
from api.sellers.schemas import FamilyIndex, FeatureStanding, Flag, Peers, Profile, Series, Step, TableCoverage
from features.profile.profile import MissingReason
from features.profile.series import STEP_DAYS, STEPS
from features.store.profiles import PeerScope
from scoring.figures import figure

GAPS: Final = {
    MissingReason.NOT_DELIVERED: "not delivered by the platform",
    MissingReason.NO_ROWS: "nothing delivered of this seller",
    MissingReason.NO_VALUE: "cannot be computed",
    MissingReason.TOO_FEW_PEERS: "too few peers to compare with",
    MissingReason.NO_DIRECTION: "nothing here is better higher or lower",
}
"""Why something is not known, in words."""

_MICROS: Final = 1_000_000
_DAYS: Final = STEPS * STEP_DAYS
_WORST_RATING: Final = 1.0


@dataclass(frozen=True)
class Row:
    """A line of a table: words, a figure, a small picture, and what it says in words."""

    label: str
    value: str
    picture: str
    said: str
    note: str = ""


@dataclass(frozen=True)
class Panel:
    """A series: its latest figure, its picture, and a line a step for those who cannot see it."""

    label: str
    meaning: str
    latest: str
    note: str
    picture: str
    rows: Sequence[tuple[str, str]]


def of(profile: Profile, now: datetime, max_age_days: int) -> Response:
    """Return the page of a picture, as it is read at a moment; data that are too old for a score are said to be."""
    age = (now.astimezone(UTC).date() - date.fromisoformat(profile.as_of)).days
    return document(
        "profile.html",
        profile=profile,
        age=age,
        max_age_days=max_age_days,
        read_at=now.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        facts=list(_facts(profile)),
        peers=peers_in_words(profile.peers),
        families=list(map(_family, profile.families)),
        raised=[_flag(each) for each in profile.flags if each.raised],
        quiet=[_flag(each) for each in profile.flags if each.raised is False],
        unknown=[
            f"{each.label} ({GAPS[each.missing or MissingReason.NO_VALUE]})"
            for each in profile.flags
            if each.raised is None
        ],
        panels=[_panel(each, profile.steps) for each in profile.series],
        compared=list(_compared(profile)),
        neither=[_feature(each) for each in profile.features if each.direction == "neither"],
        coverage=list(map(_table, profile.coverage)),
    )


def peers_in_words(peers: Peers) -> str:
    """Return whom a seller is compared with.

    Example: "the 212 other sellers of the category home in the middle third by settled net sales".
    """
    match peers.scope:
        case PeerScope.CATEGORY_AND_SIZE:
            within = f"of the category {peers.category} in the {peers.size} third by settled net sales"
            return f"the {peers.others:,} other sellers {within}"
        case PeerScope.CATEGORY:
            return f"the {peers.others:,} other sellers of the category {peers.category}"
        case PeerScope.ALL:
            return f"the {peers.others:,} other sellers with settled sales, of every category"
    return "nobody: there are too few sellers with settled sales to compare with"


def _facts(profile: Profile) -> Iterator[tuple[str, str]]:
    by_name = {each.series: each for each in profile.series}
    for name, label in (("net_sales", f"net sales, {_DAYS} days"), ("orders", f"orders, {_DAYS} days")):
        known = [value for value in by_name[name].values if value is not None]
        if known:
            yield _figure(sum(known), by_name[name].unit), label
    orders = next(each for each in profile.coverage if each.table == "orders")
    if orders.first_day is not None and orders.last_day is not None:
        yield orders.first_day, "first day with an order"
        yield orders.last_day, "last day with an order"
    raised = sum(each.raised is True for each in profile.flags)
    yield str(raised), "question to ask" if raised == 1 else "questions to ask"


def _family(each: FamilyIndex) -> Row:
    if each.index is None:
        said = GAPS[each.missing or MissingReason.NO_VALUE]
        return Row(each.label, "–", bar_svg(None), said)
    said = f"{each.counted} of {each.of} figures"
    return Row(each.label, str(each.index), bar_svg(each.index), said)


def _compared(profile: Profile) -> Iterator[tuple[str, list[Row]]]:
    labels = {each.family: each.label for each in profile.families}
    directed = [each for each in profile.features if each.direction != "neither"]
    for family, those in groupby(directed, key=lambda each: each.family):
        yield labels[family], list(map(_feature, those))


def _feature(each: FeatureStanding) -> Row:
    value = figure(each.value, each.unit) if each.value is not None else "–"
    place = each.percentile if each.direction == "neither" else each.no_better
    if place is None:
        said = GAPS[each.missing or MissingReason.NO_VALUE]
    elif each.direction == "neither":
        said = f"{place}% are at most there"
    else:
        said = f"{place}% do no better"
    return Row(each.label, value, dot_svg(place), said, each.meaning)


def _flag(each: Flag) -> Row:
    value = figure(each.value, each.unit)
    said = f"{each.label}: {value}; asked above {figure(each.threshold, each.unit)}."
    return Row(each.question, value, "", said, each.why)


def _panel(each: Series, steps: Sequence[Step]) -> Panel:
    provisional = [each.settles and not step.settled for step in steps]
    ends = (steps[0].begins, _last_day(steps[-1]))
    rate = each.unit in ("ratio", "stars")
    floor = _WORST_RATING if each.unit == "stars" else 0.0
    rows = [
        (f"{step.begins} to {_last_day(step)}", _figure(value, each.unit) + (" (may change)" if moves else ""))
        for step, value, moves in zip(steps, each.values, provisional, strict=True)
    ]
    settled = [value for value, moves in zip(each.values, provisional, strict=True) if not moves]
    latest = settled[-1] if settled else None
    drawn = (line_svg if rate else bars_svg)(
        Points(each.values, provisional, ends, floor), f"{each.label} in twelve steps of {STEP_DAYS} days; table below"
    )
    return Panel(each.label, each.meaning, _figure(latest, each.unit), _note(each, steps), drawn, rows)


def _note(each: Series, steps: Sequence[Step]) -> str:
    if each.missing is not None:
        return GAPS[each.missing]
    known = [value for value in each.values if value is not None]
    highest = f"highest {_figure(max(known), each.unit)}" if known else ""
    late = each.data_through is not None and each.data_through < steps[-1].ends
    return f"{highest}, delivered through {each.data_through}" if late else highest


def _table(each: TableCoverage) -> Row:
    strip = strip_svg(each.days_by_step, STEP_DAYS)
    days = f"{each.days_with_rows:,} of {_DAYS} days"
    if each.covers_through is None:
        return Row(each.table.capitalize(), days, strip, GAPS[MissingReason.NOT_DELIVERED])
    old = "1 day old" if each.age_days == 1 else f"{each.age_days} days old"
    since = f"since {each.first_day}" if each.first_day else GAPS[each.missing or MissingReason.NO_ROWS]
    return Row(each.table.capitalize(), days, strip, f"{since}; delivered through {each.covers_through}, {old}")


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    if unit == "micro-USD":
        return figure(value / _MICROS, "USD")
    if unit == "count":
        return f"{value:,.0f}"
    return f"{value:.2f}" if unit == "stars" else figure(value, unit)


def _last_day(step: Step) -> str:
    return (date.fromisoformat(step.ends) - timedelta(days=1)).isoformat()
