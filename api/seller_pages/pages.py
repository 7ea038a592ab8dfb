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
from api.products import service as products
from api.products.repository import Version, everyones
from api.remembered import Remembered
from api.self_view import service as self_view
from api.self_view.history import PastScore, history_of
from api.self_view.service import SelfView
from api.seller_pages import advice, data, offers
from api.seller_pages.agreements import Access, access_of
from api.seller_pages.overview import Overview, access_shown, financing_of, history_shown, next_step
from api.seller_pages.reasons import reasons_of
from api.seller_pages.rendering import page, rendered
from api.seller_pages.routes import Here, SessionFirst, SignedIn
from api.seller_pages.standing import Unscored, standing_of
from api.services import Services, Wired
from features.errors import StoreError
from features.profile.profile import SellerProfile, build_profile

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/seller", route_class=SessionFirst, include_in_schema=False)

_SAID: Final[Remembered[Markup]] = Remembered(2_000)


@router.get("")
def show_overview(seller: SignedIn, services: Wired) -> Response:
    """Show the score, the best offer, the next step, consent requests and past scores."""
    view = view_of(seller, services)
    if view is None:
        return _unknown(seller, "/seller")
    now = datetime.now(UTC)
    with seller.reading() as connection:
        held = everyones(connection, now)
        access = access_of(connection, seller.subject, now)
        versions = tuple((bank, each.bank_id, each.product_id, each.version) for bank, each in held)
        digest, language = services.champion.bundle.digest, seller.viewer.words.language

        def contents() -> Markup:
            found = _overview(services, seller, view, (held, access, history_of(services, connection, view)), now)
            unscored = found.standing if isinstance(found.standing, Unscored) else None
            return _as_text("overview", seller, {"overview": found, "unscored": unscored})

        # the IDs in the view's name also determine its history
        body = _SAID.of(("overview", *view.name, digest, versions, access.key, language), contents)
    return page("overview.html", seller.viewer, body=body)


@router.get("/reasons")
def show_reasons(seller: SignedIn, services: Wired) -> Response:
    """Show every figure with its points."""
    return _of_score("reasons", "/seller/reasons", seller, services)


@router.get("/improve")
def show_advice(seller: SignedIn, services: Wired) -> Response:
    """Show what would move the seller up a band."""
    return _of_score("improve", "/seller/improve", seller, services)


@router.get("/products")
def show_products(seller: SignedIn, services: Wired) -> Response:
    """Show the products of all banks: open with limit and price, or what is lacking."""
    view = view_of(seller, services)
    if view is None:
        return _unknown(seller, "/seller/products")
    now = datetime.now(UTC)
    with seller.reading() as connection:
        held = everyones(connection, now)
    versions = tuple((bank, each.bank_id, each.product_id, each.version) for bank, each in held)

    def said() -> Markup:
        found = products.held_against(services, view.score, held, now)[1]
        return _as_text("products", seller, {"offers": [offers.shown(each, seller.viewer.words) for each in found]})

    body = _SAID.of(("products", *view.name, versions, seller.viewer.words.language), said)
    return page("products.html", seller.viewer, body=body)


@router.get("/data")
def show_data(seller: SignedIn, services: Wired) -> Response:
    """Show what is held of the seller, and how fresh it is."""
    view = view_of(seller, services)
    if view is None:
        return _unknown(seller, "/seller/data")
    name = ("data", *view.name, seller.viewer.words.language)
    body = _SAID.of(name, lambda: _as_text("data", seller, _data(seller, services, view)))
    return page("data.html", seller.viewer, body=body)


def view_of(seller: Here, services: Services) -> SelfView | None:
    """Return the seller's own score, or None for an unknown seller."""
    now = datetime.now(UTC)
    try:
        with seller.reading() as connection:
            found = self_view.standing(services, connection, seller.subject, now)
        return found or self_view.made(services, seller.subject, now)
    except errors.SellerUnknown:
        return None


def _of_score(name: str, here: str, seller: Here, services: Services) -> Response:
    view = view_of(seller, services)
    if view is None:
        return _unknown(seller, here)
    key = (name, *view.name, services.champion.bundle.digest, seller.viewer.words.language)
    body = _SAID.of(key, lambda: _as_text(name, seller, _parts(name, seller, services, view)))
    return page(f"{name}.html", seller.viewer, body=body)


def _as_text(name: str, seller: Here, parts: dict[str, Any]) -> Markup:
    # a template of ours, whose every value was escaped as it was filled in
    return Markup(rendered(f"{name}_of_score.html", seller.viewer, **parts))  # noqa: S704


def _parts(name: str, seller: Here, services: Services, view: SelfView) -> dict[str, Any]:
    bundle, words = services.champion.bundle, seller.viewer.words
    standing = standing_of(view, bundle, words)
    if isinstance(standing, Unscored):
        return {"unscored": standing}
    reasons = reasons_of(view.assessment, bundle, words)
    parts: dict[str, Any] = {"unscored": None, "standing": standing, "reasons": reasons}
    if name == "improve":
        parts["advice"] = advice.shown(advice.advice_for(view.score, bundle), bundle, words)
    return parts


def _overview(
    services: Services,
    seller: Here,
    view: SelfView,
    stored: tuple[list[tuple[str, Version]], Access, list[PastScore]],
    now: datetime,
) -> Overview:
    held, access, history = stored
    words = seller.viewer.words
    standing = standing_of(view, services.champion.bundle, words)
    known, offered = products.held_against(services, view.score, held, now)
    financing = financing_of(offered, known.usd_per_unit, words)
    return Overview(
        standing=standing,
        financing=financing,
        step=next_step(standing, financing, access, words),
        access=access_shown(access, words),
        history=history_shown(history, words),
    )


def _data(seller: Here, services: Services, view: SelfView) -> dict[str, Any]:
    words, picture = seller.viewer.words, _picture(services, seller.subject)
    tables = () if picture is None else data.tables_of(picture, words)
    values = json.loads(view.score.inputs)["values"]
    return {
        "tables": tables,
        "missing": any(not each.known for each in tables),
        "sales": None if picture is None else data.sales_of(picture, words),
        "figures": data.figures_of(services.champion.bundle.sheet.entries, values, words),
        "as_of": words.day(view.assessment["as_of"]),
    }


def _picture(services: Services, seller_id: str) -> SellerProfile | None:
    try:
        found = services.vectors.profile(seller_id)
        return None if found is None else build_profile(*found)
    except StoreError as error:
        logger.warning("no picture can be read: %s", error)
        return None


def _unknown(seller: Here, here: str) -> Response:
    return page("unknown.html", seller.viewer, here=here)
