"""What of a score is done while its bank's chain is held: consent and key are looked at, the row is added and signed.

It is one of a batch in one transaction (`api.ledger.writer`), so nothing is here that could be done before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from api.consents import service as consents
from api.consents.repository import Consent
from api.idempotency.keys import Named
from api.idempotency.repository import prune
from api.keyring import KeyRing
from api.ledger.chain import Row, Tip
from api.ledger.service import Draft, Ledger, Seller
from api.scores import again, answer, repository
from api.scores.repository import Indexed
from api.scores.stored import StoredScore
from scoring.canonical import canonical_json


class KeyTaken(Exception):  # noqa: N818 - no error: another process was first
    """The key was used by another process since it was looked for."""


@dataclass(frozen=True)
class Made:
    """A score that is made and not stored: the envelope without consent and assessment, these, and the inputs."""

    envelope: dict[str, str]
    assessment: bytes
    inputs: bytes
    bundle: str
    consent: Consent


@dataclass(frozen=True)
class Storing:
    """Stores one score; called with the seller's key and where the bank's chain stands.

    `still_there` raises where the seller's vector is gone. `named` is the key of the request, if it has one.
    """

    ledger: Ledger
    receipts: KeyRing
    made: Made
    still_there: Callable[[], object]
    named: Named | None
    now: datetime

    def __call__(self, connection: Connection, seller: Seller, tip: Tip) -> tuple[Row, StoredScore]:
        """Append the score.

        Raises:
            ConsentRequired: the consent was revoked meanwhile.
            KeyTaken: the key was used meanwhile.
        """
        envelope, inputs, bundle = self.made.envelope, self.made.inputs, self.made.bundle
        parts = self._parts(self._consent(connection))
        # before anything is appended, and where whoever else uses the bank's keys has committed
        if self.named is not None and not again.use(connection, self.named, seller, envelope["id"], self.now):
            raise KeyTaken
        chain = envelope["bank_id"]
        draft = Draft(chain, answer.SCORE, answer.content(bundle, parts, inputs), self.now)
        row = self.ledger.append(connection, seller, draft, tip)
        if self.named is not None:
            prune(connection, chain, self.now)
        body, receipt = answer.answered(parts, row, self.receipts)
        index = Indexed(
            id=envelope["id"],
            chain=chain,
            position=row.header.position,
            subject=seller.subject,
            purpose=envelope["purpose"],
            scored_at=self.now,
            bundle=bundle,
            receipt=answer.sealed_receipt(seller.key, envelope["id"], receipt),
        )
        repository.add(connection, index)
        return row, StoredScore(index.id, chain, envelope["seller_id"], index.purpose, self.now, bundle, inputs, body)

    def _consent(self, connection: Connection) -> Consent:
        # once more, as of this place in the chain: a revocation was committed before, or comes after
        envelope = self.made.envelope
        asked = (envelope["seller_id"], envelope["bank_id"], envelope["purpose"])
        consent = consents.require(connection, *asked, self.now)
        if consent.id != self.made.consent.id:
            # an erasure since the vector was read has removed vectors first: nobody comes back by a race
            self.still_there()
        return consent

    def _parts(self, consent: Consent) -> dict[str, bytes]:
        # canonical JSON nests: the assessment's part of the answer is its canonical bytes
        parts = {name: canonical_json(value) for name, value in self.made.envelope.items()}
        return {**parts, "assessment": self.made.assessment, "consent_id": canonical_json(consent.id)}
