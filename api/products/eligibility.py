"""Eligibility of a scored seller for products, from the inputs that are stored with the score.

Sales are settled net sales: without related-party orders, minus refunds, and without the last 30 days.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from api.errors import LedgerDamaged
from api.models.bundle_store import find_bundle
from api.products.repository import ProductVersion
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
"""Features that are the share of doubted orders or parcels."""
_DAYS: Final = 365
_MONTHS: Final = 12


@dataclass(frozen=True)
class ScoreFacts:
    """The facts of a stored score that eligibility depends on.

    Attributes:
        score: the stored score; only with the outcome `scored` it has a band.
        expires_at: the time when the score expires.
        stale_from: the first day (UTC) on which the data are too old for a limit.
        country: the seller's country; None if unknown.
        usd_per_unit: US dollars per unit of each currency, as known at the midnight of the data.
        values: feature values by name; None if missing.
    """

    score: StoredScore
    expires_at: datetime
    stale_from: date
    country: str | None
    usd_per_unit: Mapping[str, float]
    values: Mapping[str, float | None]

    def expired(self, at: datetime) -> bool:
        """Return whether the score has expired at a time."""
        return at >= self.expires_at

    def too_old(self, at: datetime) -> bool:
        """Return whether the data are too old for a limit at a time."""
        return self.score.assessment.outcome == Outcome.STALE_DATA or at.astimezone(UTC).date() >= self.stale_from


def read_facts(score: StoredScore, bundle: Bundle) -> ScoreFacts:
    """Return the facts of a stored score, read with its bundle.

    Raises:
        LedgerDamaged: the stored score is invalid, or belongs to another bundle.
    """
    try:
        inputs = json.loads(score.inputs)
        vector, country = parse_vector(inputs), inputs["country"]
        return ScoreFacts(
            score=score,
            expires_at=score.expires_at,
            stale_from=vector.as_of + timedelta(days=bundle.sheet.max_age_days + 1),
            country=None if country == UNKNOWN_COUNTRY else country,
            usd_per_unit=inputs["usd_per_unit"],
            values=_values(vector, bundle.sheet),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerDamaged from error


def _values(vector: Vector, sheet: FeatureSheet) -> dict[str, float | None]:
    """Return values by feature name. As in the score, values of tables that are too old are missing."""
    values = dict(zip(sheet.names, vector.values, strict=True))
    for gap in optional_gaps(sheet, vector):
        values.update(dict.fromkeys(sheet.names[column] for column in sheet.columns_of_table[gap.table]))
    return values


def eligibility_inputs(facts: ScoreFacts, currency: str, at: datetime) -> EligibilityInputs:
    """Return the inputs of eligibility for products in a currency at a time.

    An expired score has no band. If the data are too old by then, there is neither a band nor a figure.
    """
    assessment, values, rate = facts.score.assessment, facts.values, facts.usd_per_unit.get(currency)
    days = values.get(FIRST_ORDER)
    sales = monthly_sales(values.get(YEAR_OF_SALES), days)
    stale = facts.too_old(at)
    return EligibilityInputs(
        band=None if stale or facts.expired(at) else assessment.band,
        country=facts.country,
        months_trading=None if stale else months_trading(days),
        monthly_sales=None if stale or sales is None or rate is None else sales / rate,
        doubts=doubts(values),
        scored=assessment.outcome == Outcome.SCORED and not stale,
    )


def months_trading(days: float | None) -> float | None:
    """Return months since the first order, of 365 / 12 days each.

    Example: 365 days are 12 months, 73 are 2.4.
    """
    return None if days is None else days * _MONTHS / _DAYS


def monthly_sales(sales: float | None, days: float | None) -> float | None:
    """Return the settled net sales of an average month.

    The year of sales ends 30 days before the data. It is divided by its months since the first order: at most 12, and
    at least 1, so that a few days of sales do not count as a monthly average.

    Example: 66,000 USD of a seller whose first order was 212.5 days ago are 6 months of 11,000 each.
    """
    settled = months_trading(None if days is None else min(days - SETTLED, _DAYS))
    return None if sales is None or settled is None else sales / max(settled, 1.0)


def doubts(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return the share of sales that each integrity feature doubts; None if the feature could not be computed.

    Orders beyond visits: with `c` plausible orders per visit and `e` orders per visit beyond them, the share of orders
    without a visit is `e / (c + e)`.

    Example: 0.2 beyond 0.2 is half of all orders.
    """
    beyond = values.get(BEYOND_VISITS)
    share = None if beyond is None else beyond / (CEILING + beyond)
    return {**{name: values.get(name) for name in SHARES}, BEYOND_VISITS: share}


@dataclass(frozen=True)
class Offer:
    """A bank's product and the seller's eligibility; `inputs` are in the currency of the product."""

    bank_id: str
    bank_name: str
    product_id: str
    version: int
    product: Product
    inputs: EligibilityInputs
    eligibility: Eligibility


def evaluate_products(
    services: Services, score: StoredScore, versions: Iterable[tuple[str, ProductVersion]], at: datetime
) -> tuple[ScoreFacts, list[Offer]]:
    """Evaluate products for a stored score at a time; each product comes with the name of its bank.

    Raises:
        BundleNotKept: the bundle of the score is missing or damaged.
        LedgerDamaged: the stored score is invalid.
    """
    bundle = find_bundle(services.champion, services.settings, score.bundle)
    facts = read_facts(score, bundle)
    return facts, [_offer(facts, name, version, bundle.policy.bands, at) for name, version in versions]


def _offer(facts: ScoreFacts, bank_name: str, version: ProductVersion, bands: Bands, at: datetime) -> Offer:
    product = version.product
    inputs = eligibility_inputs(facts, product.currency, at)
    return Offer(
        version.bank_id,
        bank_name,
        version.product_id,
        version.version,
        product,
        inputs,
        eligibility(product, inputs, bands),
    )
