"""Read-only pages of the seller's own score: overview, reasons, advice, financing and data.

The body of a page is cached as text, by the IDs of everything that it depends on and by language.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import APIRouter, Response
from markupsafe import Markup

from api import errors
from api.kit.cache import TtlCache
from api.products import eligibility
from api.products.repository import ProductVersion, list_active
from api.reviews import repository
from api.reviews.repository import ReviewKind
from api.scores import self_view
from api.scores.inputs import parse_vector
from api.scores.repository import StoredScore
from api.scores.self_view import SelfView
from api.scores.self_view_history import Change, PastScore, history_of
from api.services import Services, ServicesDep
from api.web.charts import HistoryPoint, Segment, SeriesData
from api.web.consent_pages import access_of
from api.web.offers import best_offer, criterion_texts, missing_criteria, nearest_offer
from api.web.outcome_texts import for_seller
from api.web.rendering import page, render_template
from api.web.routing import PageContext, SellerPage, SessionRoute
from api.web.translations import N_, Translator
from features.errors import StoreError
from features.profile.profile import SellerProfile, build_profile
from scoring import Advice, Bundle, Outcome, advise
from scoring.advice import OpenReasonCause, Relation

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/seller", route_class=SessionRoute, include_in_schema=False)

_BODIES: Final[TtlCache[Markup]] = TtlCache(2_000)
_ADVICE: Final[TtlCache[Advice]] = TtlCache(2_000)
"""Advice by score ID and bundle digest; trying all changes is slow."""
_SALES: Final = "net_sales"
_MICROS: Final = 1_000_000
_Values = Callable[[SelfView], dict[str, Any]]
"""Returns the values of a template, for a view that is not in the cache."""


@router.get("")
def show_overview(seller: SellerPage, services: ServicesDep) -> Response:
    """Show the score, the best offer, the next step, consent requests and past scores."""
    now, translator = datetime.now(UTC), seller.viewer.translator
    with seller.reading() as connection:
        products = list_active(connection, services.auth, now)
        access = access_of(services, connection, seller.subject, now)

        def values(view: SelfView) -> dict[str, Any]:
            facts, offers = eligibility.evaluate_products(services, view.score, products, now)
            nearest = nearest_offer(offers)
            review = repository.select_review(connection, view.score.fields.get("review_id", ""))
            return {
                "restored": review is not None and review.kind is ReviewKind.REVERSAL,
                "segments": band_segments(services.champion.bundle, view.assessment.band),
                "best": best_offer(offers, facts.usd_per_unit),
                "others": sum(offer.eligibility.eligible for offer in offers) - 1,
                "nearest": nearest,
                "missing": nearest and missing_criteria(nearest, translator),
                "access": access,
                "history": history_points(history_of(services, connection, view), translator),
            }

        # the IDs in the view's name also determine its history
        return _score_page("overview", seller, services, values, (_versions(products), access.key))


@router.get("/reasons")
def show_reasons(seller: SellerPage, services: ServicesDep) -> Response:
    """Show every figure with its points."""
    return _score_page("reasons", seller, services, lambda _: {})


@router.get("/improve")
def show_advice(seller: SellerPage, services: ServicesDep) -> Response:
    """Show the changes that lead to the next band."""

    def values(view: SelfView) -> dict[str, Any]:
        return {"advice": advice_for(view.score, services.champion.bundle), "relations": RELATIONS, "causes": CAUSES}

    return _score_page("improve", seller, services, values)


@router.get("/products")
def show_products(seller: SellerPage, services: ServicesDep) -> Response:
    """Show the products of all banks: open with limit and price, or the unmet criteria."""
    now = datetime.now(UTC)
    with seller.reading() as connection:
        products = list_active(connection, services.auth, now)

    def values(view: SelfView) -> dict[str, Any]:
        offers = eligibility.evaluate_products(services, view.score, products, now)[1]
        return {"offers": offers, "criterion_texts": criterion_texts}

    return _score_page("products", seller, services, values, (_versions(products),))


@router.get("/data")
def show_data(seller: SellerPage, services: ServicesDep) -> Response:
    """Show the stored data of the seller and their age."""

    def values(view: SelfView) -> dict[str, Any]:
        profile, features = _load_profile(services, seller.subject), json.loads(view.score.inputs)["values"]
        figures = zip(services.champion.bundle.sheet.entries, features, strict=True)
        return {
            "profile": profile,
            "sales": profile and sales_data(profile),
            "figures": [(entry, value) for entry, value in figures if entry.scored],
        }

    return _score_page("data", seller, services, values)


def self_view_for(seller: PageContext, services: Services) -> SelfView | None:
    """Return the seller's own score, or None for an unknown seller."""
    now = datetime.now(UTC)
    try:
        with seller.reading() as connection:
            view = self_view.find_current(services, connection, seller.subject, now)
        return view or self_view.issue_self_view(services, seller.subject, now)
    except errors.SellerUnknown:
        return None


def _score_page(
    name: str, seller: PageContext, services: Services, values: _Values, key: tuple[Hashable, ...] = ()
) -> Response:
    """Return a page whose body is cached under its name, the IDs of the view, the model, the language and the key."""
    view = self_view_for(seller, services)
    if view is None:
        return page("no_data.html", seller.viewer, here="/seller" if name == "overview" else f"/seller/{name}")
    bundle, translator = services.champion.bundle, seller.viewer.translator

    def body() -> Markup:
        assessment, unscored = view.assessment, None
        if assessment.score is None:
            unscored = for_seller(assessment, {entry.name: entry.label for entry in bundle.sheet.entries}, translator)
        shown = {"view": view, "assessment": assessment, "bundle": bundle, "unscored": unscored, **values(view)}
        # the template escapes every value
        return Markup(render_template(f"{name}_of_score.html", seller.viewer, **shown))  # noqa: S704

    text = _BODIES.get((name, *view.name, bundle.digest, translator.language, *key), body)
    return page(f"{name}.html", seller.viewer, body=text)


def _versions(products: Sequence[tuple[str, ProductVersion]]) -> tuple[tuple[str, str, str, int], ...]:
    return tuple((bank, item.bank_id, item.product_id, item.version) for bank, item in products)


def _load_profile(services: Services, seller_id: str) -> SellerProfile | None:
    try:
        stored = services.vectors.profile(seller_id)
        return None if stored is None else build_profile(*stored)
    except StoreError as error:
        logger.warning("profile cannot be read: %s", error)
        return None


def sales_data(profile: SellerProfile) -> SeriesData | None:
    """Return a year of net sales in US dollars, in twelve periods; None if there are no data."""
    series = next(item for item in profile.series if item.series.name == _SALES)
    if series.missing is not None:
        return None
    amounts = [None if value is None else value / _MICROS for value in series.values]
    return SeriesData(amounts, [not step.settled for step in profile.steps], None)


def advice_for(score: StoredScore, bundle: Bundle) -> Advice:
    """Return the advice for a seller's own score, which was issued with this bundle."""
    return _ADVICE.get((score.id, bundle.digest), lambda: advise(bundle, parse_vector(json.loads(score.inputs))))


def band_segments(bundle: Bundle, here: str | None) -> list[Segment]:
    """Return the range of each band on the scale, from the lowest points up, without bands beyond its ends."""
    bands, scale = bundle.policy.bands, bundle.policy.scale
    edges = [float(scale.max)]
    edges += [min(max(scale.points_at(band.up_to), scale.min), scale.max) for band in bands.items if band.up_to < 1.0]
    edges.append(float(scale.min))
    segments = [
        Segment(band.name, low, high, band.name == here)
        for band, high, low in zip(bands.items, edges, edges[1:], strict=False)
    ]
    return [segment for segment in reversed(segments) if segment.high > segment.low or segment.here]


def history_points(scores: Sequence[PastScore], translator: Translator) -> list[HistoryPoint]:
    """Return past scores with their texts in a language."""
    return [
        HistoryPoint(
            past.score,
            past.change in {Change.MODEL, Change.DATA_AND_MODEL},
            translator.day(past.scored_at.date()),
            _result(past, translator),
            translator.translate(CHANGES[past.change]),
        )
        for past in scores
    ]


def _result(past: PastScore, translator: Translator) -> str:
    if past.score is None:
        why = translator.translate(NO_SCORE.get(past.outcome, past.outcome))
        return translator.translate(N_("No score: %(reason)s"), reason=why)
    return translator.translate(N_("%(score)s, band %(band)s"), score=past.score, band=past.band)


CHANGES: Final[Mapping[Change, str]] = {
    Change.FIRST: N_("first score"),
    Change.DATA: N_("new data"),
    Change.MODEL: N_("scoring model updated"),
    Change.DATA_AND_MODEL: N_("new data and updated scoring model"),
    Change.CORRECTION: N_("corrected figure"),
    Change.AGE: N_("the data became too old"),
    Change.RENEWAL: N_("renewed, same data and model"),
}
"""Texts for the change since the previous score."""

NO_SCORE: Final[Mapping[str, str]] = {
    Outcome.INSUFFICIENT_HISTORY: N_("not enough sales history"),
    Outcome.INACTIVE: N_("no recent sales"),
    Outcome.INSUFFICIENT_DATA: N_("data missing"),
    Outcome.STALE_DATA: N_("data out of date"),
}
"""Short texts for outcomes without a score."""

RELATIONS: Final[Mapping[Relation, str]] = {
    Relation.LESSER_COST: N_("This figure also costs points, but it is not one of your main reasons."),
    Relation.NO_COST: N_("This figure does not lower your score today, but a better value would raise it."),
    Relation.BETTER_THAN_TYPICAL: N_(
        "You are already better than typical here. A further improvement still raises your score."
    ),
}
"""Texts for a step that addresses no principal reason."""

CAUSES: Final[Mapping[OpenReasonCause, str]] = {
    OpenReasonCause.CHANGES_SLOWLY: N_("This figure follows from months of business and changes slowly."),
    OpenReasonCause.RARELY_IMPROVED: N_("Sellers of your size rarely get there within %(days)s days. It takes longer."),
    OpenReasonCause.BELOW_SCALE: N_(
        "Your score is at the lowest point of the scale. An improvement helps, but alone it does not raise the score."
    ),
    OpenReasonCause.NEEDS_TABLE: N_("Ask your marketplace to deliver these data."),
    OpenReasonCause.NOT_COMPUTED: N_(
        "It can be computed once there are enough data: after more months of sales, or when your marketplace delivers "
        "what is missing."
    ),
}
"""Texts for a principal reason that no step addresses."""
