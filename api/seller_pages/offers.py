"""Financing products in words: open with limit and price, or each criterion that is not met and how far off. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from api.products.service import Offer
from api.seller_pages.words import N_, Words
from scoring import Criterion, UnmetCriterion


@dataclass(frozen=True)
class Hurdle:
    """One criterion that is not met, and what to do about it."""

    said: str
    advice: str


@dataclass(frozen=True)
class OfferShown:
    """A product as the seller reads it."""

    bank: str
    name: str
    product_id: str
    open: bool
    limit: str
    price: str
    term: str
    hurdles: tuple[Hurdle, ...]


def shown(offer: Offer, words: Words) -> OfferShown:
    """Return an offer in a language."""
    found, product = offer.eligibility, offer.product
    is_open = found.eligible and found.limit is not None and found.price is not None
    return OfferShown(
        bank=offer.bank_name,
        name=product.name,
        product_id=offer.product_id,
        open=is_open,
        limit=words.money(found.limit or 0, product.currency),
        price=words.percent(found.price or 0.0, 2),
        term=words.count("%(n)s day", "%(n)s days", product.term_days),
        hurdles=tuple(_hurdle(each, offer, words) for each in found.unmet),
    )


def missing(offer: Offer, words: Words) -> str:
    """Return in one sentence what a closed offer still needs.

    Example: "Still missing: band C or better and 4.5 more months of trading."
    """
    needs = [_NEEDS[each.criterion](each, offer, words) for each in offer.eligibility.unmet]
    return words.say(N_("Still missing: %(list)s."), list=words.listing(needs))


def _hurdle(unmet: UnmetCriterion, offer: Offer, words: Words) -> Hurdle:
    return Hurdle(_SAYS[unmet.criterion](unmet, offer, words), words.say(_ADVICE[unmet.criterion]))


def _score(unmet: UnmetCriterion, _: Offer, words: Words) -> str:
    return words.say(N_("A score in band %(band)s or better is required. You have no score now."), band=unmet.needed)


def _bands(_: UnmetCriterion, __: Offer, words: Words) -> str:
    return words.say(N_("The bank has not yet updated this offer to the current bands."))


def _band(unmet: UnmetCriterion, _: Offer, words: Words) -> str:
    steps = words.count("%(n)s band", "%(n)s bands", int(unmet.gap or 0))
    return words.say(
        N_("Band %(needed)s or better is required. You are in band %(found)s, %(steps)s below."),
        needed=unmet.needed,
        found=unmet.found,
        steps=steps,
    )


def _country(unmet: UnmetCriterion, _: Offer, words: Words) -> str:
    names, needed = words.locale.territories, _countries(unmet, words)
    if unmet.found is None:
        return words.say(N_("It is for sellers in %(needed)s. We do not have your country on record."), needed=needed)
    found = names.get(str(unmet.found), str(unmet.found))
    return words.say(N_("It is for sellers in %(needed)s. You are in %(found)s."), needed=needed, found=found)


def _countries(unmet: UnmetCriterion, words: Words) -> str:
    names = words.locale.territories
    return words.listing([names.get(code, code) for code in str(unmet.needed).split(", ")])


def _months(unmet: UnmetCriterion, _: Offer, words: Words) -> str:
    needed = float(unmet.needed)
    if unmet.found is None:
        return words.say(
            N_("%(needed)s months of trading are required. Yours are not known."), needed=words.number(needed)
        )
    # found is rounded down, so that the three numbers add up and the gap is never understated
    found = math.floor(10 * float(unmet.found)) / 10
    return words.say(
        N_("%(needed)s months of trading are required. You have %(found)s, so %(gap)s are missing."),
        needed=words.number(needed),
        found=words.number(found),
        gap=words.number(round(needed - found, 1)),
    )


def _checked(_: UnmetCriterion, __: Offer, words: Words) -> str:
    return words.say(N_("Your sales could not be checked against visits, parcels and buyers, so they do not count."))


def _sales(unmet: UnmetCriterion, offer: Offer, words: Words) -> str:
    currency = offer.product.currency
    needed = math.ceil(float(unmet.needed))
    if unmet.found is None:
        said = words.money(needed, currency)
        return words.say(
            N_("Monthly sales of %(needed)s after refunds are required. Yours are not known."), needed=said
        )
    found = math.floor(float(unmet.found))
    return words.say(
        N_("Monthly sales of %(needed)s after refunds are required. %(found)s of yours count, so %(gap)s are missing."),
        needed=words.money(needed, currency),
        found=words.money(found, currency),
        gap=words.money(needed - found, currency),
    )


def _needs_score(unmet: UnmetCriterion, _: Offer, words: Words) -> str:
    return words.say(N_("a score in band %(band)s or better"), band=unmet.needed)


def _needs_bands(_: UnmetCriterion, __: Offer, words: Words) -> str:
    return words.say(N_("an update of the offer by the bank"))


def _needs_band(unmet: UnmetCriterion, _: Offer, words: Words) -> str:
    return words.say(N_("band %(needed)s or better (you are in %(found)s)"), needed=unmet.needed, found=unmet.found)


def _needs_country(unmet: UnmetCriterion, _: Offer, words: Words) -> str:
    return words.say(N_("a business in %(countries)s"), countries=_countries(unmet, words))


def _needs_months(unmet: UnmetCriterion, _: Offer, words: Words) -> str:
    if unmet.found is None:
        return words.say(N_("%(months)s months of trading"), months=words.number(float(unmet.needed)))
    gap = float(unmet.needed) - math.floor(10 * float(unmet.found)) / 10
    return words.say(N_("%(months)s more months of trading"), months=words.number(round(gap, 1)))


def _needs_checks(_: UnmetCriterion, __: Offer, words: Words) -> str:
    return words.say(N_("visit and parcel data to check your sales"))


def _needs_sales(unmet: UnmetCriterion, offer: Offer, words: Words) -> str:
    currency, needed = offer.product.currency, math.ceil(float(unmet.needed))
    if unmet.found is None:
        return words.say(N_("monthly sales of %(amount)s after refunds"), amount=words.money(needed, currency))
    gap = words.money(needed - math.floor(float(unmet.found)), currency)
    return words.say(N_("%(amount)s more monthly sales after refunds"), amount=gap)


_NEEDS: Final[Mapping[Criterion, Callable[[UnmetCriterion, Offer, Words], str]]] = {
    Criterion.SCORE: _needs_score,
    Criterion.BANDS: _needs_bands,
    Criterion.BAND: _needs_band,
    Criterion.COUNTRY: _needs_country,
    Criterion.MONTHS_TRADING: _needs_months,
    Criterion.CHECKED_SALES: _needs_checks,
    Criterion.MONTHLY_SALES: _needs_sales,
}
_SAYS: Final[Mapping[Criterion, Callable[[UnmetCriterion, Offer, Words], str]]] = {
    Criterion.SCORE: _score,
    Criterion.BANDS: _bands,
    Criterion.BAND: _band,
    Criterion.COUNTRY: _country,
    Criterion.MONTHS_TRADING: _months,
    Criterion.CHECKED_SALES: _checked,
    Criterion.MONTHLY_SALES: _sales,
}
_ADVICE: Final[Mapping[Criterion, str]] = {
    Criterion.SCORE: N_("The overview shows what is missing."),
    Criterion.BANDS: N_("Check again in a few days. You need not do anything."),
    Criterion.BAND: N_("“Improve” shows what leads to the next band."),
    Criterion.COUNTRY: N_("Ask your marketplace to check the country of your account."),
    Criterion.MONTHS_TRADING: N_("Keep selling. You meet this requirement with time."),
    Criterion.CHECKED_SALES: N_("Ask your marketplace to share your visits and the tracking of your parcels."),
    Criterion.MONTHLY_SALES: N_("Sales count after thirty days, less refunds."),
}
