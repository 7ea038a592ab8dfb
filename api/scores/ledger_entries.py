"""Check of the score index and its receipts against the ledger. A difference means that a table was changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, String, cast, select

from api.auth.signing_keys import PublicKeys
from api.errors import SignatureError, UnknownKeyError
from api.ledger.chain import EntryKind, Header, LedgerFault
from api.ledger.checks import CheckedRow, Page
from api.ledger.encryption import DecryptionError
from api.ledger.receipts import RECEIPT
from api.ledger.table_checks import compare_row, stored_rows
from api.scores import envelope
from api.scores.repository import scores

_NOT_IN_LEDGER: Final = "the index has a score that is not in the ledger"
_CHANGED: Final = "the receipt was changed"

_THREADS: Final = 2
"""Threads that verify receipts: more do not help, because only the signatures themselves run in parallel."""


class _Receipt(NamedTuple):
    """A receipt to verify: the row of its score, the signature, and the payload that it signs."""

    header: Header
    signature: str
    payload: bytes


class ScoreIndexCheck:
    """Compares the index with the ledger rows and verifies each receipt with the public keys.

    A third of the time of a verification are the signatures. Other threads verify them while the next page is read, as
    they need no interpreter lock; their faults are therefore found with the next page.

    Example: `verify(engine, ledger, [ScoreIndexCheck(ring.jwks)])`.
    """

    def __init__(self, jwks: Mapping[str, Any]) -> None:
        self._keys = PublicKeys(jwks)
        self._of_unknown_keys: list[Header] = []
        self._threads = ThreadPoolExecutor(_THREADS)
        self._receipts: list[_Receipt] = []
        self._started: list[Future[list[tuple[Header, SignatureError]]]] = []

    def remember(self, rows: Sequence[CheckedRow]) -> None:
        """Ignore earlier rows: none of them is a score."""

    def page(self, connection: Connection, page: Page) -> Iterator[LedgerFault]:
        """Yield the differences between the index and these rows, and the invalid receipts of the previous page."""
        yield from self._invalid_receipts()
        of_page = [scores.c.chain == page.chain]
        if page.after is not None:
            of_page.append(scores.c.position > page.after)
        if not page.is_last:
            of_page.append(scores.c.position <= page.rows[-1].row.header.position)
        index = {entry["position"]: entry for entry in stored_rows(connection, scores, *of_page)}
        for row in page.rows:
            header = row.row.header
            entry = index.pop(header.position, None)
            if entry is not None or header.kind == EntryKind.SCORE:
                yield from map(header.fault, self._faults(row, entry))
        for position in index:
            yield LedgerFault(page.chain, position, _NOT_IN_LEDGER)
        receipts, self._receipts = self._receipts, []
        self._started = [self._threads.submit(self._verify, receipts[part::_THREADS]) for part in range(_THREADS)]

    def end_chain(self, connection: Connection, chain: str) -> Iterator[LedgerFault]:  # noqa: ARG002
        """Yield the invalid receipts of the last page, and one fault for all receipts of unknown keys.

        If keys are unknown, the given keys are most likely incomplete.
        """
        yield from self._invalid_receipts()
        unknown, self._of_unknown_keys = self._of_unknown_keys, []
        if unknown:
            first = min(unknown, key=lambda header: header.position)
            yield first.fault(
                f"{len(unknown):,} receipts from here on are signed by keys that are not among the trusted keys; if "
                "--jwks was used, it must hold all keys of the service"
            )

    def other_chains(self, connection: Connection, chains: Set[str]) -> Iterator[LedgerFault]:
        """Yield the chains of the index that are not in the ledger."""
        for chain in connection.execute(select(cast(scores.c.chain, String)).distinct()).scalars():
            if chain not in chains:
                yield LedgerFault(chain, 0, _NOT_IN_LEDGER)

    def _faults(self, row: CheckedRow, entry: Mapping[str, Any] | None) -> Iterator[str]:
        header = row.row.header
        if header.kind != EntryKind.SCORE:
            yield "the index has a score, but the ledger row is not a score"
            return
        expected = {"subject": header.subject, "scored_at": header.recorded_at}
        try:
            expected |= {} if row.content is None else _fields(row.fields)
        except (ValueError, KeyError, TypeError):
            yield "the content is not a score"
            return
        yield from compare_row("the index", expected, entry, "the score")
        if entry is None:
            return
        if row.row.is_dropped:
            if entry["receipt"] is not None:
                yield "the content was dropped, but its receipt is still stored"
        elif entry["receipt"] is None:
            yield "the receipt is missing"
        elif row.content is not None:
            yield from self._open_receipt(row, entry)

    def _open_receipt(self, row: CheckedRow, entry: Mapping[str, Any]) -> Iterator[str]:
        try:
            receipt = envelope.open_receipt(row.key or b"", entry["id"], entry["receipt"])
            self._receipts.append(_Receipt(row.row.header, receipt, envelope.signed_payload(row.envelope, row.row)))
        except (DecryptionError, ValueError):
            yield _CHANGED

    def _verify(self, receipts: Sequence[_Receipt]) -> list[tuple[Header, SignatureError]]:
        invalid = []
        for receipt in receipts:
            try:
                self._keys.verify_detached(receipt.signature, receipt.payload, RECEIPT)
            except SignatureError as error:
                invalid.append((receipt.header, error))
        return invalid

    def _invalid_receipts(self) -> Iterator[LedgerFault]:
        started, self._started = self._started, []
        for header, error in (invalid for future in started for invalid in future.result()):
            if isinstance(error, UnknownKeyError):
                self._of_unknown_keys.append(header)
            else:
                yield header.fault(_CHANGED)


def _fields(content: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields that are in the ledger and in the index."""
    return {"bundle": content["bundle"], "id": content["envelope"]["id"], "purpose": content["envelope"]["purpose"]}
