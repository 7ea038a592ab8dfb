"""An erasure leaves no row with the ID of the seller in any table, and only rows with a reason under the pseudonym."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import LargeBinary, Table, insert, select

from api.auth.sessions import UserKind
from api.auth.signing_keys import KeyRing
from api.kit.database import UtcDateTime, metadata, open_database, transaction
from api.ledger.chain import EntryKind
from api.ledger.master_key import MasterKeys
from api.ledger.store import EntryDraft, Ledger
from api.operations import retention
from features.store.vectors import VectorStore

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Column, Engine

SELLER = "S-000001"
NOW = datetime(2026, 2, 1, 9, 30, tzinfo=UTC)
LEDGER = Ledger(MasterKeys((bytes(range(32)),)))
KEPT = {
    "ledger": "the content is encrypted under the destroyed key, and the chain must stay complete",
    "scores": "the index of the ledger has a pseudonym and an encrypted receipt, so a lost score answers 410",
}
"""Tables whose rows about an erased seller stay, and why."""
BY_SCORE = {"shadow_scores"}
"""Tables whose rows belong to a seller through the ID of a score. They have no seller ID in clear."""
ABOUT_A_SELLER = {name for name, table in metadata.tables.items() if {"seller_id", "subject"} & {*table.c.keys()}}


def test_every_table_about_a_seller_is_erased_or_listed_with_a_reason() -> None:
    assert {*KEPT, *BY_SCORE, *retention._SCRUBBED} == ABOUT_A_SELLER | BY_SCORE


def test_an_erasure_deletes_the_rows_of_every_table_about_the_seller(tmp_path: Path) -> None:
    # parents of foreign keys first; the ledger writes its own two tables
    written = [*sorted(ABOUT_A_SELLER - {"seller_keys", "ledger"}), *sorted(BY_SCORE)]
    engine = open_database(f"sqlite:///{tmp_path}/scores.db")
    with transaction(engine, writes=True) as connection:
        seller = LEDGER.seller(connection, SELLER)
        LEDGER.append(connection, seller, EntryDraft("bank-1", EntryKind.VIEW, b"{}", NOW))
        subject = seller.subject
        for table in (metadata.tables[name] for name in written):
            connection.execute(insert(table).values(_row(table, subject)))
    assert _tables_with(engine, SELLER, subject) == {*ABOUT_A_SELLER}
    ring = KeyRing.open(tmp_path / "keys")
    vectors = VectorStore(tmp_path / "vectors.db")
    retention.erase_seller(engine, ring, vectors, seller_id=SELLER, reason="asked", now=NOW)
    assert _tables_with(engine, SELLER) == set()
    assert _tables_with(engine, subject) == {*KEPT}
    with transaction(engine) as connection:
        assert not [name for name in BY_SCORE if connection.execute(select(metadata.tables[name])).all()]
    engine.dispose()


def _row(table: Table, subject: str) -> dict[str, Any]:
    """Return a row about the seller. Tables of users have the seller ID as subject, all others the pseudonym."""
    named = SELLER if "kind" in table.c else subject
    special = {"seller_id": SELLER, "subject": named, "kind": UserKind.SELLER}
    return {column.name: special.get(column.name, _value(column)) for column in table.c}


def _value(column: Column[Any]) -> Any:
    if isinstance(column.type, LargeBinary):
        return b"x"
    if isinstance(column.type, UtcDateTime):
        return NOW
    return "x" if column.type.python_type is str else 1


def _tables_with(engine: Engine, *texts: str) -> set[str]:
    """Return the tables in which a row contains a text."""
    with transaction(engine) as connection:
        return {
            table.name
            for table in metadata.tables.values()
            for row in connection.execute(select(table))
            if any(text in repr(tuple(row)) for text in texts)
        }
