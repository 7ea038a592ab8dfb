"""What a bank gives as its products, checked: all that is wrong is told at once, each with its place and id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Final

from api.errors import InvalidRequest
from api.products.schemas import ProductTerms
from features.iso import COUNTRIES, UNKNOWN_COUNTRY
from scoring import Product, ProductError
from scoring.bands import Bands

_ADMITTED: Final = COUNTRIES - {UNKNOWN_COUNTRY}


def checked(given: list[ProductTerms], bands: Bands, currencies: Collection[str]) -> dict[str, Product]:
    """Return products by id.

    Args:
        given: as the bank sent them.
        bands: that scores come in.
        currencies: that can be converted.

    Raises:
        InvalidRequest: a product makes no sense, does not fit the bands, or names what is not known.
    """
    found: dict[str, Product] = {}
    invalid: list[dict[str, str]] = []
    times = Counter(terms.id for terms in given)
    for place, terms in enumerate(given):
        wrong = [("duplicate_id", "The id is given more than once; give each product its own")] * (times[terms.id] > 1)
        wrong += _unknown(terms, currencies)
        try:
            found[terms.id] = _product(terms, bands)
        except ProductError as error:
            wrong.append(("product", str(error)))
        where = f"body/products/{place}"
        invalid += [
            {"where": where, "rule": rule, "message": f"Product {terms.id}: {message}"} for rule, message in wrong
        ]
    if invalid:
        raise InvalidRequest(invalid)
    return found


def _product(terms: ProductTerms, bands: Bands) -> Product:
    values = {name: value for name, value in terms if name != "id"}
    product = Product(**{**values, "countries": frozenset(terms.countries)})
    product.require(bands)
    return product


def _unknown(terms: ProductTerms, currencies: Collection[str]) -> Iterator[tuple[str, str]]:
    if terms.currency not in currencies:
        yield (
            "currency",
            f"No exchange rate of {terms.currency} is known; known are {', '.join(sorted(currencies))}.",
        )
    if unknown := sorted(set(terms.countries) - _ADMITTED):
        yield (
            "country",
            f"ISO 3166 has no country {', '.join(unknown)}; leave it out, or countries empty to admit all.",
        )
