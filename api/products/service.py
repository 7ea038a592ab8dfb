"""Products of a bank: validate and replace them, in a transaction of the caller."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection

from api.auth.signing_keys import KeyRing
from api.errors import InvalidRequest
from api.kit.database import insert_row
from api.ledger.chain import EntryKind
from api.ledger.signed_entries import append_signed
from api.ledger.store import EntryDraft, lock_chain
from api.products import ledger_entries, repository
from api.products.repository import ProductVersion, serialize_product
from api.products.schemas import ProductTerms
from features.iso import COUNTRIES, UNKNOWN_COUNTRY
from scoring import Product, ProductError
from scoring.bands import Bands

_ADMITTED: Final = COUNTRIES - {UNKNOWN_COUNTRY}


def replace_products(
    connection: Connection,
    ring: KeyRing,
    bank_id: str,
    products: Mapping[str, Product],
    now: datetime | None = None,
) -> None:
    """Replace all products of a bank by the given ones, by ID, and record the change in the bank's chain.

    An unchanged product keeps its version. Earlier versions are stored with their times. If nothing changes, nothing is
    recorded.

    Args:
        connection: a writing transaction.
        ring: the receipt keys, which sign the entry.
        bank_id: the bank.
        products: the products by ID.
        now: the time of the change; None is the current time.
    """
    # the lock of the chain orders concurrent changes
    lock_chain(connection, bank_id)
    # read under the lock; if the clock was set back, no version ends before it began
    last = repository.last_change(connection, bank_id)
    moment = max(time for time in (now or datetime.now(UTC), last) if time is not None)
    current = {item.product_id: item.product for item in repository.list_products(connection, bank_id)}
    ended = [product_id for product_id in current if products.get(product_id) != current[product_id]]
    versions = repository.last_versions(connection, bank_id)
    started = [
        ProductVersion(bank_id, product_id, versions.get(product_id, 0) + 1, moment, None, serialize_product(product))
        for product_id, product in products.items()
        if current.get(product_id) != product
    ]
    if not ended and not started:
        return
    repository.end_versions(connection, bank_id, ended, moment)
    for version in started:
        insert_row(connection, repository.products, version)
    content = ledger_entries.products_entry(ended, started)
    append_signed(connection, ring, EntryDraft(bank_id, EntryKind.PRODUCTS, content, moment))


def validate_products(terms: list[ProductTerms], bands: Bands, currencies: Collection[str]) -> dict[str, Product]:
    """Return valid products by ID.

    Args:
        terms: the products of the request.
        bands: the current bands.
        currencies: the convertible currencies.

    Raises:
        InvalidRequest: a product is inconsistent, does not fit the bands, or has an unknown currency or country. All
            faults are listed with their place and product ID.
    """
    valid: dict[str, Product] = {}
    invalid: list[dict[str, str]] = []
    counts = Counter(item.id for item in terms)
    for index, item in enumerate(terms):
        faults = list(_unknown_values(item, currencies))
        if counts[item.id] > 1:
            faults.insert(0, ("duplicate_id", "The ID occurs more than once. Use a different ID for each product"))
        try:
            valid[item.id] = _product(item, bands)
        except ProductError as error:
            faults.append(("product", str(error)))
        where = f"body/products/{index}"
        invalid += [
            {"where": where, "rule": rule, "message": f"Product {item.id}: {message}"} for rule, message in faults
        ]
    if invalid:
        raise InvalidRequest(invalid)
    return valid


def _product(terms: ProductTerms, bands: Bands) -> Product:
    values = {name: value for name, value in terms if name != "id"}
    product = Product(**{**values, "countries": frozenset(terms.countries)})
    product.require(bands)
    return product


def _unknown_values(terms: ProductTerms, currencies: Collection[str]) -> Iterator[tuple[str, str]]:
    if terms.currency not in currencies:
        known = ", ".join(sorted(currencies))
        yield "currency", f"No exchange rate of {terms.currency} is known. Use one of {known}."
    if unknown := sorted(set(terms.countries) - _ADMITTED):
        codes = ", ".join(unknown)
        yield "country", f"{codes} is not an ISO 3166 country code. Use codes such as GB for the United Kingdom."
