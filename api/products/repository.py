"""The table of products: all versions of each product, with their times."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from sqlalchemy import (
    Column,
    Connection,
    Index,
    Integer,
    String,
    Table,
    Text,
    and_,
    bindparam,
    func,
    or_,
    select,
    update,
)

from api.auth.tokens import Auth
from api.kit.database import UtcDateTime, metadata, row_to, write_rows
from scoring import Product
from scoring.canonical import canonical_json

products = Table(
    "products",
    metadata,
    Column("bank_id", String(60), primary_key=True),
    Column("product_id", String(60), primary_key=True),
    Column("version", Integer(), primary_key=True, autoincrement=False),
    Column("since", UtcDateTime(), nullable=False),
    Column("until", UtcDateTime(), nullable=True),
    Column("content", Text(), nullable=False),
)
_CURRENT: Final = products.c.until.is_(None)
# at most one current version of each product, even if two requests replace products concurrently
Index(
    "products_in_force",
    products.c.bank_id,
    products.c.product_id,
    unique=True,
    sqlite_where=_CURRENT,
    postgresql_where=_CURRENT,
)


# every page of offers reads them
@lru_cache(maxsize=1_000)
def _product(content: str) -> Product:
    values = json.loads(content)
    return Product(**{**values, "countries": frozenset(values["countries"])})


@dataclass(frozen=True)
class ProductVersion:
    """A version of a product, valid from `since` and before `until` (None: still valid). Versions count from 1."""

    bank_id: str
    product_id: str
    version: int
    since: datetime
    until: datetime | None
    content: str

    @property
    def product(self) -> Product:
        """The terms of the product."""
        return _product(self.content)


to_version = row_to(ProductVersion)


# built once: building a statement takes longer than running it
_VALID_AT: Final = and_(
    products.c.since <= bindparam("at", type_=UtcDateTime()),
    or_(_CURRENT, products.c.until > bindparam("at", type_=UtcDateTime())),
)
_OF_ALL_BANKS: Final = select(products).where(_VALID_AT)


def list_products(connection: Connection, bank_id: str, at: datetime | None = None) -> list[ProductVersion]:
    """Return the products of a bank in order of their IDs, current or at a time."""
    valid = _CURRENT if at is None else _VALID_AT
    query = select(products).where(products.c.bank_id == bank_id, valid).order_by(products.c.product_id)
    return [to_version(row) for row in connection.execute(query, {} if at is None else {"at": at})]


def list_active(connection: Connection, auth: Auth, at: datetime) -> list[tuple[str, ProductVersion]]:
    """Return the products of all active banks at a time, each with the name of its bank, in order of the names."""
    valid = [to_version(row) for row in connection.execute(_OF_ALL_BANKS, {"at": at})]
    banks = auth.find_clients({version.bank_id for version in valid})
    active = {bank.id: bank.name for bank in banks.values() if bank.is_active_bank}
    named = [(active[version.bank_id], version) for version in valid if version.bank_id in active]
    return sorted(named, key=lambda item: (item[0], item[1].bank_id, item[1].product_id))


def last_versions(connection: Connection, bank_id: str) -> dict[str, int]:
    """Return the latest version of each product of the bank, withdrawn ones included."""
    latest = func.max(products.c.version)
    query = select(products.c.product_id, latest).where(products.c.bank_id == bank_id).group_by(products.c.product_id)
    return {product_id: version for product_id, version in connection.execute(query)}  # noqa: C416 - rows, not pairs


def last_change(connection: Connection, bank_id: str) -> datetime | None:
    """Return the time of the bank's last change; None if it never had a product."""
    moments = connection.execute(
        select(func.max(products.c.since), func.max(products.c.until)).where(products.c.bank_id == bank_id)
    ).one()
    return max((moment for moment in moments if moment is not None), default=None)


def end_versions(connection: Connection, bank_id: str, product_ids: Sequence[str], now: datetime) -> None:
    """End the current versions of products at a time."""
    ending = products.c.bank_id == bank_id, products.c.product_id.in_(product_ids), _CURRENT
    write_rows(connection, update(products).where(*ending).values(until=now), rows=len(product_ids))


def serialize_product(product: Product) -> str:
    """Return a product as the table stores it."""
    return canonical_json({**asdict(product), "countries": sorted(product.countries)}).decode()
