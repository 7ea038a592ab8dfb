"""The pages that show: overview, reasons, advice, financing and data; each of the seller's own score."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter, Response

from api import errors
from api.database import transaction
from api.products import service as products
from api.self_view import service as self_view
from api.self_view.service import SelfView
from api.seller_pages import advice as advice_of
from api.seller_pages import data
from api.seller_pages import offers as offers_in
from api.seller_pages.reasons import reasons_of
from api.seller_pages.rendering import page
from api.seller_pages.routes import Here, SessionFirst, SignedIn
from api.seller_pages.standing import Lacking, standing_of
from api.services import Services, Wired
from features.errors import StoreError
from features.picture.picture import Picture, picture_of

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/seller", route_class=SessionFirst, include_in_schema=False)

_ADVICE: Final = advice_of.Remembered()


@router.get("")
def show_overview(seller: SignedIn, services: Wired) -> Response:
    """Show the score, where it stands, how it moved and what weighs most."""
    return _of_score("overview.html", "/seller", seller, services)


@router.get("/reasons")
def show_reasons(seller: SignedIn, services: Wired) -> Response:
    """Show every figure with its points."""
    return _of_score("reasons.html", "/seller/reasons", seller, services)


@router.get("/improve")
def show_advice(seller: SignedIn, services: Wired) -> Response:
    """Show what would move the seller up a band."""
    view = view_of(seller, services)
    if view is None:
        return unknown(seller, "/seller/improve")
    bundle, words = services.champion.bundle, seller.viewer.words
    standing = standing_of(view, bundle, words)
    if isinstance(standing, Lacking):
        return page("improve.html", seller.viewer, lacking=standing)
    advice = advice_of.shown(_ADVICE.of(view.score, bundle), words)
    reasons = reasons_of(view.assessment, bundle, words)
    return page("improve.html", seller.viewer, lacking=None, advice=advice, reasons=reasons)


@router.get("/products")
def show_products(seller: SignedIn, services: Wired) -> Response:
    """Show the products of all banks: open with limit and price, or what is lacking."""
    view = view_of(seller, services)
    if view is None:
        return unknown(seller, "/seller/products")
    with transaction(services.engine) as connection:
        found = products.offers(connection, services, view.score)
    offers = [offers_in.shown(each, seller.viewer.words) for each in found]
    is_open, closed = [each for each in offers if each.open], [each for each in offers if not each.open]
    return page("products.html", seller.viewer, offers=offers, open=is_open, closed=closed)


@router.get("/data")
def show_data(seller: SignedIn, services: Wired) -> Response:
    """Show what is held of the seller, and how fresh it is."""
    view = view_of(seller, services)
    if view is None:
        return unknown(seller, "/seller/data")
    words = seller.viewer.words
    picture = _picture(services, seller.subject)
    tables = () if picture is None else data.tables_of(picture, words)
    sales = None if picture is None else data.sales_of(picture, words)
    inputs = json.loads(view.score.inputs)
    figures = data.figures_of(services.champion.bundle.sheet.entries, inputs["values"], words)
    missing = any(not each.known for each in tables)
    parts = {"tables": tables, "missing": missing, "sales": sales, "figures": figures}
    return page("data.html", seller.viewer, as_of=words.day(view.assessment["as_of"]), **parts)


def view_of(seller: Here, services: Services) -> SelfView | None:
    """Return the seller's own score, None where nothing is known of the seller."""
    try:
        return self_view.current(services, seller.subject, datetime.now(UTC))
    except errors.SellerUnknown:
        return None


def unknown(seller: Here, here: str) -> Response:
    """Say that nothing is known yet, and what to do."""
    return page("unknown.html", seller.viewer, here=here)


def _picture(services: Services, seller_id: str) -> Picture | None:
    try:
        found = services.vectors.picture(seller_id)
        return None if found is None else picture_of(*found)
    except StoreError as error:
        logger.warning("no picture can be read: %s", error)
        return None


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
