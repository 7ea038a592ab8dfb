"""Read-only pages of the seller's own score: overview, reasons, advice, financing and data.

The body of a page is cached as text, by the IDs of everything that it depends on and by language.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import APIRouter, Response
from markupsafe import Markup

from api import errors
from api.kit.cache import TtlCache
from api.products import eligibility
from api.products.repository import ProductVersion, list_active
from api.scores import self_view
from api.scores.self_view import SelfView
from api.scores.self_view_history import PastScore, history_of
from api.services import Services, ServicesDep
from api.web import advice_views, seller_data
from api.web.consent_pages import Access, access_of
from api.web.overview import Overview, access_view, financing_of, history_view, next_step
from api.web.rendering import page, render_template
from api.web.routing import PageContext, SellerPage, SessionRoute
from api.web.score_views import MissingScore, reasons_of, score_overview
from features.errors import StoreError
from features.picture.picture import Picture, picture_of

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/seller", route_class=SessionRoute, include_in_schema=False)

_MESSAGES: Final[TtlCache[Markup]] = TtlCache(2_000)


@router.get("")
def show_overview(seller: SellerPage, services: ServicesDep) -> Response:
    """Show the score, the best offer, the next step, consent requests and past scores."""
    view = self_view_for(seller, services)
    if view is None:
        return _no_data_page(seller, "/seller")
    now = datetime.now(UTC)
    with seller.reading() as connection:
        held = list_active(connection, now)
        access = access_of(connection, seller.subject, now)
        versions = tuple((bank, each.bank_id, each.product_id, each.version) for bank, each in held)
        digest, language = services.champion.bundle.digest, seller.viewer.words.language

        def contents() -> Markup:
            found = _overview(services, seller, view, (held, access, history_of(services, connection, view)), now)
            unscored = found.standing if isinstance(found.standing, MissingScore) else None
            return _as_text("overview", seller, {"overview": found, "unscored": unscored})

        # the IDs in the view's name also determine its history
        body = _MESSAGES.get(("overview", *view.name, digest, versions, access.key, language), contents)
    return page("overview.html", seller.viewer, body=body)


@router.get("/reasons")
def show_reasons(seller: SellerPage, services: ServicesDep) -> Response:
    """Show every figure with its points."""
    return _of_score("reasons", "/seller/reasons", seller, services)


@router.get("/improve")
def show_advice(seller: SellerPage, services: ServicesDep) -> Response:
    """Show what would move the seller up a band."""
    return _of_score("improve", "/seller/improve", seller, services)


@router.get("/products")
def show_products(seller: SellerPage, services: ServicesDep) -> Response:
    """Show the products of all banks: open with limit and price, or what is lacking."""
    view = self_view_for(seller, services)
    if view is None:
        return _no_data_page(seller, "/seller/products")
    now = datetime.now(UTC)
    with seller.reading() as connection:
        held = list_active(connection, now)
    versions = tuple((bank, each.bank_id, each.product_id, each.version) for bank, each in held)

    def said() -> Markup:
        found = eligibility.evaluate_products(services, view.score, held, now)[1]
        return _as_text(
            "products", seller, {"offers": [advice_views.offer_view(each, seller.viewer.words) for each in found]}
        )

    body = _MESSAGES.get(("products", *view.name, versions, seller.viewer.words.language), said)
    return page("products.html", seller.viewer, body=body)


@router.get("/data")
def show_data(seller: SellerPage, services: ServicesDep) -> Response:
    """Show what is held of the seller, and how fresh it is."""
    view = self_view_for(seller, services)
    if view is None:
        return _no_data_page(seller, "/seller/data")
    name = ("data", *view.name, seller.viewer.words.language)
    body = _MESSAGES.get(name, lambda: _as_text("data", seller, _data(seller, services, view)))
    return page("data.html", seller.viewer, body=body)


def self_view_for(seller: PageContext, services: Services) -> SelfView | None:
    """Return the seller's own score, or None for an unknown seller."""
    now = datetime.now(UTC)
    try:
        with seller.reading() as connection:
            found = self_view.find_current(services, connection, seller.subject, now)
        return found or self_view.issue_self_view(services, seller.subject, now)
    except errors.SellerUnknown:
        return None


def _of_score(name: str, here: str, seller: PageContext, services: Services) -> Response:
    view = self_view_for(seller, services)
    if view is None:
        return _no_data_page(seller, here)
    key = (name, *view.name, services.champion.bundle.digest, seller.viewer.words.language)
    body = _MESSAGES.get(key, lambda: _as_text(name, seller, _sections(name, seller, services, view)))
    return page(f"{name}.html", seller.viewer, body=body)


def _as_text(name: str, seller: PageContext, parts: dict[str, Any]) -> Markup:
    # a template of ours, whose every value was escaped as it was filled in
    return Markup(render_template(f"{name}_of_score.html", seller.viewer, **parts))  # noqa: S704


def _sections(name: str, seller: PageContext, services: Services, view: SelfView) -> dict[str, Any]:
    bundle, words = services.champion.bundle, seller.viewer.words
    standing = score_overview(view, bundle, words)
    if isinstance(standing, MissingScore):
        return {"unscored": standing}
    reasons = reasons_of(view.assessment, bundle, words)
    parts: dict[str, Any] = {"unscored": None, "standing": standing, "reasons": reasons}
    if name == "improve":
        parts["advice"] = advice_views.advice_view(advice_views.advice_for(view.score, bundle), bundle, words)
    return parts


def _overview(
    services: Services,
    seller: PageContext,
    view: SelfView,
    stored: tuple[list[tuple[str, ProductVersion]], Access, list[PastScore]],
    now: datetime,
) -> Overview:
    held, access, history = stored
    words = seller.viewer.words
    standing = score_overview(view, services.champion.bundle, words)
    known, offered = eligibility.evaluate_products(services, view.score, held, now)
    financing = financing_of(offered, known.usd_per_unit, words)
    return Overview(
        standing=standing,
        financing=financing,
        step=next_step(standing, financing, access, words),
        access=access_view(access, words),
        history=history_view(history, words),
    )


def _data(seller: PageContext, services: Services, view: SelfView) -> dict[str, Any]:
    words, picture = seller.viewer.words, _picture(services, seller.subject)
    tables = () if picture is None else seller_data.table_rows(picture, words)
    values = json.loads(view.score.inputs)["values"]
    return {
        "tables": tables,
        "missing": any(not each.known for each in tables),
        "sales": None if picture is None else seller_data.sales_series(picture, words),
        "figures": seller_data.feature_rows(services.champion.bundle.sheet.entries, values, words),
        "as_of": words.day(view.assessment["as_of"]),
    }


def _picture(services: Services, seller_id: str) -> Picture | None:
    try:
        found = services.vectors.picture(seller_id)
        return None if found is None else picture_of(*found)
    except StoreError as error:
        logger.warning("no picture can be read: %s", error)
        return None


def _no_data_page(seller: PageContext, here: str) -> Response:
    return page("no_data.html", seller.viewer, here=here)
