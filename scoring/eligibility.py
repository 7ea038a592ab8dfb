"""Financing products: may this seller have one, up to what limit and at what price, and if not, what is lacking.

Pure rules over what is known of a seller. Sales that are doubted carry no limit, and sales that could not be checked
carry none either, so that hiding what would show them never pays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from scoring.bands import Bands
from scoring.errors import ProductError

_DEAREST: Final = 1.0
_LONGEST_DAYS: Final = 3_660
_MULTIPLES: Final = (0.01, 120.0)
_LARGEST: Final = 10**12
_MOST_MONTHS: Final = 1_200


class Criterion(StrEnum):
    """What a product may ask for: a score, in the bands that it was made for, and a band; then the rest."""

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
        name: as sellers read it.
        currency: of the limit, ISO 4217.
        minimum_band: the worst band that is admitted.
        minimum_months: months of trading, at least.
        countries: of sellers, ISO 3166; empty where all are admitted.
        multiple: the limit as a multiple of average monthly settled net sales.
        least: the smallest limit that is granted, in whole units of the currency.
        cap: the largest.
        prices: yearly rate by band, 0.08 is 8%; one for each band that is admitted, none dearer for a better band.
        term_days: days from disbursement to the last instalment.

    Example: with `multiple=2.0`, `least=1_000` and `cap=50_000` a seller with 12,000 a month may have 24,000.

    Raises:
        ProductError: a criterion makes no sense; the message says which and what is allowed.
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
        if not 0 < self.least <= self.cap <= _LARGEST:
            raise ProductError(
                f"The smallest limit is {self.least} and the largest {self.cap}; both must be above 0 and at most "
                f"{_LARGEST:,}, and the first not above the second."
            )
        if not 0 <= self.minimum_months <= _MOST_MONTHS:
            raise ProductError(f"Months of trading are {self.minimum_months}; allowed is 0 to {_MOST_MONTHS}.")
        if not 0 < self.term_days <= _LONGEST_DAYS:
            raise ProductError(f"The term is {self.term_days} days; allowed is 1 to {_LONGEST_DAYS}.")
        if wrong := sorted(band for band, rate in self.prices.items() if not 0 <= rate <= _DEAREST):
            raise ProductError(
                f"The price of band {wrong[0]} is {self.prices[wrong[0]]}; allowed is 0 to {_DEAREST:g}."
            )

    @property
    def bands(self) -> tuple[str, ...]:
        """Every band that the product names, the worst that is admitted first."""
        return tuple(dict.fromkeys((self.minimum_band, *self.prices)))

    def require(self, bands: Bands) -> None:
        """Hold the product against the bands that scores come in.

        Raises:
            ProductError: a band is not known, has no price although it is admitted, or is dearer than a worse one.
        """
        for band in self.bands:
            if band not in bands.names:
                raise ProductError(f"The band {band} is not known; the bands are {', '.join(bands.names)}.")
        admitted = [band for band in bands.names if bands.as_good(band, self.minimum_band)]
        if lacking := sorted(set(admitted) ^ set(self.prices)):
            raise ProductError(
                f"Each band from {admitted[0]} to {admitted[-1]} needs a price, and no other has one; look at "
                f"{', '.join(lacking)}."
            )
        rates = [self.prices[band] for band in admitted]
        if rates != sorted(rates):
            raise ProductError("A better band must not be dearer than a worse one; lower its price.")


@dataclass(frozen=True)
class Grounds:
    """What eligibility rests on; None is not known.

    `months_trading` counts from the first order, `monthly_sales` are settled net sales of an average month, in the
    product's currency. `doubts` tells by feature which share of sales it doubts: None where it could not be looked at.
    `scored` is false where the outcome carries no score: then nothing but that and the country is said to be missing.
    """

    band: str | None
    country: str | None
    months_trading: float | None
    monthly_sales: float | None
    doubts: Mapping[str, float | None]
    scored: bool = True

    @property
    def undoubted_sales(self) -> float | None:
        """Monthly sales less all that is doubted, as if no two doubts were of the same sale; None if not known.

        Where a doubt could not be looked at, it is the most that they can be.
        """
        if self.monthly_sales is None:
            return None
        doubted = math.fsum(max(share, 0.0) for share in self.doubts.values() if share is not None)
        return max(self.monthly_sales, 0.0) * max(1.0 - doubted, 0.0)

    @property
    def unchecked(self) -> tuple[str, ...]:
        """The doubts that could not be looked at."""
        return tuple(name for name, share in self.doubts.items() if share is None)


@dataclass(frozen=True)
class Unmet:
    """A criterion that is not met: what was found (None: nothing), what is needed, and how much is lacking.

    `gap` is in bands, months, or the product's currency a month; None where it is not a matter of more or less.
    """

    criterion: Criterion
    found: str | float | None
    needed: str | float
    gap: float | None


@dataclass(frozen=True)
class Eligibility:
    """Either a limit and a price, or what is not met."""

    limit: int | None
    price: float | None
    unmet: tuple[Unmet, ...]

    @property
    def eligible(self) -> bool:
        """Whether nothing is lacking."""
        return not self.unmet


def eligibility(product: Product, grounds: Grounds, bands: Bands) -> Eligibility:
    """Hold a seller against every criterion of a product.

    Example: of a product from band C a seller in band D lacks `Unmet(Criterion.BAND, "D", "C", 1.0)`.
    """
    unmet = tuple(_unmet(product, grounds, bands))
    sales = grounds.undoubted_sales
    if unmet or grounds.band is None or sales is None:
        return Eligibility(None, None, unmet)
    return Eligibility(_limit(product, sales), product.prices[grounds.band], ())


def _unmet(product: Product, grounds: Grounds, bands: Bands) -> Iterator[Unmet]:
    yield from _unmet_band(product, grounds.band, bands)
    if product.countries and grounds.country not in product.countries:
        yield Unmet(Criterion.COUNTRY, grounds.country, ", ".join(sorted(product.countries)), None)
    if not grounds.scored:
        return
    months = grounds.months_trading
    if months is None or months < product.minimum_months:
        needed = float(product.minimum_months)
        yield Unmet(Criterion.MONTHS_TRADING, months, needed, needed - (months or 0.0))
    if grounds.unchecked:
        yield Unmet(Criterion.CHECKED_SALES, None, ", ".join(grounds.unchecked), None)
    sales = grounds.undoubted_sales
    if sales is None or _limit(product, sales) < product.least:
        least = _sales_for(product, product.least)
        yield Unmet(Criterion.MONTHLY_SALES, sales, least, least - (sales or 0.0))


def _unmet_band(product: Product, band: str | None, bands: Bands) -> Iterator[Unmet]:
    if band is None:
        yield Unmet(Criterion.SCORE, None, product.minimum_band, None)
    elif not _fits(product, bands):
        # a product made for the bands of one model says nothing of a score by another's
        yield Unmet(Criterion.BANDS, ", ".join(bands.names), ", ".join(sorted(product.bands)), None)
    elif not bands.as_good(band, product.minimum_band):
        steps = bands.names.index(band) - bands.names.index(product.minimum_band)
        yield Unmet(Criterion.BAND, band, product.minimum_band, float(steps))


def _fits(product: Product, bands: Bands) -> bool:
    try:
        product.require(bands)
    except ProductError:
        return False
    return True


def _limit(product: Product, sales: float) -> int:
    # whole units, never rounded up
    return min(product.cap, math.floor(product.multiple * sales))


def _sales_for(product: Product, limit: int) -> float:
    """Return the least monthly sales that carry a limit."""
    sales = limit / product.multiple
    while math.floor(product.multiple * sales) < limit:
        sales = math.nextafter(sales, math.inf)
    return sales
