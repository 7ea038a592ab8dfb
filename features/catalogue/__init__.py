"""The catalogue: every feature, in the order of each vector, matrix and tie; definitions by family in its modules."""

from typing import Final

from features.catalogue.definition import Feature, digest
from features.catalogue.quality import QUALITY
from features.catalogue.sales import SALES
from features.catalogue.tenure import TENURE
from features.catalogue.traffic import TRAFFIC

CATALOGUE: Final[tuple[Feature, ...]] = (*SALES, *QUALITY, *TRAFFIC, *TENURE)

TENURE_AND_RECENCY: Final = frozenset({"days_on_platform", "days_since_first_order", "days_since_last_order"})
"""They say since and until when a seller was seen: where outcomes carry no date, they can carry the outcome."""

__all__ = ["CATALOGUE", "TENURE_AND_RECENCY", "Feature", "digest"]
