"""Encryption at rest of ledger contents: AES-256-GCM under a key per seller, wrapped by the master key.

Erasing a seller destroys the key of the seller. The rows stay, and with them the evidence of the chain.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    LargeBinary,
    String,
    Table,
    bindparam,
    column,
    delete,
    exists,
    select,
    table,
    text,
)

from api.errors import LedgerDamaged
from api.kit.database import metadata, write_rows
from api.ledger.chain import EntryKind
from scoring.canonical import canonical_json

logger = logging.getLogger(__name__)

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_SUBJECT_BYTES: Final = 16
_SAMPLE: Final = 5

seller_keys: Final = Table(
    "seller_keys",
    metadata,
    Column("seller_id", String(200), primary_key=True),
    Column("subject", String(32), nullable=False, unique=True),
    Column("wrapped", LargeBinary(), nullable=False),
)
"""The only table that links a pseudonym to its seller. Erasing a seller deletes the row, and with it the key."""

# the table `ledger` is defined in a module that uses this one
_entries = table("ledger", column("subject"), column("kind"))


def is_erased(subject: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the SQL condition that an erasure of a pseudonym is recorded: its key must not be used if it is put back.

    Example: `select(scores.c.id).where(~is_erased(scores.c.subject))`.
    """
    return exists().where(_entries.c.subject == subject, _entries.c.kind == EntryKind.ERASURE)


_KEYS = select(seller_keys.c.seller_id, seller_keys.c.subject, seller_keys.c.wrapped)

# built once: building a statement takes longer than running it
_OF_SELLER = _KEYS.where(seller_keys.c.seller_id == bindparam("seller"))
_TO_USE = _OF_SELLER.add_columns(is_erased(seller_keys.c.subject)).with_for_update(read=True, key_share=True)
_TO_ERASE = _OF_SELLER.with_for_update()

# always in the same order, so that two transactions with several keys cannot deadlock
_ALL_TO_USE = (
    _KEYS.add_columns(is_erased(seller_keys.c.subject))
    .where(seller_keys.c.seller_id.in_(bindparam("sellers", expanding=True)))
    .order_by(seller_keys.c.seller_id)
    .with_for_update(read=True, key_share=True)
)

# the syntax that both databases support
_INSERT_KEY = text(
    "INSERT INTO seller_keys (seller_id, subject, wrapped) VALUES (:seller_id, :subject, :wrapped) "
    "ON CONFLICT DO NOTHING"
)


class DecryptionError(Exception):
    """A cipher text cannot be decrypted: it was changed or moved, or has another key."""


class WrappedSellerKey(NamedTuple):
    """The pseudonym of a seller and their wrapped key."""

    seller_id: str
    subject: str
    wrapped: bytes


class SellerKey(NamedTuple):
    """The pseudonym of a seller and the key that encrypts everything about them."""

    subject: str
    key: bytes


def new_key() -> bytes:
    """Return a new random key."""
    return secrets.token_bytes(KEY_BYTES)


def encrypt(key: bytes, content: bytes, associated_data: bytes) -> bytes:
    """Return the nonce and the cipher text of a content. Decryption needs the same `associated_data`.

    Example:
        >>> key = new_key()
        >>> decrypt(key, encrypt(key, b"content", b"place"), b"place")
        b'content'
    """
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, associated_data)


def decrypt(key: bytes, sealed: bytes, associated_data: bytes) -> bytes:
    """Return the content of a cipher text.

    Raises:
        DecryptionError: It was changed, has other associated data, or has another key.
    """
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], associated_data)
    except (InvalidTag, ValueError) as error:
        raise DecryptionError from error


def seller_key(connection: Connection, seller_id: str, *, to_erase: bool = False) -> WrappedSellerKey | None:
    """Return the key of a seller, or None, and lock it: an erasure excludes all other uses.

    Raises:
        LedgerDamaged: The key was put back after the erasure of the seller. It can only be erased again.
    """
    if to_erase:
        row = connection.execute(_TO_ERASE, {"seller": seller_id}).one_or_none()
        return None if row is None else WrappedSellerKey(*row)
    used = connection.execute(_TO_USE, {"seller": seller_id}).one_or_none()
    if used is None:
        return None
    *key, erased = used
    if erased:
        _report_erased(str(used.subject))
        raise LedgerDamaged
    return WrappedSellerKey(*key)


def existing_seller_keys(connection: Connection, seller_ids: Sequence[str]) -> list[WrappedSellerKey]:
    """Return the keys of those of the sellers who have one, and lock them against erasure.

    A key that was put back after the erasure of its seller is left out.
    """
    found = []
    for *key, erased in connection.execute(_ALL_TO_USE, {"sellers": seller_ids}):
        stored = WrappedSellerKey(*key)
        if erased:
            _report_erased(stored.subject)
        else:
            found.append(stored)
    return found


def _report_erased(subject: str) -> None:
    logger.error(
        "the key of the subject %s is stored although its seller was erased. It is not used. Run `sellerscore ledger "
        "erase` for this seller again.",
        subject,
    )


def sample_seller_keys(connection: Connection) -> list[WrappedSellerKey]:
    """Return the keys of a few sellers."""
    return [WrappedSellerKey(*row) for row in connection.execute(_KEYS.limit(_SAMPLE))]


def create_seller_key(connection: Connection, master: bytes, seller_id: str) -> WrappedSellerKey:
    """Create and store the key of a seller. Two concurrent calls return the same key."""
    subject = secrets.token_hex(_SUBJECT_BYTES)
    key = WrappedSellerKey(seller_id, subject, wrap(master, seller_id, subject, new_key()))
    stored = None
    # the key of a concurrent call may be erased before it is read
    while stored is None:
        connection.execute(_INSERT_KEY, key._asdict())
        stored = seller_key(connection, seller_id)
    return stored


def wrap(master: bytes, seller_id: str, subject: str, key: bytes) -> bytes:
    """Return the key of a seller, encrypted under the master key."""
    return encrypt(master, key, _associated_data(seller_id, subject))


def unwrap(master: bytes, key: WrappedSellerKey) -> bytes:
    """Return the key of a seller.

    Raises:
        DecryptionError: It was changed, or wrapped by another master key.
    """
    try:
        return decrypt(master, key.wrapped, _associated_data(key.seller_id, key.subject))
    except TypeError as error:
        # SQLite stores a value of any type in any column
        raise DecryptionError from error


def destroy_key(connection: Connection, seller_id: str) -> None:
    """Delete the stored key of a seller. Nothing that it encrypts can be read afterwards.

    Raises:
        DatabaseUnavailable: The database kept the key, for example because of a trigger.
    """
    write_rows(connection, delete(seller_keys).where(seller_keys.c.seller_id == seller_id), rows=1)


def _associated_data(seller_id: str, subject: str) -> bytes:
    # so that no key can take the place of another seller's
    return canonical_json(["seller key", seller_id, subject])
