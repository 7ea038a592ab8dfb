"""Review pages: a seller requests reviews and reads decisions; an operator lists, assigns and decides them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Form, Query, Response
from sqlalchemy import Connection

from api import errors
from api.kit.cache import TtlCache
from api.reviews import corrections, repository, service
from api.reviews.corrections import Figure, Preview
from api.reviews.ranges import allowed_range
from api.reviews.repository import Review, ReviewKind, ReviewOutcome, ReviewQuery, ReviewState
from api.reviews.service import LONGEST_STATEMENT, Decision, ReviewDraft
from api.scores import self_view
from api.scores.inputs import corrections_of
from api.services import Services, ServicesDep
from api.web.rendering import page, redirect
from api.web.routing import OperatorPage, PageContext, SellerPage, SessionRoute
from api.web.score_pages import self_view_for
from api.web.translations import Translator
from scoring import Bundle
from scoring.sheet import FeatureEntry

seller_router = APIRouter(prefix="/seller/reviews", route_class=SessionRoute, include_in_schema=False)
_MOST_SHOWN: Final = 50
_FEATURE_LABELS: Final[TtlCache[Mapping[str, str]]] = TtlCache(10)


@seller_router.get("")
def show_reviews(
    seller: SellerPage,
    services: ServicesDep,
    done: Annotated[str, Query(max_length=20)] = "",
    feature: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """Show a form for a review, and earlier reviews."""
    translator = seller.viewer.translator
    with seller.reading() as connection:
        reviews = repository.latest(connection, seller.subject, _MOST_SHOWN)
    features = feature_labels(services.champion.bundle, translator)
    values = {"reviews": reviews, "features": features, "chosen": feature, "done": done, "now": datetime.now(UTC)}
    return page("reviews.html", seller.viewer, **values, longest=LONGEST_STATEMENT)


def feature_labels(bundle: Bundle, translator: Translator) -> Mapping[str, str]:
    """Return the label of every feature in a language."""
    entries = bundle.sheet.entries
    return _FEATURE_LABELS.get(
        (bundle.digest, translator.language),
        lambda: {entry.name: translator.translate(entry.label) for entry in entries},
    )


@seller_router.post("")
def request_review(
    seller: SellerPage,
    services: ServicesDep,
    statement: Annotated[str, Form(max_length=2 * LONGEST_STATEMENT)],
    feature: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Open a dispute of a figure, or a review of the score if no figure is selected."""
    try:
        view = self_view_for(seller, services)
    except errors.VectorsUnavailable:
        view = None
    draft = ReviewDraft(seller.subject, feature or None, view.score.id if view else None, statement)
    with services.auth.sessions.session_transaction(seller.signed_in) as connection:
        service.open_review(connection, services, draft)
    return redirect("/seller/reviews?done=asked")


operator_router = APIRouter(prefix="/operator", route_class=SessionRoute, include_in_schema=False)
_SHOWN: Final = 100


@operator_router.get("")
def show_queue(
    operator: OperatorPage, services: ServicesDep, done: Annotated[str, Query(max_length=20)] = ""
) -> Response:
    """Show the reviews without a decision, earliest deadline first, and recent decisions."""
    now = datetime.now(UTC)
    with operator.reading() as connection:
        waiting, late = repository.counts(connection, now)
        by_state = [
            repository.list_reviews(
                connection, ReviewQuery(None, state, None, _SHOWN, oldest_first=state is not ReviewState.DECIDED)
            )
            for state in ReviewState
        ]
    queue = sorted([*by_state[0], *by_state[1]], key=lambda review: review.due_at)
    values = {"queue": queue, "decided": by_state[2], "waiting": waiting, "late": late, "done": done, "now": now}
    features = feature_labels(services.champion.bundle, operator.viewer.translator)
    return page("review_queue.html", operator.viewer, **values, features=features)


@operator_router.get("/reviews/{review_id}")
def show_review(
    operator: OperatorPage, services: ServicesDep, review_id: UUID, done: Annotated[str, Query(max_length=20)] = ""
) -> Response:
    """Show a review with its figure and a form to decide it."""
    translator, bundle = operator.viewer.translator, services.champion.bundle
    with operator.reading() as connection:
        review = service.find_review(connection, str(review_id))
        raw = _feature_values(services, connection, review.seller_id)
        corrected = _active_corrections(services, connection, review.seller_id)
        saved = corrections_of(connection, review.seller_id) if review.outcome is ReviewOutcome.CORRECTED else ()
    correction = next((each for each in saved if each.review_id == review.id), None)
    figure = review.feature if correction is None else correction.feature
    units = {entry.name: entry.unit for entry in bundle.sheet.entries}
    values = {
        "review": review,
        "features": feature_labels(bundle, translator),
        "values": {name: translator.format_value(value, units[name]) for name, value in raw.items()},
        "raw": raw.get(review.feature or ""),
        "range": _range_of(bundle, translator, review.feature, raw),
        "correction": correction,
        # a former model may have had other figures
        "shown": lambda value: _format_value(translator, units.get(figure or "", ""), value),
        "reversible": review.id in corrected and review.kind is not ReviewKind.REVERSAL,
        "done": done,
        "now": datetime.now(UTC),
        "longest": LONGEST_STATEMENT,
    }
    return page("review.html", operator.viewer, **values)


@operator_router.post("/reviews/{review_id}/take")
def take_review(operator: OperatorPage, services: ServicesDep, review_id: UUID) -> Response:
    """Assign a review to the operator."""
    service.assign(services, str(review_id), operator.subject)
    return redirect(f"/operator/reviews/{review_id}?done=taken")


@operator_router.post("/reviews/{review_id}/decide")
def decide_on_review(
    operator: OperatorPage,
    services: ServicesDep,
    review_id: UUID,
    outcome: Annotated[ReviewOutcome, Form()],
    reason: Annotated[str, Form(max_length=2 * LONGEST_STATEMENT)],
    *,
    feature: Annotated[str, Form(max_length=100)] = "",
    value: Annotated[str, Form(max_length=40)] = "",
    save: Annotated[bool, Form()] = False,
    confirm_band: Annotated[str, Form(max_length=100)] = "",
    confirm_value: Annotated[bool, Form()] = False,
) -> Response:
    """Decide a review. A correction is shown with its effect before it is saved."""
    corrected = _parse_number(value) if outcome is ReviewOutcome.CORRECTED else None
    if outcome is ReviewOutcome.CORRECTED and not save:
        with operator.reading() as connection:
            review = service.find_review(connection, str(review_id))
            figure = Figure(review.seller_id, feature or review.feature, corrected)
            preview = corrections.preview_correction(services, connection, figure, datetime.now(UTC))
        fields = {"outcome": outcome, "reason": reason, "feature": feature, "value": value}
        return _show_preview(operator, services, review, preview, action="decide", fields=fields)
    decision = Decision(outcome, reason, feature or None, corrected, confirm_band or None, confirm_value)
    service.decide_review(services, str(review_id), operator.subject, decision)
    return redirect("/operator?done=decided")


@operator_router.post("/reviews/{review_id}/reverse")
def reverse_decision(
    operator: OperatorPage,
    services: ServicesDep,
    review_id: UUID,
    reason: Annotated[str, Form(max_length=2 * LONGEST_STATEMENT)],
    *,
    save: Annotated[bool, Form()] = False,
    confirm_band: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Restore the delivered value of a corrected figure. The effect is shown before it is saved."""
    if not save:
        with operator.reading() as connection:
            review = service.find_review(connection, str(review_id))
            preview = corrections.preview_reversal(services, connection, review.seller_id, review.id, datetime.now(UTC))
        return _show_preview(operator, services, review, preview, action="reverse", fields={"reason": reason})
    service.reverse_decision(services, str(review_id), operator.subject, reason, confirm_band=confirm_band or None)
    return redirect("/operator?done=reversed")


def _show_preview(
    operator: PageContext,
    services: Services,
    review: Review,
    preview: Preview,
    *,
    action: str,
    fields: Mapping[str, str],
) -> Response:
    translator, entry = operator.viewer.translator, preview.entry
    corrections.log_preview(preview, review.id, operator.subject)
    values = {
        "review": review,
        "preview": preview,
        "label": feature_labels(services.champion.bundle, translator)[entry.name],
        "range": _format_range(translator, entry, preview.low, preview.high),
        "shown": lambda value: _format_value(translator, entry.unit, value),
        "action": action,
        "fields": fields,
    }
    return page("review_preview.html", operator.viewer, **values)


def _format_value(translator: Translator, unit: str, value: float | None) -> str:
    shown = translator.format_value(value, unit)
    return shown if value is None else f"{value:.6g} ({shown})"


def _format_range(translator: Translator, entry: FeatureEntry, low: float, high: float) -> str:
    return " – ".join(f"{value:.10g} ({translator.format_value(value, entry.unit)})" for value in (low, high))


def _range_of(
    bundle: Bundle, translator: Translator, feature: str | None, values: Mapping[str, float | None]
) -> str | None:
    """Return the allowed range of a disputed figure; None if none is disputed or it is not in the model."""
    entry = next((entry for entry in bundle.sheet.entries if entry.name == feature), None)
    if entry is None:
        return None
    return _format_range(translator, entry, *allowed_range(entry, values.get(entry.name)))


def _active_corrections(services: Services, connection: Connection, seller_id: str) -> set[str]:
    """Return the IDs of the reviews whose corrections the current figures use."""
    try:
        current = self_view.latest_inputs(services, connection, seller_id, datetime.now(UTC))
    except (errors.SellerUnknown, errors.VectorsUnavailable):
        return set()
    return {correction.review_id for correction in current.corrections}


def _feature_values(services: Services, connection: Connection, seller_id: str) -> dict[str, float | None]:
    names = services.champion.bundle.sheet.names
    try:
        values = self_view.latest_inputs(services, connection, seller_id, datetime.now(UTC)).stored.values
    except (errors.SellerUnknown, errors.VectorsUnavailable):
        return {}
    return dict(zip(names, values, strict=True)) if len(names) == len(values) else {}


def _parse_number(text: str) -> float | None:
    try:
        return float(text.strip())
    except ValueError:
        return None
