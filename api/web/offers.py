"""Offers of banks for the seller: the best and the nearest one, and the texts of unmet criteria."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from api.products.eligibility import Offer
from api.web.translations import N_, Translator
from scoring import Criterion, UnmetCriterion

_OUT_OF_REACH: Final = frozenset({Criterion.COUNTRY, Criterion.BANDS})


def best_offer(offers: Sequence[Offer], usd_per_unit: Mapping[str, float]) -> Offer | None:
    """Return the open offer with the largest amount; among equal amounts the one with the lowest annual rate.

    Amounts are compared in US dollars at the rates that were stored with the score.
    """

    def order(offer: Offer) -> tuple[float, float, str, str]:
        amount = (offer.eligibility.limit or 0) * usd_per_unit.get(offer.product.currency, 0.0)
        return -amount, offer.eligibility.price or 0.0, offer.bank_name, offer.product_id

    return min((offer for offer in offers if offer.eligibility.eligible), key=order, default=None)


def nearest_offer(offers: Sequence[Offer]) -> Offer | None:
    """Return the closed offer that is nearest to being open.

    Offers that the seller cannot open (another country, outdated bands) are last. The order of the others is: fewest
    unmet criteria, smallest relative gaps, most admitted bands.
    """

    def order(offer: Offer) -> tuple[int, int, float, int, str, str]:
        unmet = offer.eligibility.unmet
        out_of_reach = sum(item.criterion in _OUT_OF_REACH for item in unmet)
        admitted = len(offer.product.prices)
        return out_of_reach, len(unmet), sum(map(_relative_gap, unmet)), -admitted, offer.bank_name, offer.product_id

    return min((offer for offer in offers if not offer.eligibility.eligible), key=order, default=None)


def _relative_gap(unmet: UnmetCriterion) -> float:
    if unmet.gap is None or isinstance(unmet.needed, str):
        return 1.0 if unmet.gap is None else unmet.gap
    return unmet.gap / max(unmet.needed, 1.0)


def missing_criteria(offer: Offer, translator: Translator) -> str:
    """Return one sentence with the unmet criteria of an offer.

    Example: "Still missing: band C or better and 4.5 more months of trading."
    """
    needs = [criterion_texts(unmet, offer, translator)[1] for unmet in offer.eligibility.unmet]
    return translator.translate(N_("Still missing: %(list)s."), list=translator.listing(needs))


def criterion_texts(unmet: UnmetCriterion, offer: Offer, translator: Translator) -> tuple[str, str, str]:
    """Return an unmet criterion as a sentence and as a part of one, and the next step."""
    texts = _CRITERIA[unmet.criterion]
    full, short = texts.known if unmet.found is not None else texts.unknown or texts.known
    values = _values(unmet, offer, translator)
    return (
        translator.translate(full, **values),
        translator.translate(short, **values),
        translator.translate(texts.next_step),
    )


def _values(unmet: UnmetCriterion, offer: Offer, translator: Translator) -> dict[str, str]:
    """Return the values of the texts of a criterion.

    The seller's value is rounded down, so that the three numbers add up and the gap is not understated.
    """
    needed: Any = unmet.needed
    found: Any = unmet.found or 0
    match unmet.criterion:
        case Criterion.BAND:
            steps = translator.count("%(n)s band", "%(n)s bands", int(unmet.gap or 0))
            return {"needed": needed, "found": found, "steps": steps}
        case Criterion.COUNTRY:
            names = translator.locale.territories
            countries = translator.listing([names.get(code, code) for code in needed.split(", ")])
            return {"needed": countries, "found": names.get(found, str(found))}
        case Criterion.MONTHS_TRADING:
            months = math.floor(10 * found) / 10
            values = {"needed": needed, "found": months, "gap": round(needed - months, 1)}
            return {name: translator.number(value) for name, value in values.items()}
        case Criterion.MONTHLY_SALES:
            amount, sold = math.ceil(needed), math.floor(found)
            values = {"needed": amount, "found": sold, "gap": amount - sold}
            return {name: translator.money(value, offer.product.currency) for name, value in values.items()}
    return {"needed": str(needed)}


@dataclass(frozen=True)
class _CriterionTexts:
    """The texts of a criterion: a sentence and a part of one, and the next step; other texts if a value is unknown."""

    known: tuple[str, str]
    next_step: str
    unknown: tuple[str, str] | None = None


_CRITERIA: Final[Mapping[Criterion, _CriterionTexts]] = {
    Criterion.SCORE: _CriterionTexts(
        (
            N_("A score in band %(needed)s or better is required. You have no score now."),
            N_("a score in band %(needed)s or better"),
        ),
        N_("The overview shows what is missing."),
    ),
    Criterion.BANDS: _CriterionTexts(
        (N_("The bank has not yet updated this offer to the current bands."), N_("an update of the offer by the bank")),
        N_("Check again in a few days. You do not need to do anything."),
    ),
    Criterion.BAND: _CriterionTexts(
        (
            N_("Band %(needed)s or better is required. You are in band %(found)s, %(steps)s below."),
            N_("band %(needed)s or better (you are in %(found)s)"),
        ),
        N_("“Improve” shows what leads to the next band."),
    ),
    Criterion.COUNTRY: _CriterionTexts(
        (N_("It is for sellers in %(needed)s. You are in %(found)s."), N_("a business in %(needed)s")),
        N_("Ask your marketplace to check the country of your account."),
        (
            N_("It is for sellers in %(needed)s. We do not have your country on record."),
            N_("a business in %(needed)s"),
        ),
    ),
    Criterion.MONTHS_TRADING: _CriterionTexts(
        (
            N_("%(needed)s months of trading are required. You have %(found)s, so %(gap)s are missing."),
            N_("%(gap)s more months of trading"),
        ),
        N_("Keep selling. You will meet this requirement in time."),
        (
            N_("%(needed)s months of trading are required. Yours are not known."),
            N_("%(needed)s months of trading"),
        ),
    ),
    Criterion.CHECKED_SALES: _CriterionTexts(
        (
            N_("Your sales could not be checked against visits, parcels and buyers, so they do not count."),
            N_("visit and parcel data to check your sales"),
        ),
        N_("Ask your marketplace to share your visits and the tracking of your parcels."),
    ),
    Criterion.MONTHLY_SALES: _CriterionTexts(
        (
            N_(
                "Monthly sales of %(needed)s after refunds are required. %(found)s of yours count, so %(gap)s are "
                "missing."
            ),
            N_("%(gap)s more monthly sales after refunds"),
        ),
        N_("Sales count after thirty days, minus refunds."),
        (
            N_("Monthly sales of %(needed)s after refunds are required. Yours are not known."),
            N_("monthly sales of %(needed)s after refunds"),
        ),
    ),
}
