"""Ledger entries of products, and the check of the table of products against them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from sqlalchemy import Connection, String, cast, select

from api.ledger.chain import EntryKind, Header, LedgerFault
from api.ledger.signed_entries import SignedContentCheck
from api.ledger.table_checks import compare_row, stored_rows
from api.products.repository import ProductVersion, products
from scoring.canonical import canonical_json

_TABLE: Final = "the table of products"
_NOT_IN_LEDGER: Final = f"{_TABLE} has a version that is not in the ledger"


def products_entry(ended: Sequence[str], started: Sequence[ProductVersion]) -> bytes:
    """Return the ledger content of a change of products.

    Example: `{"ended":["line"],"started":[{"product_id":"line","terms":{"cap":9000,...},"version":2}]}`.

    Args:
        ended: IDs of the products whose current versions end.
        started: the new versions.
    """
    versions = [
        {"product_id": each.product_id, "version": each.version, "terms": json.loads(each.content)} for each in started
    ]
    return canonical_json({"ended": ended, "started": versions})


@dataclass
class _RecordedVersion:
    """A version of a product as the ledger records it: the expected row of the table."""

    header: Header
    row: dict[str, Any]


class ProductCheck(SignedContentCheck):
    """Compares the table of products with the entries in the chains of the banks.

    Example: `verify(engine, ledger, [ProductCheck(ring.jwks)])`.
    """

    def __init__(self, jwks: Mapping[str, Any]) -> None:
        super().__init__(jwks)
        self._versions: dict[tuple[str, int], _RecordedVersion] = {}
        self._current: dict[str, _RecordedVersion] = {}

    def end_chain(self, connection: Connection, chain: str) -> Iterator[LedgerFault]:
        """Yield the differences between the bank's products in the table and in its chain."""
        recorded, self._versions, self._current = self._versions, {}, {}
        for row in stored_rows(connection, products, products.c.bank_id == chain):
            version = recorded.pop((row["product_id"], row["version"]), None)
            if version is None:
                yield LedgerFault(chain, 0, _NOT_IN_LEDGER)
            else:
                yield from map(version.header.fault, compare_row(_TABLE, version.row, row, "the version"))
        for version in recorded.values():
            yield version.header.fault(f"the version of a product is missing in {_TABLE}")

    def other_chains(self, connection: Connection, chains: Set[str]) -> Iterator[LedgerFault]:
        """Yield the banks in the table that have no chain."""
        for bank in connection.execute(select(cast(products.c.bank_id, String)).distinct()).scalars():
            if bank not in chains:
                yield LedgerFault(bank, 0, _NOT_IN_LEDGER)

    def products(self, header: Header, content: Mapping[str, Any]) -> str | None:
        """Return the fault of the row of a change of products, or None."""
        for product_id in content["ended"]:
            self._current.pop(product_id).row["until"] = header.recorded_at
        for each in content["started"]:
            terms = canonical_json(each["terms"]).decode()
            version = _RecordedVersion(header, {"since": header.recorded_at, "until": None, "content": terms})
            self._versions[each["product_id"], each["version"]] = self._current[each["product_id"]] = version
        return None

    methods: ClassVar = {EntryKind.PRODUCTS: products}
