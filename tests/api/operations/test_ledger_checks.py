"""`ledger verify` names every change of a table that was made behind the back of the service."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from joserfc.jwk import OKPKey
from sqlalchemy import Connection, Integer, text

from api.auth.credentials import public_key
from api.auth.scopes import ClientKind
from api.auth.signing_keys import KeyRing, PublicKeys
from api.kit.database import UtcDateTime, metadata, transaction
from api.kit.fields import Purpose
from api.ledger.chain import CLIENTS_CHAIN, EntryKind
from api.ledger.checks import Scope
from api.ledger.signed_entries import append_signed
from api.ledger.store import EntryDraft, append_plain, read_content, rows_of, tips
from api.ledger.verification import Verifier
from api.operations.ledger_checks import all_checks
from api.operations.retention import drop_expired
from api.products.ledger_entries import products_entry
from api.products.service import replace_products
from api.reviews.service import ReviewDraft, assign, open_review
from api.scores.issuance import issue_score
from api.scores.schemas import ScoreRequest
from api.settings import Settings
from tests.api.conftest import SELLERS, Opener
from tests.api.products.test_versions import LINE
from tests.api.scores.conftest import Bank
from tests.api.started import register_of

TABLES = {
    "products": "product_id",
    "clients": "id",
    "client_secrets": "name",
    "client_keys": "thumbprint",
    "reviews": "id",
    "idempotency_keys": "name",
}
"""The tables, each with the column that a row to add changes."""

ONE = "rowid = (SELECT min(rowid) FROM {})"


@pytest.fixture
def bank(stored_in: Settings, open_client: Opener) -> Iterator[Bank]:
    """A bank with each kind of row: products of two versions, three clients, an open review, and a used key."""
    with open_client(stored_in, consenting=SELLERS[:3]) as client:
        bank = Bank(client)
        services, register, now = bank.services, register_of(bank.services), datetime.now(UTC)
        register.rotate(ClientKind.BANK, bank.id, credential=services.auth.secrets.new(), overlap=timedelta(1), now=now)
        jwk = OKPKey.generate_key("Ed25519").as_dict(private=False)
        operator = register.create(ClientKind.OPERATOR, "An operator", credential=public_key(jwk), now=now).client
        register.rotate(
            ClientKind.OPERATOR, operator.id, credential=public_key(jwk), overlap=timedelta(0), now=datetime.now(UTC)
        )
        gone = register.create(ClientKind.PLATFORM, "名", now=datetime.now(UTC)).client
        register.revoke(ClientKind.PLATFORM, gone.id, datetime.now(UTC))
        for wanted in ({"a": LINE, "b": LINE}, {"a": replace(LINE, cap=8_000), "c": LINE}):
            put(bank, wanted)
        with transaction(services.engine, writes=True) as connection:
            draft = ReviewDraft(SELLERS[0], None, None, "It is wrong. 错了")
            review = open_review(connection, services, draft)
        for by in (operator.id, "operator-2"):
            assign(services, review.id, by)
        score(bank, "order 17")
        yield bank


def put(bank: Bank, wanted: dict[str, object]) -> None:
    with transaction(bank.services.engine, writes=True) as connection:
        replace_products(connection, bank.services.receipts, bank.id, wanted)


def score(bank: Bank, key: str, seller_id: str = SELLERS[0]) -> str:
    """Score a seller with an Idempotency-Key, and return the ID of the score."""
    request = ScoreRequest(seller_id=seller_id, purpose=Purpose.CREDIT_APPLICATION)
    return asyncio.run(issue_score(bank.services, bank.id, request, key=key)).score.id


def require_sqlite(bank: Bank) -> None:
    if bank.services.engine.dialect.name != "sqlite":
        pytest.skip("the changes are written in SQLite's dialect; what verifies them is the same code")


def faults_after(bank: Bank, *statements: str) -> list[str]:
    """Return the faults after changes, which are rolled back."""
    services = bank.services
    with services.engine.connect() as connection:
        connection.begin()
        if connection.dialect.name == "sqlite":
            connection.execute(text("PRAGMA defer_foreign_keys = ON"))
        for statement in statements:
            connection.execute(text(statement))
        found = faults_in(bank, connection)
        connection.rollback()
    return found


def faults_in(bank: Bank, connection: Connection) -> list[str]:
    jwks = bank.services.receipts.jwks
    connect, checks = lambda: nullcontext(connection), all_checks(jwks)
    report = Verifier(connect, bank.services.ledger, PublicKeys(jwks), checks, page_rows=4).run()
    return [fault.what for fault in report.faults]


def spoken(table: str) -> str:
    return table.replace("_", " ")


@pytest.mark.databases
def test_tables_that_only_the_service_changed_have_no_fault(bank: Bank) -> None:
    for table, count in (("products", 4), ("clients", 3), ("client_secrets", 2), ("client_keys", 1), ("reviews", 1)):
        with transaction(bank.services.engine) as connection:
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == count
    assert bank.verify().faults == ()
    with transaction(bank.services.engine) as connection:
        since = tips(connection)
    put(bank, {})
    score(bank, "order 18", SELLERS[1])
    assert bank.verify(scope=Scope(since=since)).faults == ()
    bank.erase(SELLERS[0])
    assert bank.verify().faults == ()


@pytest.mark.parametrize("table", TABLES)
def test_a_changed_value_of_each_column_is_named(bank: Bank, table: str) -> None:
    require_sqlite(bank)
    columns = metadata.tables[table].c
    for column in columns:
        changed = f"coalesce({column.name}, '') || 'x'"
        if isinstance(column.type, Integer):
            changed = f"{column.name} + 7"
        elif isinstance(column.type, UtcDateTime):
            changed = "'2020-01-01 00:00:00.000000'"
        found = faults_after(bank, f"UPDATE {table} SET {column.name} = {changed} WHERE {ONE.format(table)}")
        assert any(f"the table of {spoken(table)}" in fault for fault in found), (column.name, found)
        if not column.primary_key:
            assert f"the table of {spoken(table)} differs from the ledger in {column.name}" in found


def test_removed_and_added_rows_are_named(bank: Bank) -> None:
    require_sqlite(bank)
    for table, key in TABLES.items():
        found = faults_after(bank, f"DELETE FROM {table} WHERE {ONE.format(table)}")
        assert any(f"missing in the table of {spoken(table)}" in fault for fault in found), (table, found)
        columns = metadata.tables[table].c.keys()
        values = ", ".join(f"{column} || 'x'" if column == key else column for column in columns)
        added = f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table} WHERE {ONE.format(table)}"
        (fault,) = faults_after(bank, added)
        assert f"the table of {spoken(table)} has a" in fault


def test_a_time_with_other_characters_is_named(bank: Bank) -> None:
    require_sqlite(bank)
    (found,) = faults_after(bank, "UPDATE products SET since = since || 'x' WHERE product_id = 'b'")
    assert found == "the table of products differs from the ledger in since"


def test_rows_of_a_bank_without_a_chain_are_named(bank: Bank) -> None:
    found = faults_after(bank, "UPDATE products SET bank_id = 'bank-x'", "UPDATE idempotency_keys SET owner = 'bank-x'")
    assert "the table of products has a version that is not in the ledger" in found
    assert "the table of idempotency keys has a key that is not in the ledger" in found


def test_an_entry_that_was_added_to_fit_a_changed_table_is_named(bank: Bank) -> None:
    """A person with the database, but without the keys, appends a row with a valid head."""
    services, now = bank.services, datetime.now(UTC)
    with transaction(services.engine, writes=True) as connection:
        entries = [row for row in rows_of(connection, bank.id) if row.header.kind == EntryKind.PRODUCTS]
        # the signature of another row is valid at its position only
        for content in (products_entry(["c"], []), read_content(entries[0], None), b"no JSON"):
            append_plain(connection, "", EntryDraft(bank.id, EntryKind.PRODUCTS, content, now))
        connection.execute(text("UPDATE products SET until = :now WHERE product_id = 'c'"), {"now": str(now)[:-6]})
        found = faults_in(bank, connection)
    invalid = "the signature of the entry is missing or invalid"
    assert found == ["the table of products differs from the ledger in until", invalid, invalid, invalid]


def test_an_entry_that_another_key_signed_is_named(bank: Bank) -> None:
    with transaction(bank.services.engine, writes=True) as connection:
        other, now = KeyRing((OKPKey.generate_key("Ed25519"),)), datetime.now(UTC)
        append_signed(connection, other, EntryDraft(bank.id, EntryKind.PRODUCTS, products_entry(["c"], []), now))
        assert faults_in(bank, connection) == [
            "the signature of the entry is of a key that is not among the trusted keys"
        ]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b'{"action":"revoked","client_id":"x"}', "the entry is about a client that does not exist or is revoked"),
        (b'{"action":"created","client_id":"x"}', "the content is not a valid client"),
        (b'{"action":"renamed","client_id":"x"}', "the entry is about a client that does not exist or is revoked"),
    ],
)
def test_entries_of_clients_that_contradict_each_other_are_named(bank: Bank, content: bytes, what: str) -> None:
    with transaction(bank.services.engine, writes=True) as connection:
        for chain in (CLIENTS_CHAIN, bank.id):
            draft = EntryDraft(chain, EntryKind.CLIENT, content, datetime.now(UTC))
            append_signed(connection, bank.services.receipts, draft)
        assert sorted(faults_in(bank, connection)) == sorted(
            [what, "the entry of a client is not in the chain of clients"]
        )


def test_an_expired_idempotency_key_may_be_deleted_but_not_revived(bank: Bank) -> None:
    with time_machine.travel(datetime.now(UTC) + timedelta(days=8), tick=True):
        assert faults_after(bank, "DELETE FROM idempotency_keys") == []
        (revived,) = faults_after(bank, "UPDATE idempotency_keys SET expires_at = '2099-01-01 00:00:00.000000'")
        assert revived == "the table of idempotency keys differs from the ledger in expires_at"
        # the service may use it again
        again = score(bank, "order 17")
        assert bank.verify().faults == ()
        assert faults_after(bank, f"UPDATE idempotency_keys SET resource_id = '{again[::-1]}'") != []


@pytest.mark.databases
def test_a_key_that_was_used_twice_before_it_expired_is_named_also_later(bank: Bank) -> None:
    with transaction(bank.services.engine, writes=True) as connection:
        connection.execute(text("DELETE FROM idempotency_keys"))
    score(bank, "order 17")
    with time_machine.travel(datetime.now(UTC) + timedelta(days=8), tick=True):
        (fault,) = bank.verify().faults
    assert fault.what == "the idempotency key of the score was already used by an earlier score, and had not expired"


def test_the_key_of_a_score_that_cannot_be_read_must_refer_to_it(bank: Bank) -> None:
    before = datetime.now(UTC)
    drop_expired(bank.services.engine, bank.services.receipts, before=before, now=before)
    score(bank, "order 19", SELLERS[1])
    bank.erase(SELLERS[1])
    assert bank.verify().faults == ()
    for column, count in (("owner", 1), ("resource_id", 2)):
        found = faults_after(bank, f"UPDATE idempotency_keys SET {column} = {column} || 'x'")
        assert found == ["the table of idempotency keys has a key that is not in the ledger"] * count


def test_an_invalid_receipt_is_named_at_its_row_although_later_pages_follow(bank: Bank) -> None:
    require_sqlite(bank)
    for _ in range(6):
        bank.score()
    first = f"SELECT min(position) FROM scores WHERE chain = '{bank.id}'"
    found = faults_after(
        bank, f"UPDATE ledger SET head = zeroblob(32) WHERE chain = '{bank.id}' AND position = ({first})"
    )
    moved = "the row does not follow from the previous row: it was changed or moved"
    assert found == [moved, "the receipt was changed", moved]


VALUES_OF_OTHER_TYPES = {
    "ledger": ("position", "position || 'x'"),
    "chains": ("name", "CAST(name AS BLOB)"),
    "scores": ("chain", "CAST(chain AS BLOB)"),
    "seller_keys": ("seller_id", "CAST(seller_id AS BLOB)"),
    "consents": ("bank_id", "CAST(bank_id AS BLOB)"),
    "products": ("version", "version || 'x'"),
    "clients": ("revoked_at", "7"),
    "client_secrets": ("expires_at", "CAST(coalesce(expires_at, '') AS BLOB)"),
    "client_keys": ("thumbprint", "CAST(thumbprint AS BLOB)"),
    "idempotency_keys": ("name", "CAST(name AS BLOB)"),
    "reviews": ("seller_id", "CAST(seller_id AS BLOB)"),
}
"""Values that the service does not find, although their text or number is the right one."""


@pytest.mark.parametrize("table", VALUES_OF_OTHER_TYPES)
def test_a_value_of_another_type_is_named(bank: Bank, table: str) -> None:
    require_sqlite(bank)
    column, value = VALUES_OF_OTHER_TYPES[table]
    found = faults_after(bank, f"UPDATE {table} SET {column} = {value} WHERE {ONE.format(table)}")
    (fault,) = (each for each in found if each.startswith(f"values of {column} are not of type "))
    assert fault.endswith(": 1, the first in the row with rowid 1")
