"""The catalogue: all features in the order of vectors and matrices; each family has a module."""

from typing import Final

from features.catalogue.cash import CASH
from features.catalogue.cross_border import CROSS_BORDER
from features.catalogue.customers import CUSTOMERS
from features.catalogue.definition import Feature, digest
from features.catalogue.fulfilment import FULFILMENT
from features.catalogue.integrity import INTEGRITY
from features.catalogue.quality import QUALITY
from features.catalogue.recent import RECENT
from features.catalogue.repayment import REPAYMENT
from features.catalogue.reputation import REPUTATION
from features.catalogue.sales import SALES
from features.catalogue.seasonality import SEASONALITY
from features.catalogue.tenure import TENURE
from features.catalogue.traffic import TRAFFIC
from features.catalogue.trend import TREND
from features.catalogue.volatility import VOLATILITY

FAMILIES: Final = {
    "Level of sales": SALES,
    "Trend of sales": TREND,
    "Latest and weakest weeks": RECENT,
    "Steadiness of sales": VOLATILITY,
    "Quality": QUALITY,
    "Fulfilment": FULFILMENT,
    "Customers": CUSTOMERS,
    "Traffic and advertising": TRAFFIC,
    "Across borders": CROSS_BORDER,
    "Season and spikes": SEASONALITY,
    "Cash": CASH,
    "Repayment": REPAYMENT,
    "Tenure and breadth": TENURE,
    "Reputation": REPUTATION,
    "Integrity": INTEGRITY,
}
"""Features by family. The order of families and features is that of every vector."""

CATALOGUE: Final[tuple[Feature, ...]] = tuple(feature for family in FAMILIES.values() for feature in family)

TENURE_AND_RECENCY: Final = frozenset(
    {"days_on_platform", "days_since_first_order", "days_since_last_sale", "days_since_last_purchase"}
    | {"oldest_store_days"}
)
"""Features that depend on the first and last day in the data. In data sets whose outcomes have no date, they can leak
the outcome."""

__all__ = ["CATALOGUE", "FAMILIES", "TENURE_AND_RECENCY", "Feature", "digest"]
