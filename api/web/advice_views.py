"""Views of advice and offers for the seller: verified changes of the score; limit and price or unmet criteria."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
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


def advice_view(advice: Advice, bundle: Bundle, words: Translator) -> AdviceView:
    """Return advice in a language."""

    def view(change: Change) -> ChangeView:
        return ChangeView(
            words.say(change.label),
            bundle.reasons.label_of(change.reason_group, words.language),
            words.figure(change.value, change.unit),
            words.figure(change.to, change.unit),
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
                words.say(_NOT_PRINCIPAL[step.relation]) if step.relation in _NOT_PRINCIPAL else None,
            )
            for step in advice.steps
        ),
        tuple(
            LaterView(
                bundle.reasons.statement(item.reason, "seller", words.language),
                item.reason.gain,
                words.say(_NO_ADVICE_TEXTS[item.why], days=advice.days or 0),
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


def offer_view(offer: Offer, words: Translator) -> OfferView:
    """Return an offer in a language."""
    result, product = offer.eligibility, offer.product
    is_open = result.eligible and result.limit is not None and result.price is not None
    return OfferView(
        bank=offer.bank_name,
        name=product.name,
        product_id=offer.product_id,
        open=is_open,
        limit=words.money(result.limit or 0, product.currency),
        price=words.percent(result.price or 0.0, 2),
        term=words.count("%(n)s day", "%(n)s days", product.term_days),
        unmet=tuple(_unmet_view(unmet, offer, words) for unmet in result.unmet),
    )


def missing_criteria(offer: Offer, words: Translator) -> str:
    """Return one sentence with the unmet criteria of an offer.

    Example: "Still missing: band C or better and 4.5 more months of trading."
    """
    needs = [_REQUIREMENTS[unmet.criterion](unmet, offer, words) for unmet in offer.eligibility.unmet]
    return words.say(N_("Still missing: %(list)s."), list=words.listing(needs))


def _unmet_view(unmet: UnmetCriterion, offer: Offer, words: Translator) -> UnmetCriterionView:
    return UnmetCriterionView(_TEXTS[unmet.criterion](unmet, offer, words), words.say(_NEXT_STEPS[unmet.criterion]))


def _score(unmet: UnmetCriterion, _: Offer, words: Translator) -> str:
    return words.say(N_("A score in band %(band)s or better is required. You have no score now."), band=unmet.needed)


def _bands(_: UnmetCriterion, __: Offer, words: Translator) -> str:
    return words.say(N_("The bank has not yet updated this offer to the current bands."))


def _band(unmet: UnmetCriterion, _: Offer, words: Translator) -> str:
    steps = words.count("%(n)s band", "%(n)s bands", int(unmet.gap or 0))
    return words.say(
        N_("Band %(needed)s or better is required. You are in band %(found)s, %(steps)s below."),
        needed=unmet.needed,
        found=unmet.found,
        steps=steps,
    )


def _country(unmet: UnmetCriterion, _: Offer, words: Translator) -> str:
    names, needed = words.locale.territories, _countries(unmet, words)
    if unmet.found is None:
        return words.say(N_("It is for sellers in %(needed)s. We do not have your country on record."), needed=needed)
    found = names.get(str(unmet.found), str(unmet.found))
    return words.say(N_("It is for sellers in %(needed)s. You are in %(found)s."), needed=needed, found=found)


def _countries(unmet: UnmetCriterion, words: Translator) -> str:
    names = words.locale.territories
    return words.listing([names.get(code, code) for code in str(unmet.needed).split(", ")])


def _months(unmet: UnmetCriterion, _: Offer, words: Translator) -> str:
    needed = float(unmet.needed)
    if unmet.found is None:
        return words.say(
            N_("%(needed)s months of trading are required. Yours are not known."), needed=words.number(needed)
        )
    # rounded down, so that the three numbers add up and the gap is not understated
    found = math.floor(10 * float(unmet.found)) / 10
    return words.say(
        N_("%(needed)s months of trading are required. You have %(found)s, so %(gap)s are missing."),
        needed=words.number(needed),
        found=words.number(found),
        gap=words.number(round(needed - found, 1)),
    )


def _checks(_: UnmetCriterion, __: Offer, words: Translator) -> str:
    return words.say(N_("Your sales could not be checked against visits, parcels and buyers, so they do not count."))


def _sales(unmet: UnmetCriterion, offer: Offer, words: Translator) -> str:
    currency = offer.product.currency
    needed = math.ceil(float(unmet.needed))
    if unmet.found is None:
        return words.say(
            N_("Monthly sales of %(needed)s after refunds are required. Yours are not known."),
            needed=words.money(needed, currency),
        )
    found = math.floor(float(unmet.found))
    return words.say(
        N_("Monthly sales of %(needed)s after refunds are required. %(found)s of yours count, so %(gap)s are missing."),
        needed=words.money(needed, currency),
        found=words.money(found, currency),
        gap=words.money(needed - found, currency),
    )


def _needs_score(unmet: UnmetCriterion, _: Offer, words: Translator) -> str:
    return words.say(N_("a score in band %(band)s or better"), band=unmet.needed)


def _needs_bands(_: UnmetCriterion, __: Offer, words: Translator) -> str:
    return words.say(N_("an update of the offer by the bank"))


def _needs_band(unmet: UnmetCriterion, _: Offer, words: Translator) -> str:
    return words.say(N_("band %(needed)s or better (you are in %(found)s)"), needed=unmet.needed, found=unmet.found)


def _needs_country(unmet: UnmetCriterion, _: Offer, words: Translator) -> str:
    return words.say(N_("a business in %(countries)s"), countries=_countries(unmet, words))


def _needs_months(unmet: UnmetCriterion, _: Offer, words: Translator) -> str:
    if unmet.found is None:
        return words.say(N_("%(months)s months of trading"), months=words.number(float(unmet.needed)))
    gap = float(unmet.needed) - math.floor(10 * float(unmet.found)) / 10
    return words.say(N_("%(months)s more months of trading"), months=words.number(round(gap, 1)))


def _needs_checks(_: UnmetCriterion, __: Offer, words: Translator) -> str:
    return words.say(N_("visit and parcel data to check your sales"))


def _needs_sales(unmet: UnmetCriterion, offer: Offer, words: Translator) -> str:
    currency, needed = offer.product.currency, math.ceil(float(unmet.needed))
    if unmet.found is None:
        return words.say(N_("monthly sales of %(amount)s after refunds"), amount=words.money(needed, currency))
    gap = words.money(needed - math.floor(float(unmet.found)), currency)
    return words.say(N_("%(amount)s more monthly sales after refunds"), amount=gap)


_REQUIREMENTS: Final[Mapping[Criterion, Callable[[UnmetCriterion, Offer, Translator], str]]] = {
    Criterion.SCORE: _needs_score,
    Criterion.BANDS: _needs_bands,
    Criterion.BAND: _needs_band,
    Criterion.COUNTRY: _needs_country,
    Criterion.MONTHS_TRADING: _needs_months,
    Criterion.CHECKED_SALES: _needs_checks,
    Criterion.MONTHLY_SALES: _needs_sales,
}


_TEXTS: Final[Mapping[Criterion, Callable[[UnmetCriterion, Offer, Translator], str]]] = {
    Criterion.SCORE: _score,
    Criterion.BANDS: _bands,
    Criterion.BAND: _band,
    Criterion.COUNTRY: _country,
    Criterion.MONTHS_TRADING: _months,
    Criterion.CHECKED_SALES: _checks,
    Criterion.MONTHLY_SALES: _sales,
}


_NEXT_STEPS: Final[Mapping[Criterion, str]] = {
    Criterion.SCORE: N_("The overview shows what is missing."),
    Criterion.BANDS: N_("Check again in a few days. You do not need to do anything."),
    Criterion.BAND: N_("“Improve” shows what leads to the next band."),
    Criterion.COUNTRY: N_("Ask your marketplace to check the country of your account."),
    Criterion.MONTHS_TRADING: N_("Keep selling. You will meet this requirement in time."),
    Criterion.CHECKED_SALES: N_("Ask your marketplace to share your visits and the tracking of your parcels."),
    Criterion.MONTHLY_SALES: N_("Sales count after thirty days, minus refunds."),
}
