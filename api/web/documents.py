"""Printable documents: self-contained HTML files, and the seller profile as such a document.

A document loads nothing, so a saved or printed copy looks the same. The profile document shows the same content as
`GET /v1/sellers/{id}/profile`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Annotated, Final

from fastapi import APIRouter, Response

from api.auth.callers import AuthenticatedRoute, Bank, require_scope
from api.auth.scopes import Scope as Permission
from api.kit.openapi import responses
from api.sellers.endpoints import PROFILE_PROBLEMS, SellerInPath
from api.sellers.schemas import Peers, Profile, Series, Step
from api.sellers.service import open_profile, record_view
from api.services import ServicesDep
from api.web.charts import SeriesData
from api.web.rendering import environment
from features.profile.profile import MissingReason
from features.profile.series import STEP_DAYS, STEPS
from features.store.profiles import PeerScope
from scoring.formatting import Language, format_value

router = APIRouter(prefix="/v1/sellers", tags=["sellers"], route_class=AuthenticatedRoute)

GAPS: Final = {
    MissingReason.NOT_DELIVERED: "not delivered by the platform",
    MissingReason.NO_ROWS: "no data of this seller",
    MissingReason.NO_VALUE: "cannot be computed",
    MissingReason.TOO_FEW_PEERS: "too few peers to compare with",
    MissingReason.NO_DIRECTION: "no figure has a direction",
}
"""Texts for missing values."""

_MICROS: Final = 1_000_000
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
    html = environment(Language.ENGLISH).get_template(f"documents/{template}").render(**values, style=_style())
    return Response(html, headers=dict(_headers()), media_type="text/html")


@cache
def _style() -> str:
    return (files("api.web") / "templates" / "documents" / "document.css").read_text(encoding="utf-8")


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


def profile_document(profile: Profile, now: datetime, max_age_days: int) -> Response:
    """Return the profile as a document; data that are too old for a score get a warning."""
    return render_document(
        "profile.html",
        profile=profile,
        age=(now.astimezone(UTC).date() - date.fromisoformat(profile.as_of)).days,
        max_age_days=max_age_days,
        read_at=now.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        peers=describe_peers(profile.peers),
        panels=[(series, _series_data(series, profile.steps)) for series in profile.series],
        gaps=GAPS,
        days=STEPS * STEP_DAYS,
        days_per_step=STEP_DAYS,
        last_day=_last_day,
        series_value=_format_series_value,
    )


def describe_peers(peers: Peers) -> str:
    """Return the peer group of a seller in words.

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


def _series_data(series: Series, steps: Sequence[Step]) -> SeriesData:
    return SeriesData(
        series.values,
        [series.settles and not step.settled for step in steps],
        (steps[0].begins, _last_day(steps[-1])),
        _WORST_RATING if series.unit == "stars" else 0.0,
    )


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
