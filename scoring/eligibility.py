"""Eligibility for financing products: limit and price of a product for a seller, or the criteria that are not met.

Pure rules on facts about a seller. Doubtful sales do not count towards the limit. Sales that could not be checked do
not count either, so that withholding the data for a check never pays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from scoring.bands import Bands
from scoring.errors import ProductError

_MAX_RATE: Final = 1.0
_MAX_TERM_DAYS: Final = 3_660
_MULTIPLES: Final = (0.01, 120.0)
_MAX_LIMIT: Final = 10**12
_MAX_MONTHS: Final = 1_200


class Criterion(StrEnum):
    """The criteria of a product: a score, in the bands that the product is defined for, a minimum band; then others."""

    SCORE = "score"
    BANDS = "bands"
    BAND = "band"
    COUNTRY = "country"
    MONTHS_TRADING = "months_trading"
    CHECKED_SALES = "checked_sales"
    MONTHLY_SALES = "monthly_sales"


@dataclass(frozen=True)
class Product:
    """A bank's financing product and its criteria.

    Args:
        name: the product's name for sellers.
        currency: the limit's currency, ISO 4217.
        minimum_band: the worst band that is accepted.
        minimum_months: the minimum number of months of trading.
        countries: the countries of sellers, ISO 3166; empty if all are accepted.
        multiple: the limit as a multiple of average monthly settled net sales.
        least: the smallest limit that is granted, in whole units of the currency.
        cap: the largest limit.
        prices: the yearly rate by band, 0.08 is 8%; one for each accepted band, no better band more expensive.
        term_days: days from disbursement to the last instalment.

    Example: with `multiple=2.0`, `least=1_000` and `cap=50_000`, a seller with sales of 12,000 a month gets 24,000.

    Raises:
        ProductError: a criterion is not valid; the message names it and states what is allowed.
    """

    name: str
    currency: str
    minimum_band: str
    minimum_months: int
    countries: frozenset[str]
    multiple: float
    least: int
    cap: int
    prices: Mapping[str, float]
    term_days: int

    def __post_init__(self) -> None:
        low, high = _MULTIPLES
        if not low <= self.multiple <= high:
            raise ProductError(f"The multiple of monthly sales is {self.multiple}; allowed is {low:g} to {high:g}.")
        if not 0 < self.least <= self.cap <= _MAX_LIMIT:
            raise ProductError(
                f"The smallest limit is {self.least} and the largest {self.cap}; both must be above 0 and at most "
                f"{_MAX_LIMIT:,}, and the smallest must not be above the largest."
            )
        if not 0 <= self.minimum_months <= _MAX_MONTHS:
            raise ProductError(f"Months of trading are {self.minimum_months}; allowed is 0 to {_MAX_MONTHS}.")
        if not 0 < self.term_days <= _MAX_TERM_DAYS:
            raise ProductError(f"The term is {self.term_days} days; allowed is 1 to {_MAX_TERM_DAYS}.")
        if wrong := sorted(band for band, rate in self.prices.items() if not 0 <= rate <= _MAX_RATE):
            raise ProductError(
                f"The price of band {wrong[0]} is {self.prices[wrong[0]]}; allowed is 0 to {_MAX_RATE:g}."
            )

    @property
    def bands(self) -> tuple[str, ...]:
        """Every band of the product, the worst accepted band first."""
        return tuple(dict.fromkeys((self.minimum_band, *self.prices)))

    def require(self, bands: Bands) -> None:
        """Check the product against the bands of the scores.

        Raises:
            ProductError: a band is unknown, an accepted band has no price, another band has one, or a better band is
                more expensive than a worse one.
        """
        for band in self.bands:
            if band not in bands.names:
                raise ProductError(f"Unknown band {band}; the bands are {', '.join(bands.names)}.")
        accepted = [band for band in bands.names if bands.as_good(band, self.minimum_band)]
        if differing := sorted(set(accepted) ^ set(self.prices)):
            raise ProductError(
                f"Each band from {accepted[0]} to {accepted[-1]} needs a price, and no other band may have one; check "
                f"{', '.join(differing)}."
            )
        rates = [self.prices[band] for band in accepted]
        if rates != sorted(rates):
            raise ProductError("A better band must not be more expensive than a worse one; lower its price.")


@dataclass(frozen=True)
class EligibilityInputs:
    """The facts about a seller that eligibility depends on; None is unknown.

    Attributes:
        band: the band of the score.
        country: the seller's country.
        months_trading: months since the first order.
        monthly_sales: settled net sales of an average month, in the product's currency.
        doubts: the share of sales that is doubtful, by integrity feature; None if it could not be checked.
        scored: False if the outcome carries no score; then only the score and the country are reported as not met.
    """

    band: str | None
    country: str | None
    months_trading: float | None
    monthly_sales: float | None
    doubts: Mapping[str, float | None]
    scored: bool = True

    @property
    def undoubted_sales(self) -> float | None:
        """Monthly sales less all doubtful sales, as if no two doubts concerned the same sale; None if unknown.

        If a doubt could not be checked, this is an upper limit.
        """
        if self.monthly_sales is None:
            return None
        doubtful = math.fsum(max(share, 0.0) for share in self.doubts.values() if share is not None)
        return max(self.monthly_sales, 0.0) * max(1.0 - doubtful, 0.0)

    @property
    def unchecked(self) -> tuple[str, ...]:
        """The doubts that could not be checked."""
        return tuple(name for name, share in self.doubts.items() if share is None)


@dataclass(frozen=True)
class UnmetCriterion:
    """A criterion that is not met: the value found (None if unknown), the value needed, and the difference.

    `gap` is in bands, in months, or in the product's currency per month; None if the criterion is not numeric.
    """

    criterion: Criterion
    found: str | float | None
    needed: str | float
    gap: float | None


@dataclass(frozen=True)
class Eligibility:
    """Limit and price of a product for a seller, or the criteria that are not met."""

    limit: int | None
    price: float | None
    unmet: tuple[UnmetCriterion, ...]

    @property
    def eligible(self) -> bool:
        """Whether all criteria are met."""
        return not self.unmet


def eligibility(product: Product, inputs: EligibilityInputs, bands: Bands) -> Eligibility:
    """Check a seller against every criterion of a product.

    Example: for a product from band C and a seller in band D, `unmet` has `UnmetCriterion(Criterion.BAND, "D", "C",
    1.0)`.
    """
    unmet = tuple(_unmet(product, inputs, bands))
    sales = inputs.undoubted_sales
    if unmet or inputs.band is None or sales is None:
        return Eligibility(None, None, unmet)
    return Eligibility(_limit(product, sales), product.prices[inputs.band], ())


def _unmet(product: Product, inputs: EligibilityInputs, bands: Bands) -> Iterator[UnmetCriterion]:
    yield from _unmet_band(product, inputs.band, bands)
    if product.countries and inputs.country not in product.countries:
        yield UnmetCriterion(Criterion.COUNTRY, inputs.country, ", ".join(sorted(product.countries)), None)
    if not inputs.scored:
        return
    months = inputs.months_trading
    if months is None or months < product.minimum_months:
        needed = float(product.minimum_months)
        yield UnmetCriterion(Criterion.MONTHS_TRADING, months, needed, needed - (months or 0.0))
    if inputs.unchecked:
        yield UnmetCriterion(Criterion.CHECKED_SALES, None, ", ".join(inputs.unchecked), None)
    sales = inputs.undoubted_sales
    if sales is None or _limit(product, sales) < product.least:
        minimum = _sales_for(product, product.least)
        yield UnmetCriterion(Criterion.MONTHLY_SALES, sales, minimum, minimum - (sales or 0.0))


def _unmet_band(product: Product, band: str | None, bands: Bands) -> Iterator[UnmetCriterion]:
    if band is None:
        yield UnmetCriterion(Criterion.SCORE, None, product.minimum_band, None)
    elif not _is_defined_for(product, bands):
        # a product defined for the bands of another model does not apply to this score
        yield UnmetCriterion(Criterion.BANDS, ", ".join(bands.names), ", ".join(sorted(product.bands)), None)
    elif not bands.as_good(band, product.minimum_band):
        steps = bands.names.index(band) - bands.names.index(product.minimum_band)
        yield UnmetCriterion(Criterion.BAND, band, product.minimum_band, float(steps))


def _is_defined_for(product: Product, bands: Bands) -> bool:
    try:
        product.require(bands)
    except ProductError:
        return False
    return True


def _limit(product: Product, sales: float) -> int:
    # whole units, never rounded up
    return min(product.cap, math.floor(product.multiple * sales))


def _sales_for(product: Product, limit: int) -> float:
    """Return the lowest monthly sales that give a limit."""
    sales = limit / product.multiple
    while math.floor(product.multiple * sales) < limit:
        sales = math.nextafter(sales, math.inf)
    return sales
