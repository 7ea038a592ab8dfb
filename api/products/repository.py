"""The table of products: every version that a bank's product ever had, with the time for which it held."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

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
    insert,
    or_,
    select,
    update,
)

from api.auth.clients import clients
from api.kit.database import UtcDateTime, metadata
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
_HOLDS: Final = products.c.until.is_(None)
# of two that replace a bank's products at once, one would be refused here if the lock ever let both in
Index(
    "products_in_force",
    products.c.bank_id,
    products.c.product_id,
    unique=True,
    sqlite_where=_HOLDS,
    postgresql_where=_HOLDS,
)


@dataclass(frozen=True)
class ProductVersion:
    """A product as it held from `since` up to, and not at, `until`; None is still. Versions count from 1."""

    bank_id: str
    product_id: str
    version: int
    since: datetime
    until: datetime | None
    product: Product


# built once: making a statement takes longer than running it
_VALID_AT: Final = and_(
    products.c.since <= bindparam("at", type_=UtcDateTime()),
    or_(_HOLDS, products.c.until > bindparam("at", type_=UtcDateTime())),
)
_ACTIVE: Final = (
    select(clients.c.name, products)
    .join_from(products, clients, clients.c.id == products.c.bank_id)
    .where(_VALID_AT, clients.c.revoked_at.is_(None))
    .order_by(clients.c.name, products.c.bank_id, products.c.product_id)
)


def lock_products(connection: Connection, bank_id: str) -> None:
    """Let nobody else replace the bank's products until the transaction ends."""
    connection.execute(select(clients.c.id).where(clients.c.id == bank_id).with_for_update())


def list_products(connection: Connection, bank_id: str, at: datetime | None = None) -> list[ProductVersion]:
    """Return the products of a bank in order of their ids, as they hold now or held at a moment."""
    holds = _HOLDS if at is None else _VALID_AT
    wanted = select(products).where(products.c.bank_id == bank_id, holds).order_by(products.c.product_id)
    return [read(found) for found in connection.execute(wanted, {} if at is None else {"at": at})]


def list_active(connection: Connection, at: datetime) -> list[tuple[str, ProductVersion]]:
    """Return the products that held at a moment, each after its bank's name; none of a bank that is revoked."""
    return [(found[0], read(found[1:])) for found in connection.execute(_ACTIVE, {"at": at})]


def last_versions(connection: Connection, bank_id: str) -> dict[str, int]:
    """Return the latest version of every product that the bank ever had."""
    latest = func.max(products.c.version)
    wanted = select(products.c.product_id, latest).where(products.c.bank_id == bank_id).group_by(products.c.product_id)
    return {found[0]: found[1] for found in connection.execute(wanted)}


def last_change(connection: Connection, bank_id: str) -> datetime | None:
    """Return the moment of the bank's last change; None where it never had a product."""
    moments = connection.execute(
        select(func.max(products.c.since), func.max(products.c.until)).where(products.c.bank_id == bank_id)
    ).one()
    return max((each for each in moments if each is not None), default=None)


def end_versions(connection: Connection, bank_id: str, product_ids: Sequence[str], now: datetime) -> None:
    """Let products hold no more from a moment on."""
    ending = products.c.bank_id == bank_id, products.c.product_id.in_(product_ids), _HOLDS
    connection.execute(update(products).where(*ending).values(until=now))


def insert_versions(connection: Connection, version: ProductVersion) -> None:
    """Store a version that is new."""
    values = {**vars(version), "content": _written(version.product)}
    del values["product"]
    connection.execute(insert(products).values(values))


def _written(product: Product) -> str:
    return canonical_json({**asdict(product), "countries": sorted(product.countries)}).decode()


def read(found: Sequence[Any]) -> ProductVersion:
    """Return the version that a row of the table holds."""
    bank_id, product_id, version, since, until, content = found
    return ProductVersion(bank_id, product_id, version, since, until, _product(content))


# looked through at every page of offers, by as many as look
@lru_cache(maxsize=1_000)
def _product(written: str) -> Product:
    content = json.loads(written)
    return Product(**{**content, "countries": frozenset(content["countries"])})
