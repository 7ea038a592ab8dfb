"""Read-only pages of the seller's own score: overview, reasons, advice, financing and data.

The body of a page is cached as text, by the IDs of everything that it depends on and by language.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Hashable, Sequence
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
from api.web.score_views import MissingScore, reasons_view, score_overview
from features.errors import StoreError
from features.profile.profile import SellerProfile, build_profile

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/seller", route_class=SessionRoute, include_in_schema=False)

_BODIES: Final[TtlCache[Markup]] = TtlCache(2_000)


@router.get("")
def show_overview(seller: SellerPage, services: ServicesDep) -> Response:
    """Show the score, the best offer, the next step, consent requests and past scores."""
    view = self_view_for(seller, services)
    if view is None:
        return _no_data_page(seller, "/seller")
    now = datetime.now(UTC)
    with seller.reading() as connection:
        products = list_active(connection, now)
        access = access_of(connection, seller.subject, now)

        def body() -> Markup:
            history = history_of(services, connection, view)
            overview = _overview(services, seller, view, (products, access, history), now)
            unscored = overview.standing if isinstance(overview.standing, MissingScore) else None
            return _render_body("overview", seller, {"overview": overview, "unscored": unscored})

        # the IDs in the view's name also determine its history
        key = (services.champion.bundle.digest, _versions(products), access.key)
        return _page("overview", seller, view, key, body)


@router.get("/reasons")
def show_reasons(seller: SellerPage, services: ServicesDep) -> Response:
    """Show every figure with its points."""
    return _score_page("reasons", seller, services)


@router.get("/improve")
def show_advice(seller: SellerPage, services: ServicesDep) -> Response:
    """Show the changes that lead to the next band."""
    return _score_page("improve", seller, services)


@router.get("/products")
def show_products(seller: SellerPage, services: ServicesDep) -> Response:
    """Show the products of all banks: open with limit and price, or the unmet criteria."""
    view = self_view_for(seller, services)
    if view is None:
        return _no_data_page(seller, "/seller/products")
    now = datetime.now(UTC)
    with seller.reading() as connection:
        products = list_active(connection, now)

    def body() -> Markup:
        offers = eligibility.evaluate_products(services, view.score, products, now)[1]
        views = [advice_views.offer_view(offer, seller.viewer.translator) for offer in offers]
        return _render_body("products", seller, {"offers": views})

    return _page("products", seller, view, (_versions(products),), body)


@router.get("/data")
def show_data(seller: SellerPage, services: ServicesDep) -> Response:
    """Show the stored data of the seller and their age."""
    view = self_view_for(seller, services)
    if view is None:
        return _no_data_page(seller, "/seller/data")
    return _page("data", seller, view, (), lambda: _render_body("data", seller, _data(seller, services, view)))


def self_view_for(seller: PageContext, services: Services) -> SelfView | None:
    """Return the seller's own score, or None for an unknown seller."""
    now = datetime.now(UTC)
    try:
        with seller.reading() as connection:
            view = self_view.find_current(services, connection, seller.subject, now)
        return view or self_view.issue_self_view(services, seller.subject, now)
    except errors.SellerUnknown:
        return None


def _score_page(name: str, seller: PageContext, services: Services) -> Response:
    view = self_view_for(seller, services)
    if view is None:
        return _no_data_page(seller, f"/seller/{name}")
    key = (services.champion.bundle.digest,)
    return _page(name, seller, view, key, lambda: _render_body(name, seller, _sections(name, seller, services, view)))


def _page(
    name: str, seller: PageContext, view: SelfView, key: tuple[Hashable, ...], body: Callable[[], Markup]
) -> Response:
    """Return a page whose body is cached under its name, the IDs of the view, the key and the language."""
    text = _BODIES.get((name, *view.name, *key, seller.viewer.translator.language), body)
    return page(f"{name}.html", seller.viewer, body=text)


def _versions(products: Sequence[tuple[str, ProductVersion]]) -> tuple[tuple[str, str, str, int], ...]:
    return tuple((bank, item.bank_id, item.product_id, item.version) for bank, item in products)


def _render_body(name: str, seller: PageContext, values: dict[str, Any]) -> Markup:
    # the template escapes every value
    return Markup(render_template(f"{name}_of_score.html", seller.viewer, **values))  # noqa: S704


def _sections(name: str, seller: PageContext, services: Services, view: SelfView) -> dict[str, Any]:
    bundle, translator = services.champion.bundle, seller.viewer.translator
    standing = score_overview(view, bundle, translator)
    if isinstance(standing, MissingScore):
        return {"unscored": standing}
    reasons = reasons_view(view.assessment, bundle, translator)
    values: dict[str, Any] = {"unscored": None, "standing": standing, "reasons": reasons}
    if name == "improve":
        values["advice"] = advice_views.advice_view(advice_views.advice_for(view.score, bundle), bundle, translator)
    return values


def _overview(
    services: Services,
    seller: PageContext,
    view: SelfView,
    stored: tuple[list[tuple[str, ProductVersion]], Access, list[PastScore]],
    now: datetime,
) -> Overview:
    products, access, history = stored
    translator = seller.viewer.translator
    standing = score_overview(view, services.champion.bundle, translator)
    facts, offers = eligibility.evaluate_products(services, view.score, products, now)
    financing = financing_of(offers, facts.usd_per_unit, translator)
    return Overview(
        standing=standing,
        financing=financing,
        step=next_step(standing, financing, access, translator),
        access=access_view(access, translator),
        history=history_view(history, translator),
    )


def _data(seller: PageContext, services: Services, view: SelfView) -> dict[str, Any]:
    translator, profile = seller.viewer.translator, _load_profile(services, seller.subject)
    tables = () if profile is None else seller_data.table_rows(profile, translator)
    values = json.loads(view.score.inputs)["values"]
    return {
        "tables": tables,
        "missing": any(not table.known for table in tables),
        "sales": None if profile is None else seller_data.sales_series(profile, translator),
        "figures": seller_data.feature_rows(services.champion.bundle.sheet.entries, values, translator),
        "as_of": translator.day(view.assessment.as_of),
    }


def _load_profile(services: Services, seller_id: str) -> SellerProfile | None:
    try:
        stored = services.vectors.profile(seller_id)
        return None if stored is None else build_profile(*stored)
    except StoreError as error:
        logger.warning("profile cannot be read: %s", error)
        return None


def _no_data_page(seller: PageContext, here: str) -> Response:
    return page("no_data.html", seller.viewer, here=here)
