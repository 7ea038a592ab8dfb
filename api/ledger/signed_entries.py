"""Signed entries: ledger rows that are not encrypted, such as products and erasures, and the base class of checks.

Without a signature, a person who can write to the database could change a table, or remove contents, and append a row
that fits. The signature covers the header of the row, so it is valid at that position only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection

from api.auth.signing_keys import KeyRing, PublicKeys
from api.errors import SignatureError, UnknownKeyError
from api.kit.fields import format_timestamp
from api.ledger.chain import NO_SELLER, Header
from api.ledger.checks import CheckedRow, ContentCheck
from api.ledger.receipts import detach_payload, join_canonical, split_canonical
from api.ledger.store import EntryDraft, append_plain, lock_chain
from scoring.canonical import canonical_json

ENTRY: Final = "entry+jws"

_FIELD: Final = "signature"


def append_signed(connection: Connection, ring: KeyRing, draft: EntryDraft, subject: str = NO_SELLER) -> None:
    """Append an entry with its signature, and lock the chain until the transaction ends.

    Example: the content `{"client_id":"bank-3f9c"}` is stored as `{"client_id":"bank-3f9c","signature":"eyJh..."}`.

    Args:
        connection: Connection of a write transaction.
        ring: The keys of receipts.
        draft: The entry. Its content is a JSON object.
        subject: The pseudonym of the seller whom the entry is about, if any.
    """
    position = lock_chain(connection, draft.chain).position + 1
    header = Header(draft.chain, position, draft.kind, format_timestamp(draft.recorded_at), subject)
    parts = split_canonical(draft.content)
    signature = detach_payload(ring.sign(_payload(header, parts), ENTRY))
    content = join_canonical({**parts, _FIELD: canonical_json(signature)})
    append_plain(connection, subject, EntryDraft(draft.chain, draft.kind, content, draft.recorded_at))


def signature_fault(keys: PublicKeys, header: Header, content: bytes) -> str | None:
    """Return the fault of the signature of an entry, or None."""
    try:
        parts = split_canonical(content)
        signature = str(json.loads(parts.pop(_FIELD)))
        keys.verify_detached(signature, _payload(header, parts), ENTRY)
    except UnknownKeyError:
        return "the signature of the entry is of a key that is not among the trusted keys"
    except (SignatureError, ValueError, KeyError, RecursionError):
        return "the signature of the entry is missing or invalid"
    return None


def _payload(header: Header, parts: Mapping[str, bytes]) -> bytes:
    return join_canonical({"content": join_canonical(parts), "row": header.bound})


class SignedContentCheck(ContentCheck):
    """A check of contents that verifies their signatures with the public keys first.

    Example: `verify(engine, ledger, [ProductCheck(ring.jwks)])`.
    """

    def __init__(self, jwks: Mapping[str, Any]) -> None:
        self._keys = PublicKeys(jwks)

    def _fault(self, row: CheckedRow) -> str | None:
        if row.content is None or row.row.header.kind not in self.methods:
            return None
        return signature_fault(self._keys, row.row.header, row.content) or super()._fault(row)
