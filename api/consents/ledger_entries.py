"""How consents and revocations are written in a bank's chain, sealed under the seller's key like scores.

Holds every score, every look at a picture and the table of consents against what the ledger tells of consents.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection

from api.consents.repository import Consent, consents
from api.kit.fields import format_timestamp
from api.ledger.chain import SELF_CHAIN, EntryKind, Header, LedgerFault
from api.ledger.verification import CheckedRow, LedgerCheck, check_row, compare_row, stored_rows
from scoring.canonical import canonical_json


def consent_entry(consent: Consent, request_id: str | None) -> bytes:
    """Return what the ledger keeps of a consent; its moment is that of the row.

    Args:
        consent: as it was granted.
        request_id: the bank's request that it answers.
    """
    return canonical_json({**consent_fields(consent), "recorded_by": consent.recorded_by, "request_id": request_id})


def consent_fields(consent: Consent) -> dict[str, str]:
    """Return what table and ledger must both say of a consent."""
    return {
        "consent_id": consent.id,
        "seller_id": consent.seller_id,
        "bank_id": consent.bank_id,
        "purpose": consent.purpose,
        "granted_at": format_timestamp(consent.granted_at),
        "ends_at": format_timestamp(consent.ends_at),
    }


def revocation_entry(consent: Consent, by: str, replaced_by: str | None) -> bytes:
    """Return what the ledger keeps of a revocation; its moment is that of the row.

    Args:
        consent: that holds no more.
        by: who recorded it.
        replaced_by: the seller's newer consent for the same bank and purpose, where that ends this one.
    """
    return canonical_json({"consent_id": consent.id, "recorded_by": by, "replaced_by": replaced_by})


_FIELDS: Final = ("seller_id", "bank_id", "purpose", "granted_at", "ends_at", "recorded_by")


@dataclass(frozen=True, slots=True)
class _RecordedConsent:
    """A consent as its row of the ledger tells it, and when a later row revoked it."""

    header: Header
    told: Mapping[str, str]
    revoked_at: str | None = None

    @property
    def row(self) -> dict[str, str | None]:
        """What the table must hold."""
        return {**self.told, "recorded_at": self.header.recorded_at, "revoked_at": self.revoked_at}


@dataclass
class ConsentCheck:
    """Compares each score and each profile view with the consent that it names, as recorded earlier in its chain.

    Sellers need no consent to see their own score, so scores in the chain `self` name none.

    Example: `verify(engine, ledger, [IndexCheck(ring.jwks), ConsentCheck()])`.
    """

    _known: dict[str, _RecordedConsent] = field(default_factory=dict)

    def batch(self, connection: Connection, looked: Sequence[CheckedRow]) -> Iterator[LedgerFault]:  # noqa: ARG002
        """Yield what is wrong with consents, revocations and scores in these rows."""
        for each in looked:
            yield from check_row(self, _VIEWS, each)

    def rest(self, connection: Connection) -> Iterator[LedgerFault]:
        """Yield where the table of consents differs from the ledger."""
        table = {each.pop("id"): each for each in stored_rows(connection, consents)}
        for consent_id, recorded in self._known.items():
            stored, header = table.pop(consent_id, None), recorded.header
            for what in compare_row("the table of consents", recorded.row, stored, "the consent"):
                yield LedgerFault(header.chain, header.position, what)
        for each in table.values():
            yield LedgerFault(str(each["bank_id"]), 0, "the table of consents holds one that the ledger does not")

    def consent(self, header: Header, content: Mapping[str, Any]) -> str | None:
        """Return what is wrong with the row of a consent."""
        told = {name: str(content[name]) for name in _FIELDS}
        if content["consent_id"] in self._known:
            return "the consent is recorded twice"
        self._known[content["consent_id"]] = _RecordedConsent(header, told)
        return None if told["bank_id"] == header.chain else "the consent is for another bank"

    def revocation(self, header: Header, content: Mapping[str, Any]) -> str | None:
        """Return what is wrong with the row of a revocation."""
        known = self._of(header, content["consent_id"])
        if known is None:
            return "the revocation is of no consent that its seller gave this bank before"
        if known.revoked_at is not None:
            return "the consent was revoked before"
        self._known[content["consent_id"]] = _RecordedConsent(known.header, known.told, header.recorded_at)
        return None

    def score(self, header: Header, content: Mapping[str, Any]) -> str | None:
        """Return what is wrong with the consent of a score."""
        envelope = content["envelope"]
        if "consent_id" not in envelope:
            return None if header.chain == SELF_CHAIN else "the score names no consent"
        return self._relied(header, envelope["consent_id"], "score", envelope["purpose"])

    def view(self, header: Header, content: Mapping[str, Any]) -> str | None:
        """Return what is wrong with the consent under which a bank looked at a picture, whatever it is for."""
        return self._relied(header, content["consent_id"], "look")

    def _relied(self, header: Header, consent_id: str, what: str, purpose: str | None = None) -> str | None:
        known = self._of(header, consent_id)
        if known is None:
            return f"the {what} rests on no consent that its seller gave this bank before"
        if known.revoked_at is not None:
            return f"the {what} rests on a consent that was revoked before"
        if purpose is not None and known.told["purpose"] != purpose:
            return f"the {what} rests on a consent for another purpose"
        if not known.told["granted_at"] <= header.recorded_at < known.told["ends_at"]:
            return f"the {what} was made at a time for which its consent does not hold"
        return None

    def _of(self, header: Header, consent_id: str) -> _RecordedConsent | None:
        known = self._known.get(consent_id)
        same = known is not None and (known.header.chain, known.header.subject) == (header.chain, header.subject)
        return known if same else None


_VIEWS: Final[Mapping[str, LedgerCheck]] = {
    EntryKind.CONSENT: ConsentCheck.consent,
    EntryKind.REVOCATION: ConsentCheck.revocation,
    EntryKind.SCORE: ConsentCheck.score,
    EntryKind.VIEW: ConsentCheck.view,
}
