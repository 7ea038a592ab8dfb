"""What eligibility rests on, read from what the ledger keeps of a score: its inputs, and nothing that came after.

Sales are settled net sales: without own-store orders, less everything refunded, and without the last 30 days.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from api.errors import LedgerDamaged
from api.scores.replay import vector_of
from api.scores.stored import StoredScore
from features.catalogue.integrity import CEILING
from features.catalogue.sales import SETTLED
from features.iso import UNKNOWN_COUNTRY
from scoring import Bundle, Grounds, Outcome, Vector
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
class Told:
    """What a stored score tells of a seller as of T.

    Attributes:
        score: the score, as it was stored.
        outcome: whether there is a number.
        band: None where there is no number.
        expires_at: from when the score is not to be relied on.
        stale_from: the first day (UTC) on which its data are too old for a new number, such as a limit.
        as_of: T.
        country: None where it is not known, or was not stored with the score.
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


def told(score: StoredScore, bundle: Bundle) -> Told:
    """Read a stored score by the bundle that made it.

    Raises:
        LedgerDamaged: what is stored is no score, or not one of this bundle.
    """
    try:
        envelope, inputs = json.loads(score.body), json.loads(score.inputs)
        return _told(score, envelope, vector_of(inputs), inputs, bundle)
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerDamaged from error


def _told(
    score: StoredScore, envelope: Mapping[str, Any], vector: Vector, inputs: Mapping[str, Any], bundle: Bundle
) -> Told:
    assessment = envelope["assessment"]
    country = inputs.get("country")
    return Told(
        score=score,
        outcome=assessment["outcome"],
        band=assessment["band"],
        expires_at=datetime.fromisoformat(envelope["expires_at"]),
        stale_from=vector.as_of + timedelta(days=bundle.sheet.max_age_days + 1),
        as_of=assessment["as_of"],
        country=None if country == UNKNOWN_COUNTRY else country,
        # scores from before rates were stored with them still know what a dollar is worth
        usd_per_unit={"USD": 1.0, **inputs.get("usd_per_unit", {})},
        values=_values(vector, bundle.sheet),
    )


def _values(vector: Vector, sheet: FeatureSheet) -> dict[str, float | None]:
    """Return values by feature name; as in the score, what rests on a table that is too old is missing."""
    values = dict(zip(sheet.names, vector.values, strict=True))
    for gap in optional_gaps(sheet, vector):
        values.update(dict.fromkeys(sheet.names[place] for place in sheet.resting_on[gap.table]))
    return values


def grounds_of(known: Told, currency: str, at: datetime) -> Grounds:
    """Return the grounds for products in a currency at a moment.

    A score that has expired, or whose data are too old by then, has no band any more, and old data give no figure.
    """
    values, rate = known.values, known.usd_per_unit.get(currency)
    days = values.get(FIRST_ORDER)
    sales = monthly_sales(values.get(YEAR_OF_SALES), days)
    stale = known.too_old(at)
    return Grounds(
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
