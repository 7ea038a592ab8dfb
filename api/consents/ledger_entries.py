"""Ledger entries of consents and revocations, and the check of scores, profile views and the table against them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from sqlalchemy import Connection, String, cast, select

from api.consents.repository import Consent, consents
from api.kit.fields import format_timestamp
from api.ledger.chain import SELF_CHAIN, EntryKind, Header, LedgerFault
from api.ledger.checks import ContentCheck
from api.ledger.table_checks import compare_row, stored_rows
from scoring.canonical import canonical_json


def consent_entry(consent: Consent, request_id: str | None) -> bytes:
    """Return the ledger content of a consent; `request_id` is the request that it grants."""
    return canonical_json({**consent_fields(consent), "recorded_by": consent.recorded_by, "request_id": request_id})


def consent_fields(consent: Consent) -> dict[str, str]:
    """Return the fields of a consent that table and ledger share."""
    return {
        "consent_id": consent.id,
        "seller_id": consent.seller_id,
        "bank_id": consent.bank_id,
        "purpose": consent.purpose,
        "granted_at": format_timestamp(consent.granted_at),
        "ends_at": format_timestamp(consent.ends_at),
    }


def revocation_entry(consent: Consent, by: str, replaced_by: str | None) -> bytes:
    """Return the ledger content of a revocation.

    Args:
        consent: the revoked consent.
        by: the recorder.
        replaced_by: the newer consent for the same bank and purpose, if it replaces this one.
    """
    return canonical_json({"consent_id": consent.id, "recorded_by": by, "replaced_by": replaced_by})


_FIELDS: Final = ("seller_id", "bank_id", "purpose", "granted_at", "ends_at", "recorded_by")
_NOT_IN_LEDGER: Final = "the table of consents has a consent that is not in the ledger"


@dataclass(frozen=True, slots=True)
class _RecordedConsent:
    """A consent as the ledger records it, and the time of its revocation."""

    header: Header
    fields: Mapping[str, str]
    revoked_at: str | None = None

    @property
    def row(self) -> dict[str, str | None]:
        """The expected row of the table."""
        return {**self.fields, "recorded_at": self.header.recorded_at, "revoked_at": self.revoked_at}


@dataclass
class ConsentCheck(ContentCheck):
    """Compares each score and each profile view with the consent that it names, as recorded earlier in its chain.

    Sellers need no consent to see their own score, so scores in the chain `self` name none.

    Example: `verify(engine, ledger, [ScoreIndexCheck(ring.jwks), ConsentCheck()])`.
    """

    _consents: dict[str, _RecordedConsent] = field(default_factory=dict)

    def end_chain(self, connection: Connection, chain: str) -> Iterator[LedgerFault]:
        """Yield the differences between the bank's consents in the table and in its chain."""
        recorded, self._consents = self._consents, {}
        for row in stored_rows(connection, consents, consents.c.bank_id == chain):
            consent = recorded.pop(row.pop("id"), None)
            if consent is None:
                yield LedgerFault(chain, 0, _NOT_IN_LEDGER)
                continue
            for fault in compare_row("the table of consents", consent.row, row, "the consent"):
                yield consent.header.fault(fault)
        for consent in recorded.values():
            yield consent.header.fault("the consent is missing in the table of consents")

    def other_chains(self, connection: Connection, chains: Set[str]) -> Iterator[LedgerFault]:
        """Yield the banks in the table that have no chain."""
        for bank in connection.execute(select(cast(consents.c.bank_id, String)).distinct()).scalars():
            if bank not in chains:
                yield LedgerFault(bank, 0, _NOT_IN_LEDGER)

    def consent(self, header: Header, content: Mapping[str, Any]) -> str | None:
        """Return the fault of the row of a consent, or None."""
        fields = {name: str(content[name]) for name in _FIELDS}
        if content["consent_id"] in self._consents:
            return "the consent is recorded twice"
        self._consents[content["consent_id"]] = _RecordedConsent(header, fields)
        return None if fields["bank_id"] == header.chain else "the consent is for another bank"

    def revocation(self, header: Header, content: Mapping[str, Any]) -> str | None:
        """Return the fault of the row of a revocation, or None."""
        consent = self._find(header, content["consent_id"])
        if consent is None:
            return "the revocation has no earlier consent of its seller for this bank"
        if consent.revoked_at is not None:
            return "the consent is already revoked"
        self._consents[content["consent_id"]] = _RecordedConsent(consent.header, consent.fields, header.recorded_at)
        return None

    def score(self, header: Header, content: Mapping[str, Any]) -> str | None:
        """Return the fault of the consent of a score, or None."""
        envelope = content["envelope"]
        if "consent_id" not in envelope:
            return None if header.chain == SELF_CHAIN else "the score names no consent"
        return self._check_use(header, envelope["consent_id"], "score", envelope["purpose"])

    def view(self, header: Header, content: Mapping[str, Any]) -> str | None:
        """Return the fault of the consent of a profile view, or None; its purpose does not matter."""
        return self._check_use(header, content["consent_id"], "view")

    def _check_use(self, header: Header, consent_id: str, use: str, purpose: str | None = None) -> str | None:
        consent = self._find(header, consent_id)
        if consent is None:
            return f"the {use} has no earlier consent of its seller for this bank"
        if consent.revoked_at is not None:
            return f"the consent of the {use} was revoked before"
        if purpose is not None and consent.fields["purpose"] != purpose:
            return f"the consent of the {use} is for another purpose"
        if not consent.fields["granted_at"] <= header.recorded_at < consent.fields["ends_at"]:
            return f"the consent of the {use} was not active at that time"
        return None

    def _find(self, header: Header, consent_id: str) -> _RecordedConsent | None:
        consent = self._consents.get(consent_id)
        if consent is None or (consent.header.chain, consent.header.subject) != (header.chain, header.subject):
            return None
        return consent

    methods: ClassVar = {
        EntryKind.CONSENT: consent,
        EntryKind.REVOCATION: revocation,
        EntryKind.SCORE: score,
        EntryKind.VIEW: view,
    }
