"""What the ledger keeps of a bank's look at a seller's picture."""

from __future__ import annotations

import hashlib
from typing import Final

from features.profile.profile import SellerProfile
from scoring.canonical import canonical_json

VIEW: Final = "view"
"""The kind of a row of the ledger that records that a bank looked at a seller's picture."""


def of_view(picture: SellerProfile, consent_id: str, body: bytes) -> bytes:
    """Return the content of its row: of whom, by which consent, of what data, and the digest of the answer."""
    return canonical_json(
        {
            "seller_id": picture.seller_id,
            "consent_id": consent_id,
            "as_of": picture.snapshot.as_of.isoformat(),
            "data_version": picture.snapshot.data_version,
            "answer": f"sha256:{hashlib.sha256(body).hexdigest()}",
        }
    )
