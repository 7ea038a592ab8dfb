"""Printable documents: self-contained HTML files, and the seller profile as such a document.

A document loads nothing, so a saved or printed copy looks the same. The profile document shows the same content as
`GET /v1/sellers/{id}/profile`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Response

from api.auth.callers import AuthenticatedRoute, Bank, require_scope
from api.auth.scopes import Scope as Permission
from api.kit.openapi import responses
from api.sellers.endpoints import PROFILE_PROBLEMS, SellerInPath
from api.sellers.schemas import FamilyIndex, FeatureStanding, Flag, Peers, Profile, Series, Step, TableCoverage
from api.sellers.service import open_profile, record_view
from api.services import ServicesDep
from api.web.charts import SeriesData, bar_chart, coverage_strip, line_chart, percent_bar, percent_dot
from features.profile.profile import MissingReason
from features.profile.series import STEP_DAYS, STEPS
from features.store.profiles import PeerScope
from scoring.formatting import format_value

if TYPE_CHECKING:
    from jinja2 import Environment

router = APIRouter(prefix="/v1/sellers", tags=["sellers"], route_class=AuthenticatedRoute)

GAPS: Final = {
    MissingReason.NOT_DELIVERED: "not delivered by the platform",
    MissingReason.NO_ROWS: "no data of this seller",
    MissingReason.NO_VALUE: "cannot be computed",
    MissingReason.TOO_FEW_PEERS: "too few peers to compare with",
    MissingReason.NO_DIRECTION: "no figure has a direction",
}
"""Texts for missing values."""

_STYLE: Final = "document.css"
_MICROS: Final = 1_000_000
_DAYS: Final = STEPS * STEP_DAYS
_WORST_RATING: Final = 1.0


@router.get(
    "/{seller_id:path}/profile.html",
    operation_id="getProfilePage",
    summary="Read the profile of a seller as a printable page",
    response_class=Response,
    responses=responses(
        200,
        "The profile as one HTML document that loads nothing else.",
        *PROFILE_PROBLEMS,
        content={"text/html": {"schema": {"type": "string"}, "example": "<!doctype html>..."}},
    ),
)
def get_profile_page(
    bank: Annotated[Bank, require_scope(Permission.PROFILES_READ)], services: ServicesDep, seller_id: SellerInPath
) -> Response:
    """Return the profile as one HTML file for screen and paper. The access is recorded as for the JSON profile."""
    max_age_days = services.champion.bundle.sheet.max_age_days
    while True:
        view = open_profile(services, bank.id, seller_id)
        response = profile_document(view.profile, datetime.now(UTC), max_age_days)
        if record_view(services, view, bytes(response.body)):
            return response


def render_document(template: str, **values: object) -> Response:
    """Render a printable document, with headers that forbid loading and framing.

    Example: `render_document("report.html", report=report)` returns `text/html` with `Cache-Control: no-store`.

    Args:
        template: name of a file in `templates/documents/` that extends `document.html`.
        values: variables of the template; a missing one raises an error.
    """
    html = _environment().get_template(template).render(**values, style=_style())
    return Response(html, headers=dict(_headers()), media_type="text/html")


@cache
def _style() -> str:
    return (files("api.web") / "templates" / "documents" / _STYLE).read_text(encoding="utf-8")


@cache
def _headers() -> tuple[tuple[str, str], ...]:
    # the digest is that of the style element, so the template puts nothing else between its tags
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        ("Cache-Control", "no-store"),
        ("Content-Security-Policy", f"{policy}; frame-ancestors 'none'"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
    )


@cache
def _environment() -> Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("api.web", "templates/documents"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["format_value"] = format_value
    return environment


@dataclass(frozen=True)
class ProfileRow:
    """A row of a table: label, value, small chart, and a summary of the chart."""

    label: str
    value: str
    chart: str
    summary: str
    note: str = ""


@dataclass(frozen=True)
class SeriesPanel:
    """A series: the latest final value, the chart, and a table of all steps."""

    label: str
    meaning: str
    latest: str
    note: str
    chart: str
    rows: Sequence[tuple[str, str]]


def profile_document(profile: Profile, now: datetime, max_age_days: int) -> Response:
    """Return the profile as a document; data that are too old for a score get a warning."""
    age = (now.astimezone(UTC).date() - date.fromisoformat(profile.as_of)).days
    return render_document(
        "profile.html",
        profile=profile,
        age=age,
        max_age_days=max_age_days,
        read_at=now.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        facts=list(_facts(profile)),
        peers=describe_peers(profile.peers),
        families=list(map(_family, profile.families)),
        raised=[_flag(flag) for flag in profile.flags if flag.raised],
        quiet=[_flag(flag) for flag in profile.flags if flag.raised is False],
        unknown=[
            f"{flag.label} ({GAPS[flag.missing or MissingReason.NO_VALUE]})"
            for flag in profile.flags
            if flag.raised is None
        ],
        panels=[_panel(series, profile.steps) for series in profile.series],
        compared=list(_compared(profile)),
        neither=[_feature(feature) for feature in profile.features if feature.direction == "neither"],
        coverage=list(map(_table, profile.coverage)),
    )


def describe_peers(peers: Peers) -> str:
    """Return the peer group of a seller in translator.

    Example: "the 212 other sellers in the category home, middle third by settled net sales".
    """
    match peers.scope:
        case PeerScope.CATEGORY_AND_SIZE:
            third = f"{peers.size} third by settled net sales"
            return f"the {peers.others:,} other sellers in the category {peers.category}, {third}"
        case PeerScope.CATEGORY:
            return f"the {peers.others:,} other sellers in the category {peers.category}"
        case PeerScope.ALL:
            return f"the {peers.others:,} other sellers with settled sales in all categories"
    return "no peers: too few sellers have settled sales"


def _facts(profile: Profile) -> Iterator[tuple[str, str]]:
    by_name = {series.series: series for series in profile.series}
    for name, label in (("net_sales", f"net sales, {_DAYS} days"), ("orders", f"orders, {_DAYS} days")):
        values = [value for value in by_name[name].values if value is not None]
        if values:
            yield _format_series_value(sum(values), by_name[name].unit), label
    orders = next(table for table in profile.coverage if table.table == "orders")
    if orders.first_day is not None and orders.last_day is not None:
        yield orders.first_day, "first day with an order"
        yield orders.last_day, "last day with an order"
    raised = sum(flag.raised is True for flag in profile.flags)
    yield str(raised), "question to ask" if raised == 1 else "questions to ask"


def _family(family: FamilyIndex) -> ProfileRow:
    if family.index is None:
        return ProfileRow(family.label, "–", percent_bar(None), GAPS[family.missing or MissingReason.NO_VALUE])
    summary = f"{family.counted} of {family.of} figures"
    return ProfileRow(family.label, str(family.index), percent_bar(family.index), summary)


def _compared(profile: Profile) -> Iterator[tuple[str, list[ProfileRow]]]:
    labels = {family.family: family.label for family in profile.families}
    directed = [feature for feature in profile.features if feature.direction != "neither"]
    for family, features in groupby(directed, key=lambda feature: feature.family):
        yield labels[family], list(map(_feature, features))


def _feature(feature: FeatureStanding) -> ProfileRow:
    value = format_value(feature.value, feature.unit) if feature.value is not None else "–"
    percent = feature.percentile if feature.direction == "neither" else feature.no_better
    if percent is None:
        summary = GAPS[feature.missing or MissingReason.NO_VALUE]
    elif feature.direction == "neither":
        summary = f"{percent}% have at most this value"
    else:
        summary = f"{percent}% do no better"
    return ProfileRow(feature.label, value, percent_dot(percent), summary, feature.meaning)


def _flag(flag: Flag) -> ProfileRow:
    value = format_value(flag.value, flag.unit)
    summary = f"{flag.label}: {value}; threshold {format_value(flag.threshold, flag.unit)}."
    return ProfileRow(flag.question, value, "", summary, flag.why)


def _panel(series: Series, steps: Sequence[Step]) -> SeriesPanel:
    provisional = [series.settles and not step.settled for step in steps]
    floor = _WORST_RATING if series.unit == "stars" else 0.0
    rows = [
        (f"{step.begins} to {_last_day(step)}", _format_series_value(value, series.unit) + (" (may change)" * moves))
        for step, value, moves in zip(steps, series.values, provisional, strict=True)
    ]
    final = [value for value, moves in zip(series.values, provisional, strict=True) if not moves]
    data = SeriesData(series.values, provisional, (steps[0].begins, _last_day(steps[-1])), floor)
    chart = line_chart if series.unit in ("ratio", "stars") else bar_chart
    return SeriesPanel(
        label=series.label,
        meaning=series.meaning,
        latest=_format_series_value(final[-1] if final else None, series.unit),
        note=_note(series, steps),
        chart=chart(data, f"{series.label} in twelve periods of {STEP_DAYS} days; table below"),
        rows=rows,
    )


def _note(series: Series, steps: Sequence[Step]) -> str:
    if series.missing is not None:
        return GAPS[series.missing]
    values = [value for value in series.values if value is not None]
    highest = f"highest {_format_series_value(max(values), series.unit)}" if values else ""
    late = series.data_through is not None and series.data_through < steps[-1].ends
    return f"{highest}, delivered through {series.data_through}" if late else highest


def _table(table: TableCoverage) -> ProfileRow:
    strip = coverage_strip(table.days_by_step, STEP_DAYS)
    days = f"{table.days_with_rows:,} of {_DAYS} days"
    if table.covers_through is None:
        return ProfileRow(table.table.capitalize(), days, strip, GAPS[MissingReason.NOT_DELIVERED])
    age = "1 day old" if table.age_days == 1 else f"{table.age_days} days old"
    since = f"since {table.first_day}" if table.first_day else GAPS[table.missing or MissingReason.NO_ROWS]
    summary = f"{since}; delivered through {table.covers_through}, {age}"
    return ProfileRow(table.table.capitalize(), days, strip, summary)


def _format_series_value(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    if unit == "micro-USD":
        return format_value(value / _MICROS, "USD")
    if unit == "count":
        return f"{value:,.0f}"
    return f"{value:.2f}" if unit == "stars" else format_value(value, unit)


def _last_day(step: Step) -> str:
    return (date.fromisoformat(step.ends) - timedelta(days=1)).isoformat()
