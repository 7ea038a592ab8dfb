"""How consents and revocations are written in a bank's chain, sealed under the seller's key like scores."""

from __future__ import annotations

from typing import Final

from api.consents.repository import Consent
from api.ledger.chain import written
from scoring.canonical import canonical_json

CONSENT: Final = "consent"
"""The kind of a row that records a consent."""

REVOCATION: Final = "revocation"
"""The kind of a row that records that a consent holds no more."""


def of_consent(consent: Consent, request_id: str | None) -> bytes:
    """Return what the ledger keeps of a consent; its moment is that of the row.

    Args:
        consent: as it was granted.
        request_id: the bank's request that it answers.
    """
    return canonical_json({**told(consent), "recorded_by": consent.recorded_by, "request_id": request_id})


def told(consent: Consent) -> dict[str, str]:
    """Return what table and ledger must both say of a consent."""
    return {
        "consent_id": consent.id,
        "seller_id": consent.seller_id,
        "bank_id": consent.bank_id,
        "purpose": consent.purpose,
        "granted_at": written(consent.granted_at),
        "ends_at": written(consent.ends_at),
    }


def of_revocation(consent: Consent, by: str, replaced_by: str | None) -> bytes:
    """Return what the ledger keeps of a revocation; its moment is that of the row.

    Args:
        consent: that holds no more.
        by: who recorded it.
        replaced_by: the seller's newer consent for the same bank and purpose, where that ends this one.
    """
    return canonical_json({"consent_id": consent.id, "recorded_by": by, "replaced_by": replaced_by})
