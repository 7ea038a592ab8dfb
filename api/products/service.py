"""Replace and list a bank's products, and hold products against a stored score, within the caller's transaction.

What a bank gives as its products, checked: all that is wrong is told at once, each with its place and id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection

from api.errors import InvalidRequest
from api.products import repository
from api.products.eligibility import Offer, ScoreFacts, evaluate_products
from api.products.repository import ProductVersion
from api.products.schemas import ProductTerms
from api.scores.repository import StoredScore
from api.services import Services
from features.iso import COUNTRIES, UNKNOWN_COUNTRY
from scoring import Product, ProductError
from scoring.bands import Bands


def replace_products(
    connection: Connection, bank_id: str, given: Mapping[str, Product], now: datetime | None = None
) -> None:
    """Let a bank have these products by id from now on, and no others.

    One that is as it was stays the version that it is. Nothing is lost: what held before is kept with its time.
    """
    repository.lock_products(connection, bank_id)
    # read once the lock is held; a clock that was set back must not end what has not begun
    last = repository.last_change(connection, bank_id)
    moment = max(each for each in (now or datetime.now(UTC), last) if each is not None)
    held = {each.product_id: each.product for each in repository.list_products(connection, bank_id)}
    repository.end_versions(connection, bank_id, [name for name in held if given.get(name) != held[name]], moment)
    versions = repository.last_versions(connection, bank_id)
    for name, product in given.items():
        if held.get(name) != product:
            repository.insert_versions(
                connection, ProductVersion(bank_id, name, versions.get(name, 0) + 1, moment, None, product)
            )


def offers(connection: Connection, services: Services, score: StoredScore, now: datetime | None = None) -> list[Offer]:
    """Hold a stored score against the products of all banks, in order of the banks' names and the products' ids.

    Example: `offers(connection, services, score)` of a seller's own score of purpose `self_view`.

    Raises:
        BundleNotKept: the bundle that made the score is gone or damaged.
        LedgerDamaged: what is stored is no score.
    """
    at = now or datetime.now(UTC)
    return evaluate_products(services, score, repository.list_active(connection, at), at)[1]


def offers_of_bank(
    connection: Connection, services: Services, score: StoredScore, bank_name: str, at: datetime
) -> tuple[ScoreFacts, list[Offer]]:
    """Hold a bank's score against its own products as they were at a moment, and return what the score tells too.

    Raises:
        ScoreOfEarlierFormat: the score was stored by an earlier version.
        BundleNotKept: the bundle that made the score is gone or damaged.
        LedgerDamaged: what is stored is no score.
    """
    own = [(bank_name, each) for each in repository.list_products(connection, score.bank_id, at)]
    return evaluate_products(services, score, own, at)


_ADMITTED: Final = COUNTRIES - {UNKNOWN_COUNTRY}


def validate_products(given: list[ProductTerms], bands: Bands, currencies: Collection[str]) -> dict[str, Product]:
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
        wrong += _unknown_fields(terms, currencies)
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


def _unknown_fields(terms: ProductTerms, currencies: Collection[str]) -> Iterator[tuple[str, str]]:
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
