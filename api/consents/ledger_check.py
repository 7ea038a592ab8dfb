"""Holds every score, every look at a picture and the table of consents against what the ledger tells of consents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection

from api.consents import proof
from api.consents.repository import consents
from api.ledger.chain import Fault, Header
from api.ledger.verification import Look, Looked, judged, stored_rows
from api.scores import answer
from api.self_view.service import CHAIN
from api.sellers.proof import VIEW

_TOLD: Final = ("seller_id", "bank_id", "purpose", "granted_at", "ends_at", "recorded_by")


@dataclass(frozen=True, slots=True)
class _Recorded:
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

    _known: dict[str, _Recorded] = field(default_factory=dict)

    def batch(self, connection: Connection, looked: Sequence[Looked]) -> Iterator[Fault]:  # noqa: ARG002
        """Yield what is wrong with consents, revocations and scores in these rows."""
        for each in looked:
            yield from judged(self, _LOOKS, each)

    def rest(self, connection: Connection) -> Iterator[Fault]:
        """Yield where the table of consents differs from the ledger."""
        table = {each.pop("id"): each for each in stored_rows(connection, consents)}
        for consent_id, recorded in self._known.items():
            found, header = table.pop(consent_id, None), recorded.header
            if found is None:
                yield Fault(header.chain, header.position, "the table of consents does not hold the consent")
                continue
            differing = sorted(name for name, value in recorded.row.items() if found[name] != value)
            if differing:
                what = f"the table of consents differs from the ledger in {', '.join(differing)}"
                yield Fault(header.chain, header.position, what)
        for each in table.values():
            yield Fault(str(each["bank_id"]), 0, "the table of consents holds one that the ledger does not")

    def consent(self, header: Header, content: Mapping[str, Any]) -> str | None:
        """Return what is wrong with the row of a consent."""
        told = {name: str(content[name]) for name in _TOLD}
        if content["consent_id"] in self._known:
            return "the consent is recorded twice"
        self._known[content["consent_id"]] = _Recorded(header, told)
        return None if told["bank_id"] == header.chain else "the consent is for another bank"

    def revocation(self, header: Header, content: Mapping[str, Any]) -> str | None:
        """Return what is wrong with the row of a revocation."""
        known = self._of(header, content["consent_id"])
        if known is None:
            return "the revocation is of no consent that its seller gave this bank before"
        if known.revoked_at is not None:
            return "the consent was revoked before"
        self._known[content["consent_id"]] = _Recorded(known.header, known.told, header.recorded_at)
        return None

    def score(self, header: Header, content: Mapping[str, Any]) -> str | None:
        """Return what is wrong with the consent of a score."""
        envelope = content["envelope"]
        if "consent_id" not in envelope:
            return None if header.chain == CHAIN else "the score names no consent"
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

    def _of(self, header: Header, consent_id: str) -> _Recorded | None:
        known = self._known.get(consent_id)
        same = known is not None and (known.header.chain, known.header.subject) == (header.chain, header.subject)
        return known if same else None


_LOOKS: Final[Mapping[str, Look]] = {
    proof.CONSENT: ConsentCheck.consent,
    proof.REVOCATION: ConsentCheck.revocation,
    answer.SCORE: ConsentCheck.score,
    VIEW: ConsentCheck.view,
}
