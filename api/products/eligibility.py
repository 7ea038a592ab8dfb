"""What eligibility rests on, read from what the ledger keeps of a score: its inputs, and nothing that came after.

Sales are settled net sales: without own-store orders, less everything refunded, and without the last 30 days.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from api.errors import LedgerDamaged
from api.models.bundle_store import find_bundle
from api.products.repository import ProductVersion
from api.scores.envelope import require_current
from api.scores.inputs import parse_vector
from api.scores.repository import StoredScore
from api.services import Services
from features.catalogue.integrity import CEILING
from features.catalogue.sales import SETTLED
from features.iso import UNKNOWN_COUNTRY
from scoring import Bundle, Eligibility, EligibilityInputs, Outcome, Product, Vector, eligibility
from scoring.bands import Bands
from scoring.freshness import optional_gaps
from scoring.sheet import FeatureSheet

FIRST_ORDER: Final = "days_since_first_order"


YEAR_OF_SALES: Final = "settled_net_sales_365d"


BEYOND_VISITS: Final = "orders_beyond_visits_180d"


SHARES: Final = ("rush_order_share_180d", "unmoved_parcel_share_180d")
"""Features that are themselves the share of orders, or of parcels, that is doubted."""


_DAYS: Final = 365


_MONTHS: Final = 12


@dataclass(frozen=True)
class ScoreFacts:
    """What a stored score tells of a seller as of T.

    Attributes:
        score: the score, as it was stored.
        outcome: whether there is a number.
        band: None where there is no number.
        expires_at: from when the score is not to be relied on.
        stale_from: the first day (UTC) on which its data are too old for a new number, such as a limit.
        as_of: T.
        country: None if it is not known.
        usd_per_unit: US dollars for a unit of each currency, as known at T.
        values: by feature name; None is missing.
    """

    score: StoredScore
    outcome: str
    band: str | None
    expires_at: datetime
    stale_from: date
    as_of: str
    country: str | None
    usd_per_unit: Mapping[str, float]
    values: Mapping[str, float | None]

    def expired(self, at: datetime) -> bool:
        """Return whether the score is not to be relied on any more at a moment."""
        return at >= self.expires_at

    def too_old(self, at: datetime) -> bool:
        """Return whether the score's data are too old for a limit at a moment."""
        return self.outcome == Outcome.STALE_DATA or at.astimezone(UTC).date() >= self.stale_from


def read_facts(score: StoredScore, bundle: Bundle) -> ScoreFacts:
    """Read a stored score by the bundle that made it.

    Raises:
        LedgerDamaged: what is stored is no score, or not one of this bundle.
    """
    try:
        envelope, inputs = json.loads(score.body), json.loads(score.inputs)
        return _read_facts(score, envelope, parse_vector(inputs), inputs, bundle)
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerDamaged from error


def _read_facts(
    score: StoredScore, envelope: Mapping[str, Any], vector: Vector, inputs: Mapping[str, Any], bundle: Bundle
) -> ScoreFacts:
    assessment = envelope["assessment"]
    country = inputs["country"]
    return ScoreFacts(
        score=score,
        outcome=assessment["outcome"],
        band=assessment["band"],
        expires_at=datetime.fromisoformat(envelope["expires_at"]),
        stale_from=vector.as_of + timedelta(days=bundle.sheet.max_age_days + 1),
        as_of=assessment["as_of"],
        country=None if country == UNKNOWN_COUNTRY else country,
        usd_per_unit=inputs["usd_per_unit"],
        values=_values(vector, bundle.sheet),
    )


def _values(vector: Vector, sheet: FeatureSheet) -> dict[str, float | None]:
    """Return values by feature name; as in the score, what rests on a table that is too old is missing."""
    values = dict(zip(sheet.names, vector.values, strict=True))
    for gap in optional_gaps(sheet, vector):
        values.update(dict.fromkeys(sheet.names[place] for place in sheet.columns_of_table[gap.table]))
    return values


def eligibility_inputs(known: ScoreFacts, currency: str, at: datetime) -> EligibilityInputs:
    """Return the grounds for products in a currency at a moment.

    A score that has expired, or whose data are too old by then, has no band any more, and old data give no figure.
    """
    values, rate = known.values, known.usd_per_unit.get(currency)
    days = values.get(FIRST_ORDER)
    sales = monthly_sales(values.get(YEAR_OF_SALES), days)
    stale = known.too_old(at)
    return EligibilityInputs(
        band=None if stale or known.expired(at) else known.band,
        country=known.country,
        months_trading=None if stale else months_trading(days),
        monthly_sales=None if stale or sales is None or rate is None else sales / rate,
        doubts=doubts(values),
        scored=known.outcome == Outcome.SCORED and not stale,
    )


def months_trading(days: float | None) -> float | None:
    """Return months since the first order, of 365 / 12 days each.

    Example: 365 days are 12 months, 73 are 2.4.
    """
    return None if days is None else days * _MONTHS / _DAYS


def monthly_sales(sales: float | None, days: float | None) -> float | None:
    """Return settled net sales of an average month.

    The year of sales ended 30 days before T. Its sales are divided by the months of it since the first order: 12 at
    most, and 1 at least, so that a few days are never taken for what every month brings.

    Example: 66,000 USD of a seller whose first order was 212.5 days ago is 6 months', 11,000 each.
    """
    settled = months_trading(None if days is None else min(days - SETTLED, _DAYS))
    return None if sales is None or settled is None else sales / max(settled, 1.0)


def doubts(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return which share of sales each integrity feature doubts; None where it could not be looked at.

    Orders beyond visits: with `c` orders a visit believed and `e` beyond them, `e / (c + e)` of the orders have no
    visit behind them.

    Example: 0.2 beyond 0.2 is half of all orders.
    """
    beyond = values.get(BEYOND_VISITS)
    share = None if beyond is None else beyond / (CEILING + beyond)
    return {**{name: values.get(name) for name in SHARES}, BEYOND_VISITS: share}


@dataclass(frozen=True)
class Offer:
    """A bank's product, and whether a scored seller may have it; `grounds` are in the product's currency."""

    bank_id: str
    bank_name: str
    product_id: str
    version: int
    product: Product
    grounds: EligibilityInputs
    eligibility: Eligibility


def _offer(known: ScoreFacts, bank_name: str, version: ProductVersion, by: tuple[Bands, datetime]) -> Offer:
    bands, at = by
    product = version.product
    grounds = eligibility_inputs(known, product.currency, at)
    found = eligibility(product, grounds, bands)
    return Offer(version.bank_id, bank_name, version.product_id, version.version, product, grounds, found)


def evaluate_products(
    services: Services, score: StoredScore, versions: Iterable[tuple[str, ProductVersion]], at: datetime
) -> tuple[ScoreFacts, list[Offer]]:
    """Hold a stored score against products, each after its bank's name, at a moment.

    Raises:
        ScoreOfEarlierFormat: it was stored by an earlier version.
        BundleNotKept: the bundle that made it is gone or damaged.
        LedgerDamaged: what is stored is no score.
    """
    require_current(score.body)
    bundle = find_bundle(services.champion, services.settings, score.bundle)
    known = read_facts(score, bundle)
    return known, [_offer(known, name, each, (bundle.policy.bands, at)) for name, each in versions]
