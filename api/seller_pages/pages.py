"""The pages that show: overview and reasons, and what each of them makes of the seller's own score."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Response

from api import errors
from api.self_view import service as self_view
from api.self_view.service import SelfView
from api.seller_pages.reasons import reasons_of
from api.seller_pages.rendering import page
from api.seller_pages.routes import Here, SessionFirst, SignedIn
from api.seller_pages.standing import Lacking, standing_of
from api.services import Services, Wired

router = APIRouter(prefix="/seller", route_class=SessionFirst, include_in_schema=False)


@router.get("")
def show_overview(seller: SignedIn, services: Wired) -> Response:
    """Show the score, where it stands, how it moved and what weighs most."""
    return _of_score("overview.html", "/seller", seller, services)


@router.get("/reasons")
def show_reasons(seller: SignedIn, services: Wired) -> Response:
    """Show every figure with its points."""
    return _of_score("reasons.html", "/seller/reasons", seller, services)


def view_of(seller: Here, services: Services) -> SelfView | None:
    """Return the seller's own score, None where nothing is known of the seller."""
    try:
        return self_view.current(services, seller.subject, datetime.now(UTC))
    except errors.SellerUnknown:
        return None


def unknown(seller: Here, here: str) -> Response:
    """Say that nothing is known yet, and what to do."""
    return page("unknown.html", seller.viewer, here=here)


def _of_score(template: str, here: str, seller: Here, services: Services) -> Response:
    view = view_of(seller, services)
    if view is None:
        return unknown(seller, here)
    bundle, words = services.champion.bundle, seller.viewer.words
    standing = standing_of(view, bundle, words)
    if isinstance(standing, Lacking):
        return page(template, seller.viewer, lacking=standing)
    reasons = reasons_of(view.assessment, bundle, words)
    return page(template, seller.viewer, lacking=None, standing=standing, reasons=reasons)
