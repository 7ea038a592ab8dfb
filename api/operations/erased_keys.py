"""The check that no key of an erased seller is stored: compares `seller_keys` with the list of erased sellers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set

from sqlalchemy import Connection, select

from api.ledger.chain import EntryKind, LedgerFault
from api.ledger.checks import CheckedRow, Page
from api.ledger.encryption import seller_keys
from api.ledger.store import cast_columns, ledger
from features.ingest.erasure import ErasedSellers

_LATER_KINDS = (EntryKind.CONSENT, EntryKind.REVOCATION)
"""The kinds that a platform can record after an erasure, under a new key."""

_FAULT = (
    "the seller was erased, but their key is stored. An erasure did not find it, or was interrupted. Find the "
    "seller_id by the subject of this row in seller_keys, and run `sellerscore ledger erase` again"
)


class ErasedKeyCheck:
    """Compares the keys of sellers with the keyed hashes of erased sellers in the operating data.

    A key that was moved aside during an erasure has no signed erasure. It is a fault if its seller has rows other than
    consents and revocations.

    Example: `verify(engine, ledger, keys, [ErasedKeyCheck(read_erased(settings.operating_path))])`.
    """

    def __init__(self, erased: ErasedSellers) -> None:
        self._erased = erased

    def remember(self, rows: Sequence[CheckedRow]) -> None:
        """Need no earlier rows."""

    def page(self, connection: Connection, page: Page) -> Iterator[LedgerFault]:  # noqa: ARG002
        """Yield nothing: the keys are compared at the end."""
        return iter(())

    def end_chain(self, connection: Connection, chain: str) -> Iterator[LedgerFault]:  # noqa: ARG002
        """Yield nothing: the keys are compared at the end."""
        return iter(())

    def other_chains(self, connection: Connection, chains: Set[str]) -> Iterator[LedgerFault]:  # noqa: ARG002
        """Yield a fault at the first row of each erased seller whose key is stored."""
        if not self._erased:
            return
        for seller_id, subject, _ in connection.execute(select(*cast_columns(seller_keys))).all():
            if self._erased.holds("seller_id", seller_id):
                of_seller = ledger.c.subject == subject, ledger.c.kind.not_in(_LATER_KINDS)
                columns = select(ledger.c.chain, ledger.c.position)
                row = connection.execute(columns.where(*of_seller).order_by(*columns.selected_columns)).first()
                if row is not None:
                    yield LedgerFault(row.chain, row.position, _FAULT)
