"""Views of advice and offers for the seller: verified changes of the score; limit and price or unmet criteria."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from api.kit.cache import TtlCache
from api.products.eligibility import Offer
from api.scores.inputs import parse_vector
from api.scores.repository import StoredScore
from api.web.translations import N_, Translator
from scoring import Advice, AdviceVerdict, Bundle, Criterion, UnmetCriterion, advise
from scoring.advice import Change, OpenReasonCause, Relation

_NOT_PRINCIPAL: Final = {
    Relation.LESSER_COST: N_("This figure also costs points, but it is not one of your main reasons."),
    Relation.NO_COST: N_("This figure does not lower your score today, but a better value would raise it."),
    Relation.BETTER_THAN_TYPICAL: N_(
        "You are already better than typical here. A further improvement still raises your score."
    ),
}


_NO_ADVICE_TEXTS: Final = {
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


@dataclass(frozen=True)
class ChangeView:
    """A change of one figure, from its value to the target."""

    label: str
    group: str
    now: str
    to: str


@dataclass(frozen=True)
class AdvisedChange:
    """A single change and the points that it gains; `note` explains a change of a figure that is not a main reason."""

    change: ChangeView
    points: int
    note: str | None


@dataclass(frozen=True)
class LaterView:
    """A main reason without a step: the points at the typical value, and why it takes longer."""

    statement: str
    points: int
    why: str


@dataclass(frozen=True)
class OptionView:
    """Changes that together lead to a band, with their points."""

    changes: tuple[ChangeView, ...]
    score: int
    points: int
    band: str


@dataclass(frozen=True)
class AdviceView:
    """The advice: verdict, options, single steps, and improvements that take longer."""

    verdict: AdviceVerdict
    now: str | None
    band: str | None
    farthest: int | None
    days: int | None
    options: tuple[OptionView, ...]
    steps: tuple[AdvisedChange, ...]
    later: tuple[LaterView, ...]


_CACHE: Final[TtlCache[Advice]] = TtlCache(2_000)
"""Advice by score ID and bundle digest; trying all changes is slow."""


def advice_for(score: StoredScore, bundle: Bundle) -> Advice:
    """Return the advice for a seller's own score, which was issued with this bundle."""
    return _CACHE.get((score.id, bundle.digest), lambda: advise(bundle, parse_vector(json.loads(score.inputs))))


def advice_view(advice: Advice, bundle: Bundle, translator: Translator) -> AdviceView:
    """Return advice in a language."""

    def view(change: Change) -> ChangeView:
        return ChangeView(
            translator.translate(change.label),
            bundle.reasons.label_of(change.reason_group, translator.language),
            translator.format_value(change.value, change.unit),
            translator.format_value(change.to, change.unit),
        )

    return AdviceView(
        advice.verdict,
        advice.now,
        advice.band,
        advice.farthest,
        advice.days,
        tuple(
            OptionView(tuple(map(view, option.changes)), option.score, option.points, option.band)
            for option in advice.options
        ),
        tuple(
            AdvisedChange(
                view(step.change),
                step.points,
                translator.translate(_NOT_PRINCIPAL[step.relation]) if step.relation in _NOT_PRINCIPAL else None,
            )
            for step in advice.steps
        ),
        tuple(
            LaterView(
                bundle.reasons.statement(item.reason, "seller", translator.language),
                item.reason.gain,
                translator.translate(_NO_ADVICE_TEXTS[item.why], days=advice.days or 0),
            )
            for item in advice.open_reasons
        ),
    )


@dataclass(frozen=True)
class UnmetCriterionView:
    """An unmet criterion and the next step."""

    text: str
    advice: str


@dataclass(frozen=True)
class OfferView:
    """An offer in a language."""

    bank: str
    name: str
    product_id: str
    open: bool
    limit: str
    price: str
    term: str
    unmet: tuple[UnmetCriterionView, ...]


def offer_view(offer: Offer, translator: Translator) -> OfferView:
    """Return an offer in a language."""
    result, product = offer.eligibility, offer.product
    is_open = result.eligible and result.limit is not None and result.price is not None
    return OfferView(
        bank=offer.bank_name,
        name=product.name,
        product_id=offer.product_id,
        open=is_open,
        limit=translator.money(result.limit or 0, product.currency),
        price=translator.percent(result.price or 0.0, 2),
        term=translator.count("%(n)s day", "%(n)s days", product.term_days),
        unmet=tuple(_unmet_view(unmet, offer, translator) for unmet in result.unmet),
    )


def missing_criteria(offer: Offer, translator: Translator) -> str:
    """Return one sentence with the unmet criteria of an offer.

    Example: "Still missing: band C or better and 4.5 more months of trading."
    """
    needs = [
        translator.translate(_select(_CRITERIA[unmet.criterion].short, unmet), **_values(unmet, offer, translator))
        for unmet in offer.eligibility.unmet
    ]
    return translator.translate(N_("Still missing: %(list)s."), list=translator.listing(needs))


def _unmet_view(unmet: UnmetCriterion, offer: Offer, translator: Translator) -> UnmetCriterionView:
    texts = _CRITERIA[unmet.criterion]
    text = translator.translate(_select(texts.full, unmet), **_values(unmet, offer, translator))
    return UnmetCriterionView(text, translator.translate(texts.next_step))


def _select(texts: tuple[str, str], unmet: UnmetCriterion) -> str:
    known, unknown = texts
    return unknown if unmet.found is None else known


def _values(unmet: UnmetCriterion, offer: Offer, translator: Translator) -> dict[str, str]:
    """Return the values of the texts of a criterion.

    The seller's value is rounded down, so that the three numbers add up and the gap is not understated.
    """
    match unmet.criterion:
        case Criterion.BAND:
            steps = translator.count("%(n)s band", "%(n)s bands", int(unmet.gap or 0))
            return {"needed": str(unmet.needed), "found": str(unmet.found), "steps": steps}
        case Criterion.COUNTRY:
            names = translator.locale.territories
            needed = translator.listing([names.get(code, code) for code in str(unmet.needed).split(", ")])
            return {"needed": needed, "found": names.get(str(unmet.found), str(unmet.found))}
        case Criterion.MONTHS_TRADING:
            months = float(unmet.needed)
            found = math.floor(10 * float(unmet.found or 0)) / 10
            return {
                "needed": translator.number(months),
                "found": translator.number(found),
                "gap": translator.number(round(months - found, 1)),
            }
        case Criterion.MONTHLY_SALES:
            amount, sold = math.ceil(float(unmet.needed)), math.floor(float(unmet.found or 0))
            amounts = {"needed": amount, "found": sold, "gap": amount - sold}
            return {name: translator.money(value, offer.product.currency) for name, value in amounts.items()}
    return {"needed": str(unmet.needed)}


@dataclass(frozen=True)
class _CriterionTexts:
    """The texts of a criterion: (if the seller's value is known, if it is not), and the next step."""

    full: tuple[str, str]
    short: tuple[str, str]
    next_step: str


_SCORE: Final = N_("A score in band %(needed)s or better is required. You have no score now.")
_SCORE_SHORT: Final = N_("a score in band %(needed)s or better")
_BANDS: Final = N_("The bank has not yet updated this offer to the current bands.")
_BANDS_SHORT: Final = N_("an update of the offer by the bank")
_BAND: Final = N_("Band %(needed)s or better is required. You are in band %(found)s, %(steps)s below.")
_BAND_SHORT: Final = N_("band %(needed)s or better (you are in %(found)s)")
_COUNTRY_SHORT: Final = N_("a business in %(needed)s")
_CHECKS: Final = N_("Your sales could not be checked against visits, parcels and buyers, so they do not count.")
_CHECKS_SHORT: Final = N_("visit and parcel data to check your sales")
_CRITERIA: Final[Mapping[Criterion, _CriterionTexts]] = {
    Criterion.SCORE: _CriterionTexts(
        (_SCORE, _SCORE), (_SCORE_SHORT, _SCORE_SHORT), N_("The overview shows what is missing.")
    ),
    Criterion.BANDS: _CriterionTexts(
        (_BANDS, _BANDS),
        (_BANDS_SHORT, _BANDS_SHORT),
        N_("Check again in a few days. You do not need to do anything."),
    ),
    Criterion.BAND: _CriterionTexts(
        (_BAND, _BAND), (_BAND_SHORT, _BAND_SHORT), N_("“Improve” shows what leads to the next band.")
    ),
    Criterion.COUNTRY: _CriterionTexts(
        (
            N_("It is for sellers in %(needed)s. You are in %(found)s."),
            N_("It is for sellers in %(needed)s. We do not have your country on record."),
        ),
        (_COUNTRY_SHORT, _COUNTRY_SHORT),
        N_("Ask your marketplace to check the country of your account."),
    ),
    Criterion.MONTHS_TRADING: _CriterionTexts(
        (
            N_("%(needed)s months of trading are required. You have %(found)s, so %(gap)s are missing."),
            N_("%(needed)s months of trading are required. Yours are not known."),
        ),
        (N_("%(gap)s more months of trading"), N_("%(needed)s months of trading")),
        N_("Keep selling. You will meet this requirement in time."),
    ),
    Criterion.CHECKED_SALES: _CriterionTexts(
        (_CHECKS, _CHECKS),
        (_CHECKS_SHORT, _CHECKS_SHORT),
        N_("Ask your marketplace to share your visits and the tracking of your parcels."),
    ),
    Criterion.MONTHLY_SALES: _CriterionTexts(
        (
            N_(
                "Monthly sales of %(needed)s after refunds are required. %(found)s of yours count, so %(gap)s are "
                "missing."
            ),
            N_("Monthly sales of %(needed)s after refunds are required. Yours are not known."),
        ),
        (N_("%(gap)s more monthly sales after refunds"), N_("monthly sales of %(needed)s after refunds")),
        N_("Sales count after thirty days, minus refunds."),
    ),
}
