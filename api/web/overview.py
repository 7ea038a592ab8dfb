"""Contents of the seller's overview: best offer, next step, consent requests, past scores. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from api.products.eligibility import Offer
from api.scores.self_view_history import Change, PastScore
from api.web.advice_views import OfferView, missing_criteria, offer_view
from api.web.charts import ChartPoint, score_history
from api.web.consent_pages import Access
from api.web.labels import PURPOSES
from api.web.score_views import MissingScore, ScoreOverview
from api.web.translations import N_, Translator
from scoring import Criterion, Outcome, UnmetCriterion

_REQUESTS: Final = 3
"""Number of consent requests on the overview; the page of consents has all."""

_NAMES: Final = 3
"""Number of banks that the line on access names."""


@dataclass(frozen=True)
class Financing:
    """The best open offer and the number of other open ones, or the nearest closed offer and what it still needs."""

    best: OfferView | None
    others: int
    nearest: OfferView | None
    missing: str


@dataclass(frozen=True)
class NextStep:
    """The next step: one line and one button."""

    text: str
    button: str
    address: str


@dataclass(frozen=True)
class AccessView:
    """Pending consent requests, the number of further ones, and one line on the banks with access."""

    requests: tuple[str, ...]
    more: int
    line: str


@dataclass(frozen=True)
class HistoryRow:
    """One past score as the table shows it."""

    day: str
    result: str
    change: str
    scored: bool


@dataclass(frozen=True)
class History:
    """Past scores: a chart if there are at least two, and a table, latest first."""

    chart: Markup | None
    latest: str
    rows: tuple[HistoryRow, ...]


@dataclass(frozen=True)
class Overview:
    """Everything that the overview shows."""

    standing: ScoreOverview | MissingScore
    financing: Financing
    step: NextStep
    access: AccessView
    history: History


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


def financing_of(offers: Sequence[Offer], usd_per_unit: Mapping[str, float], translator: Translator) -> Financing:
    """Return what a seller qualifies for over all banks, in a language."""
    best = best_offer(offers, usd_per_unit)
    if best is not None:
        others = sum(offer.eligibility.eligible for offer in offers) - 1
        return Financing(offer_view(best, translator), others, None, "")
    nearest = nearest_offer(offers)
    if nearest is None:
        return Financing(None, 0, None, "")
    return Financing(None, 0, offer_view(nearest, translator), missing_criteria(nearest, translator))


def next_step(
    standing: ScoreOverview | MissingScore, financing: Financing, access: Access, translator: Translator
) -> NextStep:
    """Return the one thing to do next: answer a request, see an offer, raise the score, or check the data."""
    if access.pending:
        return _answer_step(access, translator)
    if financing.best is not None:
        text = N_("You may qualify for up to %(amount)s from %(bank)s. See how to apply.")
        line = translator.translate(text, bank=financing.best.bank, amount=financing.best.limit)
        return NextStep(line, translator.translate(N_("See the offer")), "/seller/products")
    if isinstance(standing, MissingScore):
        text, button = N_("See which of your data we have received."), N_("Check my data")
        return NextStep(translator.translate(text), translator.translate(button), "/seller/data")
    if not standing.best:
        text, button = N_("See which changes would raise your score."), N_("Raise my score")
        return NextStep(translator.translate(text), translator.translate(button), "/seller/improve")
    text, button = N_("You are in the best band. Check that your data are complete."), N_("Check my data")
    return NextStep(translator.translate(text), translator.translate(button), "/seller/data")


def _answer_step(access: Access, translator: Translator) -> NextStep:
    address = "/seller/consents"
    if len(access.pending) > 1:
        text = translator.count(
            "%(n)s bank request waits for your answer.",
            "%(n)s bank requests wait for your answer.",
            len(access.pending),
        )
        return NextStep(text, translator.translate(N_("Answer the requests")), address)
    ((bank, request),) = access.pending
    text = translator.translate(
        N_("%(bank)s asks to see your data. Answer by %(day)s."),
        bank=bank,
        day=translator.day(request.expires_at.date()),
    )
    return NextStep(text, translator.translate(N_("Answer the request")), address)


def access_view(access: Access, translator: Translator) -> AccessView:
    """Return pending requests and the banks with access, in a language."""
    requests = tuple(
        translator.translate(
            N_("%(bank)s requests your score for %(purpose)s. Answer by %(day)s."),
            bank=bank,
            purpose=translator.translate(PURPOSES.get(request.purpose, request.purpose)),
            day=translator.day(request.expires_at.date()),
        )
        for bank, request in access.pending
    )
    banks = list(dict.fromkeys(bank for bank, _ in access.in_force))
    return AccessView(requests[:_REQUESTS], max(len(requests) - _REQUESTS, 0), _access_line(banks, translator))


def _access_line(banks: Sequence[str], translator: Translator) -> str:
    if not banks:
        return translator.translate(N_("No bank has access to your data now."))
    names = list(banks[:_NAMES])
    if len(banks) > _NAMES:
        names.append(translator.translate(N_("%(n)s more"), n=translator.number(len(banks) - _NAMES)))
    return translator.translate(N_("Access now: %(banks)s."), banks=translator.listing(names))


def history_view(scores: Sequence[PastScore], translator: Translator) -> History:
    """Return past scores as a chart and a table; `scores` are in order of time, oldest first."""
    rows = [
        HistoryRow(
            translator.day(past.scored_at.date()),
            _result(past, translator),
            translator.translate(CHANGES[past.change]),
            bool(past.score),
        )
        for past in scores
    ]
    points = [
        ChartPoint(past.score, past.change in _MODEL, f"{row.day}: {row.result} ({row.change})")
        for past, row in zip(scores, rows, strict=True)
    ]
    numbers = [past.score for past in scores if past.score is not None]
    chart = None
    if len(scores) > 1 and numbers:
        label = translator.translate(
            N_("Your past scores from %(first)s to %(last)s, between %(low)s and %(high)s points."),
            first=rows[0].day,
            last=rows[-1].day,
            low=min(numbers),
            high=max(numbers),
        )
        chart = score_history(points, (rows[0].day, rows[-1].day), label)
    latest = translator.translate(N_("Last change on %(day)s: %(change)s."), day=rows[-1].day, change=rows[-1].change)
    return History(chart, latest, tuple(reversed(rows)))


def _result(score: PastScore, translator: Translator) -> str:
    if score.score is None:
        why = translator.translate(NO_SCORE.get(score.outcome, score.outcome))
        return translator.translate(N_("No score: %(reason)s"), reason=why)
    return translator.translate(N_("%(score)s, band %(band)s"), score=score.score, band=score.band)


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
    "inactive": N_("no recent sales"),
    Outcome.INSUFFICIENT_DATA: N_("data missing"),
    Outcome.STALE_DATA: N_("data out of date"),
}
"""Short texts for outcomes without a score."""

_MODEL: Final = frozenset({Change.MODEL, Change.DATA_AND_MODEL})
_OUT_OF_REACH: Final = frozenset({Criterion.COUNTRY, Criterion.BANDS})
